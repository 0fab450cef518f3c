"""Sums of vectors: how many, their mean, and their scatter about it; those of batches merge, but for rounding.

All numbers are in double precision. Each batch is centred on its own mean before anything is squared, so that nothing
is lost to cancellation however far from zero the vectors lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Form: TypeAlias = Literal["each", "pooled", "diagonal"]
"""Which scatter is kept: a matrix of each group, one matrix of all groups together, or the diagonal of each group."""

BATCH = 8_192
"""Number of vectors that are summed at a time: their copy in double precision is all the memory that summing takes."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Count, mean and scatter of vectors that belong to groups, such as classes.

    Attributes
    ----------
    count
        Number of vectors of each group, ``float64``, shape ``(groups,)``.
    mean
        Mean of each group, shape ``(groups, d)``; zero where a group has no vectors.
    scatter
        Sum of (x - mean of the group)(x - mean of the group)^T: of each group ``(groups, d, d)``, of all groups
        ``(d, d)``, or the diagonal of each group's ``(groups, d)``.
    form
        Which of these three the scatter is.

    References
    ----------
    Chan, Golub and LeVeque 1983: updating formulae and a pairwise algorithm for computing sample variances.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 1.0], [2.0, 3.0], [9.0, 9.0]])
    >>> one, other = sums_of(x[:1], torch.tensor([0]), 2, "each"), sums_of(x[1:], torch.tensor([0, 1]), 2, "each")
    >>> one.merged(other).mean.tolist()
    [[1.0, 2.0], [9.0, 9.0]]
    >>> one.merged(other).scatter[0].round().tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """

    count: Tensor
    mean: Tensor
    scatter: Tensor
    form: Form

    @classmethod
    def nothing(cls, groups: int, size: int, form: Form) -> Sums:
        """Return the sums of no vectors, of so many groups and numbers."""
        shape = {"each": (groups, size, size), "pooled": (size, size), "diagonal": (groups, size)}[form]
        count, mean, scatter = (torch.zeros(axes, dtype=torch.float64) for axes in ((groups,), (groups, size), shape))
        return cls(count, mean, scatter, form)

    def merged(self, other: Sums) -> Sums:
        """Return the sums of both sets of vectors together."""
        total = self.count + other.count
        share = other.count / total.clamp_min(1.0)
        gap = other.mean - self.mean
        mean = torch.where((self.count > 0)[:, None], self.mean + gap * share[:, None], other.mean)
        scatter = self.scatter + other.scatter + _between(gap, self.count * share, self.form)
        return Sums(total, mean, scatter, self.form)

    def pooled(self) -> Sums:
        """Return the same sums with one scatter matrix of all groups."""
        return replace(self, scatter=self.scatter.sum(0), form="pooled") if self.form == "each" else self

    def diagonal(self) -> Sums:
        """Return the same sums with the diagonal of each group's scatter."""
        if self.form != "each":
            return self
        return replace(self, scatter=self.scatter.diagonal(dim1=1, dim2=2), form="diagonal")


def sums_of(x: Tensor, group: Tensor, groups: int, form: Form) -> Sums:
    """Return the sums of vectors.

    Parameters
    ----------
    x
        Vectors of any floating type, shape ``(n, d)``.
    group
        Which group each belongs to, from 0, shape ``(n,)``.
    groups
        How many groups there are.
    form
        Whether a matrix of each group is kept, one of all together, or a diagonal of each.
    """
    total = Sums.nothing(groups, x.shape[1], form)
    for rows, own in zip(x.split(BATCH), group.split(BATCH), strict=True):
        total = total.merged(_sums_of_batch(rows.double(), own, groups, form))
    return total


def _sums_of_batch(x: Tensor, group: Tensor, groups: int, form: Form) -> Sums:
    count = torch.bincount(group, minlength=groups).double()
    per = count.clamp_min(1.0)[:, None]
    mean = torch.zeros(groups, x.shape[1], dtype=torch.float64).index_add_(0, group, x) / per
    gaps = x - mean[group]
    # what rounding left in the mean is found among the gaps, which are small
    rest = torch.zeros_like(mean).index_add_(0, group, gaps) / per
    return Sums(count, mean + rest, _within(gaps.sub_(rest[group]), group, groups, form), form)


def _within(gaps: Tensor, group: Tensor, groups: int, form: Form) -> Tensor:
    size = gaps.shape[1]
    if form == "pooled":
        return gaps.T @ gaps
    if form == "diagonal":
        return torch.zeros(groups, size, dtype=torch.float64).index_add_(0, group, gaps.square())
    scatter = torch.zeros(groups, size, size, dtype=torch.float64)
    for g in group.unique().tolist():
        own = gaps[group == g]
        scatter[g] = own.T @ own
    return scatter


def _between(gap: Tensor, weight: Tensor, form: Form) -> Tensor:
    """Return the weighted squares of the gaps between the means of two sets of vectors, as a scatter of a form."""
    if form == "diagonal":
        return weight[:, None] * gap.square()
    if form == "pooled":
        return gap.T @ (gap * weight[:, None])
    return gap[:, :, None] * gap[:, None, :] * weight[:, None, None]
