"""Rates rise and fall as asked, and an interrupted training goes on with the rate that it would have had."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from growmix.training.budget import Budget
from growmix.training.schedules import FIRST_SHARE, LAST_SHARE, make_schedule, move_on

BUDGET = Budget(epochs=1, batch_size=4, learning_rate=0.1, weight_decay=0.0, gradient_clip=0.0, schedule="cosine")


def optimizer() -> torch.optim.AdamW:
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    return torch.optim.AdamW([{"params": weight} for weight in weights], lr=BUDGET.learning_rate)


def rates(schedule: str, steps: int, warm_up: float = 0.1) -> list[float]:
    """Return the rate of every step of a whole training."""
    over = optimizer()
    made = make_schedule(over, replace(BUDGET, schedule=schedule, warm_up=warm_up), steps)  # type: ignore[arg-type]
    seen = []
    for _ in range(steps):
        first, second = (group["lr"] for group in over.param_groups)
        assert first == second
        seen.append(first)
        over.step()
        made.step()
    return seen


def test_a_cosine_rises_to_its_peak_within_the_warm_up_and_falls_from_there() -> None:
    seen = rates("cosine", 200, warm_up=0.25)
    peak = max(range(200), key=seen.__getitem__)
    assert peak == 50 and seen[peak] == BUDGET.learning_rate
    assert seen[0] == pytest.approx(FIRST_SHARE * BUDGET.learning_rate)
    assert all(a < b for a, b in pairwise(seen[:51]))
    assert all(a > b for a, b in pairwise(seen[50:]))
    assert LAST_SHARE * BUDGET.learning_rate <= seen[-1] < 0.001 * BUDGET.learning_rate


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_every_rate_of_a_short_training_is_above_zero(steps: int) -> None:
    assert all(0 < rate <= BUDGET.learning_rate for rate in rates("cosine", steps))
    assert rates("cosine", steps, warm_up=0.0)[0] == BUDGET.learning_rate


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
@pytest.mark.parametrize("done", [1, 5, 39])
def test_a_new_schedule_that_is_moved_on_has_the_rates_of_one_that_got_there_by_itself(
    schedule: str, done: int
) -> None:
    whole = rates(schedule, 40)
    over = optimizer()
    made = make_schedule(over, replace(BUDGET, schedule=schedule), 40)  # type: ignore[arg-type]
    move_on(made, done)
    for rate in whole[done:]:
        assert [group["lr"] for group in over.param_groups] == [rate, rate]
        over.step()
        made.step()
