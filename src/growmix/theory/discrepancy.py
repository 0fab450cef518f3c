r"""Estimates of the discrepancy distance of two distributions, from a sample of each.

.. math:: L_d(P, Q) = \sup_{h, h' \in H} |E_P L(h, h') - E_Q L(h, h')|

``exact``
    Every pair of a finite class is tried: the distance between the two samples themselves.
``adversarial``
    Two networks are trained to make the difference large, several times over; it is then measured on examples that
    they were not trained on, so that noise is not counted.
``plug-in``
    One network is trained on P, the other on P and Q: the choice of the paper's supplement, appendix F.

The last two find one pair of a class that has better ones: they are estimates from below, not bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn

from growmix.data.task import as_float
from growmix.errors import BadInput
from growmix.system.ambient import torch_as_it_comes
from growmix.system.global_random import seeded
from growmix.theory.complexity import finite_sample_term
from growmix.theory.ensembles import Ensemble, descend
from growmix.theory.hypotheses import Finite, Trainable
from growmix.theory.losses import Loss, bound_of

Method: TypeAlias = Literal["exact", "adversarial", "plug-in"]

FEWEST = 50
"""Fewest examples of each distribution: half of fewer would be no sample."""

FOLDS = 2
"""Parts of the examples: hypotheses are trained on each half and measured on the other."""

PIECE = 1_024
"""Examples that all networks see at a time when they are measured."""


@dataclass(frozen=True)
class Discrepancy:
    """An estimate of the discrepancy distance between two distributions P and Q.

    Attributes
    ----------
    estimate
        The distance in the unit of the loss. ``adversarial`` may lie a little below 0 where there is nothing but
        chance; ``plug-in`` is an absolute value, which chance makes larger; ``exact`` is the largest of many
        differences of these two samples, which chance makes larger too.
    standard_error
        Standard error of the estimate, from the spread of the loss over the examples that it was measured on; for
        ``exact`` that of the pair that was found, as if it had not been chosen.
    in_sample
        The difference on the examples on which the hypotheses were sought: what exceeds the estimate is noise that they
        fitted.
    finite_sample
        What the theory adds for samples of this size, beside the complexity of the class, see
        :func:`growmix.theory.finite_sample_term`.
    method, loss, hypotheses
        What was estimated, and how: names for reports.
    examples
        How many examples of P and of Q there were.
    """

    estimate: float
    standard_error: float
    in_sample: float
    finite_sample: float
    method: Method
    loss: str
    hypotheses: str
    examples: tuple[int, int]


@dataclass(frozen=True)
class Search:
    """The parameters of the search for hypotheses that disagree.

    Attributes
    ----------
    steps
        How many steps of gradient descent are made.
    batch
        How many examples of each distribution a step sees.
    restarts
        How many pairs of networks are trained for each learning rate, of which the best counts (``adversarial``).
    learning_rates
        Peaks of the one-cycle schedule; ``plug-in`` takes the first. Networks of many inputs need a small one, a
        threshold on a line that must move far a large one.
    seed
        Seed of first weights, batches and halves.
    """

    steps: int = 300
    batch: int = 256
    restarts: int = 2
    learning_rates: tuple[float, ...] = (0.02, 0.1)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 2), ("batch", 1), ("restarts", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise BadInput(f"{name} is {value!r}; allowed is a whole number of {least} or more")
        if not self.learning_rates or not all(0.0 < rate < math.inf for rate in self.learning_rates):
            raise BadInput(f"learning_rates is {self.learning_rates!r}; allowed are numbers above 0")


@torch_as_it_comes()
def discrepancy(
    p: Any,
    q: Any,
    hypotheses: Finite | Trainable,
    loss: Loss,
    *,
    method: Method | None = None,
    targets: tuple[Any, Any] | None = None,
    search: Search | None = None,
) -> Discrepancy:
    """Estimate the discrepancy distance of two distributions.

    Parameters
    ----------
    p, q
        A sample of each distribution: arrays or tensors ``(n, ...)`` of one shape, at least 50 examples; bytes are
        divided by 255.
    hypotheses
        The class of hypotheses; see :mod:`growmix.theory.hypotheses`.
    loss
        The loss between two hypotheses; see :mod:`growmix.theory.losses`.
    method
        The estimator; by default ``exact`` for a finite class and ``adversarial`` for networks.
    targets
        What ``plug-in`` trains its hypotheses to answer, for P and for Q: classes, or numbers in [0, 1]; by default the
        examples themselves, as for a reconstruction.
    search
        The parameters of the search for hypotheses.

    Raises
    ------
    BadInput
        The samples differ in shape, have fewer than 50 examples or numbers that are not finite; the loss has no bound;
        the method does not fit the class; targets are missing or do not fit.

    References
    ----------
    Mansour, Mohri, Rostamizadeh (2009), Domain adaptation: learning bounds and algorithms; Ye and Bors (2025),
    supplement, appendix F.

    Examples
    --------
    >>> from growmix.theory import ZeroOne, thresholds
    >>> p, q = torch.linspace(0, 1, 100)[:, None], torch.linspace(0.5, 1.5, 100)[:, None]
    >>> found = discrepancy(p, q, thresholds([i / 10 for i in range(16)]), ZeroOne())
    >>> round(found.estimate, 2), found.method
    (0.5, 'exact')
    """
    method = method or ("exact" if isinstance(hypotheses, Finite) else "adversarial")
    if method not in get_args(Method):
        raise BadInput(f"method is {method!r}; allowed are {', '.join(get_args(Method))}")
    bound = bound_of(loss)
    a, b = _sample(p, "p"), _sample(q, "q")
    if a.shape[1:] != b.shape[1:]:
        raise BadInput(f"q has examples of shape {tuple(b.shape[1:])}, but p of {tuple(a.shape[1:])}; make them alike")
    search = search or Search()
    if isinstance(hypotheses, Finite) != (method == "exact"):
        raise BadInput(
            f"method is {method!r}, but the hypotheses are {hypotheses.name}; allowed is 'exact' for a finite class, "
            "'adversarial' or 'plug-in' for networks"
        )
    known = _targets(targets, (a, b), loss) if method == "plug-in" else (a, b)
    if torch.equal(a, b):  # halves that know each other's examples would see a difference where there is none
        found: Found = (0.0, 0.0, 0.0)
    elif isinstance(hypotheses, Finite):
        found = _exact(a, b, hypotheses, loss)
    else:
        with seeded(search.seed) as generator:
            folds = _Folds.of(a, b, generator)
            if method == "adversarial":
                found = _adversarial(folds, hypotheses, loss, search, generator)
            else:
                found = _plug_in(folds, hypotheses, loss, known, search, generator)
    finite = finite_sample_term(len(a), len(b), bound=bound)
    return Discrepancy(*found, finite, method, loss.name, hypotheses.name, (len(a), len(b)))


Found: TypeAlias = tuple[float, float, float]
"""Estimate, standard error, and the difference in sample."""


def _exact(a: Tensor, b: Tensor, hypotheses: Finite, loss: Loss) -> Found:
    """Try all pairs of a finite class."""
    of_a, of_b = (loss.checked(hypotheses.answers(x)) for x in (a, b))
    gaps = (loss.means(of_a) - loss.means(of_b)).abs()
    largest = int(gaps.argmax())
    h, other = divmod(largest, len(gaps))
    value = float(gaps.flatten()[largest])
    losses = loss.between(of_a[h], of_a[other]), loss.between(of_b[h], of_b[other])
    return value, math.sqrt(_variance(losses[0]) + _variance(losses[1])), value


@dataclass(frozen=True)
class _Folds:
    """Both halves of both samples, and where in its sample each example stands; of an odd number one is left out."""

    a: Tensor  # (folds, n // folds, *shape)
    b: Tensor
    of_a: Tensor  # (folds, n // folds)
    of_b: Tensor

    @classmethod
    def of(cls, a: Tensor, b: Tensor, generator: torch.Generator) -> _Folds:
        """Standardise two samples together, and halve each at random."""
        # one number per channel (or per column), so that any class of networks stays what it is
        dims = [d for d in range(a.dim()) if d != 1]
        pooled = torch.cat([a, b])
        mean, deviation = pooled.mean(dims, keepdim=True), pooled.std(dims, keepdim=True).clamp_min(1e-6)
        rows = [torch.randperm(len(x), generator=generator)[: len(x) // FOLDS * FOLDS].view(FOLDS, -1) for x in (a, b)]
        return cls((a[rows[0]] - mean) / deviation, (b[rows[1]] - mean) / deviation, rows[0], rows[1])

    def network(self, hypotheses: Trainable, loss: Loss) -> nn.Module:
        """Make a hypothesis with random weights for these examples."""
        shape = self.a.shape[2:]
        return hypotheses.network(shape, loss.outputs(math.prod(shape)))

    @property
    def others(self) -> tuple[Tensor, Tensor]:
        """The examples that are not in each fold, of both samples."""
        return self.a.flip(0), self.b.flip(0)


def _adversarial(folds: _Folds, hypotheses: Trainable, loss: Loss, search: Search, generator: torch.Generator) -> Found:
    """Train pairs of networks to make the difference large, and measure the best pair of each fold on the other."""
    found = [_rivals(folds, hypotheses, loss, search, rate, generator) for rate in search.learning_rates]
    reached = torch.stack([in_sample for in_sample, _ in found])  # (rates, folds)
    best = reached.argmax(0)
    held = tuple(
        torch.stack([found[rate][1][side][fold] for fold, rate in enumerate(best.tolist())]) for side in (0, 1)
    )
    return *_difference(*held), float(reached.amax(0).mean())


def _rivals(
    folds: _Folds, hypotheses: Trainable, loss: Loss, search: Search, rate: float, generator: torch.Generator
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Find the best pair of each fold: its difference in sample, and its signed losses on the other fold."""
    members = FOLDS * search.restarts
    h, other = (Ensemble(lambda: folds.network(hypotheses, loss), members) for _ in range(2))
    # the difference may be largest either way
    sign = torch.where(torch.arange(search.restarts) % 2 == 0, 1.0, -1.0).float().repeat(FOLDS)[:, None]

    def gap(step: int) -> Tensor:
        a, b = (_batch(x, search.batch, generator) for x in (folds.a, folds.b))
        x = torch.cat([a, b], dim=1).repeat_interleave(search.restarts, dim=0)
        difference = loss.smooth(h(x), other(x))
        return -sign[:, 0] * (difference[:, : a.shape[1]].mean(1) - difference[:, a.shape[1] :].mean(1))

    descend([h, other], gap, search.steps, rate)

    def losses(x: Tensor) -> Tensor:
        return _measured(h, other, loss, x.repeat_interleave(search.restarts, dim=0))

    gaps = (sign * losses(folds.a)).mean(1) - (sign * losses(folds.b)).mean(1)
    best = gaps.view(FOLDS, search.restarts).argmax(1) + torch.arange(FOLDS) * search.restarts
    one, another = ((sign * losses(x))[best] for x in folds.others)
    return gaps[best], (one, another)


