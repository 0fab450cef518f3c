r"""Diffusion in pure functions: noise levels, preconditioning, errors of a denoiser, what follows from them.

Everywhere a *denoiser* is a function of noised examples :math:`u+\sigma\varepsilon` and of :math:`\log\sigma`, one for
each, that returns the clean examples that it expects: a network, or a formula where the data have one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

Denoise: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Returns the clean examples expected of noised ones: ``(n, *shape)`` and log sigma ``(n,)`` to ``(n, *shape)``."""


@dataclass(frozen=True)
class NoiseRange:
    """Standard deviations of noise, from the lowest to the highest; everything is uniform in their logarithm.

    Examples
    --------
    >>> NoiseRange(0.5, 2.0).log_levels(3).exp()
    tensor([0.5000, 1.0000, 2.0000])
    """

    lowest: float
    highest: float

    @property
    def width(self) -> float:
        """How far the logarithms reach."""
        return math.log(self.highest / self.lowest)

    def log_levels(self, n: int) -> Tensor:
        """Return log sigma of ``n`` evenly spaced levels; of one level, that in the middle."""
        shares = torch.linspace(0.0, 1.0, n, dtype=torch.float32, device="cpu") if n > 1 else torch.tensor([0.5])
        return self.at(shares)

    def at(self, shares: Tensor) -> Tensor:
        """Return log sigma at shares of the way from the lowest, 0, to the highest, 1."""
        log_sigma: Tensor = math.log(self.lowest) + self.width * shares
        return log_sigma

    def nodes(self, n: int) -> tuple[Tensor, Tensor]:
        """Return log sigma and weights, ``(n,)`` each, that integrate over log sigma (Gauss and Legendre)."""
        nodes, weights = np.polynomial.legendre.leggauss(n)
        places = self.at(torch.tensor(0.5 + 0.5 * nodes, dtype=torch.float64, device="cpu"))
        return places.to(torch.float32), torch.tensor(0.5 * self.width * weights, dtype=torch.float32, device="cpu")


def stratified(order: Tensor, offset: Tensor) -> Tensor:
    """Return ``n`` numbers in [0, 1], exactly one in each of ``n`` equal parts, in an order of chance.

    Parameters
    ----------
    order
        Independent draws whose ranks say which part each gets, shape ``(n,)``.
    offset
        One standard normal draw, which says where in its part every number lies, a scalar.

    Examples
    --------
    >>> stratified(torch.tensor([0.3, -1.0, 2.0, 0.0]), torch.tensor(0.0))
    tensor([0.6250, 0.1250, 0.8750, 0.3750])
    """
    parts = order.argsort().argsort()
    shares: Tensor = (parts + torch.special.ndtr(offset)) / len(order)
    return shares


def preconditioned(network: Denoise, noised: Tensor, log_sigma: Tensor, deviation: float) -> tuple[Tensor, Tensor]:
    r"""Return what a network says of noised examples, and the clean examples that follow from it.

    Parameters
    ----------
    network
        Function of noised examples scaled to variance 1, and of log sigma; its output has about variance 1 too.
    noised, log_sigma
        Examples with noise ``(n, *shape)``, and the logarithm of its standard deviation ``(n,)``.
    deviation
        Standard deviation that the data are taken to have, :math:`\sigma_d`.

    Returns
    -------
    output
        The network's output, shape ``(n, *shape)``.
    clean
        :math:`\frac{\sigma_d^2}{r^2}z+\frac{\sigma\sigma_d}{r}F(z/r,\log\sigma)` with
        :math:`r^2=\sigma^2+\sigma_d^2`.

    References
    ----------
    Karras, Aittala, Aila, Laine 2022 (EDM), Table 1.
    """
    radius, scale = _scales(noised, log_sigma, deviation)
    output = network(noised / radius, log_sigma).float()
    return output, noised * (deviation / radius).square() + scale * output


def network_target(clean: Tensor, noised: Tensor, log_sigma: Tensor, deviation: float) -> Tensor:
    """Return what the network of :func:`preconditioned` would have to say for the clean examples to be found."""
    radius, scale = _scales(noised, log_sigma, deviation)
    return (clean - noised * (deviation / radius).square()) / scale


def _scales(noised: Tensor, log_sigma: Tensor, deviation: float) -> tuple[Tensor, Tensor]:
    sigma = _along(log_sigma.exp(), noised)
    radius = (sigma.square() + deviation**2).sqrt()
    return radius, sigma * deviation / radius


