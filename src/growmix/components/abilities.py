"""What only some components can do: each ability is a small interface, asked for with ``isinstance``.

A component inherits from :class:`growmix.components.component.Component` and from the abilities that it has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from growmix.components.density import LatentDensity, prior_codes
from growmix.components.judging import ClassRule, judge
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, TaskData

if TYPE_CHECKING:
    from growmix.components.component import Component, Trainer


class Described(ABC):
    """Ability of a component that has label-free numbers of every example beside its score, for novelty to look at."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers, in their order."""

    @abstractmethod
    def describe(self, x: Tensor) -> Tensor:
        """Return the numbers of examples ``(batch, *shape)``, shape ``(batch, numbers)``."""


class Evidence(ABC):
    """Ability of a component that judges by several scores, whose weights a mixture chooses.

    Attributes
    ----------
    sources
        Names of the scores, in their order.
    preset
        Weight of every score where nothing was chosen.
    preset_rule
        Whose word on the class counts where nothing was chosen.
    """

    sources: tuple[str, ...]
    preset: tuple[float, ...]
    preset_rule: ClassRule

    @abstractmethod
    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return all that the component knows of examples without their label.

        Parameters
        ----------
        x
            Examples of the domain, shape ``(batch, *shape)``.

        Returns
        -------
        scores
            Score of every class from every source, shape ``(batch, classes, sources)``, with one column of classes
            where there are none; the log share of a class is in the first of them.
        class_log_proba
            Log-probabilities of the classes by the component's classifier, shape ``(batch, classes)``.
        """

    def by_preset(self, scores: Tensor, class_log_proba: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh evidence by the preset, see :func:`growmix.components.judging.judge`."""
        return judge(scores, class_log_proba, torch.tensor(self.preset, dtype=torch.float32), self.preset_rule)


class Bounded(ABC):
    """Ability of a component whose score is no bound of log p(x), but that knows one."""

    @abstractmethod
    def bound(self, x: Tensor) -> Tensor:
        """Return a lower bound of log p(x) with all its constants, nats, shape ``(batch,)``."""


class Cheap(ABC):
    """Ability of a component whose score is dear, and that has a cheap one to find out who might answer."""

    @abstractmethod
    def cheap(self, x: Tensor) -> Tensor:
        """Return a score that is comparable between all components of the kind, shape ``(batch,)``."""


class Codes(Described):
    """Ability of a component that describes every example by a short code, and can decode codes.

    Attributes
    ----------
    latent
        Length of a code.
    """

    latent: int

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the rate and of the coordinates of the code."""
        return ("rate", *(f"code{j}" for j in range(self.latent)))

    def describe(self, x: Tensor) -> Tensor:
        """Return rate and posterior mean of the code, shape ``(batch, 1 + latent)``."""
        return torch.cat([self.rate(x)[:, None], self.code(x)], dim=1)

    @abstractmethod
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return posterior means of the code ``(batch, latent)`` and class logits ``(batch, classes)``."""

    @abstractmethod
    def rate(self, x: Tensor) -> Tensor:
        r"""Return the nats that the code of each example costs, :math:`KL(q(z|x)\|p(z))`, shape ``(batch,)``."""

    @abstractmethod
    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Return the expected examples of codes ``(batch, latent)`` with class positions (-1: no class)."""

    def code(self, x: Tensor) -> Tensor:
        """Return posterior means of the code, shape ``(batch, latent)``."""
        return self.encode(x)[0]

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode examples from their posterior mean, with the class that the classifier gives."""
        codes, logits = self.encode(x)
        return self.decode(codes, most_likely(logits))


