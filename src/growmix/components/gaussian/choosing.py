"""Which covariance fits: type and shrinkage under which examples that were held out are the most likely.

The mean log-density of examples under Gaussians follows from the sums of these examples alone, so that nothing is kept
but sums: the examples are dealt into folds, each fold is held out in turn, and the others say the covariance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from growmix.components.gaussian.covariance import OneType, Shape, raw_covariances
from growmix.components.gaussian.sums import Sums

SHRINKAGES = (0.0, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Shrinkages that are tried."""

TYINGS = (0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""Shares of the tied covariance in those of each group that are tried; a share of 1 is the type ``tied``."""

_BITS = 2**16
_PRIME = 1_000_003


@dataclass(frozen=True)
class Choice:
    """A way to make covariances, with what held-out examples say of it.

    Attributes
    ----------
    shape
        Type, shrinkage and the rest of how covariances are made.
    nats
        Mean log-density of held-out examples; not a number where there were none, or nothing to choose.
    """

    shape: Shape
    nats: float


def candidates(of: Shape, *, every_type: bool) -> list[Shape]:
    """Return the ways that are compared, but for their shrinkage: the one given, or all types.

    ``low-rank`` is compared where it is asked for alone: it takes a hundred times as long.
    """
    if not every_type:
        return [of]
    full = [replace(of, covariance_type="full", tying=tying) for tying in TYINGS]
    return [replace(of, covariance_type="tied"), *full, replace(of, covariance_type="diag")]


def deal(x: Tensor, shares: Sequence[float]) -> Tensor:
    """Return the fold of every example, which its own numbers decide: not its place, nor what comes with it.

    Parameters
    ----------
    x
        Examples, ``float32``, shape ``(n, d)``.
    shares
        Share of the examples that each fold gets; they sum to 1.

    Examples
    --------
    >>> x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
    >>> folds = deal(x, (0.9, 0.1))
    >>> bool(80 < folds.sum() < 120), torch.equal(deal(x.flip(0), (0.9, 0.1)), folds.flip(0))
    (True, True)
    """
    factors = torch.randint(1, _BITS, (x.shape[1],), generator=torch.Generator().manual_seed(20_250))
    digest = ((x.contiguous().view(torch.int32).long() * factors).sum(1) % _PRIME).double() / _PRIME
    ends = torch.tensor(shares, dtype=torch.float64).cumsum(0)[:-1]
    return torch.bucketize(digest, ends, right=True)


def choose(folds: Sequence[tuple[Sums, Sums]], shapes: Sequence[Shape], shrinkages: Sequence[float]) -> Choice:
    """Return the way to make covariances, and the shrinkage, under which held-out examples are the most likely.

    Parameters
    ----------
    folds
        Sums of all other folds and sums of the fold itself, a pair for each fold that is held out.
    shapes
        Ways that are tried; where two are equally good, the first is taken.
    shrinkages
        Shrinkages that are tried with each; where two are equally good, the larger is taken.
    """
    strongest = replace(shapes[0], shrinkage=max(shrinkages))
    held = sum(float(fold.count.sum()) for _, fold in folds)
    if not held or len(shapes) == len(shrinkages) == 1:
        return Choice(strongest, math.nan)
    best = Choice(strongest, -math.inf)
    for shape in shapes:
        nats = torch.stack([_nats(kept, fold, shape, shrinkages) for kept, fold in folds]).sum(0) / held
        for shrinkage, found in sorted(zip(shrinkages, nats.tolist(), strict=True), reverse=True):
            if found > best.nats:
                best = Choice(replace(shape, shrinkage=shrinkage), found)
    return best


def _nats(kept: Sums, held: Sums, shape: Shape, shrinkages: Sequence[float]) -> Tensor:
    """Return the summed log-density of the held-out examples for every shrinkage, nats."""
    one = shape.covariance_type
    raw, squares = raw_covariances(kept, shape), _about(kept, held, one)
    count = held.count.sum()[None] if one == "tied" else held.count
    if one == "diag":
        variance = raw
    else:
        variance, vectors = torch.linalg.eigh(raw)
        squares = (vectors * (squares @ vectors)).sum(1)
    nats = []
    for shrinkage in shrinkages:
        level = variance.mean(1, keepdim=True)
        of_each = ((1.0 - shrinkage) * variance + shrinkage * level).clamp_min(0.0) + shape.reg_covar
        nats.append(-0.5 * (count[:, None] * (2.0 * math.pi * of_each).log() + squares / of_each).sum())
    return torch.stack(nats)


def _about(kept: Sums, held: Sums, one: OneType) -> Tensor:
    """Return the scatter of the held-out examples about the means of those that were kept."""
    # a group of which nothing was kept has no mean to be far from
    gap = torch.where((kept.count > 0)[:, None], held.mean - kept.mean, 0.0) * held.count.sqrt()[:, None]
    if one == "diag":
        return held.diagonal().scatter + gap.square()
    if one == "tied":
        return (held.pooled().scatter + gap.T @ gap)[None]
    return held.scatter + gap[:, :, None] * gap[:, None, :]