def squared_errors(denoise: Denoise, clean: Tensor, noise: Tensor, log_sigma: Tensor) -> Tensor:
    r"""Return :math:`\|u-D(u+\sigma\varepsilon)\|^2` of examples, each at several levels and draws of noise.

    Parameters
    ----------
    denoise
        The denoiser; it is asked once, about ``n * m`` noised examples, those of the first example first.
    clean
        Examples, shape ``(n, m, *shape)``; along ``m`` they are alike, or mirrored, as the caller wants it.
    noise, log_sigma
        Standard normal draws ``(m, *shape)``, and the logarithm of their standard deviations ``(m,)``.

    Returns
    -------
    Tensor
        Squared errors summed over an example, shape ``(n, m)``.
    """
    n = len(clean)
    noised = clean + _along(log_sigma.exp(), noise) * noise
    found = denoise(noised.flatten(0, 1), log_sigma.repeat(n)).view_as(noised)
    return (clean - found).square().flatten(2).sum(2)


def score_weights(log_levels: Tensor, exponent: float) -> Tensor:
    r"""Return what a squared error at each level counts in a score, :math:`\Delta\log\sigma\;/\;\sigma^{2a}`.

    With the exponent ``a`` = 1 the sum approximates the bound of :func:`likelihood_bound`; below 1 the larger noise,
    at which what an image shows is decided rather than its texture, counts for more (Kingma and Gao 2023).

    Examples
    --------
    >>> score_weights(torch.tensor([0.5, 1.0, 2.0]).log(), 0.5)
    tensor([1.3863, 0.6931, 0.3466])
    """
    spacing = float(log_levels[1] - log_levels[0]) if len(log_levels) > 1 else 1.0
    weights: Tensor = spacing * (-2.0 * exponent * log_levels).exp()
    return weights


@dataclass(frozen=True)
class Ends:
    """Closed forms beyond both ends of a range of noise, which make errors of a denoiser a density.

    Attributes
    ----------
    decoder_variance
        Variance of a number of an example around what the denoiser says at the lowest noise, a scalar.
    mean, variance
        Gaussian that stands for the data at the highest noise: means ``(n, *shape)``, and one variance, a scalar.
    """

    decoder_variance: Tensor
    mean: Tensor
    variance: Tensor

    def decoding(self, errors: Tensor, numbers: int) -> Tensor:
        """Return the nats that examples cost once the lowest noise is known; squared errors ``(n,)`` there."""
        constant = 0.5 * numbers * (2.0 * math.pi * self.decoder_variance).log()
        return constant + 0.5 * errors / self.decoder_variance

    def closing(self, clean: Tensor, highest: float) -> Tensor:
        """Return the KL divergence of noised examples to the noised Gaussian at the highest noise, nats ``(n,)``."""
        total = highest**2 + self.variance
        distance = (clean - self.mean).square().flatten(1).sum(1)
        ratio = highest**2 / total
        return 0.5 * (distance / total + clean[0].numel() * (ratio - 1.0 - ratio.log()))


