"""The parts that a component of several networks is made of: what each brings to the judgement, and how it learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from growmix.components.component import Component, Trainer
from growmix.components.denoiser import Denoiser
from growmix.components.judge import Judge
from growmix.components.vae import VAE
from growmix.data.task import TaskData


class Part(nn.Module, ABC):
    """Interface of a network in a component of several: its scores, and what is done with it.

    Attributes
    ----------
    sources
        Names of its scores.
    preset
        Weight of each score where nothing was chosen.
    networks
        Names of its modules that may be shared, see :mod:`growmix.components.sharing`.
    """

    sources: tuple[str, ...]
    preset: tuple[float, ...]
    networks: tuple[str, ...] = ()

    @abstractmethod
    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Make room for new global labels; what is known of the old ones stays bit for bit."""

    @abstractmethod
    def fit(self, whole: Component, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Learn from examples, as a part of a whole component that has counted them; parameters as of its ``fit``."""

    @abstractmethod
    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the part knows of examples without their label.

        Parameters
        ----------
        x
            Examples of the domain, shape ``(batch, *shape)``.

        Returns
        -------
        scores
            Score of every class from each of its sources, without the log share of the class, shape ``(batch, classes,
            sources)``, with one column of classes where there are none.
        class_log_proba
            Log-probabilities of the classes by the part's own classifier, shape ``(batch, classes)``.
        """

    @property
    @abstractmethod
    def structure(self) -> str:
        """What the part is, apart from its numbers; of two parts that can't be batched together, two values."""


class GeneratorPart(Part, ABC):
    """A part that is a whole component by itself, and generates.

    Attributes
    ----------
    network
        The component that judges and generates.
    """

    network: Component

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Add the classes to the component."""
        self.network.add_classes(labels, generator)

    def fit(self, whole: Component, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Train the component, which has counted the examples that the whole has."""
        self.network.class_counts.copy_(whole.class_counts)
        self.network.unlabelled_count.copy_(whole.unlabelled_count)
        self.network.fit(data, weight, trainer)

    @property
    def structure(self) -> str:
        """What the component is batched by."""
        return str(self.network.batch_key())


@final
class AutoencoderPart(GeneratorPart):
    """An autoencoder with two scores, both of the class that its classifier gives: ``likelihood`` and ``kl``.

    Parameters
    ----------
    network
        The autoencoder that judges and generates.
    rate
        Preset weight of minus the KL divergence; 1 makes the sum of both a bound of the density.
    """

    sources = ("likelihood", "kl")
    network: VAE

    def __init__(self, network: VAE, rate: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.preset = (1.0, rate)
        self.networks = tuple(f"network.{name}" for name in network.networks)

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p(x|z, y) at the posterior mean and minus the KL divergence, the same in every class."""
        log_likelihood, rate, logits = self.network.terms(x)
        both = torch.stack([log_likelihood, -rate], dim=1)
        return both[:, None].expand(-1, max(1, logits.shape[1]), -1), logits.log_softmax(1)


@final
class DenoiserPart(GeneratorPart):
    """A denoiser, whose score is of each class.

    Parameters
    ----------
    network
        The denoiser that scores and generates.
    weight
        Preset weight of its score.
    """

    sources = ("denoiser",)
    network: Denoiser

    def __init__(self, network: Denoiser, weight: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.preset = (weight,)
        self.networks = tuple(f"network.{name}" for name in network.networks)

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the denoiser's scores without the log shares that it adds where it judges alone."""
        scores, class_log_proba = self.network.evidence(x)
        if class_log_proba.shape[1]:
            scores = scores - self.network.class_log_prior()[:, None]
        return scores, class_log_proba


@final
class JudgePart(Part):
    """A network that judges and can't generate, whose score has no unit: it counts nothing until that is chosen.

    Parameters
    ----------
    network
        The judge that scores.
    """

    preset = (0.0,)

    def __init__(self, network: Judge) -> None:
        super().__init__()
        self.network = network
        self.sources = (network.name,)

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Add the classes to the judge."""
        self.network.add_classes(labels, generator)

    def fit(self, whole: Component, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Train the judge on all examples alike, whatever each stands for."""
        self.network.fit(data.x, whole.positions_of(data), trainer)

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the judge's score of each class."""
        scores, class_log_proba = self.network.judge(x)
        return scores[:, :, None], class_log_proba

    @property
    def structure(self) -> str:
        """What the judge's modules are."""
        return repr(self.network)
