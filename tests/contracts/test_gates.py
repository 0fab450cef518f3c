"""Every gate of ours keeps the contract that a user's own gate is checked against, and what only ours promise."""

from __future__ import annotations

import math

import pytest

from growmix.checks import check_gate
from growmix.learning.gating import GATES, AlwaysGate, Decision, DirichletGate, Gate, ThresholdGate, make_gate
from growmix.settings import Settings

MEASURED = [ThresholdGate(), DirichletGate(), DirichletGate(alpha=500.0, temperature=0.3), DirichletGate(1e-3, 2.0)]


@pytest.mark.parametrize(
    "gate", [*MEASURED, AlwaysGate()], ids=["threshold", "dirichlet", "eager", "reluctant", "always"]
)
def test_every_gate_keeps_the_contract(gate: Gate) -> None:
    assert len(check_gate(gate)) == 7


def test_the_table_has_every_name_that_settings_allow() -> None:
    for name in GATES:
        assert make_gate(Settings(gate=name)).name == name  # type: ignore[arg-type]


def test_a_gate_that_always_grows_asks_nobody() -> None:
    assert AlwaysGate().decide([0.0, 0.0], [1_000, 1_000], threshold=20.0).component == 2


@pytest.mark.parametrize("gate", MEASURED)
def test_what_is_well_known_is_reused_and_what_is_infinitely_new_is_not(gate: Gate) -> None:
    assert gate.decide([5.0, 0.0, 5.0], [1_000, 1_000, 1_000], threshold=20.0).component == 1
    assert gate.decide([math.inf, math.inf], [1_000, 1_000], threshold=0.2).action == "grow"


class Broken(Gate):
    """Keeps the contract but for what a test changes."""

    name = "broken"

    def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
        return ThresholdGate().decide(novelty, counts, threshold)  # type: ignore[arg-type]


def test_the_check_says_which_promise_is_broken() -> None:
    class Backwards(Broken):
        def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
            return super().decide(novelty, counts, 1 / (1e-3 + threshold))

    class Numbered(Broken):
        def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
            found = super().decide(novelty, counts, threshold)
            return Decision(found.action, 1 if found.action == "grow" else 0, found.novelty, threshold)

    class Lenient(Broken):
        def decide(self, novelty: list[float], counts: list[int], threshold: float) -> Decision:
            return super().decide([f if f == f else 0.0 for f in novelty], [1] * len(novelty), threshold)

    class Nameless(Broken):
        name = ""

    class Silent(Broken):
        def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
            return None  # type: ignore[return-value]

    assert check_gate(Broken())
    for gate, said in (
        (Backwards(), "must repeat the threshold"),
        (Numbered(), r"decide\(\[\], \[\], 0.0\) must grow component 0"),
        (Lenient(), "must raise growmix.BadInput; it returned Decision"),
        (Silent(), r"decide\(\[\], \[\], 0.0\) must return a Decision; it returned None"),
        (Nameless(), "name must be a text; it is ''"),
    ):
        with pytest.raises(AssertionError, match=said):
            check_gate(gate)
