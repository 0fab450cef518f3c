"""How new data are to a component: knowledge measures as pure functions, and what a component remembers.

Every measure compares per-example scores of new data with those of data that the component knows: the log-likelihood
bound and its rate, the KL part of it (both in nats), and for the default also every coordinate of the code. Labels
never come near them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import torch
from torch import Tensor

from growmix.errors import BadInput

MAX_QUANTILES = 256
"""Reference scores kept per task: exact up to this many, then every distance is off by at most 1/512."""

MOST_DEVIATIONS = 1e9
"""Standard deviations that count: two constants are infinitely many apart, for which JSON has no word."""

CHANCE = 0.01
"""Probability with which data that are known may be called new for chance alone."""


@dataclass(frozen=True)
class ReferenceStatistics:
    """What a component keeps of the data it learnt: statistics of their scores, no data.

    Attributes
    ----------
    count
        Number of held-out examples behind the statistics.
    mean, variance
        Of their bound, nats per example.
    quantiles
        Their bounds in ascending order, thinned to at most 256 evenly spaced ones.
    """

    count: int
    mean: float
    variance: float
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, scores: Tensor) -> ReferenceStatistics:
        """Statistics of held-out scores ``(n,)``, nats per example.

        Examples
        --------
        >>> ReferenceStatistics.of(torch.tensor([3.0, 1.0])).quantiles
        (1.0, 3.0)
        """
        _require(scores, "scores")
        return cls(
            count=len(scores),
            mean=float(scores.double().mean()),
            variance=float(scores.double().var(unbiased=False)),
            quantiles=_thin(scores),
        )

    def pooled(self, other: ReferenceStatistics) -> ReferenceStatistics:
        """The statistics of both tasks' data together, from their quantiles."""
        scores = torch.tensor(self.quantiles + other.quantiles)
        return replace(ReferenceStatistics.of(scores), count=self.count + other.count)


def ks_distance(new: Tensor, reference: Tensor) -> float:
    """Largest gap between two empirical distribution functions.

    Parameters
    ----------
    new, reference
        Bound per example in nats, shapes ``(n,)`` and ``(m,)``, in any order.

    Returns
    -------
    float
        In [0, 1]; 0 when the two samples are equal.

    Raises
    ------
    BadInput
        If either has no element or one that is not finite.

    References
    ----------
    Kolmogorov-Smirnov; as a novelty measure, in place of Eq. 17 of Ye and Bors (2025).

    Examples
    --------
    >>> ks_distance(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0]))
    1.0
    """
    return float(ks_distances(new, reference))


def ks_distances(new: Tensor, reference: Tensor) -> Tensor:
    """The same of many pairs of samples at once: shapes ``(..., n)`` and ``(..., m)``, result ``(...)``.

    Examples
    --------
    >>> ks_distances(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[2.0, 3.0], [2.0, 3.0]])).tolist()
    [1.0, 0.0]
    """
    _require(new, "new")
    _require(reference, "reference")
    pooled = torch.cat([new, reference], dim=-1)
    return (_ecdf(new, pooled) - _ecdf(reference, pooled)).abs().amax(dim=-1)


def standardised_mean_difference(
    mean: float, variance: float, mean_reference: float, variance_reference: float
) -> float:
    """Difference of two means in units of their pooled standard deviation.

    0 when both samples are one constant, infinite when they are two different ones.

    Examples
    --------
    >>> standardised_mean_difference(3.0, 1.0, 1.0, 1.0)
    2.0
    """
    gap = abs(mean - mean_reference)
    spread = math.sqrt((variance + variance_reference) / 2.0)
    return gap / spread if spread else (math.inf if gap else 0.0)


def paper_measure(new: Tensor, generated: Tensor) -> float:
    """Gap between the mean bound of new data and of the component's own samples, nats per example.

    References
    ----------
    Ye and Bors (2025), Eq. 17; Ye and Bors (ICCV 2021), Eq. 8. A component's own samples are smoother than any
    real image, so it is large even for the data that the component was trained on.

    Examples
    --------
    >>> paper_measure(torch.tensor([-100.0, -120.0]), torch.tensor([-20.0]))
    90.0
    """
    _require(new, "new")
    _require(generated, "generated")
    return abs(float(new.double().mean()) - float(generated.double().mean()))


