"""Grow or reuse: from the novelty of a task to a decision."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, final

from growmix.errors import BadInput, shown
from growmix.settings import Settings

Action = Literal["grow", "reuse"]


@dataclass(frozen=True)
class Decision:
    """Which component learns a task, and why; this is what ``events.jsonl`` shows.

    Attributes
    ----------
    action
        ``"grow"``: a new component learnt the task; ``"reuse"``: an old one was updated.
    component
        Index of the component that learnt the task.
    novelty
        Novelty of the task to every component there was, in the unit of the measure; empty for the first task.
    threshold
        Novelty from which on the gate calls data new.
    note
        What is unusual about the decision, in words; ``None`` when nothing is.
    shares
        Share of the examples that every component there was would answer; empty where that was not measured.
    """

    action: Action
    component: int
    novelty: tuple[float, ...]
    threshold: float
    note: str | None = None
    shares: tuple[float, ...] = ()


def noted(decision: Decision, note: str) -> Decision:
    """Return a decision with one more remark behind its note, if there is any.

    Examples
    --------
    >>> noted(noted(Decision("grow", 0, (), 0.2), "few examples"), "one class").note
    'few examples; one class'
    """
    remarks = [remark for remark in (decision.note, note) if remark]
    return replace(decision, note="; ".join(remarks) or None)


class Gate(ABC):
    """Interface of what decides which component learns a task.

    A gate of your own is handed to ``GrowingMixture(gate=MyGate())``; :func:`growmix.checks.check_gate` tries its
    contract.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the gate in checkpoints and reports."""

    @abstractmethod
    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Decide to grow or to reuse a component.

        Parameters
        ----------
        novelty
            Novelty of the task to every component; empty for the first task, which always grows.
        counts
            Number of examples that every component has learnt.
        threshold
            Novelty from which on data count as new.

        Raises
        ------
        BadInput
            There is not one count for each novelty, or a novelty is NaN.
        """


@final
class ThresholdGate(Gate):
    """Grow when the nearest component is at or beyond the threshold, else reuse it (the paper's rule).

    Examples
    --------
    >>> ThresholdGate().decide([0.55, 0.1], [100, 100], threshold=0.2)
    Decision(action='reuse', component=1, novelty=(0.55, 0.1), threshold=0.2, note=None, shares=())
    """

    name = "threshold"

    def as_settings(self) -> dict[str, Any]:
        """Return the settings that name such a gate."""
        return {"gate": self.name}

    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Reuse the nearest component if it is nearer than the threshold, else grow."""
        check_measured(novelty, counts)
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
        Concentration, in examples: how readily new components are made.
    temperature
        Temperature :math:`\tau`, in the unit of the measure.

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

    def as_settings(self) -> dict[str, Any]:
        """Return the settings that name such a gate."""
        return {"gate": self.name, "alpha": self.alpha, "temperature": self.temperature}

    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Take the component, or the new one, with the largest weight."""
        check_measured(novelty, counts)
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

    def as_settings(self) -> dict[str, Any]:
        """Return the settings that name such a gate."""
        return {"gate": self.name}

    def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
        """Grow, whatever the novelty is."""
        check_measured(novelty, counts)
        return Decision("grow", len(novelty), tuple(novelty), threshold)


GATES: Mapping[str, Callable[[Settings], Gate]] = MappingProxyType(
    {
        "threshold": lambda settings: ThresholdGate(),
        "dirichlet": lambda settings: DirichletGate(settings.alpha, settings.temperature),
        "always": lambda settings: AlwaysGate(),
    }
)
"""The gates that settings can name: from a name to what makes the gate."""


def make_gate(settings: Settings) -> Gate:
    """Return the gate that the settings name.

    Examples
    --------
    >>> make_gate(Settings(gate="always")).decide([0.0], [100], threshold=0.2).action
    'grow'
    """
    return GATES[settings.gate](settings)


def checked_decision(decision: object, components: int) -> Decision:
    """Return what a gate of a user's own decided, in Python's own numbers, or refuse it if no task can be learnt by it.

    Parameters
    ----------
    decision
        What ``decide`` of the gate has returned.
    components
        How many components there are.

    Raises
    ------
    BadInput
        The decision is no :class:`Decision`, or names a component that is neither there nor the next one.

    Examples
    --------
    >>> checked_decision(Decision("reuse", np.int64(0), [0.5], 0.2), components=1)
    Decision(action='reuse', component=0, novelty=(0.5,), threshold=0.2, note=None, shares=())
    >>> checked_decision(Decision("grow", 0, (0.5,), 0.2), components=1)
    Traceback (most recent call last):
    growmix.errors.BadInput: gate decided to grow component 0; it may grow component 1 or reuse one from 0 to 0
    """
    if not isinstance(decision, Decision):
        raise BadInput(f"gate returned {shown(decision)}; decide() must return a Decision")
    allowed = {"grow": (components,), "reuse": range(components)}
    if decision.component not in allowed.get(decision.action, ()):
        reuse = f" or reuse one from 0 to {components - 1}" if components else ""
        raise BadInput(
            f"gate decided to {decision.action} component {shown(decision.component)}; it may grow "
            f"component {components}{reuse}"
        )
    # numbers of numpy's or torch's could not be written to a checkpoint
    novelty = tuple(float(value) for value in decision.novelty)
    return Decision(decision.action, int(decision.component), novelty, float(decision.threshold), decision.note)


def check_measured(novelty: Sequence[float], counts: Sequence[int]) -> None:
    """Refuse what no gate can decide on; a gate calls it first.

    Raises
    ------
    BadInput
        There is not one count for each novelty, or a novelty is NaN.
    """
    if len(novelty) != len(counts):
        raise BadInput(f"novelty has {len(novelty)} values for {len(counts)} counts; there must be one per component")
    if any(math.isnan(value) for value in novelty):
        raise BadInput(f"novelty is {tuple(novelty)}; NaN can't be compared")
