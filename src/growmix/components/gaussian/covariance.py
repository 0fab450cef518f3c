"""From sums to Gaussians: covariances of four types with shrinkage, and the densities that follow.

Names and conventions are scikit-learn's: covariances are maximum-likelihood estimates (divided by n) as those of
``GaussianMixture``; ``shrinkage`` mixes in the mean variance as ``LinearDiscriminantAnalysis`` does; ``reg_covar`` is
added to every variance at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from growmix.components.gaussian.factor_analysis import low_rank
from growmix.components.gaussian.sums import Sums
from growmix.errors import NonFiniteLoss

OneType: TypeAlias = Literal["tied", "full", "low-rank", "diag"]
"""Types of covariance, see :class:`Shape`."""

FEWEST = 2
"""Vectors that a group needs for a covariance of its own; one with fewer takes that of all groups together."""


@dataclass(frozen=True)
class Shape:
    """How covariances are made of sums.

    Attributes
    ----------
    covariance_type
        ``tied``: one matrix for all groups; ``full``: one of each group; ``low-rank``: a few factors and a variance of
        each number, of each group; ``diag``: variances alone, of each group.
    shrinkage
        Share of the mean variance that every covariance is mixed with, from 0 to 1.
    reg_covar
        Number added to every variance.
    rank
        Number of factors of ``low-rank``.
    tying
        Share of the tied covariance that those of ``full`` are mixed with, from 0 to 1.

    References
    ----------
    Friedman 1989, Regularized discriminant analysis: both mixtures.
    """

    covariance_type: OneType = "tied"
    shrinkage: float = 0.0
    reg_covar: float = 1e-6
    rank: int = 10
    tying: float = 0.0


def covariances(sums: Sums, shape: Shape) -> Tensor:
    """Return covariances of groups.

    Parameters
    ----------
    sums
        What is known of the groups, with a scatter that the type can be made of.
    shape
        Type and strength of what is made.

    Returns
    -------
    Tensor
        ``float64``: ``(1, d, d)`` where tied, ``(groups, d)`` where diagonal, else ``(groups, d, d)``.

    Examples
    --------
    >>> from growmix.components.gaussian.sums import sums_of
    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
    >>> sums = sums_of(x, torch.tensor([0, 0, 1, 1]), 2, "each")
    >>> covariances(sums, Shape("tied", reg_covar=0.0))[0].tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    >>> covariances(sums, Shape("diag", shrinkage=1.0, reg_covar=0.0)).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    return regular(raw_covariances(sums, shape), shape.shrinkage, shape.reg_covar)


def raw_covariances(sums: Sums, shape: Shape) -> Tensor:
    """Return covariances before shrinkage; parameters and result as those of :func:`covariances`."""
    if shape.covariance_type == "diag":
        return _of_each(sums.diagonal())
    tied = sums.pooled().scatter / sums.count.sum().clamp_min(1.0)
    if shape.covariance_type == "tied":
        return tied[None]
    raw = _of_each(sums)
    if shape.covariance_type == "low-rank":
        return torch.stack([low_rank(each, shape.rank) for each in raw])
    return raw if shape.tying == 0.0 else (1.0 - shape.tying) * raw + shape.tying * tied


def _of_each(sums: Sums) -> Tensor:
    """Return the covariance of each group, and that of all together where a group has too few vectors."""
    few = sums.count < FEWEST
    per = sums.count.clamp_min(1.0).view(-1, *[1] * (sums.scatter.ndim - 1))
    of_all = sums.scatter.sum(0) / sums.count.sum().clamp_min(1.0)
    return torch.where(few.view_as(per), of_all, sums.scatter / per)