def ks_noise(n: int, m: int, level: float = 0.01) -> float:
    """Distance that two samples of one distribution exceed with a probability of ``level``.

    Examples
    --------
    >>> round(ks_noise(100, 100), 2)
    0.23
    """
    return math.sqrt(-0.5 * math.log(level / 2.0) * (n + m) / (n * m))


Scores: TypeAlias = Mapping[str, Tensor]
"""Per-example numbers ``(n,)`` by name: ``elbo``, ``rate`` (nats), and ``code0``, ``code1``, ... (posterior mean)."""

Statistics: TypeAlias = Mapping[str, "ReferenceStatistics"]
"""Of the same, by the same names, all of the same examples."""


def unlikeness(a: Statistics, b: Statistics) -> float:
    """Largest Kolmogorov-Smirnov distance over all scores, in [0, 1], of what is remembered of two tasks."""
    return float(ks_distances(_quantiles(a, a), _quantiles(b, a)).max())


def after_update(known: Statistics, before: Scores, after: Scores) -> dict[str, ReferenceStatistics]:
    """The statistics that data would have after an update of their component, estimated from samples alone.

    When a component is updated, its old tasks' data are gone. Samples of them, drawn before the update, stand in: what
    the update did to their scores is added to the statistics, quantile by quantile. The gap between real and generated
    scores, measured when the real data were there, is thereby kept.

    Parameters
    ----------
    known
        Before the update.
    before, after
        Scores of the same samples under the component before and after the update, shape ``(m,)`` each.

    Examples
    --------
    >>> known = {"elbo": ReferenceStatistics.of(torch.tensor([1.0, 2.0, 3.0]))}
    >>> moved = after_update(known, {"elbo": torch.tensor([5.0, 7.0])}, {"elbo": torch.tensor([4.0, 6.0])})
    >>> moved["elbo"].quantiles
    (0.0, 1.0, 2.0)
    """
    quantiles = _quantiles(known, known)
    levels = torch.linspace(0.0, 1.0, quantiles.shape[-1], dtype=torch.float64)
    old, new = (torch.quantile(_stacked(scores, known), levels, dim=-1).T for scores in (before, after))
    estimate = (quantiles + (new - old)).sort(dim=-1).values
    means, variances = estimate.mean(dim=-1).tolist(), estimate.var(dim=-1, unbiased=False).tolist()
    return {
        name: ReferenceStatistics(known[name].count, mean, variance, tuple(row))
        for name, mean, variance, row in zip(known, means, variances, estimate.tolist(), strict=True)
    }


