"""One run: learn a stream task by task, evaluate, distil, and write what came of it.

A run's folder holds ``config.yaml`` (what was asked for), ``events.jsonl`` (what happened, a line each),
``checkpoint/`` (the model after the last finished task; the student in ``checkpoint/student/``), ``metrics.json`` and,
for pairs, ``translation.png``. With ``--theory`` also ``theory.json`` and its figures. While a run is unfinished,
``progress/`` holds what :func:`resume` needs besides.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from growmix import __version__, baselines, locking, persistence, streams
from growmix.config import RunConfig, read_values
from growmix.data import as_float, check_task
from growmix.errors import BadCheckpoint, BadInput, GrowmixError
from growmix.evaluation import Evaluator, evaluate, evaluate_student
from growmix.interrupts import Interrupts
from growmix.learner import Learner
from growmix.mixture import GrowingMixture
from growmix.nets import check_blueprint
from growmix.persistence import prefixed, under
from growmix.quality import frechet_scores, likelihood_scores
from growmix.report.events import EventLog, finite, read_events
from growmix.report.figures import picture_rows
from growmix.report.reporter import Left, Reporter, RunPlan, TaskResult
from growmix.sealing import remove_folder
from growmix.snapshots import Snapshots
from growmix.streams import Stream
from growmix.student import Student, lessons_for
from growmix.theory import files as theory_files
from growmix.theory.account import account
from growmix.theory.ledger import RiskLedger, check_stream
from growmix.training import Budget, Callback, make_fabric, native_precision

CONFIG = "config.yaml"
METRICS = "metrics.json"
EVENTS = "events.jsonl"
CHECKPOINT = "checkpoint"
STUDENT = "student"
"""Inside the checkpoint: saving a mixture replaces the folder, and with it a student of what it knew before."""

PROGRESS = "progress"
EVALUATION = "evaluation"
"""Inside the progress: what was measured, and the seconds it took. Beside it lie the snapshots of one training."""

SAMPLES = "samples.png"
INTERPOLATION = "interpolation.png"
TRANSLATION = "translation.png"

SHOWN = 8
"""Test images per task in a picture of translations."""


def run(
    config: RunConfig,
    *,
    overwrite: bool = False,
    reporters: Sequence[Reporter] = (),
    interrupts: Interrupts | None = None,
) -> dict[str, Any]:
    """Learn a stream and write the run's folder.

    Parameters
    ----------
    config
        What to do.
    overwrite
        Whether an earlier run in the same folder may be replaced.
    reporters
        Told of the run as it goes.
    interrupts
        Those of the command line; without them an interrupt does what it does in any Python program.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    BadInput, DataUnavailable
        Something asked for is wrong, or another process is writing to the folder; nothing was trained or written.
    KeyboardInterrupt, GrowmixError
        The run was cut short. What was learnt is kept: the checkpoint and the metrics of the finished tasks.
        :func:`resume` goes on from there.
    """
    locking.refuse_second(config.folder)
    RunFolder(config.folder).check(overwrite)
    fabric = make_fabric(config.settings)  # a device that is not there shows before data are read
    interrupts = interrupts or Interrupts()
    if fabric.global_rank > 0:
        # every process learns the same mixture; the first one alone writes and reports
        with tempfile.TemporaryDirectory() as elsewhere:
            return _run(replace(config, out=Path(elsewhere)), overwrite, (), interrupts)
    return _run(config, overwrite, reporters, interrupts)


def _run(config: RunConfig, overwrite: bool, reporters: Sequence[Reporter], interrupts: Interrupts) -> dict[str, Any]:
    folder = RunFolder(config.folder)
    learner = baselines.make_learner(config.method, config.settings)
    stream = load_stream(config)
    check_method(config, stream)
    if config.theory:
        check_theory(config, stream)
    check_blueprint(learner.blueprint, config.settings.latent, stream.shape)  # networks that can't be had show here
    with folder.held() as notice:
        folder.check(overwrite)  # again: nobody else can have begun a run since
        folder.open(config)
        course = _Course(config, stream, learner, folder, reporters, interrupts)
        course.keep_evaluation()
        return course.go(None, [notice])


def resume(
    folder: Path,
    *,
    device: str | None = None,
    reporters: Sequence[Reporter] = (),
    interrupts: Interrupts | None = None,
) -> dict[str, Any]:
    """Go on with a run that was interrupted or killed, from its last checkpoint to its end.

    On the same machine, with the same versions, it ends with the weights and the metrics of a run that was never
    interrupted, times apart.

    Parameters
    ----------
    folder
        Of the run.
    device
        Where to compute, if not where the run did; the task that was interrupted then begins anew.
    reporters
        Told of the run as it goes.
    interrupts
        As for :func:`run`.

    Returns
    -------
    dict
        What ``metrics.json`` holds; of a finished run, it is all that happens.

    Raises
    ------
    BadInput
        There is no run, another process is writing to it, or its settings or data are not those it was begun with.
    BadCheckpoint
        What the run left can't be read.
    DataUnavailable
        The data are not there any more.
    KeyboardInterrupt, GrowmixError
        As for :func:`run`.
    """
    config = RunFolder(folder).config()
    if RunFolder(folder).is_finished():
        return RunFolder(folder).metrics()
    if device is not None:
        config = config.but(settings=config.settings.but(device=device))
    fabric = make_fabric(config.settings)
    interrupts = interrupts or Interrupts()
    if fabric.global_rank > 0:
        with tempfile.TemporaryDirectory() as elsewhere:
            return _resume(replace(config, out=Path(elsewhere)), folder, device, (), interrupts)
    return _resume(config, folder, device, reporters, interrupts)


def _resume(
    config: RunConfig, source: Path, device: str | None, reporters: Sequence[Reporter], interrupts: Interrupts
) -> dict[str, Any]:
    folder = RunFolder(config.folder)
    with folder.held() as notice:
        for place in (CHECKPOINT, f"{CHECKPOINT}/{STUDENT}"):
            persistence.recover(folder.path / place)
        if persistence.exists(source / CHECKPOINT):
            learner = baselines.load(source / CHECKPOINT, config.method, device)
        else:
            learner = baselines.make_learner(config.method, config.settings)
        _check_settings(config, learner)
        stream = load_stream(config)
        check_method(config, stream)
        if config.theory:
            check_theory(config, stream)
        course = _Course(config, stream, learner, folder, reporters, interrupts)
        left, lost = course.take_up(source)
        return course.go(left, [notice, lost])


def _check_settings(config: RunConfig, learner: Learner[Any]) -> None:
    """See that a run goes on with the settings that it was begun with; it may do so on another device."""
    asked = _but_device(baselines.make_learner(config.method, config.settings))
    for name, known in _but_device(learner).items():
        if asked[name] != known:
            raise BadInput(
                f"{name} is {asked[name]!r} in {CONFIG}, but the run was begun with {known!r}; "
                "put that back to go on, or start another run"
            )


def _but_device(learner: Learner[Any]) -> dict[str, Any]:
    return {name: value for name, value in learner.settings.to_dict().items() if name != "device"}


def _outline(stream: Stream) -> list[Any]:
    """What of a stream's data must be the same for a run to go on, ready for JSON."""
    return [[task.name, len(task.train), len(task.test), list(task.classes)] for task in stream]


