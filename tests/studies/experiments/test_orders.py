"""The risk of an order is the sum over the tasks learnt so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from growmix.studies.experiments.orders import risk_after
from growmix.studies.metrics import Metrics
from growmix.studies.runs import Outcome
from growmix.studies.study import Findings
from growmix.studies.tables import Table

Found = Callable[..., tuple[list[Outcome], Findings]]
Column = Callable[[Table, str], dict[str, str]]


def test_the_risk_of_an_order_is_the_sum_over_the_tasks_so_far(found: Found, column: Column) -> None:
    msc, cms = found("order")[1].tables
    assert column(msc, "after a")["growing mixture"] == "8.00"
    assert column(cms, "after b")["BatchEnsemble"] == "30.00"  # 10 and 20 after the second task


@pytest.mark.parametrize(
    ("mse", "risks"),
    [
        ([[8.0, 99.0], [10.0, 20.0]], [8.0, 30.0]),  # what a task that is still to come would cost does not count
        ([[8.0, None], [None, 20.0]], [8.0, None]),
        ([[0.0, None], [0.0, 0.0]], [0.0, 0.0]),
    ],
)
def test_a_task_whose_risk_is_not_known_is_not_left_out_of_the_sum(
    mse: list[list[float | None]], risks: list[float | None], metrics: Callable[..., dict[str, Any]]
) -> None:
    measured = Metrics.of(metrics(reconstruction_over_time={"mse": mse}))
    assert [risk_after(measured, task) for task in range(2)] == risks
