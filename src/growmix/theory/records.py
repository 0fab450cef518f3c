"""What a ledger writes down: what every task costs, and how far each generation of it is from the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from growmix.theory.discrepancy import Discrepancy, Method

METHODS: tuple[Method, ...] = ("plug-in", "adversarial")
"""Estimators that measure every link."""

UNMEASURED: Mapping[Method, None] = {method: None for method in METHODS}
"""Estimates of a link that could not be measured."""


@dataclass(frozen=True)
class Link:
    """Discrepancy of two generations of a task that follow each other.

    Attributes
    ----------
    estimates
        One estimate by each method; ``None`` where it could not be measured.
    reason
        Why the link could not be measured; empty where it was.
    """

    estimates: Mapping[Method, Discrepancy | None]
    reason: str = ""

    def value(self, method: Method) -> float | None:
        """Return the estimate; one that chance made negative counts as 0, the least that a distance can be."""
        found = self.estimates[method]
        return None if found is None else max(0.0, found.estimate)


@dataclass(frozen=True)
class Entry:
    """What one task costs after one task was learnt.

    Attributes
    ----------
    task
        The task whose risk this is, from 0.
    component
        The component that learnt it; ``None`` for the student.
    generation
        How often the task was regenerated for training: 0 if its component was never reused.
    observed
        Risk on the task's test data, in the unit of the loss.
    observed_error
        Standard error of the observed risk.
    source
        Risk on what stands for the task in the last training: its training data, or a draw of what its component
        regenerated of it; ``None`` where that is gone, or too little of it has a label.
    """

    task: int
    component: int | None
    generation: int
    observed: float
    observed_error: float
    source: float | None
