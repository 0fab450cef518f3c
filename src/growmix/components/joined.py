"""Joined components: several networks that judge an example together, one of which generates.

A joined component has the abilities of its main part, and is weighed by the mixture: see
:mod:`growmix.learning.choosing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar, final

import torch
from torch import Tensor, nn

from growmix.components.abilities import (
    Bounded,
    Cheap,
    CodeDensity,
    Codes,
    Described,
    Evidence,
    GaussianCode,
    SampledElbo,
    Shared,
)
from growmix.components.component import Component, Trainer
from growmix.components.density import LatentDensity
from growmix.components.judging import ClassRule
from growmix.components.parts import AutoencoderPart, DenoiserPart, GeneratorPart, JudgePart, Part
from growmix.data.domain import Domain
from growmix.data.task import TaskData

Main = TypeVar("Main", bound=GeneratorPart)


class Joined(Component, Evidence, Cheap, Shared, Generic[Main]):
    """Interface of a component of several networks, which are trained one after the other, each by its own recipe.

    Parameters
    ----------
    domain
        Shape and support of the examples, with the statistics of the first task.
    main
        The part whose abilities the component has; its first score is the measure of all others.
    others
        The other parts by their names, at least one.
    supervised
        Whether the component classifies.

    Attributes
    ----------
    main : GeneratorPart
        The part whose abilities the component has.
    """

    main: Main

    def __init__(self, domain: Domain, main: Main, others: Mapping[str, Part], *, supervised: bool) -> None:
        super().__init__(domain, supervised=supervised)
        self.main = main
        self.others = nn.ModuleDict(others)
        self._parts: tuple[Part, ...] = (main, *others.values())
        generators = [part for part in self._parts if isinstance(part, GeneratorPart)]
        judges = [part for part in self._parts if isinstance(part, JudgePart)]
        self._drawing = generators[-1:]  # in a list, or it would be registered a second time
        self._classifying = self._parts.index(judges[0] if judges else main)
        self.sources = tuple(source for part in self._parts for source in part.sources)
        self.preset = tuple(weight for part in self._parts for weight in part.preset)
        by_class = any(isinstance(part, DenoiserPart) for part in self._parts)
        self.preset_rule: ClassRule = "both" if by_class else "classifier"
        of_others = [f"others.{other}.{name}" for other, part in others.items() for name in part.networks]
        self.networks = (*(f"main.{name}" for name in main.networks), *of_others)

    def _structure(self) -> str | None:
        return " + ".join(part.structure for part in self._parts)

    # Learning --------------------------------------------------------------------------------------------------

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Train part after part."""
        self.eval()  # who waits for held-out scores asks parts that are not trained yet
        for part in self._parts:
            part.fit(self, data, weight, trainer)

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Make room for new classes in every part."""
        new = self.new_labels(labels)
        if not new:
            return
        for part in self._parts:
            part.add_classes(new, generator)
        self.take_in(new)

    # Scores ----------------------------------------------------------------------------------------------------

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the scores of all parts by their preset."""
        return self.by_preset(*self.evidence(x))

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of all parts side by side; the classifier is the judge's, or else the main part's."""
        found = [part.evidence(x) for part in self._parts]
        scores = torch.cat([scores for scores, _ in found], dim=2)
        if self.classes:
            share = self.class_log_prior()[:, None]
            scores = torch.cat([scores[:, :, :1] + share, scores[:, :, 1:]], dim=2)
        return scores, found[self._classifying][1]

    # Examples --------------------------------------------------------------------------------------------------

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Generate examples by the denoiser where there is one, else by the autoencoder."""
        (part,) = self._drawing
        return part.network.draw(positions, generator)


@final
class JoinedAutoencoder(Joined[AutoencoderPart], Codes, GaussianCode, SampledElbo, CodeDensity):
    """Joins an autoencoder with a denoiser, a recogniser or both; codes and reconstructions are the autoencoder's.

    Its bound of the density is the autoencoder's ELBO, by draws of the code.
    """

    def __init__(self, domain: Domain, main: AutoencoderPart, others: Mapping[str, Part], *, supervised: bool) -> None:
        super().__init__(domain, main, others, supervised=supervised)
        self.latent = main.network.latent
        self.is_density = main.network.is_density

    @property
    def density(self) -> LatentDensity | None:
        """Where the autoencoder draws codes from."""
        return self.main.network.density

    @density.setter
    def density(self, density: LatentDensity | None) -> None:
        self.main.network.density = density

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return posterior means of the code, and the logits of the autoencoder's own classifier."""
        return self.main.network.encode(x)

    def rate(self, x: Tensor) -> Tensor:
        """Return the KL divergence of the posterior to the prior, nats, shape ``(batch,)``."""
        return self.main.network.rate(x)

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Return the expected examples of codes with class positions."""
        return self.main.network.decode(codes, positions)

    def infer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return means and log-variances of the code, and the logits of the autoencoder's own classifier."""
        return self.main.network.infer(x)

    def score_draws(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate the autoencoder's ELBO by draws of the code."""
        return self.main.network.score_draws(x, noise)

    def importance_weighted_elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the autoencoder's importance-weighted bound."""
        return self.main.network.importance_weighted_elbo(x, noise)

    def cheap(self, x: Tensor) -> Tensor:
        """Score examples by the autoencoder alone."""
        scores, _ = self.main.evidence(x)
        return scores[:, 0] @ torch.tensor(self.main.preset, dtype=torch.float32).to(x.device)


@final
class JoinedDenoiser(Joined[DenoiserPart], Described, Bounded):
    """Joins a denoiser with a recogniser; images, and the bound of their density, are the denoiser's."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numbers by which the denoiser describes an image."""
        return self.main.network.numbers

    def describe(self, x: Tensor) -> Tensor:
        """Return the numbers by which the denoiser describes images, shape ``(batch, numbers)``."""
        return self.main.network.describe(x)

    def bound(self, x: Tensor) -> Tensor:
        """Return the denoiser's lower bound of log p(x), nats, shape ``(batch,)``."""
        return self.main.network.bound(x)

    def cheap(self, x: Tensor) -> Tensor:
        """Score images by the judge alone, as the class that it finds them most alike."""
        scores, _ = self._parts[-1].evidence(x)
        return scores[:, :, 0].amax(1)