def name_scores(elbo: Tensor, rate: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """Bounds ``(n,)``, rates ``(n,)`` and codes ``(n, latent)`` under their names.

    Examples
    --------
    >>> list(name_scores(torch.zeros(3), torch.zeros(3), torch.zeros(3, 2)))
    ['elbo', 'rate', 'code0', 'code1']
    """
    return {"elbo": elbo, "rate": rate} | {f"code{j}": column for j, column in enumerate(codes.T)}


class NoveltyMeasure(ABC):
    """Interface: how far new scores are from what one component knows.

    Attributes
    ----------
    name
        As in the settings.
    default_threshold
        From which value on data count as new, in the unit of the measure.
    needs_samples
        Whether ``distance`` wants fresh scores of the component's own samples.
    unit
        For reports.
    """

    name: str
    default_threshold: float
    needs_samples: bool = False
    unit: str = ""

    @abstractmethod
    def distance(self, new: Scores, reference: Statistics, generated: Tensor | None) -> float:
        """Distance of new scores from one reference; 0 means nothing new. ``generated`` are bounds, shape ``(m,)``."""

    def noise(self, n: int, m: int, scores: int) -> float:
        """Distance that ``n`` new and ``m`` reference examples of one distribution may show by chance.

        ``scores`` is how many there are per example: the more are looked at, the more one of them may stray.
        """
        return 0.0

    def nearest(
        self,
        new: Scores,
        references: Sequence[Statistics],
        generated: Tensor | None = None,
    ) -> tuple[float, int]:
        """Smallest distance to what a component knows, and which of its references has it."""
        distances = [self.distance(new, reference, generated) for reference in references]
        nearest = min(range(len(distances)), key=distances.__getitem__)
        return distances[nearest], nearest


@final
class KolmogorovSmirnov(NoveltyMeasure):
    """Largest gap between the distributions of new and of held-out scores; without a unit, in [0, 1].

    Of the bound, its rate and every coordinate of the code, the largest one: foreign data can meet a component's
    bounds by chance (MNIST under a component that learnt Fashion-MNIST: 0.16; shirts and sneakers under coats and
    sandals: 0.18), but then their codes are unlike those of its own data (0.49 in the rate; 0.39 in a coordinate).
    """

    name = "ks"
    default_threshold = 0.2

    def distance(self, new: Scores, reference: Statistics, generated: Tensor | None = None) -> float:
        """See :func:`ks_distance`; the largest over all scores."""
        return float(ks_distances(_stacked(new, new), _quantiles(reference, new)).max())

    def noise(self, n: int, m: int, scores: int) -> float:
        """Critical value, the level shared by the scores."""
        return ks_noise(n, m, CHANCE / scores)


@final
class StandardisedMeanDifference(NoveltyMeasure):
    """Difference of mean scores over their pooled standard deviation; without a unit."""

    name = "smd"
    default_threshold = 0.3  # own data measure 0.01-0.06, the nearest other data 0.49

    def distance(self, new: Scores, reference: Statistics, generated: Tensor | None = None) -> float:
        """See :func:`standardised_mean_difference`; of the bound."""
        elbo, known = new["elbo"].double(), reference["elbo"]
        _require(elbo, "new")
        mean, variance = float(elbo.mean()), float(elbo.var(unbiased=False))
        apart = standardised_mean_difference(mean, variance, known.mean, known.variance)
        return min(apart, MOST_DEVIATIONS)

    def noise(self, n: int, m: int, scores: int) -> float:
        """2.58 standard errors of a standardised difference: the same 1 % level as the default measure."""
        return 2.58 * math.sqrt(1.0 / n + 1.0 / m)


@final
class PaperMeasure(NoveltyMeasure):
    """The paper's: new data against the component's own samples, nats per example."""

    name = "paper"
    default_threshold = 30.0  # the published code's for Split MNIST; depends on pixels and likelihood
    needs_samples = True
    unit = "nats"

    def distance(self, new: Scores, reference: Statistics, generated: Tensor | None = None) -> float:
        """See :func:`paper_measure`; of the bound."""
        if generated is None:
            raise BadInput("the measure 'paper' needs scores of the component's own samples")
        return paper_measure(new["elbo"], generated)


@final
class StoredMeasure(NoveltyMeasure):
    """The paper's with the generated term replaced by the stored bound of the training data (DEGM), nats."""

    name = "stored"
    default_threshold = 30.0
    unit = "nats"

    def distance(self, new: Scores, reference: Statistics, generated: Tensor | None = None) -> float:
        """Gap between the mean of new bounds and the stored mean."""
        _require(new["elbo"], "new")
        return abs(float(new["elbo"].double().mean()) - reference["elbo"].mean)


MEASURES: dict[str, NoveltyMeasure] = {
    measure.name: measure
    for measure in (KolmogorovSmirnov(), StandardisedMeanDifference(), PaperMeasure(), StoredMeasure())
}


def _stacked(scores: Scores, names: Iterable[str]) -> Tensor:
    """Scores of some names, shape ``(names, n)``."""
    return torch.stack([scores[name] for name in names]).double()


def _quantiles(statistics: Statistics, names: Iterable[str]) -> Tensor:
    """Quantiles of some names, shape ``(names, quantiles)``."""
    return torch.tensor([statistics[name].quantiles for name in names], dtype=torch.float64)


def _ecdf(sample: Tensor, at: Tensor) -> Tensor:
    place = torch.searchsorted(sample.sort(dim=-1).values, at, right=True)
    return place.double() / sample.shape[-1]


def _thin(scores: Tensor) -> tuple[float, ...]:
    ordered = scores.double().sort().values
    if len(ordered) > MAX_QUANTILES:
        middles = (torch.arange(MAX_QUANTILES, dtype=torch.float64) + 0.5) / MAX_QUANTILES
        ordered = ordered[(middles * len(ordered)).long()]
    return tuple(ordered.tolist())


def _require(scores: Tensor, name: str) -> None:
    if scores.numel() == 0:
        raise BadInput(f"{name} is empty; at least one score is needed")
    if not bool(torch.isfinite(scores).all()):
        raise BadInput(f"{name} has scores that are not finite")
