"""What every gate must do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.learning.gating import AlwaysGate, DirichletGate, Gate, ThresholdGate

MEASURED = [ThresholdGate(), DirichletGate(), DirichletGate(alpha=500.0, temperature=0.3), DirichletGate(1e-3, 2.0)]
GATES = [*MEASURED, AlwaysGate()]

worlds = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 100_000)), min_size=1, max_size=6)


@pytest.fixture(params=GATES, ids=["threshold", "dirichlet", "dirichlet-eager", "dirichlet-reluctant", "always"])
def gate(request: pytest.FixtureRequest) -> Gate:
    return request.param  # type: ignore[no-any-return]


def test_the_first_task_always_grows(gate: Gate) -> None:
    for threshold in (0.0, 0.2, 1e9):
        decision = gate.decide([], [], threshold)
        assert (decision.action, decision.component, decision.novelty) == ("grow", 0, ())


@given(worlds, st.floats(0, 3))
def test_a_decision_names_a_component_that_fits_its_action(world: list[tuple[float, int]], threshold: float) -> None:
    novelty, counts = [f for f, _ in world], [n for _, n in world]
    for gate in GATES:
        decision = gate.decide(novelty, counts, threshold)
        assert decision.novelty == tuple(novelty)
        assert decision.threshold == threshold
        assert decision.note is None
        if decision.action == "grow":
            assert decision.component == len(novelty)
        else:
            assert decision.action == "reuse"
            assert 0 <= decision.component < len(novelty)


@given(worlds, st.floats(0, 3), st.floats(0, 3))
def test_a_higher_threshold_never_turns_reuse_into_growth(
    world: list[tuple[float, int]], one: float, other: float
) -> None:
    novelty, counts = [f for f, _ in world], [n for _, n in world]
    low, high = sorted((one, other))
    for gate in GATES:
        if gate.decide(novelty, counts, low).action == "reuse":
            assert gate.decide(novelty, counts, high).action == "reuse"


@given(worlds, st.floats(0, 3), st.randoms())
def test_the_order_of_components_does_not_matter(
    world: list[tuple[float, int]], threshold: float, random: object
) -> None:
    order = list(range(len(world)))
    random.shuffle(order)  # type: ignore[attr-defined]
    turned = [world[i] for i in order]
    for gate in GATES:
        a = gate.decide([f for f, _ in world], [n for _, n in world], threshold)
        b = gate.decide([f for f, _ in turned], [n for _, n in turned], threshold)
        assert a.action == b.action
        if a.action == "reuse" and len(set(world)) == len(world):
            # equal weights may go to either, but never to one with another weight
            chosen, other = world[a.component], turned[b.component]
            assert chosen == other or math.isclose(_weight(gate, *chosen), _weight(gate, *other), rel_tol=1e-9)


def _weight(gate: Gate, novelty: float, count: int) -> float:
    return math.log(count) - novelty / gate.temperature if isinstance(gate, DirichletGate) else -novelty


def test_a_gate_that_always_grows_asks_nobody() -> None:
    assert AlwaysGate().decide([0.0, 0.0], [1_000, 1_000], threshold=20.0).component == 2


@pytest.mark.parametrize("gate", MEASURED)
def test_what_is_well_known_is_reused_and_what_is_infinitely_new_is_not(gate: Gate) -> None:
    assert gate.decide([5.0, 0.0, 5.0], [1_000, 1_000, 1_000], threshold=20.0).component == 1
    assert gate.decide([math.inf, math.inf], [1_000, 1_000], threshold=0.2).action == "grow"


def test_what_can_not_be_compared_is_refused(gate: Gate) -> None:
    with pytest.raises(BadInput, match="one per component"):
        gate.decide([0.1], [1, 2], 0.2)
    with pytest.raises(BadInput, match="NaN"):
        gate.decide([0.1, math.nan], [1, 2], 0.2)
