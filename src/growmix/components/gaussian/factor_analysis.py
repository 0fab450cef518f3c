"""Factor analysis of a covariance: a few factors, and a variance of each number that they do not explain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEPS = 200
"""Most steps of the iteration."""

ENOUGH = 1e-5
"""Gain in log-likelihood, nats per vector, at which the iteration ends."""

_SMALL = 1e-12


def low_rank(covariance: Tensor, rank: int, steps: int = STEPS, enough: float = ENOUGH) -> Tensor:
    r"""Return the covariance :math:`W W^T + \mathrm{diag}(\psi)` that is most likely, given the one of the data.

    Parameters
    ----------
    covariance
        Maximum-likelihood covariance of the data, ``float64``, shape ``(d, d)``.
    rank
        Number of factors, the columns of W; with d or more, the covariance itself is returned.
    steps
        Most steps of the iteration.
    enough
        Gain in nats per vector at which it ends.

    References
    ----------
    Barber 2012, Bayesian Reasoning and Machine Learning, algorithm 21.1: the iteration of scikit-learn's
    ``FactorAnalysis``, which needs of the data nothing but their covariance.

    Examples
    --------
    >>> covariance = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    >>> torch.allclose(low_rank(covariance, 1), covariance, atol=1e-3)
    True
    """
    size = len(covariance)
    if rank >= size:
        return covariance
    variance = covariance.diagonal()
    noise = torch.ones_like(variance)
    loading, before = torch.zeros(size, rank, dtype=covariance.dtype), -math.inf
    for _ in range(steps):
        deviation = noise.sqrt() + _SMALL
        values, vectors = torch.linalg.eigh(covariance / torch.outer(deviation, deviation))
        kept = values[-rank:].clamp_min(_SMALL)
        loading = vectors[:, -rank:] * (kept - 1.0).clamp_min(0.0).sqrt() * deviation[:, None]
        nats = -0.5 * float(kept.log().sum() + values[:-rank].sum() + noise.log().sum() + rank)
        if nats - before < enough:
            break
        before = nats
        noise = (variance - loading.square().sum(1)).clamp_min(_SMALL)
    return loading @ loading.T + torch.diag(noise)
