"""Whoever watches a run is told of it by the calls of one interface, and may leave out any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from growmix.report.events import EventLog
from growmix.report.progress import Bar, Lines
from growmix.report.reporter import Beginning, Reporter, ResumePoint, RunPlan

PLAN = RunPlan("two", 0, Path("out"), (), ("a", "b"), (100, 100), 200, {})


@pytest.mark.parametrize("reporter", [EventLog, Bar, Lines, Beginning])
def test_a_reporter_answers_to_calls_that_are_made_alone(reporter: type[Reporter]) -> None:
    calls = {name for name in dir(reporter) if name.startswith("on_")}
    assert calls == {name for name in dir(Reporter) if name.startswith("on_")}


def test_who_only_knows_how_a_run_begins_is_told_so_when_it_goes_on() -> None:
    class First(Reporter):
        def __init__(self) -> None:
            self.plans: list[RunPlan] = []

        def on_run_start(self, plan: RunPlan) -> None:
            self.plans.append(plan)

    first = First()
    first.on_resume(PLAN, ResumePoint(1))
    assert first.plans == [PLAN]


def test_a_run_has_begun_once_it_was_told_of() -> None:
    for begin in (lambda each: each.on_run_start(PLAN), lambda each: each.on_resume(PLAN, ResumePoint(1, 5, 10))):
        beginning = Beginning()
        beginning.on_run_end(None)
        assert not beginning.seen
        begin(beginning)
        assert beginning.seen
