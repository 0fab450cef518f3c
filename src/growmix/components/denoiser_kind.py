"""The kind of component that is a denoiser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch

from growmix.components.component import Component
from growmix.components.denoiser import Denoiser
from growmix.components.denoiser_options import RECIPE, DenoiserOptions
from growmix.components.kinds import PlainKind, require_pictures
from growmix.components.recipe import Recipe
from growmix.data.domain import Domain


@final
@dataclass(frozen=True)
class DenoiserKind(PlainKind):
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
        require_pictures(self.name, domain, target, "component 'gaussian', or 'vae' with blueprint 'mlp'")
        return Denoiser(domain, self.options, supervised=supervised, generator=generator)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What the U-net and the classifier are trained by, both in one training."""
        return (RECIPE,)