def _plug_in(
    folds: _Folds,
    hypotheses: Trainable,
    loss: Loss,
    targets: tuple[Tensor, Tensor],
    search: Search,
    generator: torch.Generator,
) -> Found:
    """Train one network on P and one on P and Q, and measure how their disagreement differs between P and Q."""
    h, other = (Ensemble(lambda: folds.network(hypotheses, loss), FOLDS) for _ in range(2))
    of_a, of_b = targets[0][folds.of_a], targets[1][folds.of_b]
    both, of_both = torch.cat([folds.a, folds.b], dim=1), torch.cat([of_a, of_b], dim=1)

    def error(step: int) -> Tensor:
        total = torch.zeros(FOLDS)
        for network, x, y in ((h, folds.a, of_a), (other, both, of_both)):
            index = torch.randint(x.shape[1], (FOLDS, min(2 * search.batch, x.shape[1])), generator=generator)
            total = total + loss.to_target(network(_rows(x, index)), _rows(y, index)).mean(1)
        return total

    descend([h, other], error, search.steps, search.learning_rates[0])
    in_sample = (_measured(h, other, loss, folds.a).mean(1) - _measured(h, other, loss, folds.b).mean(1)).mean()
    held = [_measured(h, other, loss, x) for x in folds.others]
    estimate, standard_error = _difference(*held)
    return abs(estimate), standard_error, abs(float(in_sample))