class GaussianCode(ABC):
    """Ability of a component whose code of an example has a posterior that is a diagonal Gaussian."""

    @abstractmethod
    def infer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and log-variance of the code, both ``(batch, latent)``, and logits ``(batch, classes)``."""


class SampledElbo(ABC):
    """Ability of a component whose ELBO can be estimated by draws of the code; needs :class:`Codes`."""

    @abstractmethod
    def score_draws(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate a lower bound of log p(x) by draws, and return it with the class log-probabilities.

        Parameters
        ----------
        x
            Examples, shape ``(batch, *shape)``.
        noise
            Standard normal draws shared by all examples, shape ``(draws, latent)``; one row of zeros scores at the
            posterior mean.
        """

    @abstractmethod
    def importance_weighted_elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return a tighter bound of log p(x) for evaluation, nats, shape ``(batch,)``.

        Parameters
        ----------
        x
            Examples, shape ``(batch, *shape)``.
        noise
            Standard normal, shape ``(draws, batch, latent)``; the bound converges to log p(x) with the draws.

        References
        ----------
        Burda, Grosse, Salakhutdinov 2016: log of the mean over draws of p(x, z) / q(z|x).
        """


class CodeDensity:
    """Ability of a component that fits a density to the codes of what it learnt, to draw from.

    Attributes
    ----------
    density
        Where codes are drawn from; ``None`` before the first training ends, or where codes come from the prior.
    """

    density: LatentDensity | None = None

    def draw_codes(self, positions: Tensor, latent: int, generator: torch.Generator) -> Tensor:
        """Draw one code of length ``latent`` for each class position: from the density, else from the prior."""
        if self.density is None:
            return prior_codes(len(positions), latent, generator)
        return self.density.sample(positions, generator)


class Pairs(ABC):
    """Ability of a component that learns pairs, and translates the first example of a pair to the second.

    Attributes
    ----------
    target
        Shape and support of the examples that it translates to.
    """

    target: Domain

    @abstractmethod
    def pair_elbo(self, x: Tensor, target: Tensor, noise: Tensor) -> Tensor:
        """Return the evidence lower bound of pairs, nats per pair, shape ``(batch,)``.

        Parameters
        ----------
        x, target
            Both examples of each pair, shapes ``(batch, *shape)`` and ``(batch, *target.shape)``.
        noise
            Standard normal, shape ``(batch, latent)``.
        """

    @abstractmethod
    def translate(self, x: Tensor) -> Tensor:
        """Return the expected targets ``(batch, *target.shape)`` of examples ``(batch, *shape)``."""

    @abstractmethod
    def draw_pairs(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Generate pairs on the component's device: ``(n, *shape)`` and ``(n, *target.shape)``."""

    @abstractmethod
    def mean_pair_elbo(self, pairs: TaskData) -> float:
        """Return the ELBO of pairs at the posterior mean, nats per pair, as the mean over all of them."""


class SoftLabels(ABC):
    """Ability of a component that can learn from class probabilities in place of labels, as a student does."""

    @abstractmethod
    def fit_soft(self, data: TaskData, soft: Tensor, trainer: Trainer) -> None:
        """Learn from generated examples and their class probabilities, in place.

        Parameters
        ----------
        data
            Generated examples with the labels that were asked for.
        soft
            The teacher's class probabilities, shape ``(n, classes)``.
        trainer
            Minimises objectives, and has the generator to draw from.
        """


class WithoutDensity:
    """What a component lacks whose score is no logarithm of a density, and which generates nothing.

    Its scores tell components and classes from each other. ``draw`` and a model's ``score_samples`` and ``sample``
    refuse, in words that name what has a density.

    Attributes
    ----------
    instead
        What has a density and generates, as the end of a sentence.
    """

    instead: str

    def refusal(self, what: str) -> str:
        """Return the sentence of an error: that such a component has none, or generates nothing; and what does."""
        return f"a {type(self).__name__} {what}; {self.instead}"


class Additive(ABC):
    """Ability of a component that learns by adding to what it keeps: an update forgets nothing, so nothing is replayed.

    What is held out to calibrate novelty can be learnt too, once the calibration is done.
    """

    @abstractmethod
    def absorb(self, data: TaskData, generator: torch.Generator) -> None:
        """Learn examples that were never learnt before, in place; the classes that occur were added before.

        Parameters
        ----------
        data
            New examples alone, on the CPU.
        generator
            Generator on the CPU for whatever is drawn.
        """


class Together(ABC):
    """Ability of a component whose answers also rest on what the other components of its mixture keep.

    What a component keeps stays its own, bit for bit; what it answers may change whenever any of them learns.
    """

    @abstractmethod
    def together(self, components: Sequence[Component]) -> tuple[Component, ...]:
        """Return the components of a mixture as they answer beside one another; nothing that they keep is copied.

        Parameters
        ----------
        components
            All components of a mixture, of one kind, this one among them.
        """

    @abstractmethod
    def alone(self) -> Component:
        """Return the component as it would answer by what it keeps itself, if that is enough to answer by."""


class Limited(ABC):
    """Ability of a module that keeps numbers outside its weights which are not any number, such as variances."""

    @abstractmethod
    def limits(self) -> Mapping[str, tuple[Tensor, float]]:
        """Return such numbers by name, all finite, each with the smallest value that it may have."""


class Shared:
    """Ability of a component whose networks can stand on a foundation that all components share.

    Attributes
    ----------
    networks
        Names of the modules that may be shared, see :mod:`growmix.components.sharing`.
    """

    networks: tuple[str, ...]


def most_likely(logits: Tensor) -> Tensor:
    """Return the position of the largest logit, -1 where there are no classes; ``(batch, classes)`` to ``(batch,)``."""
    if logits.shape[1] == 0:
        return torch.full((logits.shape[0],), UNLABELLED, dtype=torch.int64, device=logits.device)
    return logits.argmax(1)