def regular(raw: Tensor, shrinkage: float, reg_covar: float) -> Tensor:
    """Return covariances mixed with their mean variance, with a number added to every variance."""
    if raw.ndim == 2:
        return (1.0 - shrinkage) * raw + shrinkage * raw.mean(1, keepdim=True) + reg_covar
    level = raw.diagonal(dim1=1, dim2=2).mean(1)
    covariance = (1.0 - shrinkage) * raw
    covariance.diagonal(dim1=1, dim2=2).add_((shrinkage * level + reg_covar)[:, None])
    return covariance


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Gaussians with what their densities are computed by; each belongs to a group.

    Attributes
    ----------
    mean
        Shape ``(groups, d)``.
    factor
        Lower Cholesky factors of the covariances, ``(1 or groups, d, d)``, or standard deviations ``(groups, d)``.
    white
        Inverses of the factors, transposed: (x - mean) @ white has the unit matrix for its covariance; or their
        inverses ``(groups, d)``.
    log_norm
        Logarithm of the density at the mean, ``(1 or groups,)``.
    """

    mean: Tensor
    factor: Tensor
    white: Tensor
    log_norm: Tensor

    @classmethod
    def of(cls, mean: Tensor, covariance: Tensor) -> Gaussians:
        """Return Gaussians with these means and covariances, as :func:`covariances` returns them.

        Raises
        ------
        NonFiniteLoss
            A covariance is not positive definite.
        """
        size = mean.shape[1]
        if covariance.ndim == 2:
            factor, failed = covariance.sqrt(), ~(covariance > 0)
        else:
            factor, failed = torch.linalg.cholesky_ex(covariance)
        if bool(failed.any()):
            raise NonFiniteLoss(
                "a covariance is not positive definite; nothing was changed. Give a shrinkage above 0, or a larger "
                "reg_covar"
            )
        if covariance.ndim == 2:
            white, log_det = 1.0 / factor, factor.log().sum(1)
        else:
            unit = torch.eye(size, dtype=factor.dtype).expand_as(factor)
            white = torch.linalg.solve_triangular(factor, unit, upper=False).mT.contiguous()
            log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        log_norm = -log_det - 0.5 * size * math.log(2.0 * math.pi)
        return cls(mean, factor, white, log_norm)

    def to(self, device: torch.device, dtype: torch.dtype) -> Gaussians:
        """Return the same Gaussians on a device, in a precision."""
        return Gaussians(*(getattr(self, field.name).to(device, dtype) for field in fields(self)))

    def part(self, first: int, end: int) -> Gaussians:
        """Return the Gaussians of some neighbouring groups; nothing is copied."""
        covariances = (self.factor, self.white, self.log_norm)
        own = (each if len(each) == 1 else each[first:end] for each in covariances)
        return Gaussians(self.mean[first:end], *own)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density of vectors ``(n, d)`` under every Gaussian, nats, shape ``(n, groups)``.

        Examples
        --------
        >>> normal = Gaussians.of(torch.zeros(1, 2), torch.eye(2)[None])
        >>> normal.log_prob(torch.zeros(1, 2))
        tensor([[-1.8379]])
        """
        return self.log_norm - 0.5 * self.distance(x)

    def distance(self, x: Tensor) -> Tensor:
        """Return the squared Mahalanobis distance of vectors to every mean, shape ``(n, groups)``."""
        if self.white.ndim == 2:
            return torch.stack([((x - m) * w).square().sum(1) for m, w in zip(self.mean, self.white, strict=True)], 1)
        if len(self.white) == 1:
            return self._tied_distance(x)
        return torch.stack([((x - m) @ w).square().sum(1) for m, w in zip(self.mean, self.white, strict=True)], 1)

    def _tied_distance(self, x: Tensor) -> Tensor:
        """Return the distances by one matrix product, about the middle of all means so that little is cancelled."""
        middle = self.mean.mean(0)
        here, there = (x - middle) @ self.white[0], (self.mean - middle) @ self.white[0]
        squares = torch.addmm(there.square().sum(1).expand(len(x), -1), here, there.T, alpha=-2.0)
        return squares.add_(here.square().sum(1, keepdim=True)).clamp_min_(0.0)

    def sample(self, group: Tensor, noise: Tensor) -> Tensor:
        """Return draws of some groups ``(n,)``, made of standard normal numbers ``(n, d)``."""
        mean = self.mean[group]
        if self.factor.ndim == 2:
            return mean + noise * self.factor[group]
        if len(self.factor) == 1:
            return mean + noise @ self.factor[0].T
        return mean + torch.stack([self.factor[g] @ e for g, e in zip(group.tolist(), noise, strict=True)])


def leading_directions(covariance: Tensor, most: int) -> Tensor:
    """Return the directions of the largest variance, each as long as its standard deviation.

    Parameters
    ----------
    covariance
        Covariances in one of the shapes that :func:`covariances` returns.
    most
        How many directions are asked for, at most d.

    Returns
    -------
    Tensor
        Shape ``(1 or groups, d, most)``, the largest first. The number that is largest in size is positive in each, so
        that they do not depend on the machine.
    """
    if covariance.ndim == 2:
        deviation = covariance.sqrt()
        order = deviation.argsort(dim=1, descending=True, stable=True)[:, :most]
        vectors = deviation.new_zeros(*deviation.shape, most)
        return vectors.scatter_(1, order[:, None, :], deviation.gather(1, order)[:, None, :])
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(1)[:, :most], vectors.flip(2)[:, :, :most]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    directions: Tensor = vectors * largest.sign() * values.clamp_min(0.0).sqrt()[:, None, :]
    return directions
