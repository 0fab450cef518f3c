"""Every gate of ours keeps the contract that a user's own gate is checked against, and what only ours promise."""

from __future__ import annotations

import math

import pytest

from growmix.checks import check_gate
from growmix.learning.gating import GATES, AlwaysGate, DirichletGate, Gate, ThresholdGate, make_gate
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
