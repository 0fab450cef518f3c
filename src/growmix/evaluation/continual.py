"""What an accuracy matrix says about learning tasks one after another.

Row t of the matrix is the state after task t, column i is task i's test set; accuracies are shares of 1.
Only the lower triangle counts: row t needs no more than t + 1 entries. ``None`` or NaN stands for an unknown accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from growmix.errors import BadInput, shown

Matrix: TypeAlias = Sequence[Sequence[float | None]] | NDArray[np.floating]
Vector: TypeAlias = Sequence[float | None] | NDArray[np.floating]


def average_accuracy(matrix: Matrix) -> float | None:
    """Mean accuracy over all tasks after the last one: the mean of the last row.

    Parameters
    ----------
    matrix
        Accuracies, laid out as the module says.

    Returns
    -------
    float or None
        Tasks without a figure in the last row are left out; ``None`` if none has one.

    References
    ----------
    Lopez-Paz and Ranzato 2017, Gradient episodic memory for continual learning (ACC).

    Examples
    --------
    >>> average_accuracy([[1.0, None], [0.5, 1.0]])
    0.75
    """
    rows = _triangle(matrix)
    return _mean([value for value in rows[-1] if value is not None]) if rows else None


def forgetting(matrix: Matrix) -> float | None:
    r"""How far each task has fallen from the best that it ever was, mean over all tasks but the last.

    .. math:: \frac{1}{T-1} \sum_{i<T} \Big( \max_{i \le t<T} a_{t,i} - a_{T,i} \Big)

    Parameters
    ----------
    matrix
        Accuracies, laid out as the module says.

    Returns
    -------
    float or None
        In [-1, 1]; below 0 when the tasks got better. ``None`` with fewer than two tasks, and when an earlier
        figure of a task that counts is unknown: the best of the others could only be too low.

    References
    ----------
    Chaudhry, Dokania, Ajanthan, Torr 2018, Riemannian walk for incremental learning.

    Examples
    --------
    >>> forgetting([[1.0, None, None], [0.5, 1.0, None], [0.75, 0.75, 1.0]])
    0.25
    """
    rows = _triangle(matrix)
    change = _change(rows, [_best([row[i] for row in rows[i:-1]]) for i in range(len(rows) - 1)])
    return None if change is None else 0.0 - change  # not -change: nothing forgotten is 0, not -0


def backward_transfer(matrix: Matrix) -> float | None:
    r"""How much the accuracy on each task changed since it was learnt, mean over all tasks but the last.

    .. math:: \frac{1}{T-1} \sum_{i<T} ( a_{T,i} - a_{i,i} )

    Parameters
    ----------
    matrix
        Accuracies, laid out as the module says.

    Returns
    -------
    float or None
        In [-1, 1]; below 0 when tasks were forgotten. ``None`` with fewer than two tasks, and when it is not
        known how well a task that counts was learnt.

    References
    ----------
    Lopez-Paz and Ranzato 2017, Gradient episodic memory for continual learning (BWT).

    Examples
    --------
    >>> backward_transfer([[1.0, None, None], [0.5, 1.0, None], [0.75, 0.75, 1.0]])
    -0.25
    """
    rows = _triangle(matrix)
    return _change(rows, [rows[i][i] for i in range(len(rows) - 1)])


def forward_transfer(before: Vector, chance: Vector) -> float | None:
    """Accuracy above guessing on a task before it is learnt, mean over the tasks where that can be asked.

    Parameters
    ----------
    before
        Accuracy on each task just before it was learnt; ``None`` where its classes were not all known then.
    chance
        Accuracy of a guess: one over the number of classes that competed; as many numbers as ``before``.

    Returns
    -------
    float or None
        In [-1, 1]; ``None`` if it can be asked of no task.

    Raises
    ------
    BadInput
        The two differ in length, or one has a figure where the other has none.

    References
    ----------
    Lopez-Paz and Ranzato 2017 (FWT), with chance in place of an untrained network's accuracy.

    Examples
    --------
    >>> forward_transfer([None, 0.75, 0.5], [None, 0.5, 0.25])
    0.25
    """
    accuracies, guesses = _figures(before, "before"), _figures(chance, "chance")
    if len(accuracies) != len(guesses):
        raise BadInput(f"before has {len(accuracies)} tasks, but chance has {len(guesses)}; one each is needed")
    gains = []
    for i, (accuracy, guess) in enumerate(zip(accuracies, guesses, strict=True)):
        if (accuracy is None) != (guess is None):
            raise BadInput(f"task {i} has accuracy {accuracy} and chance {guess}; give both or neither")
        if accuracy is not None and guess is not None:
            gains.append(accuracy - guess)
    return _mean(gains)


def _change(rows: Sequence[Sequence[float | None]], earlier: Sequence[float | None]) -> float | None:
    """Average the last row minus an earlier figure, over the tasks that have a figure in the last row."""
    changes = []
    for now, then in zip(rows[-1] if rows else (), earlier, strict=False):
        if now is None:
            continue
        if then is None:
            return None
        changes.append(now - then)
    return _mean(changes)


def _best(values: Sequence[float | None]) -> float | None:
    """Return the largest value; ``None`` if any value is unknown."""
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def _triangle(matrix: Matrix) -> list[list[float | None]]:
    """Check a matrix, and return its lower triangle row by row."""
    rows = []
    _require_listed(matrix, "matrix")
    for t, row in enumerate(matrix):
        figures = _figures(row, f"row {t} of the matrix")
        if len(figures) <= t:
            raise BadInput(
                f"row {t} of the matrix has {len(figures)} entries; {t + 1} are needed, one for each task so far"
            )
        rows.append(figures[: t + 1])
    return rows


def _figures(values: Any, name: str) -> list[float | None]:
    """Check a list of numbers, in which ``None`` stands for an unknown one."""
    _require_listed(values, name)
    return [_known(value, name) for value in values]


def _require_listed(values: Any, name: str) -> None:
    listed = values.ndim > 0 if isinstance(values, np.ndarray) else isinstance(values, (list, tuple))
    if not listed:
        raise BadInput(f"{name} is {shown(values)}; allowed is a list or an array")


def _known(value: Any, name: str) -> float | None:
    if value is not None and (isinstance(value, (bool, np.bool_)) or not isinstance(value, Real)):
        raise BadInput(f"{name} has {shown(value)}; allowed are numbers, and None for an unknown one")
    return None if value is None or math.isnan(value) else float(value)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
