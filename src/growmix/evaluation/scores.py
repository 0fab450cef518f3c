"""The figures of a model over a stream, as records that become the blocks of ``metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from growmix.evaluation.continual import average_accuracy, backward_transfer, forgetting, forward_transfer
from growmix.evaluation.images import FIGURES, PictureScores, ReconstructionScores

Accuracies: TypeAlias = tuple[tuple[float | None, ...], ...]
"""Accuracy on task i's test set (column) after task t (row); ``None`` above the diagonal and where it is unknown."""

History: TypeAlias = tuple[tuple[PictureScores | None, ...], ...]
"""What was made of task i's test set (column) after task t (row); ``None`` where it is unknown."""

PROTOCOLS = ("task_aware", "task_agnostic", "selection", "grouped")
"""The four ways of asking for an accuracy, see :mod:`growmix.evaluation.protocols`."""


@dataclass(frozen=True)
class Average:
    """Averages over all tasks learnt, after the last one; ``None`` where a figure does not apply.

    Forgetting and both transfers are those of ``task_agnostic``, see :mod:`growmix.evaluation.continual`.
    """

    task_aware: float | None
    task_agnostic: float | None
    selection: float | None
    grouped: float | None
    forgetting: float | None
    backward_transfer: float | None
    forward_transfer: float | None


@dataclass(frozen=True)
class Scores:
    """What a mixture can do on every task of a stream, after each task.

    Attributes
    ----------
    task_aware, task_agnostic
        Accuracies; ``None`` if the mixture learnt without labels.
    selection
        Share of test examples for which a component that learnt their task is chosen.
    grouped
        Accuracy with one component for a whole test set; ``None`` without labels.
    before
        ``task_agnostic`` on each task just before it was learnt; ``None`` unless all its classes were known.
    chance
        One over the number of classes that competed just before each task was learnt.
    reconstruction
        How well each task's test examples come back after the last task, by the component chosen for each example.
    over_time
        Reconstruction of task i after task t, in row t; ``None`` above the diagonal and where it is unknown.
    translation, translation_over_time
        How near the translations of sources are to their targets, laid out like the two before; ``None`` without pairs.
    """

    task_aware: Accuracies | None
    task_agnostic: Accuracies | None
    selection: Accuracies
    grouped: Accuracies | None
    before: tuple[float | None, ...]
    chance: tuple[float | None, ...]
    reconstruction: tuple[ReconstructionScores, ...]
    over_time: History
    translation: tuple[PictureScores, ...] | None
    translation_over_time: History | None

    @property
    def average(self) -> Average:
        """One number for each question."""
        aware, agnostic = self.task_aware or (), self.task_agnostic or ()
        return Average(
            task_aware=average_accuracy(aware),
            task_agnostic=average_accuracy(agnostic),
            selection=average_accuracy(self.selection),
            grouped=average_accuracy(self.grouped or ()),
            forgetting=forgetting(agnostic),
            backward_transfer=backward_transfer(agnostic),
            forward_transfer=forward_transfer(self.before, self.chance),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the blocks of ``metrics.json`` that hold accuracies, reconstructions and translations."""
        matrices: dict[str, Accuracies | None] = {name: getattr(self, name) for name in PROTOCOLS}
        return {
            "accuracy": {
                name: None if matrix is None else [list(row) for row in matrix] for name, matrix in matrices.items()
            },
            "average": asdict(self.average),
            "reconstruction": columns(self.reconstruction),
            "reconstruction_over_time": _matrices(self.over_time),
            "translation": self._translation(),
        }

    def _translation(self) -> dict[str, Any] | None:
        if self.translation is None or self.translation_over_time is None:
            return None
        learnt = [row[t] for t, row in enumerate(self.translation_over_time)]
        return {**columns(self.translation), "when_learnt": {name: _cells(learnt, name) for name in FIGURES}}


@dataclass(frozen=True)
class StudentScores:
    """What a student can do on every task of a stream: one number for each task.

    Attributes
    ----------
    task_aware, task_agnostic
        Accuracies; ``None`` if the student learnt without labels. It has no components to choose from: a task
        that is given only says which classes compete.
    reconstruction
        How well each task's test examples come back.
    translation
        How near the translations of each task's sources are to their targets; ``None`` without pairs.
    parameters
        How many numbers the student consists of.
    """

    task_aware: tuple[float | None, ...] | None
    task_agnostic: tuple[float | None, ...] | None
    reconstruction: tuple[ReconstructionScores, ...]
    translation: tuple[PictureScores, ...] | None
    parameters: int

    @property
    def average(self) -> Average:
        """Means over the tasks; a student has no history and chooses no component."""
        return Average(_mean(self.task_aware), _mean(self.task_agnostic), None, None, None, None, None)

    def to_dict(self) -> dict[str, Any]:
        """Return the block ``student`` of ``metrics.json``: its keys, with the last row alone as accuracy."""
        rows = {"task_aware": self.task_aware, "task_agnostic": self.task_agnostic, "selection": None, "grouped": None}
        return {
            "accuracy": {name: None if row is None else list(row) for name, row in rows.items()},
            "average": asdict(self.average),
            "reconstruction": columns(self.reconstruction),
            "translation": None if self.translation is None else columns(self.translation),
            "parameters": self.parameters,
        }


def columns(scores: Sequence[PictureScores]) -> dict[str, list[float | None]]:
    """Turn one record for each task into one list for each figure."""
    names = list(asdict(scores[0])) if scores else FIGURES
    return {name: _cells(scores, name) for name in names}


def _matrices(history: History) -> dict[str, list[list[float | None]]]:
    """Turn a matrix of records into one matrix for each figure."""
    return {name: [_cells(row, name) for row in history] for name in FIGURES}


def _cells(scores: Sequence[PictureScores | None], name: str) -> list[float | None]:
    """Read one figure of every record; JSON has no infinity, which the PSNR of an exact copy is."""
    values: list[float | None] = [None if cell is None else getattr(cell, name) for cell in scores]
    return [None if value is None or not math.isfinite(value) else value for value in values]


def _mean(values: Sequence[float | None] | None) -> float | None:
    known = [value for value in values or () if value is not None]
    return math.fsum(known) / len(known) if known else None
