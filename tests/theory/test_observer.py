"""An observer tells its ledger of every task, and goes on from what it kept."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from growmix import streams
from growmix.streams import Stream
from growmix.theory import files, observer
from growmix.theory.ledger import RiskLedger
from growmix.theory.observer import TheoryObserver


@pytest.fixture
def stream() -> Stream:
    x = np.random.default_rng(0).random((60, 1, 4, 4))
    return streams.from_arrays([(x, x)])


class Ledger:
    """Writes down what it is told, in place of what it costs."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def after_task(self, learner: Any) -> None:
        self.told.append(learner)

    def after_student(self, student: Any) -> None:
        self.told.append(student)


def test_the_ledger_is_told_of_tasks_and_student_and_the_time_is_added_up(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger: Any = Ledger()
    clock, written = itertools.count(), []
    monkeypatch.setattr(observer.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(observer, "account", lambda *_, followed: {"followed": followed})
    monkeypatch.setattr(files, "write", lambda document, folder: written.append((document, folder)))
    watching = TheoryObserver(stream, ledger, seconds=10.0)
    learner, student = object(), object()
    watching.after_task(learner)  # type: ignore[arg-type]
    watching.after_student(student)  # type: ignore[arg-type]
    watching.at_end(learner, tmp_path)  # type: ignore[arg-type]
    assert ledger.told == [learner, student]
    assert written == [({"followed": True, "seconds": 13.0}, tmp_path)]


def test_what_was_kept_comes_back_with_its_seconds(stream: Stream) -> None:
    watching = TheoryObserver(stream, RiskLedger(stream), seconds=2.5)
    document, tensors = watching.pack()
    again = watching.restored(document, tensors, tasks=0)
    assert again.pack()[0] == document
    assert document["seconds"] == 2.5


@pytest.mark.parametrize(("changes", "tasks"), [({}, 1), ({"seconds": -1.0}, 0), ({"seconds": float("nan")}, 0)])
def test_what_can_not_be_of_such_a_run_is_not_taken_up(changes: dict[str, Any], tasks: int, stream: Stream) -> None:
    watching = TheoryObserver(stream)
    document, tensors = watching.pack()
    with pytest.raises(ValueError, match="seconds" if changes else "tasks that the theory knows"):
        watching.restored({**document, **changes}, tensors, tasks)
