"""Brings the labels of a stream and those of a model together, before any answer is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from growmix.data.labels import Names
from growmix.data.task import UNLABELLED, TaskData
from growmix.errors import BadInput, shortened, shown
from growmix.streams.stream import Task

if TYPE_CHECKING:
    from growmix.learning.model import Model
    from growmix.streams import Stream


def check_tasks(stream: Any) -> None:
    """Refuse what is neither a stream nor a list of tasks.

    Raises
    ------
    BadInput
        The argument is something else, or has no task.
    """
    if not isinstance(stream, Sequence) or not stream or not all(isinstance(task, Task) for task in stream):
        raise BadInput(f"stream is {shown(stream)}; allowed is a stream, or a list of its tasks")


def check_test_labels(stream: Stream) -> None:
    """Refuse a stream that could be learnt but not evaluated, before hours are spent on the learning.

    Raises
    ------
    BadInput
        A task's test data have a label that no training data up to then have, though all of its own are labelled.
    """
    learnt: set[int] = set()
    for task in stream:
        learnt.update(task.train.classes())
        unknown = [stream.class_names[label] for label in _labels_to_know(task) if label not in learnt]
        if unknown:
            raise BadInput(
                f"task {task.name!r} has test examples of the class {shortened(', '.join(unknown))}, of which neither "
                "it nor a task before has training examples; add some, or leave the class out (such as 'mnist/0-4')"
            )


def in_labels_of(model: Model, stream: Sequence[Task], learnt: int) -> Sequence[Task]:
    """Give a stream's labels the numbers that a model gives them.

    Parameters
    ----------
    model
        The model that learnt labels: numbers, which are those of the stream, or names.
    stream
        The tasks; their labels have names if those that the model learnt have names.
    learnt
        How many tasks at the beginning have labels that the model must know. A label that occurs in the test data alone
        may be unknown where training examples had no label.

    Raises
    ------
    BadInput
        The model does not know a label that it should have learnt.
    """
    known = model.classes_.tolist()
    if not known:
        return stream
    class_names: Names = getattr(stream, "class_names", ())
    by_name = isinstance(known[0], str)
    if by_name and not class_names:
        raise BadInput("the mixture learnt labels that are names, and stream has no class_names to tell its own apart")
    for task in stream[:learnt]:
        _check_known(task, known, class_names if by_name else ())
    return [_numbered(task, class_names, known) for task in stream] if by_name else stream


def _check_known(task: Task, known: list[Any], class_names: Names) -> None:
    """See that a model knows a task's labels, by name where there are class names."""
    names = task.train.names or task.test.names
    if names and not class_names:
        raise BadInput(
            f"task {task.name!r} has names such as {shown(names[0])} as labels, but those that the mixture learnt "
            f"are numbers: {shown(known)}"
        )
    labels: Sequence[Any] = _labels_to_know(task)
    if class_names:
        labels = [class_names[label] for label in labels]
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise BadInput(
            f"task {task.name!r} has the labels {shown(unknown)}, which were never learnt; allowed are {shown(known)}"
        )


def _labels_to_know(task: Task) -> tuple[int, ...]:
    """Labels that must have been learnt to evaluate a task."""
    whole = task.train.y is not None and bool((task.train.y != UNLABELLED).all())
    return task.classes if whole else task.train.classes()


def _numbered(task: Task, class_names: Names, known: list[str]) -> Task:
    """Number a task's labels by their positions among the known names; a name not known yet is numbered after them."""
    table = [known.index(name) if name in known else len(known) + k for k, name in enumerate(class_names)]

    def renumbered(data: TaskData) -> TaskData:
        return data if data.y is None else replace(data, y=torch.tensor([*table, UNLABELLED])[data.y], names=())

    train, test = renumbered(task.train), renumbered(task.test)
    return replace(task, train=train, test=test, classes=tuple(sorted(table[label] for label in task.classes)))