def _difference(of_a: Tensor, of_b: Tensor) -> tuple[float, float]:
    """Return estimate and standard error from held-out losses ``(folds, n)`` of both samples.

    What one fold was trained on is what the other is measured on, so their errors may go together: the standard error
    of their mean is that of one of them, not less.
    """
    estimate = float((of_a.mean(1) - of_b.mean(1)).mean())
    errors = [math.sqrt(_variance(a) + _variance(b)) for a, b in zip(of_a, of_b, strict=True)]
    return estimate, math.fsum(errors) / len(errors)


@torch.no_grad()
def _measured(h: Ensemble, other: Ensemble, loss: Loss, x: Tensor) -> Tensor:
    """Measure the loss between two hypotheses, for all members, shape ``(members, n)``."""
    pieces = [loss.between(loss.answer(h(part)), loss.answer(other(part))) for part in x.split(PIECE, dim=1)]
    return torch.cat(pieces, dim=1)


def _batch(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw random rows of each fold."""
    return _rows(x, torch.randint(x.shape[1], (len(x), min(size, x.shape[1])), generator=generator))


def _rows(x: Tensor, index: Tensor) -> Tensor:
    return x[torch.arange(len(x))[:, None], index]


def _variance(losses: Tensor) -> float:
    """Variance of the mean of these losses."""
    return float(losses.double().var()) / len(losses)


def _sample(given: Any, name: str) -> Tensor:
    """Check a sample, and return it as a tensor ``(n, ...)`` in single precision.

    Raises
    ------
    BadInput
        The sample is no array of examples, has too few of them, or numbers that are not finite.
    """
    x = given.detach().cpu() if isinstance(given, Tensor) else torch.from_numpy(_array(given, name))
    if x.dim() < 2:
        raise BadInput(f"{name} has the shape {tuple(x.shape)}; allowed is (examples, ...), two dimensions or more")
    if len(x) < FEWEST:
        raise BadInput(f"{name} has {len(x)} examples; at least {FEWEST} are needed")
    x = as_float(x) if x.dtype == torch.uint8 else x.float()
    if not bool(torch.isfinite(x).all()):
        raise BadInput(f"{name} has numbers that are not finite")
    return x


def _array(given: Any, name: str) -> np.ndarray[Any, Any]:
    try:
        array = np.array(given)
    except ValueError as error:
        raise BadInput(f"{name} is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise BadInput(f"{name} has the type {array.dtype}; allowed are numbers")
    return array if array.dtype == np.uint8 else array.astype(np.float32)


def _targets(given: tuple[Any, Any] | None, examples: tuple[Tensor, Tensor], loss: Loss) -> tuple[Tensor, Tensor]:
    """Check what plug-in hypotheses learn to answer for both samples."""
    if loss.reconstructs:
        if given is not None:
            raise BadInput(
                f"targets are given, but with the loss {loss.name!r} the examples are their own; leave them out"
            )
        a, b = (x.flatten(1) for x in examples)
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        if low < 0.0 or high > 1.0:
            raise BadInput(f"p and q lie in [{low:g}, {high:g}], but reconstructions are bounded in [0, 1]; scale them")
        return a, b
    if given is None:
        raise BadInput(f"targets are missing; 'plug-in' with the loss {loss.name!r} needs what is to be answered")
    checked = []
    for name, y, x in zip("pq", given, examples, strict=True):
        values = y if isinstance(y, Tensor) else torch.from_numpy(_array(y, f"targets of {name}"))
        if values.shape != (len(x),):
            raise BadInput(f"targets of {name} have the shape {tuple(values.shape)}; allowed is {(len(x),)}")
        checked.append(loss.checked_targets(values, name))
    return checked[0], checked[1]
