"""Accuracies of six domains, and what each method costs beside a whole component."""

from __future__ import annotations

from collections.abc import Callable

from growmix.studies.runs import Outcome
from growmix.studies.study import Findings
from growmix.studies.tables import Table

Found = Callable[..., tuple[list[Outcome], Findings]]
Column = Callable[[Table, str], dict[str, str]]


def test_every_method_has_its_averages_its_tasks_and_its_cost(found: Found, column: Column) -> None:
    averages, by_task, cost = found("msfirc", seeds=2)[1].tables
    methods = column(averages, "mse").keys()
    assert {"growing mixture", "LGM", "joint training (upper limit)"} <= methods
    assert methods == column(by_task, "b").keys() == column(cost, "shared").keys()
    assert set(column(averages, "task_agnostic").values()) == {"0.7500 ± 0.0000"}
    assert set(column(averages, "mse").values()) == {"15.00 ± 0.00"}
    assert set(column(by_task, "a").values()) == {"0.8000 ± 0.0000"}  # after the last task, not when it was learnt
    assert set(column(cost, "of a whole one").values()) == {"100.0%"}


def test_numbers_for_programs_are_those_of_the_tables(found: Found) -> None:
    variants = found("msfirc")[1].numbers["variants"]
    assert variants["lgm"]["task_agnostic"] == {"mean": 0.75, "error": None}
    assert variants["lgm"]["mse"]["mean"] == 15.0
    assert variants["joint"]["parameters"] == 300.0
