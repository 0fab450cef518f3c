"""Reporter: what is told to whoever watches a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from growmix.learning.gating import Decision
from growmix.training.callbacks import Callback


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    Attributes
    ----------
    stream
        Name of the stream.
    seed
        Of everything random.
    folder
        Where the run is written to.
    notes
        What was done to the images so that they fit together.
    tasks
        Names of the tasks, in order.
    visits
        Examples that training will look at, per task, counted once an epoch; an estimate, since a task whose
        component is reused is trained together with replayed data.
    student_visits
        The same for the student.
    versions
        Of growmix and what it stands on.
    """

    stream: str
    seed: int
    folder: Path
    notes: tuple[str, ...]
    tasks: tuple[str, ...]
    visits: tuple[int, ...]
    student_visits: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class TaskResult:
    """What became of one task.

    Attributes
    ----------
    index
        Of the task, from 0.
    decision
        What the gate said.
    train_seconds, evaluate_seconds
        Wall-clock time of both.
    """

    index: int
    decision: Decision
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True)
class ResumePoint:
    """Where an interrupted run was left.

    Attributes
    ----------
    tasks
        Learnt and kept.
    step, steps
        Done and to be done of the training after them; both 0 where it begins anew.
    """

    tasks: int
    step: int = 0
    steps: int = 0


class Reporter(Callback):
    """Is told of a run as it goes, and as a callback of every training in it; does nothing by default."""

    def on_run_start(self, plan: RunPlan) -> None:
        """Before the first task; everything that can be checked was checked."""

    def on_resume(self, plan: RunPlan, left: ResumePoint) -> None:
        """In place of :meth:`on_run_start` where an interrupted run goes on; what it was doing is told of again."""
        self.on_run_start(plan)

    def on_notice(self, text: str) -> None:
        """Something that whoever watches should know; after the run has started."""

    def on_task_start(self, index: int, examples: int) -> None:
        """Before a task is learnt."""

    def on_decision(self, index: int, decision: Decision) -> None:
        """After a task is learnt, before it is evaluated."""

    def on_task_end(self, result: TaskResult) -> None:
        """After a task is learnt, evaluated and kept."""

    def on_student_start(self) -> None:
        """Before the student is taught."""

    def on_student_end(self, student: Mapping[str, Any], seconds: float) -> None:
        """After the student is taught and evaluated; ``student`` is its part of the metrics."""

    def on_run_end(self, metrics: Mapping[str, Any] | None) -> None:
        """At the end; ``None`` when the run was cut short."""


@final
class Beginning(Reporter):
    """Knows whether a run has begun, so that there is something to go on from."""

    def __init__(self, seen: bool = False) -> None:
        self.seen = seen

    def on_run_start(self, plan: RunPlan) -> None:
        """It has."""
        self.seen = True