def _piece(index: int) -> str:
    """Folder of the snapshots of a task, inside the progress."""
    return f"task-{index}"


def reevaluate(folder: Path, *, device: str | None = None) -> dict[str, Any]:
    """Measure the mixture, and the student if there is one, of a run again.

    Parameters
    ----------
    folder
        Of the run.
    device
        Where to compute, if not where the run did.

    Returns
    -------
    dict
        As in ``metrics.json``, without what only the run itself knows: seconds and speed.

    Raises
    ------
    BadInput
        The folder holds no run.
    BadCheckpoint
        Its checkpoint can't be read.
    DataUnavailable
        The data are not there any more.
    """
    config = RunFolder(folder).config()
    learner = load_learner(folder, device=device)
    stream = load_stream(config)
    learnt = len(learner.decisions)
    taught = _student_of(folder, device)
    student = None if taught is None else evaluate_student(taught, stream, tasks=learnt).to_dict()
    scores = evaluate(learner, stream).to_dict() | _quality(config, stream, learner)
    return _describe(config, stream, learner, scores, student) | {"versions": versions()}


def explain(folder: Path, *, device: str | None = None) -> dict[str, Any]:
    """What the theory says of a run: read where the run was followed, else measured now; files and figures are written.

    Parameters
    ----------
    folder
        Of the run.
    device
        Where to compute, if not where the run did.

    Returns
    -------
    dict
        What ``theory.json`` holds.

    Raises
    ------
    BadInput
        The folder holds no run, its method is no mixture, or its stream has too few test data.
    BadCheckpoint
        Its checkpoint, or its ``theory.json``, can't be read.
    DataUnavailable
        The data are not there any more.
    """
    config = RunFolder(folder).config()
    if (folder / theory_files.THEORY).is_file():
        document = theory_files.read(folder)
    else:
        stream = load_stream(config)
        check_theory(config, stream)
        learner = load_learner(folder, device=device)
        ledger = RiskLedger(stream)
        ledger.after_the_fact(learner, _student_of(folder, device))
        document = account(ledger, learner, stream, followed=False)
    theory_files.write(document, folder)
    return document