def likelihood_bound(
    denoise: Denoise, clean: Tensor, noise: Tensor, within: NoiseRange, ends: Ends, nodes: int = 16
) -> Tensor:
    r"""Return a lower bound of the log-density that a denoiser gives to examples, nats, shape ``(n,)``.

    The density is that of the generative model which starts from the noised Gaussian at the highest noise
    :math:`\sigma_1`, takes infinitely many small steps down to the lowest one :math:`\sigma_0` in which each clean
    example is replaced by what the denoiser :math:`D` says of it, and there draws the example around what :math:`D`
    says. With :math:`z_\sigma=u+\sigma\varepsilon` as the approximate posterior of the noised examples,

    .. math::

        -\log p(u)\le
        \underbrace{KL\big(N(u,\sigma_1^2I)\,\|\,N(m,(\sigma_1^2+v)I)\big)}_{\text{closing}}
        +\underbrace{\int_{\log\sigma_0}^{\log\sigma_1}
        \frac{E\|u-D(z_\sigma,\sigma)\|^2}{\sigma^2}\,d\log\sigma}_{\text{steps}}
        +\underbrace{\tfrac d2\log2\pi s^2+\frac{E\|u-D(z_{\sigma_0},\sigma_0)\|^2}{2s^2}}_{\text{decoding}}.

    *Steps.* Of two neighbouring levels :math:`\sigma<\tau`, the true way down :math:`q(z_\sigma|z_\tau,u)` and the
    model's :math:`q(z_\sigma|z_\tau,D(z_\tau))` are Gaussians of one covariance :math:`\sigma^2(1-\sigma^2/\tau^2)I`
    whose means differ by :math:`(1-\sigma^2/\tau^2)(u-D)`, so that their KL divergence is
    :math:`\tfrac12(\sigma^{-2}-\tau^{-2})\|u-D(z_\tau)\|^2`. Summed over ever smaller steps this is
    :math:`\tfrac12\int\|u-D\|^2\,d(-\sigma^{-2})`, and :math:`d(-\sigma^{-2})=2\sigma^{-2}\,d\log\sigma`.

    It is an equality where the denoiser is the best there is, the data at the highest noise are that Gaussian, and the
    example around what the denoiser says at the lowest noise is a Gaussian of variance :math:`s^2`: so for data that
    are Gaussian with one variance in all directions. The expectation over the noise is estimated by the draws given,
    without bias where these are standard normal, so that a single estimate may also lie above the log-density; the
    integral over :math:`\log\sigma` is smooth, and found by Gauss and Legendre's rule.

    Parameters
    ----------
    denoise
        The denoiser; it is asked about ``n * m`` noised examples at a time, those of the first example first.
    clean
        Examples, shape ``(n, *shape)``.
    noise
        Standard normal draws shared by all examples, shape ``(draws, nodes + 1, *shape)``: for the lowest noise, and
        for each node of the integral. A few are better :func:`balanced`.
    within
        The range of noise that the denoiser knows.
    ends
        Closed forms beyond its ends.
    nodes
        Number of noise levels that the integral is evaluated at.

    References
    ----------
    Kingma, Salimans, Poole, Ho 2021 (variational diffusion models), Eq. 11 to 19; the same by information theory:
    Kong, Brekelmans, Ver Steeg 2023.
    """
    draws = len(noise)
    places, weights = within.nodes(nodes)
    levels = torch.cat([within.at(torch.zeros(1, dtype=torch.float32, device="cpu")), places]).to(clean.device)
    at_all = clean[:, None].expand(-1, draws * (nodes + 1), *clean.shape[1:])
    errors = squared_errors(denoise, at_all, noise.flatten(0, 1), levels.repeat(draws))
    mean = errors.view(len(clean), draws, nodes + 1).mean(1)
    steps = mean[:, 1:] @ (weights.to(clean.device) * (-2.0 * levels[1:]).exp())
    return -(ends.closing(clean, within.highest) + steps + ends.decoding(mean[:, 0], clean[0].numel()))


def balanced(noise: Tensor) -> Tensor:
    """Return draws of noise and their negatives, scaled to the mean square that standard normal numbers have.

    So few draws have the mean and the mean square of many. An error's mean over them is its expectation where a
    denoiser moves all numbers by the same share of their distance to a point, and is without bias where it is linear;
    elsewhere the scaling biases it by about a part in as many as an example has numbers.

    Examples
    --------
    >>> noise = balanced(torch.randn(1, 3, 1, 8, 8))
    >>> noise.mean(0).abs().max(), noise.square().mean((0, 2, 3, 4)).round(decimals=3)
    (tensor(0.), tensor([1., 1., 1.]))
    """
    scaled = noise / noise.square().flatten(2).mean(2).sqrt()[(..., *[None] * (noise.ndim - 2))]
    return torch.cat([scaled, -scaled])


def heun(denoise: Denoise, start: Tensor, log_levels: Tensor) -> Tensor:
    r"""Follow the probability flow from the highest noise to the lowest, and return the clean examples found there.

    Parameters
    ----------
    denoise
        The denoiser, which is asked twice a step.
    start
        Noised examples at the first level, shape ``(n, *shape)``.
    log_levels
        Logarithms of the noise levels from the highest to the lowest, shape ``(steps,)``.

    References
    ----------
    Karras, Aittala, Aila, Laine 2022 (EDM), Algorithm 1: :math:`dz=(z-D(z))\,d\sigma/\sigma`, by Heun's second-order
    steps.
    """
    n, noised = len(start), start
    sigmas = log_levels.exp().tolist()
    for k, sigma in enumerate(sigmas):
        clean = denoise(noised, log_levels[k].expand(n))
        if k == len(sigmas) - 1:
            return clean
        slope = (noised - clean) / sigma
        step = sigmas[k + 1] - sigma
        ahead = noised + step * slope
        slope_ahead = (ahead - denoise(ahead, log_levels[k + 1].expand(n))) / sigmas[k + 1]
        noised = noised + 0.5 * step * (slope + slope_ahead)
    return noised


def _along(values: Tensor, like: Tensor) -> Tensor:
    """Shape a value for each example so that it meets all numbers of the example."""
    return values.view(-1, *[1] * (like.ndim - 1))
