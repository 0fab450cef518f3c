"""Measures how rich a class of hypotheses is, and what the theory adds for samples that are finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from growmix.errors import BadInput
from growmix.system.ambient import torch_as_it_comes
from growmix.system.global_random import seeded
from growmix.theory.ensembles import Ensemble, descend
from growmix.theory.hypotheses import Finite, Trainable


def finite_sample_term(m: int, n: int, *, bound: float = 1.0, delta: float = 0.05) -> float:
    r"""How far a discrepancy of samples may lie from that of distributions, beside the complexity of the class.

    .. math:: 3M \left(\sqrt{\log(2/\delta) / 2m} + \sqrt{\log(2/\delta) / 2n}\right)

    Parameters
    ----------
    m, n
        How many examples each of the two samples has.
    bound
        The largest value of the loss, the M of the theory.
    delta
        The probability, for each sample, with which it may be more.

    Raises
    ------
    BadInput
        A number lies out of its range.

    References
    ----------
    Mansour, Mohri, Rostamizadeh (2009), Proposition 2 and Corollary 7.

    Examples
    --------
    >>> round(finite_sample_term(2_000, 2_000), 3)
    0.182
    """
    for name, value in (("m", m), ("n", n), ("bound", bound)):
        if not value > 0:
            raise BadInput(f"{name} is {value!r}; allowed is a number above 0")
    if not 0.0 < delta < 1.0:
        raise BadInput(f"delta is {delta!r}; allowed is a probability above 0 and below 1")
    return 3.0 * bound * sum(math.sqrt(math.log(2.0 / delta) / (2.0 * size)) for size in (m, n))


@torch_as_it_comes()
def rademacher(hypotheses: Finite | Trainable, sample: Tensor, *, draws: int = 32, seed: int = 0) -> float:
    r"""Measure the empirical Rademacher complexity of a class of functions to [-1, 1]: how well it fits random signs.

    .. math:: \frac{2}{m} E_\sigma \sup_h \left|\sum_i \sigma_i h(x_i)\right|

    Classes 0 and 1 count as -1 and 1. Of a finite class the supremum is exact; networks (squashed to [-1, 1]) are
    trained to reach it, so theirs is an estimate from below.

    Parameters
    ----------
    hypotheses
        The class of hypotheses, finite or of networks.
    sample
        Examples of the distribution, shape ``(m, ...)``.
    draws
        How many draws of the signs the mean is taken over.
    seed
        Seed of the signs and of the networks' first weights.

    Raises
    ------
    BadInput
        There are fewer than two examples, or no draws.

    References
    ----------
    Bartlett and Mendelson (2002); as in Mansour, Mohri, Rostamizadeh (2009), Definition 3.

    Examples
    --------
    >>> from growmix.theory.hypotheses import thresholds
    >>> x = torch.rand(400, 1)
    >>> rademacher(thresholds([-1.0]), x) < rademacher(thresholds([-1.0, 0.25, 0.5, 0.75]), x)
    True
    """
    x = torch.as_tensor(sample).float()
    if x.dim() < 2 or len(x) < 2 or draws < 1:
        raise BadInput(
            f"sample has the shape {tuple(x.shape)} and draws is {draws}; allowed are (examples, ...) with two "
            "examples or more, and one draw or more"
        )
    with seeded(seed) as generator:
        signs = torch.randint(2, (draws, len(x)), generator=generator).double() * 2.0 - 1.0
        if isinstance(hypotheses, Finite):
            values = hypotheses.answers(x).double() * 2.0 - 1.0
            reached = (signs @ values.T).abs().amax(1)
        else:
            reached = _fitted(hypotheses, x, signs)
    return float(2.0 * reached.mean() / len(x))


def _fitted(hypotheses: Trainable, x: Tensor, signs: Tensor) -> Tensor:
    """Train a network for each draw of the signs, and return what it reaches, shape ``(draws,)``."""
    scaled = (x - x.mean()) / x.std().clamp_min(1e-6)
    networks = Ensemble(lambda: hypotheses.network(x.shape[1:], 1), len(signs))
    inputs = scaled.expand(len(signs), *scaled.shape)

    def fit(_: int) -> Tensor:
        return -(networks(inputs).squeeze(-1).tanh() * signs).mean(1)

    descend([networks], fit, steps=200, learning_rate=0.02)
    with torch.no_grad():
        return (networks(inputs).squeeze(-1).tanh() * signs).sum(1).abs()
