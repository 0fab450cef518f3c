"""What every gate must do."""

from __future__ import annotations

import math
import random

from growmix.checks.promises import keep, refuses, require
from growmix.learning.gating import Decision, Gate
from growmix.learning.plugins import check_plugin

_WORLDS = 200
"""Situations that each promise about decisions is tried in."""


def check_gate(gate: Gate) -> list[str]:
    """Check that a gate keeps its contract, and return what was checked.

    Parameters
    ----------
    gate
        The gate, as it is handed to ``GrowingMixture(gate=...)``.

    Raises
    ------
    AssertionError
        A promise is broken; the message says which.

    Examples
    --------
    >>> from growmix.learning.gating import ThresholdGate
    >>> check_gate(ThresholdGate())[0]
    'it has a name'
    """
    check_plugin(gate, "gate", Gate)
    promises = (
        it_has_a_name,
        the_first_task_grows,
        a_decision_fits_its_action,
        the_same_question_has_the_same_answer,
        a_higher_threshold_never_turns_reuse_into_growth,
        the_order_of_components_does_not_matter,
        what_can_not_be_compared_is_refused,
    )
    return keep(promises, lambda: gate)


def it_has_a_name(gate: Gate) -> None:
    """A checkpoint keeps the name."""
    require(isinstance(gate.name, str) and gate.name != "", f"name must be a text; it is {gate.name!r}")


def the_first_task_grows(gate: Gate) -> None:
    """Without a component there is nothing to reuse."""
    for threshold in (0.0, 0.2, 1e9):
        decision = gate.decide([], [], threshold)
        _require_decision(decision, f"decide([], [], {threshold})")
        require(
            (decision.action, decision.component) == ("grow", 0),
            f"decide([], [], {threshold}) must grow component 0; it returned {decision}",
        )


def a_decision_fits_its_action(gate: Gate) -> None:
    """A decision names a component that is there, or the next one, and repeats what it was made of."""
    for novelty, counts, threshold in _worlds():
        decision = gate.decide(novelty, counts, threshold)
        asked = f"decide({novelty}, {counts}, {threshold})"
        _require_decision(decision, asked)
        require(decision.novelty == tuple(novelty), f"{asked} must repeat the novelty; it says {decision.novelty}")
        require(decision.threshold == threshold, f"{asked} must repeat the threshold; it says {decision.threshold}")
        fits = {"grow": (len(novelty),), "reuse": range(len(novelty))}
        require(
            decision.action in fits and decision.component in fits[decision.action],
            f"{asked} must grow component {len(novelty)} or reuse one from 0 to {len(novelty) - 1}; it said {decision}",
        )


def the_same_question_has_the_same_answer(gate: Gate) -> None:
    """A gate draws nothing, and asking it changes nothing."""
    worlds = _worlds()
    first = [gate.decide(*world) for world in worlds]
    again = [gate.decide(*world) for world in worlds]
    require(first == again, "the same novelty, counts and threshold must lead to the same decision")


def a_higher_threshold_never_turns_reuse_into_growth(gate: Gate) -> None:
    """The threshold says from which novelty on data are new."""
    for novelty, counts, threshold in _worlds():
        low, high = gate.decide(novelty, counts, threshold), gate.decide(novelty, counts, 2 * threshold + 0.1)
        require(
            low.action == "grow" or high.action == "reuse",
            f"novelty {novelty} is reused at the threshold {low.threshold} and grows at {high.threshold}",
        )


def the_order_of_components_does_not_matter(gate: Gate) -> None:
    """Components are numbered as they came, which says nothing of them."""
    for novelty, counts, threshold in _worlds():
        there, back = gate.decide(novelty, counts, threshold), gate.decide(novelty[::-1], counts[::-1], threshold)
        require(
            there.action == back.action,
            f"novelty {novelty} and counts {counts} lead to {there.action}, in reversed order to {back.action}",
        )


def what_can_not_be_compared_is_refused(gate: Gate) -> None:
    """A novelty of NaN, or without a count, says nothing."""
    refuses(lambda: gate.decide([0.1], [1, 2], 0.2), "decide() with one novelty and two counts")
    refuses(lambda: gate.decide([0.1, math.nan], [1, 2], 0.2), "decide() with a novelty of NaN")


def _require_decision(decision: object, asked: str) -> None:
    require(isinstance(decision, Decision), f"{asked} must return a Decision; it returned {decision!r}")


def _worlds() -> list[tuple[list[float], list[int], float]]:
    """Return novelties, counts and thresholds such as occur, the same each time."""
    numbers = random.Random(0)
    worlds = []
    for _ in range(_WORLDS):
        components = numbers.randint(1, 6)
        novelty = [numbers.choice([0.0, numbers.random(), 3 * numbers.random()]) for _ in range(components)]
        counts = [numbers.randint(1, 100_000) for _ in range(components)]
        worlds.append((novelty, counts, numbers.choice([0.2, numbers.random(), 3 * numbers.random()])))
    return worlds