def _student_of(folder: Path, device: str | None) -> Student | None:
    there = persistence.exists(folder / CHECKPOINT / STUDENT)
    return load_student(folder, device=device) if there else None


def load_learner(folder: Path, *, device: str | None = None) -> Learner[Any]:
    """What a run made, where it was made or on another device."""
    return baselines.load(folder / CHECKPOINT, RunFolder(folder).config().method, device)


def load_student(folder: Path, *, device: str | None = None) -> Student:
    """The student of a run, where it was made or on another device."""
    return Student.load(folder / CHECKPOINT / STUDENT, device=device)


def load_stream(config: RunConfig) -> Stream:
    """The stream that a configuration names, with tasks that can be learnt.

    Raises
    ------
    BadInput
        Something in the configuration does not fit the stream, or a task's data can't be learnt.
    DataUnavailable
        A data set is not to be had.
    """
    stream = streams.load(
        config.stream,
        tasks=config.tasks,
        data_root=config.data_root,
        seed=config.seed,
        label_space=config.label_space,
        replace=config.replace,
        train_examples=config.train_examples,
        test_examples=config.test_examples,
        label_fraction=config.label_fraction,
    )
    for task in stream:  # before hours are spent on the tasks before it
        try:
            check_task(task.train, stream.shape)
        except BadInput as error:
            raise BadInput(f"task {task.name!r}: {error}") from error
    return stream


def check_method(config: RunConfig, stream: Stream) -> None:
    """See whether the method can learn the stream.

    Raises
    ------
    BadInput
        It learns labels or images alone, and the stream has none of these.
    """
    method = baselines.METHODS[config.method]
    pairs = any(task.train.target is not None for task in stream)
    if pairs and not method.is_mixture:
        raise BadInput(
            f"method is {config.method!r}, which does not learn pairs of images as stream {stream.name!r} has; "
            f"allowed is one of {', '.join(baselines.MIXTURES)}"
        )
    unlabelled = [task.name for task in stream if task.train.y is None]
    if pairs and config.settings.supervised:
        raise BadInput(f"supervised is True, but stream {stream.name!r} has pairs of images, learnt without labels")
    if method.labels == "optional":
        return
    if method.labels == "all":
        unlabelled += [task.name for task in stream if task.train.y is not None and bool((task.train.y < 0).any())]
    if unlabelled or config.label_fraction == 0 or (method.labels == "all" and config.label_fraction < 1):
        share = f"label_fraction is {config.label_fraction:g}"
        given = f"task {unlabelled[0]!r} has not" if unlabelled and config.label_fraction == 1 else share
        wanted = "a label for every example" if method.labels == "all" else "labels"
        raise BadInput(f"method is {config.method!r}, which needs {wanted}, but {given}")


def check_theory(config: RunConfig, stream: Stream) -> None:
    """See whether a ledger can follow a run.

    Raises
    ------
    BadInput
        Its method is no mixture, it replays nothing, or its stream has pairs or too few test data.
    """
    if config.method not in baselines.MIXTURES:
        allowed = ", ".join(baselines.MIXTURES)
        raise BadInput(f"theory is on, but method is {config.method!r}, which is no mixture; allowed are {allowed}")
    if config.settings.replay_ratio == 0:
        raise BadInput("theory is on, but replay_ratio is 0: without regenerated data there is nothing to follow")
    check_stream(stream)


