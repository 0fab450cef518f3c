"""The kind of component that is made of Gaussians in closed form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch

from growmix.components.component import Component
from growmix.components.gaussian.component import Gaussian, GaussianOptions
from growmix.components.kinds import PlainKind
from growmix.data.domain import Domain
from growmix.errors import BadInput


@final
@dataclass(frozen=True)
class GaussianKind(PlainKind):
    """Makes components of Gaussians, which learn from sums.

    Attributes
    ----------
    options
        Which Gaussians they are made of.

    Examples
    --------
    >>> kind = GaussianKind(GaussianOptions(covariance_type="full"))
    >>> kind.new(Domain((3,), "real"), supervised=True, generator=torch.Generator()).latent
    3
    """

    options: GaussianOptions = field(default_factory=GaussianOptions)
    name: str = "gaussian"

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        """Make a component that has learnt nothing."""
        if target is not None:
            raise BadInput("data are pairs of images, which component 'gaussian' can't learn; take component 'vae'")
        return Gaussian(domain, self.options, supervised=supervised)
