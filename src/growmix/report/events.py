"""Writes a run as JSON lines, for programs, and reads them back."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, final

from growmix.errors import BadCheckpoint, BadInput
from growmix.learning.gating import Decision
from growmix.report.reporter import Reporter, ResumePoint, RunPlan, TaskResult
from growmix.system.paths import check_path
from growmix.training.callbacks import FitInfo, Progress, TrainingLog

MOST_EVENTS = 2**28
"""Most bytes of a log that is read back: those of fifty thousand tasks."""

EPOCH_LINES = 10
"""How many lines each training has for its epochs: enough for a curve, few enough to read."""


@final
class EventLog(Reporter):
    """Appends one JSON object per line to a file, and keeps nothing in memory but what a line needs.

    Parameters
    ----------
    file
        The file to write, such as ``events.jsonl``; what it holds already stays.

    Notes
    -----
    ``event`` is one of ``run_started``, ``task_started``, ``training_started``, ``epoch``, ``training_finished``,
    ``decision``, ``task_finished``, ``student_started``, ``student_finished``, ``run_finished``,
    ``run_cut_short``, ``resumed``, ``notice``; ``time`` is UTC.

    Lines are added and never changed. After ``resumed``, what the interrupted process had begun is written again:
    :func:`read_events` returns what happened, each thing once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._tasks: tuple[str, ...] = ()
        if not _ends_whole(file):
            with file.open("a", encoding="utf-8") as stream:
                stream.write("\n")  # the torn line of a process that was killed stays a line of its own

    def on_run_start(self, plan: RunPlan) -> None:
        """Say what the run is."""
        self._tasks = plan.tasks
        self._write(
            "run_started",
            stream=plan.stream,
            seed=plan.seed,
            tasks=plan.tasks,
            notes=plan.notes,
            versions=dict(plan.versions),
        )

    def on_resume(self, plan: RunPlan, resumed: ResumePoint) -> None:
        """Say where the run goes on from."""
        self._tasks = plan.tasks
        piece = plan.tasks[resumed.tasks] if resumed.tasks < len(plan.tasks) else None
        self._write("resumed", learnt=resumed.tasks, task=piece, step=resumed.step, steps=resumed.steps)

    def on_notice(self, text: str) -> None:
        """Write what whoever watches should know."""
        self._write("notice", text=text)

    def on_task_start(self, index: int, examples: int) -> None:
        """Say which task begins."""
        self._write("task_started", task=self._tasks[index], index=index, examples=examples)

    def on_fit_start(self, fit: FitInfo) -> None:
        """Say what is trained."""
        self._write("training_started", **asdict(fit))

    def on_epoch_end(self, progress: Progress) -> None:
        """Say every few epochs how far training is."""
        every = math.ceil(progress.epochs / EPOCH_LINES)
        if progress.epoch % every == 0 or progress.epoch == progress.epochs:
            self._write("epoch", **asdict(progress))

    def on_fit_end(self, log: TrainingLog) -> None:
        """Say what training took; its losses are in the epochs' lines."""
        self._write(
            "training_finished",
            epochs=log.epochs,
            steps=log.steps,
            examples=log.examples,
            seconds=log.seconds,
        )

    def on_decision(self, index: int, decision: Decision) -> None:
        """Say what the gate decided, and why."""
        self._write("decision", task=self._tasks[index], **asdict(decision))

    def on_task_end(self, result: TaskResult) -> None:
        """Say that the task is learnt, evaluated and kept."""
        self._write(
            "task_finished",
            task=self._tasks[result.index],
            index=result.index,
            seconds={"train": result.train_seconds, "evaluate": result.evaluate_seconds},
        )

    def on_student_start(self) -> None:
        """Say that the student is taught now."""
        self._write("student_started")

    def on_student_end(self, student: Mapping[str, Any], seconds: float) -> None:
        """Say what the student knows."""
        self._write("student_finished", **student, seconds=seconds)

    def on_run_end(self, metrics: Mapping[str, Any] | None) -> None:
        """Say that it is over."""
        if metrics is None:
            self._write("run_cut_short")
        else:
            self._write("run_finished", average=metrics["average"], seconds=metrics["seconds"])

    def _write(self, event: str, **values: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps(finite({"event": event, "time": now, **values}), allow_nan=False)
        try:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
                if event == "run_finished":  # what could go on with the run is removed after it
                    stream.flush()
                    os.fsync(stream.fileno())
        except OSError as error:
            raise BadInput(f"{self._file} can't be written: {error.strerror or error}") from error


def read_events(file: str | Path) -> list[dict[str, Any]]:
    r"""Read what happened in a run, in order and each thing once, however often it was interrupted.

    Lines that are torn, or that no run writes, are left out. What was written twice stands where it was written first;
    for a beginning the first line counts, for everything else the last.

    Raises
    ------
    BadInput
        There is no such file.
    BadCheckpoint
        The file has more bytes than any run writes.

    Examples
    --------
    >>> import tempfile
    >>> lines = ['{"event": "task_started", "index": 0}', '{"event": "ep', '{"event": "resumed"}']
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "events.jsonl"
    ...     _ = file.write_text("\n".join([*lines, lines[0]]))
    ...     [event["event"] for event in read_events(file)]
    ['task_started', 'resumed']
    """
    told: dict[tuple[Any, ...], dict[str, Any]] = {}
    piece: Any = None
    component: Any = None
    file = check_path(file, "file")
    if not file.is_file():
        raise BadInput(f"file is {str(file)!r}, which does not exist; give the events.jsonl of a run")
    if file.stat().st_size > MOST_EVENTS:
        raise BadCheckpoint(f"{file} has {file.stat().st_size} bytes; allowed are {MOST_EVENTS:,}")
    for number, line in enumerate(file.read_bytes().splitlines()):
        event = _parsed(line)
        if event is None:
            continue
        name = event["event"]
        if name in ("task_started", "student_started"):
            piece = event.get("index")
        if name == "training_started":
            component = event.get("component")
        where = (piece, component, event.get("epoch")) if name in _OF_TRAINING else (piece,)
        key = (name, number) if name in _EVERY_TIME else (name, *where)
        if key not in told or not name.endswith("_started"):
            told[key] = event
    return list(told.values())


_OF_TRAINING = ("training_started", "epoch", "training_finished")

_EVERY_TIME = ("run_started", "run_finished", "run_cut_short", "resumed", "notice")
"""Events that belong to a process, not to a task: each of their lines counts."""


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    numbers = (event.get("index"), event.get("component"), event.get("epoch"))
    return event if all(number is None or isinstance(number, int) for number in numbers) else None


def _ends_whole(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read() == b"\n"
    except OSError:  # no file, or an empty one
        return True


def finite(value: Any) -> Any:
    """Return the value with ``None`` for every number that JSON has no word for.

    Examples
    --------
    >>> finite({"novelty": (0.5, float("inf"))})
    {'novelty': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
