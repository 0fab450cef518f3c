"""The Gaussians of all components of a mixture, whose covariances are made together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import final

import torch

from growmix.components.gaussian.choosing import Choice, candidates, choose
from growmix.components.gaussian.covariance import Gaussians, Shape, covariances
from growmix.components.gaussian.folds import Folds


@final
class Family:
    """Gaussians of the groups of one or several components, computed when they are first asked for.

    A covariance that is tied is the one of all their groups; type and shrinkage are chosen once for all.

    Parameters
    ----------
    members
        Sums of each component.
    shape
        How covariances are made, but for what is chosen.
    every_type
        Whether the type is chosen too.
    shrinkages
        Shrinkages among which is chosen.
    """

    def __init__(
        self, members: Sequence[Folds], shape: Shape, *, every_type: bool, shrinkages: Sequence[float]
    ) -> None:
        self._members = tuple(members)
        self._folds = Folds.beside(members)
        self._sizes = [len(member.count) for member in members]
        self._candidates = candidates(shape, every_type=every_type)
        self._shrinkages = shrinkages
        self._placed: dict[tuple[torch.device, torch.dtype], Gaussians] = {}

    def is_of(self, members: Sequence[Folds]) -> bool:
        """Whether these are the very sums that it was made of."""
        same = len(members) == len(self._members)
        return same and all(one.count is other.count for one, other in zip(members, self._members, strict=True))

    @cached_property
    def choice(self) -> Choice:
        """What is chosen for all."""
        return choose(self._folds.occupied().held_out(), self._candidates, self._shrinkages)

    @cached_property
    def _gaussians(self) -> Gaussians:
        whole = self._folds.but()
        return Gaussians.of(whole.mean, covariances(whole, self.choice.shape))

    def member(self, index: int, device: torch.device, dtype: torch.dtype) -> Gaussians:
        """Return the Gaussians of one component, on a device and in a precision; what is tied is there once for all."""
        place = (device, dtype)
        if place not in self._placed:
            self._placed[place] = self._gaussians.to(device, dtype)
        first = sum(self._sizes[:index])
        return self._placed[place].part(first, first + self._sizes[index])
