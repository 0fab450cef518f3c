"""Centring and scaling of examples of real support, inside a component."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from growmix.data.domain import Domain

MOST_DEVIATIONS = 1e12
"""Standard deviations from the mean that a number counts as at most, so that sums of squares stay finite."""


@final
class Scaling(nn.Module):
    """Brings examples to mean 0 and deviation 1 by the first task's statistics, and back; unit support is left alone.

    The numbers lie in buffers, so that they are on the component's device, but in no checkpoint: the domain has them.

    Parameters
    ----------
    domain
        Shape, support and statistics of the examples.

    Examples
    --------
    >>> scaling = Scaling(Domain((2,), "real", centre=(1.0, 0.0), scale=(2.0, 1.0)))
    >>> scaling(torch.tensor([[3.0, 5.0]])), scaling.undo(torch.tensor([[1.0, 5.0]]))
    (tensor([[1., 5.]]), tensor([[3., 5.]]))
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, domain: Domain) -> None:
        super().__init__()
        self._scales = bool(domain.centre)
        rest = domain.shape[1:]
        for name, numbers in (("centre", domain.centre or (0.0,)), ("scale", domain.scale or (1.0,))):
            values = torch.tensor(numbers, dtype=torch.float32)
            self.register_buffer(name, values.view(-1, *[1] * len(rest)), persistent=False)
        self.log_volume = sum(math.log(scale) for scale in domain.scale) * math.prod(rest)
        """What the density of a scaled example exceeds that of the example itself by, in nats."""

    def forward(self, x: Tensor) -> Tensor:
        """Centre and scale examples ``(batch, *shape)``; see :data:`MOST_DEVIATIONS`."""
        if not self._scales:
            return x
        return ((x - self.centre) / self.scale).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)

    def undo(self, scaled: Tensor) -> Tensor:
        """Return the examples that scaled ones came from."""
        return scaled * self.scale + self.centre if self._scales else scaled
