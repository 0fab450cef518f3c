"""What a component of Gaussians keeps: sums in folds, in double precision, on the CPU wherever the component is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from growmix.components.abilities import Limited
from growmix.components.gaussian.choosing import deal
from growmix.components.gaussian.folds import Folds
from growmix.components.gaussian.sums import Form, Sums, sums_of


@final
class KeptSums(nn.Module, Limited):
    """Sums of the examples of every group, in one or more folds, of which each can be held out.

    The numbers are parameters that nothing trains, as what a component has learnt. Some accelerators have no double
    precision, so they stay on the CPU.

    Parameters
    ----------
    groups
        How many groups there are at first.
    size
        How many numbers one example has.
    form
        Whether a matrix of each group is kept, one of all together, or a diagonal of each.
    shares
        Share of the examples that each fold gets.
    """

    count: nn.Parameter
    mean: nn.Parameter
    scatter: nn.Parameter

    def __init__(self, groups: int, size: int, form: Form, shares: tuple[float, ...]) -> None:
        super().__init__()
        self.form, self.shares, self.size = form, shares, size
        nothing = [Sums.nothing(groups, size, form)] * len(shares)
        self._keep(nothing)

    def limits(self) -> Mapping[str, tuple[Tensor, float]]:
        """Return the counts; a scatter that is none makes no covariance, which is seen when one is asked for."""
        return {"count": (self.count, 0.0)}

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return self.count.shape[0]

    @property
    def folds(self) -> Folds:
        """The sums as they are now; they are not to be changed."""
        return Folds(self.count, self.mean, self.scatter, self.form, self.shares)

    def add(self, x: Tensor, group: Tensor) -> None:
        """Add examples ``float32`` of shape ``(n, d)``, each to its group ``(n,)``."""
        place, folds, new = deal(x, self.shares), self.folds, []
        for index in range(len(self.shares)):
            own = place == index
            new.append(folds.fold(index).merged(sums_of(x[own], group[own], self.groups, self.form)))
        self._keep(new)

    def widen(self, more: int) -> None:
        """Add empty groups behind those that there are."""
        if self.count.is_meta:
            self._keep([Sums.nothing(self.groups + more, self.size, self.form)] * len(self.shares))
            return
        folds = self.folds
        self._keep([_widened(folds.fold(index), more) for index in range(len(self.shares))])

    def _keep(self, folds: list[Sums]) -> None:
        kept = Folds.of(folds, self.shares)
        for name in ("count", "mean", "scatter"):
            setattr(self, name, nn.Parameter(getattr(kept, name), requires_grad=False))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return self  # no move to another device, and no other precision


def _widened(sums: Sums, more: int) -> Sums:
    empty = Sums.nothing(more, sums.mean.shape[1], sums.form)
    scatter = sums.scatter if sums.form == "pooled" else torch.cat([sums.scatter, empty.scatter])
    return Sums(torch.cat([sums.count, empty.count]), torch.cat([sums.mean, empty.mean]), scatter, sums.form)
