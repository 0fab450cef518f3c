"""Follows a run with a ledger of risks, and writes what the theory says of it when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from torch import Tensor

from growmix.learning.learner import Learner
from growmix.learning.student import Student
from growmix.storage.typed import MOST_SECONDS, check_range
from growmix.streams import Stream
from growmix.theory import files
from growmix.theory.account import account
from growmix.theory.ledger import RiskLedger

NAME = "theory"
"""The name under which a run keeps the state of this observer."""


@final
class TheoryObserver:
    """Measures risks and discrepancies while a run goes, and writes ``theory.json`` and its figures at the end.

    It is a ``RunObserver`` of :mod:`growmix.experiment.observing`; a run has one if it was asked for with ``--theory``.

    Parameters
    ----------
    stream
        The tasks that the run learns.
    ledger
        What was written down so far; by default nothing.
    seconds
        How long the theory's measurements have taken so far.

    Raises
    ------
    BadInput
        A task has fewer than 50 test examples, or pairs of images.
    """

    name = NAME

    def __init__(self, stream: Stream, ledger: RiskLedger | None = None, seconds: float = 0.0) -> None:
        self.ledger = ledger or RiskLedger(stream)
        self._stream, self._seconds = stream, seconds

    def after_task(self, learner: Learner[Any]) -> None:
        """Write down what the task that was just learnt changed."""
        with self._timed():
            self.ledger.after_task(learner)

    def after_student(self, student: Student) -> None:
        """Write down what the student can do."""
        with self._timed():
            self.ledger.after_student(student)

    def at_end(self, learner: Learner[Any], folder: Path) -> None:
        """Write ``theory.json`` and its figures; for a run that is cut short, ``growmix theory`` does."""
        with self._timed():
            document = account(self.ledger, learner, self._stream, followed=True)
        files.write(document | {"seconds": self._seconds}, folder)

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the state of the ledger and the seconds so far."""
        document, tensors = self.ledger.pack()
        return document | {"seconds": self._seconds}, tensors

    def restored(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor], tasks: int) -> TheoryObserver:
        """Make the observer again that :meth:`pack` was called on.

        Parameters
        ----------
        document, tensors
            What :meth:`pack` returned; the tensors may have no memory.
        tasks
            How many tasks had been learnt then.

        Raises
        ------
        ValueError
            The state can't come from a ledger that knows so many tasks.
        """
        ledger = RiskLedger.unpack(self._stream, document, tensors)
        check_range("tasks that the theory knows", len(ledger.rows), tasks, tasks)
        check_range("seconds", document["seconds"], 0.0, MOST_SECONDS)
        return TheoryObserver(self._stream, ledger, document["seconds"])

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - began