def plan(config: RunConfig, stream: Stream) -> RunPlan:
    """What a run is going to do, with an estimate of how much that is."""
    settings = config.settings

    def visits(examples: int) -> int:
        trained = max(1, round(examples * (1 - settings.holdout)))
        budget = Budget.of(settings, trained)
        return min(trained * budget.epochs, (budget.steps or trained * budget.epochs) * budget.batch_size)

    learnt = sum(len(task.train) for task in stream)
    classes = len({label for task in stream for label in task.classes})
    lessons = lessons_for(settings, learnt, classes, len(stream))  # as if every task grew
    return RunPlan(
        stream=stream.name,
        seed=config.seed,
        folder=config.folder,
        notes=stream.notes,
        tasks=tuple(task.name for task in stream),
        visits=tuple(visits(len(task.train)) for task in stream),
        student_visits=lessons * settings.student_epochs if teaches(config) else 0,
        versions=versions(),
    )


def teaches(config: RunConfig) -> bool:
    """Whether a run distils a student at its end: only a mixture does."""
    return config.student and config.method in baselines.MIXTURES


def versions() -> dict[str, str]:
    """Of growmix and what its figures depend on."""
    packages = {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
    return {"growmix": __version__, "python": platform.python_version(), **packages}


def precision(config: RunConfig) -> str:
    """The precision that a run trains in, with "auto" resolved."""
    asked = config.settings.precision
    return native_precision(config.settings.device) if asked == "auto" else asked


@dataclass(frozen=True)
class RunFolder:
    """Where a run lies: what is in it, and how it is written."""

    path: Path

    def check(self, overwrite: bool) -> None:
        """See whether a run can be written here, without writing.

        Raises
        ------
        BadInput
            It can't, or something is there already.
        """
        held = [name for name in (EVENTS, CONFIG, METRICS, CHECKPOINT) if (self.path / name).exists()]
        if held and not overwrite:
            raise BadInput(
                f"out is {str(self.path)!r}, which holds a run already; choose another --out, or say --overwrite "
                "(growmix resume goes on with one that was interrupted)"
            )
        if held and EVENTS not in held:
            raise BadInput(f"out is {str(self.path)!r}, whose {held[0]} is not from a run; choose another --out")
        nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} is a file; choose another --out")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} can't be written; choose another --out")

    @contextmanager
    def held(self) -> Iterator[str | None]:
        """Make the folder, and be the one process that writes to it; gives what the user should know of that."""
        with _writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with locking.hold(self.path) as notice:
            yield notice

    def open(self, config: RunConfig) -> None:
        """Clear the folder of an earlier run, and write the configuration."""
        with _writing(self.path):
            for name in (METRICS, SAMPLES, INTERPOLATION, TRANSLATION, *theory_files.ALL, CONFIG, EVENTS):
                (self.path / name).unlink(missing_ok=True)
            remove_folder(self.path / CHECKPOINT)
            remove_folder(self.path / PROGRESS)
            config.write(self.path / CONFIG)

    def config(self) -> RunConfig:
        """What the run was asked to do.

        Raises
        ------
        BadInput
            There is no run here.
        """
        if not (self.path / CONFIG).is_file():
            raise BadInput(f"folder {str(self.path)!r} holds no run (no {CONFIG}); give what --out was")
        return replace(RunConfig.of(read_values(self.path / CONFIG)), out=self.path)

    def is_finished(self) -> bool:
        """Whether the run came to its end; an interrupted one leaves metrics too, of the tasks it learnt."""
        if not ((self.path / METRICS).is_file() and (self.path / EVENTS).is_file()):
            return False
        events = read_events(self.path / EVENTS)
        return bool(events) and events[-1]["event"] == "run_finished"

    def metrics(self) -> dict[str, Any]:
        """What the run measured."""
        metrics: dict[str, Any] = json.loads((self.path / METRICS).read_text(encoding="utf-8"))
        return metrics

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json`` whole or not at all."""
        fresh = self.path / f".{METRICS}.new"
        with _writing(self.path):
            fresh.write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            fresh.replace(self.path / METRICS)


@final
class _Course:
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
        self.evaluator = Evaluator(stream)
        self.ledger = RiskLedger(stream) if config.theory else None
        self.theory_seconds = 0.0
        self.evaluated = 0  # tasks
        self.train_seconds: dict[int, float] = {}  # per task
        self.evaluate_seconds = 0.0
        self.student_seconds: float | None = None
        self.saved = len(learner.steps)  # tasks that the checkpoint knows
        self.taught: Path | None = None  # a student that an interrupted run has left

    def go(self, left: Left | None, notices: Sequence[str | None]) -> dict[str, Any]:
        """Do all that is left to be done, from the beginning or from where the run was left."""
        planned = plan(self.config, self.stream)
        for reporter in self.reporters:
            if left is None:
                reporter.on_run_start(planned)
            else:
                reporter.on_resume(planned, left)
            for notice in filter(None, notices):
                reporter.on_notice(notice)
        finished = None
        try:
            if self.evaluated < len(self.learner.steps):
                self._evaluate(self.evaluated, self.learner.training_logs[-1].seconds)
            for index in range(len(self.learner.steps), len(self.stream)):
                self.learn(index)
            finished = self.finish()
        except (KeyboardInterrupt, GrowmixError):
            self.keep()
            raise
        finally:
            for reporter in self.reporters:
                reporter.on_run_end(finished)
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
        learnt = len(self.learner.steps)
        taught = source / CHECKPOINT / STUDENT
        # saving the mixture removes what an earlier one has taught
        self.taught = taught if persistence.exists(taught) else None
        place = source / PROGRESS / EVALUATION
        if learnt or persistence.exists(place):
            self._take_up_evaluation(place)
        else:  # killed before it had begun
            self.keep_evaluation()
        piece = STUDENT if learnt == len(self.stream) else _piece(learnt)
        for old in (self.folder.path / PROGRESS).glob("*"):
            if old.name not in (EVALUATION, piece):
                remove_folder(old)
        try:
            kept = self._snapshots(piece).place()
        except BadCheckpoint as error:
            remove_folder(self.folder.path / PROGRESS / piece)
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
            quality = _quality(self.config, self.stream, self.learner)
            if self.learner.components[0].target_shape is not None:
                show_translations(self.learner, self.stream, self.folder.path / TRANSLATION)
        self.evaluate_seconds += evaluated.seconds
        return self._write(student, quality)

    def _evaluate(self, index: int, train_seconds: float) -> None:
        decision = self.learner.decisions[index]
        self.train_seconds[index] = train_seconds
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
        if self.taught is not None:
            student = Student.load(self.taught, device=self.config.settings.device)
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
        device = make_fabric(self.config.settings.but(devices=1, strategy="auto")).device.type
        return Snapshots(
            self.folder.path / PROGRESS / piece,
            {"settings": _but_device(self.learner), "data": _outline(self.stream), "device": device},
            seconds=self.config.checkpoint_every,
            steps=self.config.checkpoint_steps,
            interrupts=self.interrupts,
        )

    def keep_evaluation(self) -> None:
        """Keep what was measured: of a component that learns again, it can't be had again."""
        self.evaluated = len(self.learner.steps)
        evaluator, scores = self.evaluator.pack()
        ledger, images = ({}, {}) if self.ledger is None else self.ledger.pack()
        kept = {
            "kind": EVALUATION,
            "data": _outline(self.stream),
            "seconds": {
                "train": list(self.train_seconds.values()),
                "evaluate": self.evaluate_seconds,
                "theory": self.theory_seconds,
            },
            "evaluator": evaluator,
            "ledger": ledger,
        }
        tensors = prefixed("evaluator.", scores) | prefixed("ledger.", images)
        persistence.write_folder(self.folder.path / PROGRESS / EVALUATION, kept, tensors)

    def _take_up_evaluation(self, place: Path) -> None:
        learnt = len(self.learner.steps)
        document, tensors = persistence.read_folder(place)
        if document.get("data") != _outline(self.stream):
            raise BadInput(
                f"the data of stream {self.stream.name!r} are not those that the run was begun with (names, numbers of "
                "examples or classes differ); give it those, or start another run"
            )
        with persistence.understanding(place):
            seconds = document["seconds"]
            self.train_seconds = {t: float(each) for t, each in enumerate(seconds["train"])}
            self.evaluate_seconds, self.theory_seconds = float(seconds["evaluate"]), float(seconds["theory"])
            scores = under("evaluator.", tensors)
            self.evaluator = Evaluator.unpack(self.stream, self.learner, document["evaluator"], scores)
            self.evaluated = int(document["evaluator"]["followed"])
            if self.ledger is not None:
                self.ledger.unpack(document["ledger"], under("ledger.", tensors))
            if self.evaluated not in (learnt, learnt - 1):
                raise ValueError(f"{learnt} tasks were learnt, but {self.evaluated} evaluated")

    def _explain(self) -> None:
        """Write what the theory says."""
        if self.ledger is None or not self.ledger.rows:
            return
        with _timed() as followed:
            theory_files.write(account(self.ledger, self.learner, self.stream, followed=True), self.folder.path)
        self.theory_seconds += followed.seconds

    def _write(self, student: dict[str, Any] | None, quality: dict[str, Any]) -> dict[str, Any]:
        self._explain()
        with _timed() as evaluated:
            scores = self.evaluator.scores().to_dict() | quality
        self.evaluate_seconds += evaluated.seconds
        logs = self.learner.training_logs
        # of a task that was interrupted before its time was noted, its training's own
        train_seconds = sum(self.train_seconds.get(t, log.seconds) for t, log in enumerate(logs))
        metrics = _describe(self.config, self.stream, self.learner, scores, student) | {
            "seconds": {
                "train": train_seconds,
                "evaluate": self.evaluate_seconds,
                "student": self.student_seconds,
                "theory": None if self.ledger is None else self.theory_seconds,
            },
            "examples_per_second": sum(log.examples for log in logs) / train_seconds,
            # one seed gives other numbers on another kind of device or in another precision
            "versions": versions() | {"device": self.config.settings.device, "precision": precision(self.config)},
        }
        self.folder.write_metrics(metrics)
        return metrics


