"""Thresholds are found from what runs measured, and a run that missed tells the next on which side it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Request
from growmix.studies.thresholds import ThresholdSearch, next_threshold, threshold_for, threshold_of, tries_for

MakeTrial = Callable[..., Trial]
ComeOf = Callable[..., list[Outcome]]


def decisions(measured: Sequence[float]) -> list[dict[str, Any]]:
    decided = {"task": "t", "action": "grow", "component": 0, "threshold": 0.2}
    return [{**decided, "novelty": novelty} for novelty in [[], *([value, 99.0] for value in measured)]]


def grows(measured: Sequence[float], threshold: float | None) -> int:
    """Components of a mixture whose tasks are that new."""
    return 1 + sum(threshold is None or value >= threshold for value in measured)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=12, unique=True), st.data())
def test_the_threshold_leads_to_what_is_wanted_where_novelties_stay(measured: list[float], data: st.DataObject) -> None:
    wanted = data.draw(st.integers(1, len(measured)))
    assert grows(measured, threshold_for(wanted, measured)) == wanted


def test_novelty_without_bound_is_the_largest(trial: MakeTrial, come_of: ComeOf) -> None:
    novelty = decisions([1.0, 1.0])
    novelty[1]["novelty"], novelty[2]["novelty"] = [None], [None, 2.0]
    (outcome,) = come_of([trial("mixture")], lambda _: {"decisions": novelty})
    assert outcome.metrics.novelties == [float("inf"), 2.0]
    assert threshold_for(2, [float("inf"), 2.0]) == 4.0


def outcomes(come_of: ComeOf, trial: MakeTrial, *tries: tuple[float, int]) -> list[Outcome]:
    """Runs of five tasks with these thresholds that gave so many components."""
    found = []
    for number, (threshold, components) in enumerate(tries, start=1):
        config = trial("mixture", novelty="smd", threshold=threshold).config
        given = {"decisions": decisions([3.0, 1.0, 4.0, 2.0]), "components": components}
        found += come_of([Trial(f"want4-try{number}", config)], lambda _, given=given: given)
    return found


@pytest.mark.parametrize(
    ("tries", "following"),
    [
        ([], 1.5),  # what the novelties say
        ([(1.0, 5)], 1.5),  # too many components at 1.0: 1.5 is still above
        ([(1.5, 5)], 3.0),  # too many at what they say: twice as much
        ([(1.5, 3)], 0.75),  # too few at what they say: half of it
        ([(1.5, 5), (3.0, 2)], 2.25),  # halfway between too many and too few
        ([(1.5, 5), (3.0, 2), (2.25, 5)], 2.625),
    ],
)
def test_the_next_threshold_lies_between_those_that_gave_too_many_and_too_few(
    tries: list[tuple[float, int]], following: float, come_of: ComeOf, trial: MakeTrial
) -> None:
    done = outcomes(come_of, trial, *tries)
    last = done[-1:] or outcomes(come_of, trial, (0.5, 5))
    assert next_threshold(4, last, done) == pytest.approx(following)


def test_tries_are_those_for_the_number_alone_in_order(come_of: ComeOf, trial: MakeTrial) -> None:
    done = outcomes(come_of, trial, (1.5, 5), (3.0, 2))
    assert tries_for(4, done[::-1]) == done
    assert tries_for(40, done) == []
    assert [threshold_of(outcome) for outcome in done] == [1.5, 3.0]


def test_what_the_search_sets_can_not_be_given(tmp_path: Path) -> None:
    for name in ("threshold", "gate", "method", "out"):
        with pytest.raises(BadInput, match=f"{name} is given, but the sweep sets it itself"):
            ThresholdSearch({"stream": "split-digits"}, (4,), Request(tmp_path, 1, {name: 1}))
