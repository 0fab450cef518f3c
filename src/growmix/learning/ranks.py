"""Ranks of new numbers among known ones, and how far pooled ranks are from those that known data have: pure functions.

Of data that are known, the rank of each number in the numbers of known data is uniform between 0 and 1, whatever they
are and whoever knows them: so ranks of examples that different components answer for can be pooled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.learning.references import require_scores

MOST_EXACT = 1_000
"""Examples up to which the critical gap is exact; beyond, its limit is off by less than a hundredth of itself."""

_HALVINGS = 40
"""Bisections for a critical gap: far below what single precision tells apart."""

_ROUNDS = 20
"""Rounds of expectation and maximisation for the shares of references."""


@dataclass(frozen=True, eq=False)
class Answered:
    """New examples that one component and class answer for, beside what is remembered of those.

    Attributes
    ----------
    new
        Label-free numbers of the new examples, double precision, shape ``(numbers, n)``; the first is the ELBO.
    known
        Numbers of known examples in the same rows, ascending in each, shape ``(numbers, m)``.
    weight
        How much each new example counts, shape ``(n,)``.
    """

    new: Tensor
    known: Tensor
    weight: Tensor


def pooled_gap(parts: Sequence[Answered]) -> float:
    """Return the largest gap, over all numbers, between the distribution of pooled ranks and the uniform one.

    Parameters
    ----------
    parts
        New examples by what answers for them; all have the same numbers.

    Raises
    ------
    BadInput
        A part has no examples, or a number that is not finite.

    Examples
    --------
    >>> known = torch.arange(99.0)[None]
    >>> pooled_gap([Answered(known, known, torch.ones(99))]) < 0.01
    True
    >>> round(pooled_gap([Answered(known - 200.0, known, torch.ones(99))]), 6)
    0.99
    """
    for part in parts:
        require_scores(part.new, "new")
        require_scores(part.known, "reference")
    ranges = [rank_ranges(part.new, part.known) for part in parts]
    low, high = (torch.cat([each[side] for each in ranges], dim=-1) for side in (0, 1))
    weight = torch.cat([part.weight.double() for part in parts])
    return float(gap_to_uniform(low, high, weight / weight.sum()).max())


def rank_ranges(new: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return the range in which the rank of each number lies among known ones, both of shape ``(numbers, n)``.

    Of m known numbers and a new one of the same kind, each of the m + 1 places is as likely as any other: a rank is
    known up to the place. Ties cover several places, so that numbers which never vary are no news.

    Parameters
    ----------
    new, known
        Numbers in double precision, shapes ``(numbers, n)`` and, ascending, ``(numbers, m)``.

    Examples
    --------
    >>> known = torch.tensor([[1.0, 2.0, 2.0]])
    >>> [side.tolist() for side in rank_ranges(torch.tensor([[0.0, 2.0]]), known)]
    [[[0.0, 0.25]], [[0.25, 1.0]]]
    """
    places, known, new = known.shape[-1] + 1, known.contiguous(), new.contiguous()
    below = torch.searchsorted(known, new).double()
    not_above = torch.searchsorted(known, new, right=True).double()
    return below / places, (not_above + 1.0) / places


def gap_to_uniform(low: Tensor, high: Tensor, weight: Tensor) -> Tensor:
    """Return the Kolmogorov-Smirnov distance to the uniform distribution of ranks that are known up to a range.

    Parameters
    ----------
    low, high
        Range of each rank within [0, 1], double precision, shape ``(numbers, n)``.
    weight
        How much each rank counts, shape ``(n,)``, with a sum of 1.

    Returns
    -------
    Tensor
        One distance for each number, shape ``(numbers,)``.

    Examples
    --------
    >>> low = torch.tensor([[0.0, 0.5]], dtype=torch.float64)
    >>> gap_to_uniform(low, low + 0.5, torch.tensor([0.75, 0.25], dtype=torch.float64)).tolist()
    [0.25]
    """
    # the distribution is a line with bends: it begins to rise at the low end of each range, and ends at the high one
    steep = weight / (high - low)
    bends, order = torch.cat([low, high], dim=-1).sort(dim=-1)
    slopes = torch.cat([steep, -steep], dim=-1).gather(-1, order).cumsum(-1)
    rises = (bends.diff(dim=-1) * slopes[..., :-1]).cumsum(-1)
    heights = torch.cat([torch.zeros_like(rises[..., :1]), rises], dim=-1)
    return (heights - bends).abs().amax(dim=-1)


