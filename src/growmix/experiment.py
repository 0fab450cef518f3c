"""One run: learn a stream task by task, evaluate, distil, and write what came of it.

A run's folder holds ``config.yaml`` (what was asked for), ``events.jsonl`` (what happened, a line each),
``checkpoint/`` (the model after the last finished task; the student in ``checkpoint/student/``), ``metrics.json`` and,
for pairs, ``translation.png``. With ``--theory`` also ``theory.json`` and its figures.
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

from growmix import __version__, baselines, streams
from growmix.config import RunConfig, read_values
from growmix.data import as_float, check_task
from growmix.errors import BadInput, GrowmixError
from growmix.evaluation import Evaluator, evaluate, evaluate_student
from growmix.learner import Learner
from growmix.mixture import GrowingMixture
from growmix.nets import check_blueprint
from growmix.quality import frechet_scores, likelihood_scores
from growmix.report.events import EventLog, finite
from growmix.report.figures import picture_rows
from growmix.report.reporter import Reporter, RunPlan, TaskResult
from growmix.sealing import remove_folder
from growmix.streams import Stream
from growmix.student import Student, lessons_for
from growmix.theory import files as theory_files
from growmix.theory.account import account
from growmix.theory.ledger import RiskLedger, check_stream
from growmix.training import Budget, make_fabric, native_precision

CONFIG = "config.yaml"
METRICS = "metrics.json"
EVENTS = "events.jsonl"
CHECKPOINT = "checkpoint"
STUDENT = "student"
"""Inside the checkpoint: saving a mixture replaces the folder, and with it a student of what it knew before."""

SAMPLES = "samples.png"
INTERPOLATION = "interpolation.png"
TRANSLATION = "translation.png"

SHOWN = 8
"""Test images per task in a picture of translations."""


def run(config: RunConfig, *, overwrite: bool = False, reporters: Sequence[Reporter] = ()) -> dict[str, Any]:
    """Learn a stream and write the run's folder.

    Parameters
    ----------
    config
        What to do.
    overwrite
        Whether an earlier run in the same folder may be replaced.
    reporters
        Told of the run as it goes.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    BadInput, DataUnavailable
        Something asked for is wrong; nothing was trained or written.
    KeyboardInterrupt, GrowmixError
        The run was cut short. What was learnt is kept: the checkpoint and the metrics of the finished tasks.
    """
    RunFolder(config.folder).check(overwrite)
    fabric = make_fabric(config.settings)  # a device that is not there shows before data are read
    if fabric.global_rank > 0:
        # every process learns the same mixture; the first one alone writes and reports
        with tempfile.TemporaryDirectory() as elsewhere:
            return _run(replace(config, out=Path(elsewhere)), ())
    return _run(config, reporters)


def _run(config: RunConfig, reporters: Sequence[Reporter]) -> dict[str, Any]:
    folder = RunFolder(config.folder)
    learner = baselines.make_learner(config.method, config.settings)
    stream = load_stream(config)
    check_method(config, stream)
    if config.theory:
        check_theory(config, stream)
    check_blueprint(learner.blueprint, config.settings.latent, stream.shape)  # networks that can't be had show here
    folder.open(config)

    everyone = [EventLog(folder.path / EVENTS), *reporters]
    for reporter in everyone:
        reporter.on_run_start(plan(config, stream))
    course = _Course(config, stream, learner, folder, everyone)
    finished = None
    try:
        for index in range(len(stream)):
            course.learn(index)
        finished = course.finish()
    except (KeyboardInterrupt, GrowmixError):
        course.keep()
        raise
    finally:
        for reporter in everyone:
            reporter.on_run_end(finished)
    return finished


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
    there = (folder / CHECKPOINT / STUDENT).exists()
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
                f"out is {str(self.path)!r}, which holds a run already; choose another --out, or say --overwrite"
            )
        if held and EVENTS not in held:
            raise BadInput(f"out is {str(self.path)!r}, whose {held[0]} is not from a run; choose another --out")
        nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} is a file; choose another --out")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} can't be written; choose another --out")

    def open(self, config: RunConfig) -> None:
        """Make the folder, clear it of an earlier run, and write the configuration."""
        with _writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for name in (METRICS, SAMPLES, INTERPOLATION, TRANSLATION, *theory_files.ALL, CONFIG, EVENTS):
                (self.path / name).unlink(missing_ok=True)
            remove_folder(self.path / CHECKPOINT)
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
    ) -> None:
        self.config, self.stream, self.learner = config, stream, learner
        self.folder, self.reporters = folder, reporters
        self.evaluator = Evaluator(stream)
        self.ledger = RiskLedger(stream) if config.theory else None
        self.theory_seconds = 0.0
        self.train_seconds = self.evaluate_seconds = 0.0
        self.student_seconds: float | None = None
        self.saved = 0  # tasks that the checkpoint knows

    def learn(self, index: int) -> None:
        """Learn a task, keep the mixture, evaluate it."""
        task = self.stream[index]
        for reporter in self.reporters:
            reporter.on_task_start(index, len(task.train))
        # a mixture that is told to be unsupervised takes images alone
        data = replace(task.train, y=None) if self.config.settings.supervised is False else task.train
        with _timed() as train:
            decision = self.learner.learn(data, callbacks=self.reporters)
        self.train_seconds += train.seconds
        self._save()
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
            reporter.on_task_end(TaskResult(index, decision, train.seconds, evaluated.seconds))

    def finish(self) -> dict[str, Any]:
        """Teach the student if there is to be one, evaluate, write the metrics."""
        student = self._teach() if teaches(self.config) else None
        with _timed() as evaluated:
            quality = _quality(self.config, self.stream, self.learner)
            if self.learner.components[0].target_shape is not None:
                show_translations(self.learner, self.stream, self.folder.path / TRANSLATION)
        self.evaluate_seconds += evaluated.seconds
        return self._write(student, quality)

    def _teach(self) -> dict[str, Any]:
        assert isinstance(self.learner, GrowingMixture)  # no other method teaches
        for reporter in self.reporters:
            reporter.on_student_start()
        with _timed() as taught:
            student = self.learner.distill(callbacks=self.reporters)
        self.student_seconds = taught.seconds
        student.save(self.folder.path / CHECKPOINT / STUDENT)
        if self.ledger is not None:
            with _timed() as followed:
                self.ledger.after_student(student)
            self.theory_seconds += followed.seconds
        with _timed() as evaluated:
            scores = evaluate_student(student, self.stream).to_dict()
        self.evaluate_seconds += evaluated.seconds
        for reporter in self.reporters:
            reporter.on_student_end(scores, taught.seconds)
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
        seen = sum(log.examples for log in self.learner.training_logs)
        metrics = _describe(self.config, self.stream, self.learner, scores, student) | {
            "seconds": {
                "train": self.train_seconds,
                "evaluate": self.evaluate_seconds,
                "student": self.student_seconds,
                "theory": None if self.ledger is None else self.theory_seconds,
            },
            "examples_per_second": seen / self.train_seconds,
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
