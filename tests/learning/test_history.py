"""The history tells versions and shares, and contradicts no component."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from growmix import Decision
from growmix.learning.history import HistoryEntry, Part, check_history, entry_from, examples_after, versions_after
from known_points import LOG, CodedPoint, point


def entry(component: int, examples: int = 8, version: int = 1, novelties: int = 0) -> HistoryEntry:
    action: Any = "grow" if version == 1 else "reuse"
    decision = Decision(action, component, (0.5,) * novelties, 0.2)
    return HistoryEntry(decision, (Part(component, examples, version),), LOG)


FINE = (entry(0), entry(1, 4, novelties=1), entry(0, 2, version=2, novelties=2))
BOTH = (point(0), point(1))


def test_versions_and_examples_are_those_after_the_tasks_asked_for() -> None:
    assert [versions_after(FINE[:t]) for t in range(4)] == [(), (1,), (1, 1), (2, 1)]
    assert [examples_after(FINE[:t]) for t in range(4)] == [(), (8,), (8, 4), (10, 4)]


def test_an_entry_comes_back_from_json_as_it_was() -> None:
    for each in FINE:
        assert entry_from(json.loads(json.dumps(asdict(each)))) == each


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("decision", "threshold"), -0.1),
        (("decision", "action"), "wait"),
        (("decision", "component"), True),
        (("log", "steps"), -1),
        (("log", "seconds"), "1"),
    ],
)
def test_an_entry_of_wrong_values_is_refused(place: tuple[str, str], value: Any) -> None:
    document = asdict(FINE[0])
    document[place[0]][place[1]] = value
    with pytest.raises(ValueError):
        entry_from(document)


@pytest.mark.parametrize(
    ("history", "components", "said"),
    [
        ((entry(0, examples=0),), (point(0),), "examples is 0"),
        ((entry(0, version=2),), (point(0),), "version is 2"),
        ((entry(0), entry(1, novelties=2)), BOTH, "task 1 has 2 novelties to 1 components"),
        ((entry(0),), BOTH, "2 components, but 1 were trained"),
        (FINE, (point(0),), "1 components, but 2 were trained"),
        (FINE, (point(0), CodedPoint(1.0, supervised=False)), "components of different kinds of examples"),
        (
            (HistoryEntry(Decision("grow", 1, (), 0.2), (Part(0, 8, 1),), LOG),),
            (point(0),),
            r"task 0 was learnt by \[0\], decided was 1",
        ),
    ],
)
def test_a_history_that_contradicts_the_components_is_refused(history: Any, components: Any, said: str) -> None:
    check_history(FINE, BOTH)
    with pytest.raises(ValueError, match=said):
        check_history(history, components)
