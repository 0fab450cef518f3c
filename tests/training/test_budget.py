"""A budget keeps its steps in their range, and every choice that the settings leave open is made."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from growmix.settings import Settings
from growmix.training.budget import STEP_RANGE, Budget


@given(st.integers(4, 200_000))
def test_the_default_budget_keeps_the_steps_in_their_range(examples: int) -> None:
    budget = Budget.of(Settings(), examples)
    per_epoch = math.ceil(examples / budget.batch_size)
    assert budget.epochs >= 1
    assert budget.epochs * per_epoch >= STEP_RANGE[0]
    assert budget.epochs * per_epoch < STEP_RANGE[1] + per_epoch


def test_a_budget_that_is_given_is_taken() -> None:
    settings = Settings(epochs=7, batch_size=5, learning_rate=0.3, weight_decay=0.2, gradient_clip=0.1, patience=2)
    assert Budget.of(settings, 100_000) == Budget(7, 5, 0.3, 0.2, 0.1, 2, steps=140_000)


def test_a_budget_over_other_data_keeps_its_steps() -> None:
    budget = Budget.of(Settings(epochs=7, batch_size=10), 95)
    assert (budget.steps, budget.epochs) == (70, 7)
    wider = budget.over(1_000)
    assert (wider.steps, wider.epochs) == (70, 1)
    assert Budget.of(Settings(max_steps=12, batch_size=10), 95).epochs == 2