def critical_gap(n: int, level: float) -> float:
    """Return the gap to the uniform distribution that ``n`` uniform numbers exceed with a probability of ``level``.

    Twice the exact probability of a gap to one side (Birnbaum and Tingey, 1951), which is exact for gaps above a half
    and a little too much below: it is the small samples that the limit for many would make a secret of.

    Examples
    --------
    >>> round(critical_gap(1, 0.01), 3), round(critical_gap(100, 0.01), 3)
    (0.995, 0.161)
    """
    if n > MOST_EXACT:
        return math.sqrt(-0.5 * math.log(level / 2.0) / n)
    below, above = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (below + above)
        if 2.0 * _one_sided(n, middle) > level:
            below = middle
        else:
            above = middle
    return above


def gap_by_chance(n: int, m: int, level: float) -> float:
    """Return the gap that ``n`` new examples among ``m`` known ones of the same kind exceed in a share of all cases.

    Examples
    --------
    >>> round(gap_by_chance(100, 100, 0.01), 2)
    0.23
    """
    fewer, more = sorted((n, m))
    return critical_gap(fewer, level) * math.sqrt(1.0 + fewer / more)


def examples_behind(shares: Sequence[float], counts: Sequence[int]) -> int:
    """Return how many known examples stand behind ranks pooled over references with these shares and counts.

    References are samples too: pooled in shares w, those of m examples each stray like one of 1 / sum(w^2 / m).

    Examples
    --------
    >>> examples_behind([0.5, 0.5], [100, 100]), examples_behind([1.0, 0.0], [100, 7])
    (200, 100)
    """
    strays = sum(share**2 / count for share, count in zip(shares, counts, strict=True))
    return max(1, int(1.0 / strays + 1e-9))


def shares_of_references(new: Tensor, known: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """Return to which part each new example belongs to each of several references, shape ``(references, n)``.

    A component that met one class in unlike tasks has several references of it, and new data may hold them in any mix.
    So the mix is estimated from the new data (expectation and maximisation over Gaussians with a diagonal covariance),
    and every example counts in each reference as much as it is likely to be of that.

    Parameters
    ----------
    new
        Numbers of the new examples, double precision, shape ``(numbers, n)``.
    known
        Numbers of each reference in the same rows, shape ``(numbers, m)`` each.
    counts
        How many known examples each reference stands for: where the estimate starts.

    Examples
    --------
    >>> near, far = torch.zeros(1, 9).double(), torch.full((1, 9), 8.0).double()
    >>> shares_of_references(torch.tensor([[0.1, 7.9, 8.0]]).double(), [near, far], [9, 9])[0].round().tolist()
    [1.0, 0.0, 0.0]
    """
    if len(known) == 1:
        return torch.ones(1, new.shape[-1], dtype=torch.float64)
    means = torch.stack([each.mean(dim=-1) for each in known])
    spread = torch.cat(list(known), dim=-1).var(dim=-1, unbiased=False)
    variances = torch.stack([each.var(dim=-1, unbiased=False) for each in known]) + 1e-4 * spread + 1e-12
    apart = (new[None] - means[..., None]).square() / variances[..., None] + variances.log()[..., None]
    log_likelihood = -0.5 * apart.sum(dim=1)
    share = torch.tensor(counts, dtype=torch.float64)
    for _ in range(_ROUNDS):
        share = _belongs(log_likelihood, share).mean(dim=1).clamp(min=1e-12)
    return _belongs(log_likelihood, share)


def _belongs(log_likelihood: Tensor, share: Tensor) -> Tensor:
    """Return how likely each example is to be of each reference, given the shares of the references."""
    return (log_likelihood + share.log()[:, None]).softmax(dim=0)


def _one_sided(n: int, gap: float) -> float:
    """Return the probability that ``n`` uniform numbers have a gap of this much or more to one side."""
    k = torch.arange(int(n * (1.0 - gap)) + 1, dtype=torch.float64)
    whole = torch.tensor(float(n), dtype=torch.float64)
    ways = torch.lgamma(whole + 1.0) - torch.lgamma(k + 1.0) - torch.lgamma(n - k + 1.0)
    rest = (1.0 - gap - k / n).clamp(min=0.0)
    terms = ways + torch.xlogy(n - k, rest) + (k - 1.0) * (gap + k / n).log()
    return gap * float(terms.exp().sum())
