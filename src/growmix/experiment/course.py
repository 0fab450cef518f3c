"""A run under way: task by task, from its beginning or from where it was left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from torch import Tensor

from growmix.checkpoints import persistence
from growmix.checkpoints.persistence import prefixed, under
from growmix.checkpoints.snapshots import Snapshots
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput, GrowmixError
from growmix.evaluation import Evaluator, evaluate_student
from growmix.experiment.description import describe, quality, show_translations
from growmix.experiment.folder import CHECKPOINT, EVALUATION, EVENTS, PROGRESS, STUDENT, TRANSLATION, RunFolder
from growmix.experiment.planning import plan, precision, teaches, versions
from growmix.learning.learner import Learner
from growmix.learning.mixture import GrowingMixture
from growmix.learning.student import Student
from growmix.report.events import EventLog
from growmix.report.reporter import Left, Reporter, TaskResult
from growmix.storage.digests import digest_of
from growmix.storage.sealing import FILE_BROWSER_FILES, remove_folder
from growmix.storage.typed import MOST_SECONDS, check_range, record_from
from growmix.streams import Stream, Task
from growmix.system.interrupts import Interrupts
from growmix.theory import files as theory_files
from growmix.theory.account import account
from growmix.theory.ledger import RiskLedger
from growmix.training.loop import Callback, make_fabric


@final
class Course:
    """A run under way."""

    def __init__(
        self,
        config: RunConfig,
        stream: Stream,
        learner: Learner[Any],
        folder: RunFolder,
        reporters: Sequence[Reporter],
        interrupts: Interrupts,
    ) -> None:
        self.config, self.stream, self.learner = config, stream, learner
        self.folder, self.interrupts = folder, interrupts
        self.reporters = [EventLog(folder.path / EVENTS), *reporters]
        self.data = outline(stream)
        self.evaluator = Evaluator(stream)
        self.ledger = RiskLedger(stream) if config.theory else None
        self.theory_seconds = 0.0
        self.evaluated = 0  # tasks
        self.train_seconds: dict[int, float] = {}  # per task
        self.evaluate_seconds = 0.0
        self.student_seconds: float | None = None
        self.saved = len(learner.history)  # tasks that the checkpoint knows
        self.taught: Path | None = None  # a student that an interrupted run has left

    def go(self, left: Left | None, notices: Sequence[str | None]) -> dict[str, Any]:
        """Do all that is left to be done, from the beginning or from where the run was left."""
        planned = plan(self.config, self.stream)
        finished = None
        try:
            for reporter in self.reporters:
                if left is None:
                    reporter.on_run_start(planned)
                else:
                    reporter.on_resume(planned, left)
            for notice in filter(None, notices):
                self._tell(notice)
            if self.evaluated < len(self.learner.history):
                self._evaluate(self.evaluated, self.learner.training_logs[-1].seconds)
            for index in range(len(self.learner.history), len(self.stream)):
                self.learn(index)
            finished = self.finish()
        except (KeyboardInterrupt, GrowmixError):
            self.keep()
            raise
        finally:
            with ExitStack() as told:  # all are, whatever one of them raises; the log as the last
                for reporter in self.reporters:
                    told.callback(reporter.on_run_end, finished)
        remove_folder(self.folder.path / PROGRESS)
        return finished

    def take_up(self, source: Path) -> tuple[Left, str | None]:
        """Take up what an interrupted run left in its folder.

        Returns
        -------
        Left
            Where it goes on from.
        str or None
            What of it is of no use, and why.
        """
        learnt = len(self.learner.history)
        progress = self.folder.path / PROGRESS
        persistence.recover(progress / EVALUATION)
        taught = source / CHECKPOINT / STUDENT
        # saving the mixture removes what an earlier one has taught
        self.taught = taught if persistence.exists(taught) else None
        place = source / PROGRESS / EVALUATION
        if learnt or persistence.exists(place):
            self._take_up_evaluation(place)
        else:  # killed before it had begun
            self.keep_evaluation()
        piece = STUDENT if learnt == len(self.stream) else _piece(learnt)
        kept_names = (EVALUATION, piece)
        for old in progress.glob("*"):
            # beside a folder lies what an interrupted process left of it, which may be all that there is
            if old.name not in (*kept_names, *FILE_BROWSER_FILES) and not old.name.startswith(
                tuple(f".{name}." for name in kept_names)
            ):
                remove_folder(old)
        try:
            kept = self._snapshots(piece).place()
        except BadCheckpoint as error:
            remove_folder(progress / piece)
            return Left(learnt), f"{error}; what was interrupted begins anew"
        return (Left(learnt) if kept is None else Left(learnt, kept.step, kept.steps)), None

    def learn(self, index: int) -> None:
        """Learn a task, keep the mixture, evaluate it."""
        task = self.stream[index]
        for reporter in self.reporters:
            reporter.on_task_start(index, len(task.train))
        # a mixture that is told to be unsupervised takes images alone
        data = replace(task.train, y=None) if self.config.settings.supervised is False else task.train
        with self._working(_piece(index)) as (callbacks, train):
            self.learner.learn(data, callbacks=callbacks)
            self._save()
        self._evaluate(index, train.seconds)

    def finish(self) -> dict[str, Any]:
        """Teach the student if there is to be one, evaluate, write the metrics."""
        student = self._teach() if teaches(self.config) else None
        with _timed() as evaluated:
            measured = quality(self.config, self.stream, self.learner)
            if self.learner.components[0].target_shape is not None:
                show_translations(self.learner, self.stream, self.folder.path / TRANSLATION)
        self.evaluate_seconds += evaluated.seconds
        metrics = self._write(student, measured)
        self._explain()
        return metrics

    def _evaluate(self, index: int, train_seconds: float) -> None:
        decision = self.learner.decisions[index]
        self.train_seconds[index] = train_seconds
        with self.interrupts.deferred():  # an evaluation that is not kept would be done again
            if self.ledger is not None:
                with _timed() as followed:
                    self.ledger.after_task(self.learner)
                self.theory_seconds += followed.seconds
            for reporter in self.reporters:
                reporter.on_decision(index, decision)
            with _timed() as evaluated:
                self.evaluator.after_task(self.learner)
            self.evaluate_seconds += evaluated.seconds
            for reporter in self.reporters:
                reporter.on_task_end(TaskResult(index, decision, train_seconds, evaluated.seconds))
            self.keep_evaluation()

    def _teach(self) -> dict[str, Any]:
        assert isinstance(self.learner, GrowingMixture)  # no other method teaches
        for reporter in self.reporters:
            reporter.on_student_start()
        student = self._taught()
        if student is not None:
            self.student_seconds = student.training_log.seconds
        else:
            with self._working(STUDENT) as (callbacks, taught):
                student = self.learner.distill(callbacks=callbacks)
                student.save(self.folder.path / CHECKPOINT / STUDENT)
            self.student_seconds = taught.seconds
        if self.ledger is not None:
            with _timed() as followed:
                self.ledger.after_student(student)
            self.theory_seconds += followed.seconds
        with _timed() as evaluated:
            scores = evaluate_student(student, self.stream).to_dict()
        self.evaluate_seconds += evaluated.seconds
        for reporter in self.reporters:
            reporter.on_student_end(scores, self.student_seconds)
        return scores

    def _taught(self) -> Student | None:
        """The student of an interrupted run, if it had come so far and it can be read; else it is taught again."""
        if self.taught is None:
            return None
        try:
            return Student.load(self.taught, device=self.config.settings.device)
        except BadCheckpoint as error:
            self._tell(f"{error}; the student is taught anew")
            return None

    def keep(self) -> None:
        """Write what there is: the metrics of the tasks that were learnt, if any was."""
        if not self.learner.decisions:
            return
        if self.saved < len(self.learner.decisions):
            self._save()
        self.evaluator.after_task(self.learner)
        self._write(None, {"log_likelihood": None, "frechet": None})

    def _save(self) -> None:
        self.learner.save(self.folder.path / CHECKPOINT)
        self.saved = len(self.learner.decisions)

    @contextmanager
    def _working(self, piece: str) -> Iterator[tuple[Sequence[Callback], _Timed]]:
        """A task or the student is learnt within, with snapshots; an interrupt waits for one, or for the end."""
        snapshots = self._snapshots(piece)
        kept = snapshots.place()
        with self.interrupts.deferred():
            with _timed() as timed:
                yield [*self.reporters, snapshots], timed
            timed.seconds += kept.seconds if kept else 0.0
            remove_folder(self.folder.path / PROGRESS / piece)

    def _snapshots(self, piece: str) -> Snapshots:
        # one process of several is never asked for a snapshot, so here one device is enough
        device = make_fabric(self.config.settings.replace(devices=1, strategy="auto")).device.type
        return Snapshots(
            self.folder.path / PROGRESS / piece,
            {"settings": settings_but_device(self.learner), "data": self.data, "device": device},
            seconds=self.config.checkpoint_every,
            steps=self.config.checkpoint_steps,
            interrupts=self.interrupts,
            anew=self._tell,
        )

    def _tell(self, notice: str) -> None:
        for reporter in self.reporters:
            reporter.on_notice(notice)

    def keep_evaluation(self) -> None:
        """Keep what was measured: of a component that learns again, it can't be had again."""
        self.evaluated = len(self.learner.history)
        train = tuple(self.train_seconds.values())
        evaluator, scores = self.evaluator.pack()
        ledger, images = ({}, {}) if self.ledger is None else self.ledger.pack()
        kept = {
            "kind": EVALUATION,
            "asked": asked_of(self.config),
            "data": self.data,
            "seconds": asdict(_Seconds(train, self.evaluate_seconds, self.theory_seconds)),
            "evaluator": evaluator,
            "ledger": ledger,
        }
        tensors = prefixed("evaluator.", scores) | prefixed("ledger.", images)
        persistence.write_folder(self.folder.path / PROGRESS / EVALUATION, kept, tensors)

    def _take_up_evaluation(self, place: Path) -> None:
        def look(document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
            self._measured(place, document, tensors)

        document, tensors = persistence.read_folder(place, look)
        kept, self.evaluator, self.ledger = self._measured(place, document, tensors)
        self.train_seconds = dict(enumerate(kept.train))
        self.evaluate_seconds, self.theory_seconds = kept.evaluate, kept.theory
        self.evaluated = self.evaluator.followed

    def _measured(
        self, place: Path, document: dict[str, Any], tensors: dict[str, Tensor]
    ) -> tuple[_Seconds, Evaluator, RiskLedger | None]:
        """What was measured of the tasks learnt, all of it checked; tensors may be outlines."""
        if document.get("kind") != EVALUATION:
            raise BadCheckpoint(f"{place} is no evaluation")
        if document.get("data") != self.data:
            raise BadInput(
                f"the data of stream {self.stream.name!r} are not those that the run was begun with (names, numbers of "
                "examples, classes or the examples themselves differ); give it those, or start another run"
            )
        with persistence.understanding(place):
            seconds = record_from(document["seconds"], _Seconds)
            scores, images = under("evaluator.", tensors), under("ledger.", tensors)
            if len(scores) + len(images) != len(tensors):
                raise ValueError("tensors that are of no measurement")
            learnt = len(self.learner.history)
            if seconds.train and not learnt:
                missing = place.parents[1] / CHECKPOINT
                raise BadCheckpoint(f"{missing} is missing, but {len(seconds.train)} tasks were learnt and measured")
            evaluator = Evaluator.unpack(self.stream, self.learner, document["evaluator"], scores)
            measured = evaluator.followed
            seconds.check(measured)
            if measured not in (learnt, learnt - 1):
                raise ValueError(f"{learnt} tasks were learnt, but {measured} evaluated")
            ledger = None
            if self.ledger is not None:
                ledger = RiskLedger.unpack(self.stream, document["ledger"], images)
                check_range("tasks that the theory knows", len(ledger.rows), measured, measured)
            elif images:
                raise ValueError("tensors of a theory that nobody asked for")
            return seconds, evaluator, ledger

    def _explain(self) -> None:
        """Write what the theory says; of an interrupted run, `growmix theory` does."""
        if self.ledger is None:
            return
        with _timed() as followed:
            document = account(self.ledger, self.learner, self.stream, followed=True)
        self.theory_seconds += followed.seconds
        theory_files.write(document | {"seconds": self.theory_seconds}, self.folder.path)

    def _write(self, student: dict[str, Any] | None, quality: dict[str, Any]) -> dict[str, Any]:
        with _timed() as evaluated:
            scores = self.evaluator.scores().to_dict() | quality
        self.evaluate_seconds += evaluated.seconds
        logs = self.learner.training_logs
        # of a task that was interrupted before its time was noted, its training's own
        train_seconds = sum(self.train_seconds.get(t, log.seconds) for t, log in enumerate(logs))
        metrics = describe(self.config, self.stream, self.learner, scores, student) | {
            "seconds": {
                "train": train_seconds,
                "evaluate": self.evaluate_seconds,
                "student": self.student_seconds,
            },
            "examples_per_second": sum(log.examples for log in logs) / train_seconds,
            # one seed gives other numbers on another kind of device or in another precision
            "versions": versions() | {"device": self.config.settings.device, "precision": precision(self.config)},
        }
        self.folder.write_metrics(metrics)
        return metrics


def _piece(index: int) -> str:
    """Folder of the snapshots of a task, inside the progress."""
    return f"task-{index}"


def outline(stream: Stream) -> list[Any]:
    """What of a stream's data must be the same for a run to go on, ready for JSON: every byte of them, by a digest."""
    return [[task.name, len(task.train), len(task.test), list(task.classes), _digest(task)] for task in stream]


def _digest(task: Task) -> str:
    parts = {"train": task.train, "test": task.test}
    return digest_of(
        {f"{part}.{name}": getattr(data, name) for part, data in parts.items() for name in ("x", "y", "target")}
    )


_OF_NO_MATTER = ("out", "data_root", "device", "checkpoint_every", "checkpoint_steps")
"""Keys of a configuration that change nothing of what comes out; whether the data are the same is asked of them."""


def asked_of(config: RunConfig) -> dict[str, Any]:
    """What a run was asked to do, as far as it must be the same for the run to go on; ready for JSON."""
    return {name: value for name, value in config.to_dict().items() if name not in _OF_NO_MATTER}


def settings_but_device(learner: Learner[Any]) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    return {name: value for name, value in learner.settings.to_dict().items() if name != "device"}


@dataclass(frozen=True)
class _Seconds:
    """That a run took so far: of the training of each task, of all evaluations, of what the theory wants."""

    train: tuple[float, ...]
    evaluate: float
    theory: float

    def check(self, tasks: int) -> None:
        """See that they can be those of so many tasks; raises ``ValueError``."""
        check_range("tasks", len(self.train), tasks, tasks)
        for seconds in (*self.train, self.evaluate, self.theory):
            check_range("seconds", seconds, 0.0, MOST_SECONDS)
        if 0.0 in self.train:
            raise ValueError("a task was trained in no time")


@dataclass
class _Timed:
    seconds: float = 0.0


@contextmanager
def _timed() -> Iterator[_Timed]:
    """Wall-clock seconds of a block, known after it."""
    timed, began = _Timed(), time.perf_counter()
    yield timed
    timed.seconds = time.perf_counter() - began
