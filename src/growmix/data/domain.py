"""What the examples of a mixture are: their shape, and which numbers they may hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from growmix.settings import Support as Support  # what a user may set it to

Shape: TypeAlias = tuple[int, ...]
"""Axes of one example: ``(channels, height, width)`` of an image, ``(values,)`` of a vector."""


@dataclass(frozen=True)
class Domain:
    """The kind of example that a mixture learns, fixed by its first task.

    Attributes
    ----------
    shape
        Axes of one example, without the batch.
    support
        ``"unit"``: numbers in [0, 1]; ``"real"``: any finite numbers.
    centre, scale
        Mean and standard deviation of the first task, one number for each entry of the first axis (each value of a
        vector, each channel of an image). Both are empty where no statistics are needed (unit support) or known yet.

    Examples
    --------
    >>> domain = Domain((2,), "real").with_statistics(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
    >>> domain.centre, domain.scale
    ((1.0, 5.0), (1.0, 1.0))
    """

    shape: Shape
    support: Support = "unit"
    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers one example holds."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether examples are pictures: three axes, and pixels in [0, 1]."""
        return len(self.shape) == 3 and self.support == "unit"

    def check(self, most: int) -> None:
        """Check that examples of such a domain can exist; raises ``ValueError``.

        Parameters
        ----------
        most
            Most numbers that one example may hold.
        """
        if not self.shape or min(self.shape) < 1 or self.size > most:
            raise ValueError(f"an example of shape {self.shape}")
        if len(self.centre) != len(self.scale) or len(self.centre) not in (0, self.shape[0]):
            raise ValueError(f"{len(self.centre)} centres and {len(self.scale)} scales of shape {self.shape}")
        kept = torch.tensor((*self.centre, *self.scale), dtype=torch.float32, device="cpu")
        if not bool(torch.isfinite(kept).all() and (kept[len(self.centre) :] > 0).all()):
            raise ValueError("centres or scales that no data have")

    def project(self, values: Tensor) -> Tensor:
        """Bring generated numbers to the nearest ones that an example may hold."""
        if self.support == "unit":
            return values.clamp(0.0, 1.0)
        limits = torch.finfo(values.dtype)
        return values.clamp(limits.min, limits.max)

    def with_statistics(self, x: Tensor) -> Domain:
        """Return the same domain with centre and scale of these examples, ``float32`` of shape ``(n, *shape)``.

        An entry of the first axis that is the same number in all examples has the scale 1. Domains of unit support have
        no statistics, and are returned as they are.
        """
        if self.support == "unit":
            return self
        entries = x.transpose(0, 1)
        # entry by entry: one in double precision takes little memory, and the sums are exact enough for any numbers
        pairs = [_centre_and_scale(entry.double()) for entry in entries]
        centre, scale = zip(*pairs, strict=True)
        return replace(self, centre=centre, scale=scale)


def _centre_and_scale(values: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of numbers; (the number, 1) where they hardly differ."""
    if bool((values == values.flatten()[0]).all()):  # rounding would leave a deviation that is not quite 0
        return float(values.flatten()[0]), 1.0
    scale = float(values.std(unbiased=False))
    return float(values.mean()), scale if scale >= torch.finfo(torch.float32).tiny else 1.0
