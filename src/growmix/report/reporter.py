"""The interface of whoever watches a run, and the records that it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from growmix.learning.gating import Decision
from growmix.training.callbacks import Callback


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do, and an estimate of how much work that is.

    Attributes
    ----------
    stream
        Name of the stream.
    seed
        Seed of everything random in the run.
    folder
        The folder that the run writes to.
    notes
        What was done to the examples so that they fit together.
    tasks
        Names of the tasks, in order.
    visits
        How many examples training will look at in each task, counted once an epoch; an estimate, since a task whose
        component is reused is trained together with replayed data.
    student_visits
        How many examples the training of the student will look at.
    versions
        Versions of growmix and of the packages that its figures depend on.
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
    """What became of one task: the decision, and how long it took.

    Attributes
    ----------
    index
        Which task was learnt, from 0.
    decision
        Which component learnt it, and why.
    train_seconds, evaluate_seconds
        Wall-clock time of training and of evaluation.
    """

    index: int
    decision: Decision
    train_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True)
class ResumePoint:
    """Where an interrupted run goes on.

    Attributes
    ----------
    tasks
        How many tasks were learnt and saved.
    step, steps
        How many steps of the next training were done, and how many there are; both 0 where it begins again.
    """

    tasks: int
    step: int = 0
    steps: int = 0


class Reporter(Callback):
    """Interface of whoever is told of a run as it goes, and of every training in it; does nothing by default."""

    def on_run_start(self, plan: RunPlan) -> None:
        """Called before the first task; everything that can be checked has been checked."""

    def on_resume(self, plan: RunPlan, resumed: ResumePoint) -> None:
        """Called instead of :meth:`on_run_start` where an interrupted run goes on; what it was doing is told again."""
        self.on_run_start(plan)

    def on_notice(self, text: str) -> None:
        """Called with something that whoever watches should know, after the run has started."""

    def on_task_start(self, index: int, examples: int) -> None:
        """Called before a task is learnt."""

    def on_decision(self, index: int, decision: Decision) -> None:
        """Called after a task is learnt, before it is evaluated."""

    def on_task_end(self, result: TaskResult) -> None:
        """Called after a task is learnt and evaluated, before what was measured is kept."""

    def on_student_start(self) -> None:
        """Called before the student is taught."""

    def on_student_end(self, student: Mapping[str, Any], seconds: float) -> None:
        """Called after the student is taught and evaluated; ``student`` is its block of the metrics."""

    def on_run_end(self, metrics: Mapping[str, Any] | None) -> None:
        """Called at the end with the metrics; ``None`` when the run was cut short."""


@final
class Beginning(Reporter):
    """Knows whether a run has begun, so that there is something to go on from.

    Parameters
    ----------
    seen
        Whether it has begun already.
    """

    def __init__(self, seen: bool = False) -> None:
        self.seen = seen

    def on_run_start(self, plan: RunPlan) -> None:
        """Note that the run has begun."""
        self.seen = True
