"""Grow or reuse: from the novelty of a task to a decision."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from growmix.errors import BadInput

Action = Literal["grow", "reuse"]


@dataclass(frozen=True)
class Decision:
    """What the gate said about one task, and why; goes into ``events.jsonl`` as it is.

    Attributes
    ----------
    action
        ``"grow"``: a new component learnt the task; ``"reuse"``: an old one was updated.
    component
        Index of the component that learnt the task.
    novelty
        Of the task to every component there was, in the unit of the measure; empty for the first task.
    threshold
        Novelty from which on the gate calls data new.
    note
        What is unusual about the decision, in words; ``None`` when nothing is.
    """

    action: Action
    component: int
    novelty: tuple[float, ...]
    threshold: float
    note: str | None = None


class Gate(ABC):
    """Interface: decides which component learns a task."""

    name: str

    @abstractmethod
    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Grow or reuse.

        Parameters
        ----------
        novelty
            Of the task to every component; empty for the first task, which always grows.
        counts
            Number of examples that every component has learnt.
        threshold
            From which novelty on data count as new.
        """


@final
class ThresholdGate(Gate):
    """Grow when the nearest component is at or beyond the threshold, else reuse it (the paper's rule).

    Examples
    --------
    >>> ThresholdGate().decide([0.55, 0.1], [100, 100], threshold=0.2)
    Decision(action='reuse', component=1, novelty=(0.55, 0.1), threshold=0.2, note=None)
    """

    name = "threshold"

    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Reuse the nearest component if it is nearer than ``threshold``."""
        _check(novelty, counts)
        if not novelty or min(novelty) >= threshold:
            return Decision("grow", len(novelty), tuple(novelty), threshold)
        nearest = min(range(len(novelty)), key=novelty.__getitem__)
        return Decision("reuse", nearest, tuple(novelty), threshold)


@final
class DirichletGate(Gate):
    r"""A Dirichlet process over components, with novelty in place of a likelihood.

    .. math:: v_k \propto n_k e^{-F_k/\tau}, \qquad v_{new} \propto \alpha e^{-\lambda/\tau}

    takes the largest. This is growmix's own form: the exact equation of LIMix (Ye and Bors, ICCV 2021) is not
    public. :math:`\tau\to 0` is the threshold rule.

    Parameters
    ----------
    alpha
        Concentration: how readily new components are made, in examples.
    temperature
        :math:`\tau`, in the unit of the measure.

    Examples
    --------
    >>> DirichletGate(alpha=1.0, temperature=0.01).decide([0.55, 0.1], [100, 100], threshold=0.2).action
    'reuse'
    >>> DirichletGate(alpha=1e12, temperature=0.01).decide([0.55, 0.1], [100, 100], threshold=0.2).action
    'grow'
    """

    name = "dirichlet"

    def __init__(self, alpha: float = 1.0, temperature: float = 0.01) -> None:
        if not alpha > 0:
            raise BadInput(f"alpha is {alpha}; it must be positive")
        if not temperature > 0:
            raise BadInput(f"temperature is {temperature}; it must be positive")
        self.alpha = alpha
        self.temperature = temperature

    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Take the largest weight."""
        _check(novelty, counts)
        new = math.log(self.alpha) - threshold / self.temperature
        old = [math.log(n) - f / self.temperature for f, n in zip(novelty, counts, strict=True)]
        if not old or new >= max(old):
            return Decision("grow", len(old), tuple(novelty), threshold)
        return Decision("reuse", old.index(max(old)), tuple(novelty), threshold)


@final
class AlwaysGate(Gate):
    """Grow for every task, as methods with one component per task do.

    Examples
    --------
    >>> AlwaysGate().decide([0.0], [100], threshold=0.2).action
    'grow'
    """

    name = "always"

    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Grow."""
        _check(novelty, counts)
        return Decision("grow", len(novelty), tuple(novelty), threshold)


def _check(novelty: Sequence[float], counts: Sequence[int]) -> None:
    if len(novelty) != len(counts):
        raise BadInput(f"novelty has {len(novelty)} values for {len(counts)} counts; there must be one per component")
    if any(math.isnan(value) for value in novelty):
        raise BadInput(f"novelty is {tuple(novelty)}; NaN can't be compared")
