"""What makes joined components: a table of parts, in any combination that has a generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import final

import torch

from growmix.components.component import Component
from growmix.components.denoiser import Denoiser
from growmix.components.denoiser_kind import DenoiserKind
from growmix.components.joined import JoinedAutoencoder, JoinedDenoiser
from growmix.components.kinds import ComponentKind, VAEKind, require_pictures
from growmix.components.parts import AutoencoderPart, DenoiserPart, JudgePart, Part
from growmix.components.recipe import Recipe
from growmix.components.recogniser import RECIPE, Recogniser, RecogniserOptions
from growmix.data.domain import Domain
from growmix.errors import BadInput

RATE_BESIDE_DENOISER = 1.5
"""Weight of an autoencoder's rate beside a denoiser: measured on two data sets, where held-out data agreed."""

DENOISER_BESIDE_VAE = 0.7
"""Weight of a denoiser's score beside an autoencoder's nats, likewise."""

EXPONENT_BESIDE_VAE = 0.75
"""What a denoiser divides errors by beside an autoencoder, sigma^(2 * 0.75): small noise counts more than alone."""


class PartKind(ABC):
    """Interface of what makes the parts of one kind.

    Attributes
    ----------
    name
        Name of the part in the names of joined kinds, such as ``denoiser``.
    """

    name: str

    @abstractmethod
    def make(self, domain: Domain, beside: Collection[str], *, supervised: bool, generator: torch.Generator) -> Part:
        """Make an untrained part on the CPU.

        Parameters
        ----------
        domain
            Shape and support of the examples, with the statistics of the first task.
        beside
            Names of all parts of the component.
        supervised
            Whether the component classifies.
        generator
            Generator on the CPU that first weights are drawn from.
        """

    @property
    @abstractmethod
    def recipes(self) -> tuple[Recipe, ...]:
        """What a part is trained by."""

    @property
    def without_memory(self) -> bool:
        """Whether parts can be made within ``torch.device("meta")``, where nothing takes memory."""
        return True

    @property
    def draws_globally(self) -> bool:
        """Whether parts may draw from torch's global generator."""
        return False


@final
@dataclass(frozen=True)
class AutoencoderPartKind(PartKind):
    """Makes autoencoders as parts."""

    kind: VAEKind
    name: str = "vae"

    def make(
        self, domain: Domain, beside: Collection[str], *, supervised: bool, generator: torch.Generator
    ) -> AutoencoderPart:
        """Make an autoencoder, whose rate counts more beside a denoiser."""
        vae = self.kind.autoencoder(domain, supervised=supervised, generator=generator)
        return AutoencoderPart(vae, RATE_BESIDE_DENOISER if "denoiser" in beside else 1.0)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What an autoencoder is trained by."""
        return self.kind.recipes

    @property
    def without_memory(self) -> bool:
        """Whether the blueprint's networks are plain layers."""
        return self.kind.without_memory

    @property
    def draws_globally(self) -> bool:
        """Whether the blueprint's networks, or the likelihood, are a user's own."""
        return self.kind.draws_globally


@final
@dataclass(frozen=True)
class DenoiserPartKind(PartKind):
    """Makes denoisers as parts."""

    kind: DenoiserKind
    name: str = "denoiser"

    def make(
        self, domain: Domain, beside: Collection[str], *, supervised: bool, generator: torch.Generator
    ) -> DenoiserPart:
        """Make a denoiser, which beside an autoencoder looks more at small noise, and counts less."""
        if "vae" not in beside:
            return DenoiserPart(Denoiser(domain, self.kind.options, supervised=supervised, generator=generator))
        options = replace(self.kind.options, exponent=EXPONENT_BESIDE_VAE)
        denoiser = Denoiser(domain, options, supervised=supervised, generator=generator)
        return DenoiserPart(denoiser, DENOISER_BESIDE_VAE)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What a denoiser is trained by."""
        return self.kind.recipes


@final
@dataclass(frozen=True)
class RecogniserPartKind(PartKind):
    """Makes recognisers as parts.

    Attributes
    ----------
    width
        Channels of the first stage; ``None`` leaves it to the recogniser.
    flips
        Whether an image and its mirror image are of the same class; ``None``: in colour, not in gray.
    """

    width: int | None = None
    flips: bool | None = None
    name: str = "recogniser"

    def make(
        self, domain: Domain, beside: Collection[str], *, supervised: bool, generator: torch.Generator
    ) -> JudgePart:
        """Make a recogniser, which counts nothing until weights are chosen."""
        return JudgePart(Recogniser(domain, RecogniserOptions(self.width, self.flips), generator))

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What a recogniser is trained by."""
        return (RECIPE,)


@final
@dataclass(frozen=True)
class JoinedKind(ComponentKind):
    """Makes components of several parts.

    Attributes
    ----------
    parts
        What makes the parts, the main one first.

    Examples
    --------
    >>> from growmix.nets import MLP
    >>> JoinedKind((AutoencoderPartKind(VAEKind(MLP(hidden=8))), RecogniserPartKind())).name
    'vae+recogniser'
    """

    parts: tuple[PartKind, ...]

    @property
    def name(self) -> str:  # type: ignore[override]
        """Names of the parts, joined by ``+``."""
        return "+".join(part.name for part in self.parts)

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        """Make all parts, and join them under the first."""
        require_pictures(self.name, domain, target, "component 'vae' with blueprint 'mlp'")
        names = [part.name for part in self.parts]
        made = {part.name: part.make(domain, names, supervised=supervised, generator=generator) for part in self.parts}
        main = made.pop(names[0])
        if isinstance(main, AutoencoderPart):
            return JoinedAutoencoder(domain, main, made, supervised=supervised)
        if isinstance(main, DenoiserPart):
            return JoinedDenoiser(domain, main, made, supervised=supervised)
        raise BadInput(f"component {self.name!r} has no part that generates first; begin with a vae or a denoiser")

    @property
    def without_memory(self) -> bool:
        """Whether all parts can be made without memory."""
        return all(part.without_memory for part in self.parts)

    @property
    def draws_globally(self) -> bool:
        """Whether any part draws from torch's global generator."""
        return any(part.draws_globally for part in self.parts)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What the parts are trained by, in order."""
        return tuple(recipe for part in self.parts for recipe in part.recipes)
