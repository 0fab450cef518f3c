"""Bounds the test log-likelihood of a mixture by importance weighting, in nats and in bits per dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from growmix.components.abilities import Bounded, Codes, SampledElbo
from growmix.components.component import Component
from growmix.components.pieces import in_pieces
from growmix.data.task import as_float
from growmix.errors import BadInput, shown
from growmix.learning.routing import Router, total_elbo
from growmix.settings import require_whole
from growmix.system.ambient import torch_as_it_comes

ROWS = 512
"""Examples at a time; all of them are decoded once for each draw and class."""

Meaning: TypeAlias = Literal["discrete", "density"]
"""What a likelihood is: the probability of binary values, or a density of values in [0, 1]."""


def bits_per_dim(nats: float, dims: int, meaning: Meaning) -> float:
    """Bits that a model needs for each value of an example in [0, 1].

    A Bernoulli likelihood gives the probability of a binary image, and for pixels between 0 and 1 its cross-entropy:
    comparable with other Bernoulli figures on the same images alone. A Gaussian is a density of pixels in [0, 1]; it
    is brought to the 256 values of a byte, which makes it comparable with other densities of bytes, such as published
    ones, apart from the noise that those add between the values.

    Parameters
    ----------
    nats
        Log-likelihood of an example, summed over its values.
    dims
        Number of values of an example, such as channels times height times width.
    meaning
        ``"discrete"`` for a Bernoulli likelihood, ``"density"`` for a density of values in [0, 1].

    Raises
    ------
    BadInput
        ``dims`` is no number of values, or ``meaning`` is unknown.

    Examples
    --------
    >>> bits_per_dim(-784 * math.log(2), 784, "discrete")
    1.0
    >>> bits_per_dim(0.0, 784, "density")  # uniform over [0, 1]
    8.0
    """
    dims = require_whole(dims, "dims", 1)
    if not isinstance(nats, Real) or isinstance(nats, bool):
        raise BadInput(f"nats is {shown(nats)}; allowed is a number")
    if not isinstance(meaning, str) or meaning not in ("discrete", "density"):
        raise BadInput(f"meaning is {shown(meaning)}; allowed are 'discrete' and 'density'")
    levels = 256 if meaning == "density" else 1
    return (dims * math.log(levels) - nats) / (dims * math.log(2))


@torch_as_it_comes()
@torch.no_grad()
def log_likelihood(components: Sequence[Component], log_prior: Tensor, x: Tensor, draws: int, seed: int) -> Tensor:
    r"""Lower bound of :math:`\log p(x) = \log \sum_k \pi_k p_k(x)`, nats, shape ``(n,)``, on the CPU.

    Each :math:`p_k` is bounded by importance weights, so the bound rises towards the truth with the draws. A component
    that scores 20 nats or more below the best is left out of the sum, which keeps it a bound.

    Parameters
    ----------
    components
        The components of the mixture, at least one.
    log_prior
        Log share of each component, shape ``(components,)``.
    x
        Examples as the components take them, or bytes, shape ``(n, *shape)``.
    draws
        How many codes are drawn for each example; the same for all, so that none depends on its neighbours.
    seed
        Seed of the draws.

    Raises
    ------
    BadInput
        There is no component, or ``draws`` is not 1 or more.

    References
    ----------
    Burda, Grosse, Salakhutdinov 2016, Importance weighted autoencoders.

    Examples
    --------
    >>> mixture = learnt_example()
    >>> log_likelihood(mixture.components, mixture.log_prior, torch.zeros(3, 1, 8, 8), draws=4, seed=0).shape
    torch.Size([3])
    """
    draws = require_whole(draws, "draws", 1)
    if not components:
        raise BadInput("components is empty; at least one is needed")
    first = components[0]
    noise = None
    if isinstance(first, Codes):
        noise = torch.randn(draws, 1, first.latent, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    return torch.cat([_of_piece(components, log_prior, as_float(piece), noise) for piece in x.split(ROWS)])


def _of_piece(components: Sequence[Component], log_prior: Tensor, x: Tensor, noise: Tensor | None) -> Tensor:
    rough = Router(components).scores(x).elbo

    def tight(k: int, rows: Tensor) -> Tensor:
        component = components[k]
        if isinstance(component, Bounded):
            return in_pieces(component, component.bound, x[rows])
        if noise is None or not isinstance(component, SampledElbo):
            return rough[rows, k]  # its score is what it has
        repeated = noise.expand(-1, len(rows), -1).to(component.device)
        return component.importance_weighted_elbo(x[rows].to(component.device), repeated).cpu()

    return total_elbo(rough, log_prior, tight)
