"""What a component remembers of the data that it learnt: statistics of their scores, no data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from growmix.errors import BadInput

MAX_QUANTILES = 256
"""Reference scores kept per task: exact up to this many, then every distance is off by at most 1/512."""


@dataclass(frozen=True)
class ReferenceStatistics:
    """Statistics of one score (nats, or a coordinate of the code) over held-out examples.

    Attributes
    ----------
    count
        Number of held-out examples behind the statistics.
    mean, variance
        Mean and variance of the scores.
    quantiles
        The scores in ascending order, thinned to at most 256 evenly spaced ones.
    """

    count: int
    mean: float
    variance: float
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, scores: Tensor) -> ReferenceStatistics:
        """Return the statistics of held-out scores ``(n,)``.

        Examples
        --------
        >>> ReferenceStatistics.of(torch.tensor([3.0, 1.0])).quantiles
        (1.0, 3.0)
        """
        require_scores(scores, "scores")
        return cls(
            count=len(scores),
            mean=float(scores.double().mean()),
            variance=float(scores.double().var(unbiased=False)),
            quantiles=tuple(thinned(scores.double(), MAX_QUANTILES).tolist()),
        )

    def pooled(self, other: ReferenceStatistics) -> ReferenceStatistics:
        """Return the statistics of both tasks' data together, estimated from their quantiles."""
        scores = torch.tensor(self.quantiles + other.quantiles, dtype=torch.float32)
        return replace(ReferenceStatistics.of(scores), count=self.count + other.count)


Scores: TypeAlias = Mapping[str, Tensor]
"""Label-free numbers per example ``(n,)`` by name: ``elbo`` always; of components with the ability ``Described`` also
what they describe examples by, such as ``rate`` (nats) and ``code0``, ``code1``, ... (posterior mean) of codes."""

Statistics: TypeAlias = Mapping[str, ReferenceStatistics]
"""Statistics of such numbers by the same names, all of the same examples."""


def statistics_of(scores: Scores) -> dict[str, ReferenceStatistics]:
    """Return the statistics of each score.

    Examples
    --------
    >>> statistics_of({"elbo": torch.tensor([3.0, 1.0])})["elbo"].mean
    2.0
    """
    return {name: ReferenceStatistics.of(values) for name, values in scores.items()}


def after_update(known: Statistics, before: Scores, after: Scores) -> dict[str, ReferenceStatistics]:
    """Estimate, from samples alone, the statistics that data would have after an update of their component.

    When a component is updated, its old tasks' data are gone. Samples of them, drawn before the update, stand in: what
    the update did to their scores is added to the statistics, quantile by quantile. The gap between real and generated
    scores, measured when the real data were there, is thereby kept.

    Parameters
    ----------
    known
        Statistics before the update.
    before, after
        Scores of the same samples under the component before and after the update, shape ``(m,)`` each.

    Examples
    --------
    >>> known = {"elbo": ReferenceStatistics.of(torch.tensor([1.0, 2.0, 3.0]))}
    >>> moved = after_update(known, {"elbo": torch.tensor([5.0, 7.0])}, {"elbo": torch.tensor([4.0, 6.0])})
    >>> moved["elbo"].quantiles
    (0.0, 1.0, 2.0)
    """
    estimate = shifted(quantiles_of(known, known), stacked(before, known), stacked(after, known))
    means, variances = estimate.mean(dim=-1).tolist(), estimate.var(dim=-1, unbiased=False).tolist()
    return {
        name: ReferenceStatistics(known[name].count, mean, variance, tuple(row))
        for name, mean, variance, row in zip(known, means, variances, estimate.tolist(), strict=True)
    }


def shifted(quantiles: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return quantiles moved as far as those of samples have moved, in ascending order.

    Parameters
    ----------
    quantiles
        Quantiles of several numbers, double precision, shape ``(numbers, m)``.
    before, after
        Numbers of samples in the same rows, before and after an update, shape ``(numbers, samples)``.
    """
    levels = torch.linspace(0.0, 1.0, quantiles.shape[-1], dtype=torch.float64)
    old, new = (torch.quantile(samples, levels, dim=-1).T for samples in (before, after))
    return (quantiles + (new - old)).sort(dim=-1).values


def stacked(scores: Scores, names: Iterable[str]) -> Tensor:
    """Return the scores of some names in double precision, shape ``(names, n)``."""
    return torch.stack([scores[name] for name in names]).double()


def quantiles_of(statistics: Statistics, names: Iterable[str]) -> Tensor:
    """Return the quantiles of some names in double precision, shape ``(names, quantiles)``."""
    return torch.tensor([statistics[name].quantiles for name in names], dtype=torch.float64)


def require_scores(scores: Tensor, name: str) -> None:
    """Refuse scores that can't be compared.

    Raises
    ------
    BadInput
        The scores are none, or one of them is not finite.
    """
    if scores.numel() == 0:
        raise BadInput(f"{name} is empty; at least one score is needed")
    if not bool(torch.isfinite(scores).all()):
        raise BadInput(f"{name} has scores that are not finite")


def thinned(scores: Tensor, most: int) -> Tensor:
    """Return scores ``(..., n)`` in ascending order, thinned to at most so many evenly spaced ones.

    Examples
    --------
    >>> thinned(torch.tensor([3.0, 1.0, 2.0, 4.0, 0.0]), 3)
    tensor([0., 2., 4.])
    """
    ordered = scores.sort(dim=-1).values
    if ordered.shape[-1] > most:
        middles = (torch.arange(most, dtype=torch.float64) + 0.5) / most
        ordered = ordered[..., (middles * ordered.shape[-1]).long()]
    return ordered
