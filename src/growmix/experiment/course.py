"""The course of one run: task by task, from its beginning or from where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

from growmix.checkpoints.folders import exists
from growmix.checkpoints.snapshots import Snapshots
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput, GrowmixError
from growmix.evaluation import evaluate_student
from growmix.experiment.description import describe, quality, show_translations
from growmix.experiment.folder import CHECKPOINT, EVALUATION, EVENTS, PROGRESS, STUDENT, TRANSLATION, RunFolder
from growmix.experiment.measurements import Measurements, Timed, timed
from growmix.experiment.observing import RunObserver
from growmix.experiment.planning import plan, precision, teaches, versions
from growmix.learning.learner import Learner
from growmix.learning.student import Student
from growmix.report.events import EventLog
from growmix.report.reporter import Reporter, ResumePoint, RunPlan, TaskResult
from growmix.storage.checkpoint_files import FILE_BROWSER_FILES, remove_folder
from growmix.streams import Stream
from growmix.system.interrupts import Interrupts
from growmix.training.callbacks import Callback
from growmix.training.fabric import make_fabric


@runtime_checkable
class Teacher(Protocol):
    """Interface of a learner that one small network can be distilled from."""

    def distill(self, *, callbacks: Sequence[Callback] = ()) -> Student:
        """Train a student on what the learner generates."""


@final
class Course:
    """Runs one experiment task by task: learns, saves, evaluates, reports; can go on after an interrupt.

    Parameters
    ----------
    config
        What the run was asked to do.
    stream
        The tasks to learn, in order, with their test sets.
    learner
        The method that learns them; it may have learnt the first of them already.
    folder
        Where the files of the run are written.
    reporters
        Who is told of the run as it goes, beside the event log in the folder.
    interrupts
        What Ctrl-C does while the run goes.
    observers
        What else follows the run, such as the theory.
    """

    def __init__(
        self,
        config: RunConfig,
        stream: Stream,
        learner: Learner[Any],
        folder: RunFolder,
        reporters: Sequence[Reporter],
        interrupts: Interrupts,
        observers: Sequence[RunObserver],
    ) -> None:
        self._config, self._stream, self._learner = config, stream, learner
        self._folder, self._interrupts = folder, interrupts
        self._reporters = [EventLog(folder.path / EVENTS), *reporters]
        self._measurements = Measurements(config, stream, observers)
        self._progress = folder.path / PROGRESS
        self._saved = len(learner.history)  # tasks that the checkpoint knows
        self._student_seconds: float | None = None
        self._taught: Path | None = None  # where an interrupted run has left its student

    # The story -------------------------------------------------------------------------------------------------

    def go(self, resumed: ResumePoint | None = None, notices: Sequence[str | None] = ()) -> dict[str, Any]:
        """Do all that is left to be done, from the beginning or from where the run was interrupted.

        Parameters
        ----------
        resumed
            Where an interrupted run goes on from; ``None`` for a run that begins.
        notices
            What whoever watches should know, ``None`` for nothing.

        Returns
        -------
        dict
            The content of ``metrics.json``.

        Raises
        ------
        KeyboardInterrupt, GrowmixError
            The run was cut short; what was learnt is kept.
        """
        metrics = None
        try:
            self._announce(plan(self._config, self._stream), resumed, notices)
            if self._measurements.tasks < len(self._learner.history):
                self._measure(self._learner.training_logs[-1].seconds)
            for index in range(len(self._learner.history), len(self._stream)):
                self._learn(index)
            student = self._teach() if teaches(self._config) else None
            metrics = self._finish(student)
        except (KeyboardInterrupt, GrowmixError):
            self._keep()
            raise
        finally:
            self._close(metrics)
        remove_folder(self._progress)
        return metrics

    def _learn(self, index: int) -> None:
        """Learn a task, save the model, measure it."""
        task = self._stream[index]
        self._tell(lambda reporter: reporter.on_task_start(index, len(task.train)))
        # a mixture that is told to be unsupervised takes examples alone
        data = replace(task.train, y=None) if self._config.settings.supervised is False else task.train
        with self._training(_piece(index)) as (callbacks, train):
            self._learner.learn(data, callbacks=callbacks)
            self._save()
        self._measure(train.seconds)

    def _measure(self, train_seconds: float) -> None:
        """Measure the task that was learnt last, and keep what was measured."""
        index = len(self._learner.history) - 1
        decision = self._learner.decisions[index]
        with self._interrupts.deferred():  # an evaluation that is not kept would be done again
            self._tell(lambda reporter: reporter.on_decision(index, decision))
            seconds = self._measurements.after_task(self._learner, train_seconds)
            result = TaskResult(index, decision, train_seconds, seconds)
            self._tell(lambda reporter: reporter.on_task_end(result))
            self.keep_measurements()

    def _teach(self) -> dict[str, Any]:
        """Teach the student, save and measure it; returns its block of the metrics."""
        self._tell(lambda reporter: reporter.on_student_start())
        student = self._student_left() or self._new_student()
        self._measurements.after_student(student)
        with timed() as evaluated:
            scores = evaluate_student(student, self._stream).to_dict()
        self._measurements.evaluate_seconds += evaluated.seconds
        seconds = self._student_seconds or student.training_log.seconds
        self._student_seconds = seconds
        self._tell(lambda reporter: reporter.on_student_end(scores, seconds))
        return scores

    def _new_student(self) -> Student:
        if not isinstance(self._learner, Teacher):
            raise BadInput(f"method is {self._config.method!r}, which teaches no student; run it with student=False")
        with self._training(STUDENT) as (callbacks, taught):
            student = self._learner.distill(callbacks=callbacks)
            student.save(self._folder.path / CHECKPOINT / STUDENT)
        self._student_seconds = taught.seconds
        return student

    def _finish(self, student: dict[str, Any] | None) -> dict[str, Any]:
        """Measure what is measured once, write the metrics, and let the observers write what they saw."""
        with timed() as evaluated:
            measured = quality(self._config, self._stream, self._learner)
            if self._stream.target_shape is not None:
                show_translations(self._learner, self._stream, self._folder.path / TRANSLATION)
        self._measurements.evaluate_seconds += evaluated.seconds
        metrics = self._write(student, measured)
        self._measurements.at_end(self._learner, self._folder.path)
        return metrics

    # Going on after an interrupt -------------------------------------------------------------------------------

    def take_up(self, source: Path) -> tuple[ResumePoint, str | None]:
        """Take up what an interrupted run left in its folder.

        Parameters
        ----------
        source
            The folder of the interrupted run.

        Returns
        -------
        ResumePoint
            Where the run goes on from.
        str or None
            What of it is of no use, and why.
        """
        learnt = len(self._learner.history)
        taught = source / CHECKPOINT / STUDENT
        # saving the model removes the student that an earlier one has taught
        self._taught = taught if exists(taught) else None
        place = source / PROGRESS / EVALUATION
        if learnt or exists(place):
            self._measurements.take_up(place, self._learner)
        else:  # the process was killed before it had begun
            self.keep_measurements()
        piece = STUDENT if learnt == len(self._stream) else _piece(learnt)
        self._remove_all_but(EVALUATION, piece)
        try:
            kept = self._snapshots(piece).place()
        except BadCheckpoint as error:
            remove_folder(self._progress / piece)
            return ResumePoint(learnt), f"{error}; the training that was interrupted begins again"
        return (ResumePoint(learnt) if kept is None else ResumePoint(learnt, kept.step, kept.steps)), None

    def keep_measurements(self) -> None:
        """Keep on disk what was measured so far: of a component that learns again, it can't be measured again."""
        self._measurements.keep(self._progress / EVALUATION)

    def _remove_all_but(self, *names: str) -> None:
        """Remove what earlier tasks left in the progress."""
        for old in self._progress.glob("*"):
            if old.name not in (*names, *FILE_BROWSER_FILES):
                remove_folder(old)

    def _student_left(self) -> Student | None:
        """Read the student of an interrupted run, if it had come so far; one that can't be read is taught again."""
        if self._taught is None:
            return None
        try:
            return Student.load(self._taught, device=self._config.settings.device)
        except BadCheckpoint as error:
            self._notice(f"{error}; the student is taught again")
            return None

    def _keep(self) -> None:
        """Write what there is of a run that is cut short: the metrics of the tasks that were learnt, if any was."""
        if not self._learner.decisions:
            return
        if self._saved < len(self._learner.decisions):
            self._save()
        self._measurements.evaluator.after_task(self._learner)
        self._write(None, {"log_likelihood": None, "frechet": None})

    # Machinery -------------------------------------------------------------------------------------------------

    def _tell(self, what: Callable[[Reporter], None]) -> None:
        for reporter in self._reporters:
            what(reporter)

    def _notice(self, text: str) -> None:
        self._tell(lambda reporter: reporter.on_notice(text))

    def _announce(self, planned: RunPlan, resumed: ResumePoint | None, notices: Sequence[str | None]) -> None:
        """Tell what is going to be done, and what should be known of it."""
        if resumed is None:
            self._tell(lambda reporter: reporter.on_run_start(planned))
        else:
            self._tell(lambda reporter: reporter.on_resume(planned, resumed))
        for notice in filter(None, notices):
            self._notice(notice)

    def _close(self, metrics: dict[str, Any] | None) -> None:
        """Tell every reporter that the run is over, whatever one of them raises; the event log is told last."""
        with ExitStack() as told:
            for reporter in self._reporters:
                told.callback(reporter.on_run_end, metrics)

    def _save(self) -> None:
        self._learner.save(self._folder.path / CHECKPOINT)
        self._saved = len(self._learner.decisions)

    @contextmanager
    def _training(self, piece: str) -> Iterator[tuple[Sequence[Callback], Timed]]:
        """Train a task or the student within, with snapshots; an interrupt waits for one of them, or for the end."""
        snapshots = self._snapshots(piece)
        kept = snapshots.place()
        with self._interrupts.deferred():
            with timed() as train:
                yield [*self._reporters, snapshots], train
            train.seconds += kept.seconds if kept else 0.0
            remove_folder(self._progress / piece)

    def _snapshots(self, piece: str) -> Snapshots:
        # one process of several is never asked for a snapshot, so here one device is enough
        device = make_fabric(self._config.settings.replace(devices=1, strategy="auto")).device.type
        return Snapshots(
            self._progress / piece,
            {"settings": settings_but_device(self._learner), "data": self._measurements.data, "device": device},
            seconds=self._config.checkpoint_every,
            steps=self._config.checkpoint_steps,
            interrupts=self._interrupts,
            anew=self._notice,
        )

    def _write(self, student: dict[str, Any] | None, measured: dict[str, Any]) -> dict[str, Any]:
        """Write ``metrics.json``, and return what it holds."""
        measurements, logs = self._measurements, self._learner.training_logs
        with timed() as evaluated:
            scores = measurements.evaluator.scores().to_dict() | measured
        measurements.evaluate_seconds += evaluated.seconds
        # a task that was interrupted before its time was noted counts with the time of its training alone
        train_seconds = sum(measurements.train_seconds.get(t, log.seconds) for t, log in enumerate(logs))
        metrics = describe(self._config, self._stream, self._learner, scores, student) | {
            "seconds": {
                "train": train_seconds,
                "evaluate": measurements.evaluate_seconds,
                "student": self._student_seconds,
            },
            "examples_per_second": sum(log.examples for log in logs) / train_seconds,
            # one seed gives other numbers on another kind of device or in another precision
            "versions": versions() | {"device": self._config.settings.device, "precision": precision(self._config)},
        }
        self._folder.write_metrics(metrics)
        return metrics


def _piece(index: int) -> str:
    """Name the folder of a task's snapshots, inside the progress."""
    return f"task-{index}"


def settings_but_device(learner: Learner[Any]) -> dict[str, Any]:
    """Return the settings that must be the same for a run to go on: all but the device."""
    return {name: value for name, value in learner.settings.to_dict().items() if name != "device"}
