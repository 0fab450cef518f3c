"""What a study reads of a finished run: ``metrics.json`` as records, whose types are checked.

The file may be of another version, or changed by hand. What a study needs of it must be there and of the right type, or
the file is named; what a study does not use is passed over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from growmix.errors import BadCheckpoint
from growmix.storage.typed import record_from

Row: TypeAlias = tuple[float | None, ...]
"""One figure for each task; ``None`` where it is not known or does not apply."""


@dataclass(frozen=True)
class Average:
    """Averages over all tasks after the last one; ``None`` where a figure does not apply.

    Attributes
    ----------
    task_agnostic
        Accuracy where nothing but the example is given.
    task_aware
        Accuracy where the task is given too.
    grouped
        Accuracy with one component for a whole test set, chosen without labels.
    forgetting
        Drop of the accuracy on a task since it was best.
    selection, backward_transfer, forward_transfer
        Figures that only ``results.json`` repeats.
    """

    task_agnostic: float | None = None
    task_aware: float | None = None
    grouped: float | None = None
    forgetting: float | None = None
    selection: float | None = None
    backward_transfer: float | None = None
    forward_transfer: float | None = None

    def figure(self, name: str) -> float | None:
        """Return the average of this name."""
        value: float | None = getattr(self, name)
        return value


@dataclass(frozen=True)
class Decision:
    """What the gate decided about one task.

    Attributes
    ----------
    task
        Name of the task.
    action
        Whether a component was added ("grow") or updated ("reuse").
    component
        Which component learnt the task, from 0.
    novelty
        Novelty of the task to each component; ``None`` stands for infinity, which JSON does not have.
    threshold
        What the novelty was compared with.
    """

    task: str
    action: str
    component: int
    novelty: Row
    threshold: float | None

    @property
    def nearest(self) -> float:
        """Novelty to the nearest component."""
        return min(math.inf if value is None else value for value in self.novelty)


@dataclass(frozen=True)
class Made:
    """How near what was made is to what it should be, by task: reconstructions, or translations."""

    mse: Row
    ssim: Row
    psnr: Row

    def figure(self, name: str) -> Row:
        """Return the figure of this name, by task."""
        row: Row = getattr(self, name)
        return row


@dataclass(frozen=True)
class Translation(Made):
    """How near translations are to their targets after the last task, and when each task was learnt."""

    when_learnt: Made


@dataclass(frozen=True)
class OverTime:
    """Squared error on each task's test images (column) after each task (row); ``None`` above the diagonal."""

    mse: tuple[Row, ...]


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on each task's test set (column) after each task (row); ``None`` without labels."""

    task_agnostic: tuple[Row, ...] | None


@dataclass(frozen=True)
class Parameters:
    """Sizes of a model, in numbers that it learns.

    Attributes
    ----------
    mixture
        Size of the whole model.
    per_component
        Size of each component, without what is shared.
    shared
        Size of what all components share.
    """

    mixture: int
    per_component: tuple[int, ...]
    shared: int


@dataclass(frozen=True)
class Seconds:
    """Wall-clock times of the run in seconds; ``student`` is ``None`` where none was taught."""

    train: float
    evaluate: float
    student: float | None


@dataclass(frozen=True)
class Student:
    """What the student of a mixture knows, and its size in parameters."""

    average: Average
    reconstruction: Made
    parameters: int


@dataclass(frozen=True)
class Metrics:
    """What a finished run measured, as far as studies use it; the blocks are those of ``metrics.json``."""

    tasks: tuple[str, ...]
    components: int
    decisions: tuple[Decision, ...]
    accuracy: Accuracy
    average: Average
    reconstruction: Made
    reconstruction_over_time: OverTime
    translation: Translation | None
    student: Student | None
    parameters: Parameters
    seconds: Seconds
    examples_per_second: float

    @classmethod
    def of(cls, document: Any) -> Metrics:
        """Take from a parsed ``metrics.json`` what studies use.

        Raises
        ------
        ValueError
            Something that is needed is missing, or of another type; the message says where.
        """
        return record_from(document, cls)

    @property
    def examples_seen(self) -> int:
        """Examples that training looked at, repetitions and replay included."""
        return round(self.examples_per_second * self.seconds.train)

    @property
    def last_accuracies(self) -> Row:
        """Accuracy on each task after the last one, where nothing but the example is given; none without labels."""
        rows = self.accuracy.task_agnostic
        return rows[-1] if rows else (None,) * len(self.tasks)

    @property
    def novelties(self) -> list[float]:
        """Novelty of every task but the first to the nearest component that there was."""
        return [decision.nearest for decision in self.decisions[1:]]


def read_metrics(folder: Path) -> Metrics:
    """Read what a finished run measured.

    Parameters
    ----------
    folder
        Folder of the run.

    Raises
    ------
    BadCheckpoint
        The file is missing, can't be read, or is not what a run writes.
    """
    from growmix.experiment import METRICS, RunFolder

    document = RunFolder(folder).metrics()
    try:
        return Metrics.of(document)
    except ValueError as error:
        raise BadCheckpoint(
            f"{folder / METRICS} does not hold the metrics of a run ({error}); remove the folder to run it again"
        ) from error
