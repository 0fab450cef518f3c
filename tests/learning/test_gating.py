"""The two rules themselves."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.learning.gating import Decision, DirichletGate, ThresholdGate, checked_decision, make_gate
from growmix.settings import Settings

novelties = st.lists(st.floats(0, 3), min_size=1, max_size=6)


@given(novelties, st.floats(0, 3))
def test_the_threshold_rule_grows_exactly_when_nothing_is_nearer_than_the_threshold(
    novelty: list[float], threshold: float
) -> None:
    decision = ThresholdGate().decide(novelty, [1] * len(novelty), threshold)
    assert (decision.action == "grow") == all(f >= threshold for f in novelty)
    if decision.action == "reuse":
        assert novelty[decision.component] == min(novelty)


def test_the_threshold_itself_counts_as_new() -> None:
    assert ThresholdGate().decide([0.2], [10], 0.2).action == "grow"
    assert ThresholdGate().decide([math.nextafter(0.2, 0)], [10], 0.2).action == "reuse"


@given(novelties, st.floats(0, 3), st.lists(st.integers(1, 60_000), min_size=6, max_size=6))
def test_a_dirichlet_gate_of_a_tiny_temperature_is_the_threshold_rule(
    novelty: list[float], threshold: float, counts: list[int]
) -> None:
    ordered = sorted([*novelty, threshold])
    # ties are decided by the counts, at any temperature
    assume(all(b - a > 1e-4 for a, b in pairwise(ordered)))
    counts = counts[: len(novelty)]
    hard = ThresholdGate().decide(novelty, counts, threshold)
    assert DirichletGate(alpha=1.0, temperature=1e-6).decide(novelty, counts, threshold) == hard


@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 1_000)), min_size=1, max_size=5),
    st.floats(0, 2),
    st.floats(0.1, 100),
    st.floats(0.1, 2),
)
def test_the_dirichlet_gate_takes_the_largest_of_the_weights_as_written(
    world: list[tuple[float, int]], threshold: float, alpha: float, temperature: float
) -> None:
    old = [n * math.exp(-f / temperature) for f, n in world]
    new = alpha * math.exp(-threshold / temperature)
    assume(all(not math.isclose(a, b, rel_tol=1e-9) for a in old for b in [new, *(o for o in old if o is not a)]))
    decision = DirichletGate(alpha, temperature).decide([f for f, _ in world], [n for _, n in world], threshold)
    assert (decision.action == "grow") == (new > max(old))
    if decision.action == "reuse":
        assert old[decision.component] == max(old)


def test_a_component_that_learnt_more_wins_at_equal_distance() -> None:
    assert DirichletGate(temperature=0.1).decide([0.1, 0.1], [10, 1_000], 0.2).component == 1


def test_concentration_makes_new_components_more_readily() -> None:
    actions = [DirichletGate(alpha, 0.1).decide([0.1], [1_000], 0.2).action for alpha in (1.0, 1e6)]
    assert actions == ["reuse", "grow"]


@pytest.mark.parametrize("parameters", [{"alpha": 0.0}, {"alpha": math.nan}, {"temperature": 0.0}, {"temperature": -1}])
def test_a_dirichlet_gate_needs_positive_parameters(parameters: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=next(iter(parameters))):
        DirichletGate(**parameters)


def test_settings_name_the_gate_and_its_parameters() -> None:
    assert isinstance(make_gate(Settings()), ThresholdGate)
    gate = make_gate(Settings(gate="dirichlet", alpha=3.0, temperature=0.5))
    assert isinstance(gate, DirichletGate)
    assert (gate.alpha, gate.temperature) == (3.0, 0.5)


def test_a_decision_can_not_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        ThresholdGate().decide([], [], 0.2).action = "reuse"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (None, "gate returned None; decide"),
        (Decision("grow", 1, (0.1, 0.2), 0.3), "grow component 1; it may grow component 2 or reuse one from 0 to 1"),
        (Decision("grow", 3, (0.1, 0.2), 0.3), "grow component 3;"),
        (Decision("reuse", 2, (0.1, 0.2), 0.3), "reuse component 2;"),
        (Decision("reuse", -1, (0.1, 0.2), 0.3), "reuse component -1;"),
        (Decision("keep", 0, (0.1, 0.2), 0.3), "keep component 0;"),  # type: ignore[arg-type]
    ],
)
def test_a_decision_that_no_task_can_be_learnt_by_is_refused(decision: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        checked_decision(decision, components=2)


def test_a_decision_for_a_component_that_is_there_or_the_next_one_is_taken() -> None:
    for decision in (Decision("grow", 2, (), 0.3), Decision("reuse", 0, (), 0.3), Decision("reuse", 1, (), 0.3)):
        assert checked_decision(decision, components=2) == decision
