"""What a component of Gaussians keeps: sums in folds, in double precision, on the CPU wherever the component is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from growmix.components.gaussian.choosing import deal
from growmix.components.gaussian.sums import Form, Sums, sums_of


@final
class KeptSums(nn.Module):
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

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return self.count.shape[0]

    def fold(self, index: int) -> Sums:
        """Return the sums of one fold; they are not to be changed."""
        scatter = self.scatter[index] if self.form == "pooled" else self.scatter[:, index]
        return Sums(self.count[:, index], self.mean[:, index], scatter, self.form)

    def but(self, left_out: int | None = None) -> Sums:
        """Return the sums of all folds, or of all but one."""
        total = Sums.nothing(self.groups, self.size, self.form)
        for index in range(len(self.shares)):
            if index != left_out:
                total = total.merged(self.fold(index))
        return total

    def held_out(self) -> list[tuple[Sums, Sums]]:
        """Return each fold that can be held out, behind the sums of the others.

        Folds of one size are held out in turn; of a large and a small one, the small one alone.
        """
        small = min(self.shares)
        folds = [f for f, share in enumerate(self.shares) if share == small] if len(self.shares) > 1 else []
        return [(self.but(f), self.fold(f)) for f in folds]

    def add(self, x: Tensor, group: Tensor) -> None:
        """Add examples ``float32`` of shape ``(n, d)``, each to its group ``(n,)``."""
        place = deal(x, self.shares)
        new = []
        for index in range(len(self.shares)):
            own = place == index
            new.append(self.fold(index).merged(sums_of(x[own], group[own], self.groups, self.form)))
        self._keep(new)

    def widen(self, more: int) -> None:
        """Add empty groups behind those that there are."""
        if self.count.is_meta:
            self._keep([Sums.nothing(self.groups + more, self.size, self.form)] * len(self.shares))
            return
        self._keep([_widened(self.fold(index), more) for index in range(len(self.shares))])

    def _keep(self, folds: list[Sums]) -> None:
        along = 0 if self.form == "pooled" else 1
        for name, dim in (("count", 1), ("mean", 1), ("scatter", along)):
            together = torch.stack([getattr(fold, name) for fold in folds], dim)
            setattr(self, name, nn.Parameter(together, requires_grad=False))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return self  # no move to another device, and no other precision


def _widened(sums: Sums, more: int) -> Sums:
    empty = Sums.nothing(more, sums.mean.shape[1], sums.form)
    scatter = sums.scatter if sums.form == "pooled" else torch.cat([sums.scatter, empty.scatter])
    return Sums(torch.cat([sums.count, empty.count]), torch.cat([sums.mean, empty.mean]), scatter, sums.form)
