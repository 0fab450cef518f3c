"""What is measured of a run while it goes, kept on disk after every task so that an interrupted run can go on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from torch import Tensor

from growmix.checkpoints.folders import read_folder, write_folder
from growmix.checkpoints.persistence import prefixed, under, understanding
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput
from growmix.evaluation import Evaluator
from growmix.experiment.folder import CHECKPOINT, EVALUATION
from growmix.experiment.observing import RunObserver
from growmix.learning.learner import Learner
from growmix.learning.student import Student
from growmix.storage.digests import digest_of
from growmix.storage.typed import MOST_SECONDS, check_range, record_from
from growmix.streams import Stream, Task

OF_NO_MATTER = ("out", "data_root", "device", "checkpoint_every", "checkpoint_steps")
"""Keys of a configuration that change nothing of what a run learns; whether the data are the same is asked of them."""


@final
class Measurements:
    """Measures a run after every task, and keeps what can't be measured again once a component has changed.

    Parameters
    ----------
    config
        What the run was asked to do; it is kept beside the measurements.
    stream
        The tasks that are learnt, with their test sets.
    observers
        What else follows the run, such as the theory.
    """

    def __init__(self, config: RunConfig, stream: Stream, observers: Sequence[RunObserver]) -> None:
        self._config, self._stream = config, stream
        self.data = outline(stream)
        self.evaluator = Evaluator(stream)
        self.observers = tuple(observers)
        self.train_seconds: dict[int, float] = {}  # by task
        self.evaluate_seconds = 0.0

    @property
    def tasks(self) -> int:
        """How many tasks had been learnt at the last measurement."""
        return self.evaluator.followed

    def after_task(self, learner: Learner[Any], train_seconds: float) -> float:
        """Measure a learner that has just learnt a task.

        Parameters
        ----------
        learner
            The learner after the task.
        train_seconds
            How long the task was trained.

        Returns
        -------
        float
            Seconds that the evaluation took, without those of the observers.
        """
        self.train_seconds[len(learner.history) - 1] = train_seconds
        for observer in self.observers:
            observer.after_task(learner)
        with timed() as evaluated:
            self.evaluator.after_task(learner)
        self.evaluate_seconds += evaluated.seconds
        return evaluated.seconds

    def after_student(self, student: Student) -> None:
        """Show the student to every observer."""
        for observer in self.observers:
            observer.after_student(student)

    def at_end(self, learner: Learner[Any], folder: Path) -> None:
        """Let every observer write what it saw of a run that came to its end."""
        for observer in self.observers:
            observer.at_end(learner, folder)

    def keep(self, place: Path) -> None:
        """Write all that was measured to a folder, whole or not at all."""
        evaluator, tensors = self.evaluator.pack()
        tensors = prefixed("evaluator.", tensors)
        observers = {}
        for observer in self.observers:
            observers[observer.name], seen = observer.pack()
            tensors |= prefixed(f"{observer.name}.", seen)
        kept = {
            "kind": EVALUATION,
            "asked": asked_of(self._config),
            "data": self.data,
            "seconds": asdict(_Seconds(tuple(self.train_seconds.values()), self.evaluate_seconds)),
            "evaluator": evaluator,
            "observers": observers,
        }
        write_folder(place, kept, tensors)

    def take_up(self, place: Path, learner: Learner[Any]) -> None:
        """Go on from what :meth:`keep` wrote.

        Parameters
        ----------
        place
            The folder that it was written to.
        learner
            The learner as it was then, or with one task more.

        Raises
        ------
        BadInput
            The data of the stream are not those that were measured.
        BadCheckpoint
            The folder can't be read, or its measurements are not of such a learner.
        """

        def look(document: dict[str, Any], outlines: dict[str, Tensor]) -> None:
            self._understood(place, document, outlines, learner)

        document, tensors = read_folder(place, look)
        seconds, self.evaluator, self.observers = self._understood(place, document, tensors, learner)
        self.train_seconds, self.evaluate_seconds = dict(enumerate(seconds.train)), seconds.evaluate

    def _understood(
        self, place: Path, document: dict[str, Any], tensors: dict[str, Tensor], learner: Learner[Any]
    ) -> tuple[_Seconds, Evaluator, tuple[RunObserver, ...]]:
        """Check everything that was kept, and make the evaluator and the observers again; tensors may be outlines."""
        check_kind(place, document)
        if document.get("data") != self.data:
            raise BadInput(
                f"the data of stream {self._stream.name!r} are not those that the run was begun with (names, numbers "
                "of examples, classes or the examples themselves differ); give it those, or start another run"
            )
        with understanding(place):
            learnt = len(learner.history)
            seconds = record_from(document["seconds"], _Seconds)
            if seconds.train and not learnt:
                missing = place.parents[1] / CHECKPOINT
                raise BadCheckpoint(f"{missing} is missing, but {len(seconds.train)} tasks were learnt and measured")
            evaluator = Evaluator.unpack(self._stream, learner, document["evaluator"], under("evaluator.", tensors))
            measured = evaluator.followed
            seconds.check(measured)
            if measured not in (learnt, learnt - 1):
                raise ValueError(f"{learnt} tasks were learnt, but {measured} evaluated")
            kept, names = document["observers"], [observer.name for observer in self.observers]
            if sorted(kept) != sorted(names):
                raise ValueError(f"the run was followed by the observers {sorted(kept)}, but given are {sorted(names)}")
            observers = tuple(
                observer.restored(kept[observer.name], under(f"{observer.name}.", tensors), measured)
                for observer in self.observers
            )
            if not all(name.partition(".")[0] in ("evaluator", *names) for name in tensors):
                raise ValueError("tensors that belong to no measurement")
            return seconds, evaluator, observers


def check_kind(place: Path, document: dict[str, Any]) -> None:
    """Refuse a folder that holds something else than measurements.

    Raises
    ------
    BadCheckpoint
        The document says that it is of another kind.
    """
    if document.get("kind") != EVALUATION:
        raise BadCheckpoint(f"{place} is no evaluation")


def outline(stream: Stream) -> list[Any]:
    """Describe what of a stream's data must be the same for a run to go on, with digests of all bytes, for JSON."""
    return [[task.name, len(task.train), len(task.test), list(task.classes), _digest(task)] for task in stream]


def _digest(task: Task) -> str:
    parts = {"train": task.train, "test": task.test}
    return digest_of(
        {f"{part}.{name}": getattr(data, name) for part, data in parts.items() for name in ("x", "y", "target")}
    )


def asked_of(config: RunConfig) -> dict[str, Any]:
    """Return what a run was asked to do, as far as it must be the same for the run to go on, for JSON."""
    return {name: value for name, value in config.to_dict().items() if name not in OF_NO_MATTER}


@dataclass(frozen=True)
class _Seconds:
    """Seconds that a run took so far: the training of each task, and all evaluations together."""

    train: tuple[float, ...]
    evaluate: float

    def check(self, tasks: int) -> None:
        """See that they can be those of so many tasks.

        Raises
        ------
        ValueError
            There are more or fewer trainings, or a time that no run takes.
        """
        check_range("tasks", len(self.train), tasks, tasks)
        for seconds in (*self.train, self.evaluate):
            check_range("seconds", seconds, 0.0, MOST_SECONDS)
        if 0.0 in self.train:
            raise ValueError("a task was trained in no time")


@dataclass
class Timed:
    """Wall-clock seconds of a block of code; 0 until it has ended."""

    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Timed]:
    """Measure the wall-clock seconds of a block of code."""
    result, began = Timed(), time.perf_counter()
    yield result
    result.seconds = time.perf_counter() - began
