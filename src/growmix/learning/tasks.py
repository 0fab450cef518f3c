"""A task as a learner takes it: checked against what was learnt before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from growmix.components.component import Component
from growmix.data.domain import Domain, Support
from growmix.data.task import UNLABELLED, TaskData, as_float, check_task
from growmix.errors import BadInput, shown
from growmix.learning.knowledge import Knowledge
from growmix.training.callbacks import Callback


def task_for(data: Any, known: Knowledge, supervised: bool | None, support: Support | None) -> TaskData:
    """Check a task against what was learnt before, and return it with the labels' numbers.

    Parameters
    ----------
    data
        What a user hands to ``learn``.
    known
        What the learner knows when the task comes.
    supervised
        Whether components classify, as the settings say; ``None`` leaves it to the first task.
    support
        Which numbers the examples of the first task hold, as the settings say; ``None`` takes that of their shape.

    Raises
    ------
    BadInput
        The data are no task, or are unlike what was learnt: other examples, labels of the other kind, no pairs.
    """
    task = check_task(data, known.domain() if known.components else None, support)
    return fitted(task, known, supervised)


def fitted(task: TaskData, known: Knowledge, supervised: bool | None) -> TaskData:
    """Return checked data with the labels' numbers, or refuse what can't be learnt beside what was learnt before.

    Parameters and errors are those of :func:`task_for`.
    """
    first = known.components[0] if known.components else None
    task = _numbered(task, known)
    _check_targets(task, known, first, supervised)
    classifies = supervised if first is None else first.supervised
    if classifies is None or task.target is not None:
        return task
    if task.y is not None and not classifies:
        raise BadInput("data has labels, but this mixture is unsupervised; give x alone, or start with supervised=True")
    if task.y is None and classifies:
        return replace(task, y=torch.full((len(task),), UNLABELLED))
    return task


def _check_targets(task: TaskData, known: Knowledge, first: Component | None, supervised: bool | None) -> None:
    targets = known.target_shape if first else task.target_shape
    if task.target_shape != targets:
        raise BadInput(
            f"data has targets of shape {task.target_shape}, but {targets} is what was learnt (None: no pairs); "
            "start a new mixture for them"
        )
    if task.target is not None and supervised:
        raise BadInput("supervised is True, but data are pairs of images, which are learnt without labels")


def _numbered(task: TaskData, known: Knowledge) -> TaskData:
    """Return the task with the numbers that its labels have here, where they are names."""
    labels, names = known.labels, known.names
    if task.names and labels and not names:
        raise BadInput(
            f"y has names such as {shown(task.names[0])}, but the labels learnt are numbers: {shown(list(labels))}"
        )
    if task.classes() and names and not task.names:
        raise BadInput(f"y has numbers such as {task.classes()[0]}, but the labels learnt are names: {shown(names)}")
    return task.numbered_after(names)


def domain_of(task: TaskData, known: Knowledge) -> Domain:
    """Return the domain of all components, with the statistics of the first task."""
    if known.components:
        return known.domain()
    return task.domain.with_statistics(as_float(task.x))


def target_of(task: TaskData, domain: Domain) -> Domain | None:
    """Return the domain of the examples that a task's pairs are translated to; ``None`` without pairs."""
    return None if task.target_shape is None else Domain(task.target_shape, domain.support)


def check_callbacks(callbacks: Any) -> Sequence[Callback]:
    """Return callbacks as they were given, or refuse what can't be told of a training.

    Raises
    ------
    BadInput
        The callbacks are no list of objects of that interface.
    """
    if not isinstance(callbacks, (list, tuple)) or not all(isinstance(each, Callback) for each in callbacks):
        raise BadInput(f"callbacks is {shown(callbacks)}; allowed is a list of growmix.training.callbacks.Callback")
    return callbacks
