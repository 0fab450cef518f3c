"""The kind of component that is a denoiser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch

from growmix.components.component import Component
from growmix.components.denoiser import Denoiser
from growmix.components.denoiser_options import RECIPE, DenoiserOptions
from growmix.components.kinds import ComponentKind
from growmix.components.recipe import Recipe
from growmix.data.domain import Domain
from growmix.errors import BadInput


@final
@dataclass(frozen=True)
class DenoiserKind(ComponentKind):
    """Makes denoisers, for pictures alone.

    Attributes
    ----------
    options
        How a denoiser is built and asked.

    Examples
    --------
    >>> DenoiserKind().new(Domain((6,), "real"), supervised=False, generator=torch.Generator())
    Traceback (most recent call last):
    growmix.errors.BadInput: component 'denoiser' learns pictures (channels, height, width) with pixels in [0, 1], ...
    """

    options: DenoiserOptions = field(default_factory=DenoiserOptions)
    name: str = "denoiser"

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        """Make a denoiser, see :meth:`growmix.components.kinds.ComponentKind.make`."""
        if target is not None:
            raise BadInput(f"component {self.name!r} learns no pairs; take component 'vae'")
        if not domain.is_image:
            raise BadInput(
                f"component {self.name!r} learns pictures (channels, height, width) with pixels in [0, 1], and the "
                f"examples have shape {domain.shape} and support {domain.support!r}; for vectors take component "
                "'gaussian', or 'vae' with blueprint 'mlp'"
            )
        return Denoiser(domain, self.options, supervised=supervised, generator=generator)

    @property
    def without_memory(self) -> bool:
        """Whether denoisers can be made without memory; they are of plain layers."""
        return True

    @property
    def draws_globally(self) -> bool:
        """Whether denoisers draw from torch's global generator; they have generators of their own alone."""
        return False

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What the U-net and the classifier are trained by, both in one training."""
        return (RECIPE,)