def show_translations(learner: Learner[Any], stream: Stream, file: Path) -> None:
    """A picture with three rows per task: source, target, and what the source is translated to."""
    rows = []
    for task in stream[: len(learner.steps)]:
        test = task.test[:SHOWN]
        assert test.target is not None  # asked of pairs alone
        source = test.images()
        rows.append((f"{task.name}\nsource", source.numpy()))
        rows.append(("target", as_float(test.target).numpy()))
        rows.append(("translation", learner.translate(source).numpy()))
    picture_rows(rows, file)


def _quality(config: RunConfig, stream: Stream, learner: Learner[Any]) -> dict[str, Any]:
    """Blocks ``log_likelihood`` and ``frechet`` of ``metrics.json``."""
    likelihood, frechet = None, None
    if config.likelihood_draws:
        draws, examples = config.likelihood_draws, config.likelihood_examples
        likelihood = likelihood_scores(learner, stream, draws, examples, config.seed)
    if config.frechet_examples:
        frechet = frechet_scores(learner, stream, config.frechet_examples, config.seed)
    return {"log_likelihood": likelihood, "frechet": frechet}


def _describe(
    config: RunConfig,
    stream: Stream,
    learner: Learner[Any],
    scores: Mapping[str, Any],
    student: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What ``metrics.json`` says of a learner and a student, whoever trained them."""
    decisions = learner.decisions
    names = [task.name for task in stream][: len(decisions)]
    sizes = [sum(part.numel() for part in component.parameters()) for component in learner.components]
    described = {
        "stream": stream.name,
        "method": config.method,
        "seed": config.seed,
        "tasks": names,
        "task_components": [decision.component for decision in decisions],
        "decisions": [
            {
                "task": name,
                "action": decision.action,
                "component": decision.component,
                "novelty": decision.novelty,
                "threshold": decision.threshold,
            }
            for name, decision in zip(names, decisions, strict=True)
        ],
        "components": len(learner.components),
        **scores,
        "student": student,
        "parameters": {
            "mixture": sum(sizes) + learner.shared_parameters,
            "per_component": sizes,
            "shared": learner.shared_parameters,
        },
    }
    plain: dict[str, Any] = finite(described)
    return plain


@dataclass
class _Timed:
    seconds: float = 0.0


@contextmanager
def _timed() -> Iterator[_Timed]:
    """Wall-clock seconds of a block, known after it."""
    timed, began = _Timed(), time.perf_counter()
    yield timed
    timed.seconds = time.perf_counter() - began


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"out is {str(path)!r}, which can't be written: {error.strerror or error}") from error
