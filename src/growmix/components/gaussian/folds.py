"""Sums in folds, each of which can be held out; those of several components can be looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.components.gaussian.sums import Form, Sums


@dataclass(frozen=True, eq=False)
class Folds:
    """Sums of the examples of every group, in one or more folds.

    Attributes
    ----------
    count
        Number of examples, shape ``(groups, folds)``.
    mean
        Means, shape ``(groups, folds, d)``.
    scatter
        Scatter about these means, shape ``(folds, d, d)`` where pooled, else ``(groups, folds, ...)``.
    form
        Whether a matrix of each group is kept, one of all together, or a diagonal of each.
    shares
        Share of the examples that each fold gets.
    """

    count: Tensor
    mean: Tensor
    scatter: Tensor
    form: Form
    shares: tuple[float, ...]

    @classmethod
    def of(cls, folds: Sequence[Sums], shares: tuple[float, ...]) -> Folds:
        """Return the sums of several folds side by side."""
        form = folds[0].form
        count, mean = (torch.stack([getattr(fold, name) for fold in folds], 1) for name in ("count", "mean"))
        scatter = torch.stack([fold.scatter for fold in folds], 0 if form == "pooled" else 1)
        return cls(count, mean, scatter, form, shares)

    @classmethod
    def beside(cls, members: Sequence[Folds]) -> Folds:
        """Return the groups of several components behind one another; what is pooled is added up."""
        count, mean = (torch.cat([getattr(member, name) for member in members]) for name in ("count", "mean"))
        scatters = [member.scatter for member in members]
        form = members[0].form
        scatter = torch.stack(scatters).sum(0) if form == "pooled" else torch.cat(scatters)
        return cls(count, mean, scatter, form, members[0].shares)

    def occupied(self) -> Folds:
        """Return the groups that have examples."""
        some = self.count.sum(1) > 0
        scatter = self.scatter if self.form == "pooled" else self.scatter[some]
        return Folds(self.count[some], self.mean[some], scatter, self.form, self.shares)

    def fold(self, index: int) -> Sums:
        """Return the sums of one fold; they are not to be changed."""
        scatter = self.scatter[index] if self.form == "pooled" else self.scatter[:, index]
        return Sums(self.count[:, index], self.mean[:, index], scatter, self.form)

    def but(self, left_out: int | None = None) -> Sums:
        """Return the sums of all folds, or of all but one."""
        groups, _, size = self.mean.shape
        total = Sums.nothing(groups, size, self.form)
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
