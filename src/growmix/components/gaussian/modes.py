"""How many Gaussians a group of vectors needs, and which of them each vector belongs to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.components.gaussian.covariance import Gaussians

MOST_FITTED = 3_000
"""Vectors that the modes are found with; more change them little."""

COORDINATES = 32
"""Leading coordinates in which modes are looked for."""

FEWEST_IN_A_MODE = 10
"""Vectors that a mode should have on average."""

STEPS = 100
"""Most steps of expectation and maximisation."""

ENOUGH = 1e-3
"""Gain in log-likelihood, nats per vector, at which they end; scikit-learn's number."""

STARTS = 3
"""Number of first guesses, of which the likeliest result is taken."""

_SMALL = 1e-6


def split(x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Return the mode of every vector, numbered from 0; the number of modes is the one of the smallest BIC.

    Modes are Gaussians with one covariance, fitted by expectation-maximisation in the leading coordinates, as those of
    scikit-learn's ``GaussianMixture(covariance_type="tied")``.

    Parameters
    ----------
    x
        Vectors, ``float64``, shape ``(n, d)``.
    most
        Largest number of modes.
    generator
        Generator on the CPU for the vectors that modes start from.

    References
    ----------
    Arthur and Vassilvitskii 2007 (k-means++, which finds where to start); Schwarz 1978 (BIC).

    Examples
    --------
    >>> x = torch.tensor([[0.0], [100.0]]).repeat(30, 1) + torch.rand(60, 1, generator=torch.Generator().manual_seed(0))
    >>> split(x.double(), 5, torch.Generator().manual_seed(0)).bincount().tolist()
    [30, 30]
    """
    most = min(most, len(x) // FEWEST_IN_A_MODE)
    if most < 2:
        return torch.zeros(len(x), dtype=torch.int64)
    chosen = torch.randperm(len(x), generator=generator)[:MOST_FITTED]
    leading = _leading(x, chosen)
    fitted = leading[chosen]
    best = _fit(fitted, 1, generator)
    for k in range(2, most + 1):
        likeliest = max((_fit(fitted, k, generator) for _ in range(STARTS)), key=lambda found: found.nats)
        if likeliest.bic < best.bic:
            best = likeliest
    return best.joint(leading).argmax(1)


@dataclass(frozen=True, eq=False)
class _Modes:
    """Gaussians with one covariance, and the summed log-likelihood of the vectors that they were fitted to."""

    gaussians: Gaussians
    log_weight: Tensor
    nats: float
    fitted: int

    def joint(self, x: Tensor) -> Tensor:
        return self.gaussians.log_prob(x) + self.log_weight

    @property
    def bic(self) -> float:
        k, d = self.gaussians.mean.shape
        numbers = k * d + k - 1 + d * (d + 1) / 2
        return numbers * math.log(self.fitted) - 2.0 * self.nats


def _leading(x: Tensor, chosen: Tensor) -> Tensor:
    """Return the leading coordinates of vectors, about the mean of the chosen ones and without a unit."""
    gaps = x - x[chosen].mean(0)
    values, vectors = torch.linalg.eigh(gaps[chosen].T @ gaps[chosen] / len(chosen))
    kept = values > _SMALL * values[-1]
    unit = values[-1].clamp_min(torch.finfo(x.dtype).tiny).sqrt()
    leading: Tensor = (gaps @ vectors[:, kept][:, -COORDINATES:]) / unit
    return leading


def _fit(x: Tensor, k: int, generator: torch.Generator) -> _Modes:
    owner = torch.cdist(x, _starts(x, k, generator)).argmin(1)
    shares = torch.nn.functional.one_hot(owner).to(x)
    modes = _maximised(x, shares)
    for _ in range(STEPS):
        before, modes = modes, _maximised(x, modes.joint(x).softmax(1))
        if modes.nats - before.nats < ENOUGH * len(x):
            break
    return modes


def _starts(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Return vectors far from one another, by k-means++."""
    centres = x[torch.randint(len(x), (1,), generator=generator)]
    while len(centres) < k:
        far = torch.cdist(x, centres).min(1).values.square()
        if not bool((far > 0).any()):
            break
        centres = torch.cat([centres, x[torch.multinomial(far, 1, generator=generator)]])
    return centres


def _maximised(x: Tensor, shares: Tensor) -> _Modes:
    """Return the likeliest modes, given which share of each vector belongs to each of them ``(n, modes)``."""
    weight = shares.sum(0).clamp_min(_SMALL)
    mean = shares.T @ x / weight[:, None]
    covariance = (x.T @ x - (mean * weight[:, None]).T @ mean) / len(x)
    covariance.diagonal().add_(_SMALL)
    gaussians, log_weight = Gaussians.of(mean, covariance[None]), (weight / len(x)).log()
    nats = float((gaussians.log_prob(x) + log_weight).logsumexp(1).sum())
    return _Modes(gaussians, log_weight, nats, len(x))
