"""Bring images of unlike shape to the largest size and channel count of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from growmix.data.task import Shape, TaskData
from growmix.errors import BadInput
from growmix.streams import transforms
from growmix.streams.stream import Task


def one_shape(tasks: Mapping[str, Task]) -> tuple[dict[str, Task], tuple[str, ...]]:
    """Bring all images of all tasks to one shape, sources and targets of pairs alike.

    Parameters
    ----------
    tasks
        Tasks by name; their images are ``uint8``, gray or RGB.

    Returns
    -------
    tasks
        The tasks in the same order, with images of one shape.
    notes
        One line for each kind of image to which something was done.

    Raises
    ------
    BadInput
        There is too little memory; the message names the task.
    """
    shapes = [shape for task in tasks.values() for data in (task.train, task.test) for shape in _shapes(data).values()]
    goal: Shape = (max(s[0] for s in shapes), max(s[1] for s in shapes), max(s[2] for s in shapes))
    fitted = {name: _fit_task(task, goal) for name, task in tasks.items()}
    return fitted, tuple(note for task in tasks.values() for note in _notes(task, goal))


def _shapes(data: TaskData) -> dict[str, Shape]:
    """Return the shape of each kind of image, by what is added to the name of a task to speak of it."""
    if data.target_shape is None:
        return {"": data.shape}
    return {", sources": data.shape, ", targets": data.target_shape}


def _fit_task(task: Task, goal: Shape) -> Task:
    try:
        return Task(task.name, _fit_all(task.train, goal), _fit_all(task.test, goal), task.classes)
    except BadInput as error:
        raise BadInput(f"task {task.name!r}, brought to the shape {goal} of the largest: {error}") from error


def _fit_all(data: TaskData, goal: Shape) -> TaskData:
    return TaskData(_fit(data.x, goal), data.y, None if data.target is None else _fit(data.target, goal))


def _fit(images: Tensor, goal: Shape) -> Tensor:
    channels, height, width = goal
    images = transforms.resize(images, height, width)
    # resized first: one channel is a third of the work of three
    return images if images.shape[1] == channels else transforms.rgb(images)


def _notes(task: Task, goal: Shape) -> Iterator[str]:
    kinds = [kind for data in (task.train, task.test) for kind in _shapes(data).items()]
    for which, shape in dict.fromkeys(kinds):
        done = []
        if shape[0] != goal[0]:
            done.append("gray repeated over the colour channels")
        if shape[1:] != goal[1:]:
            done.append("resized bilinearly")
        if done:
            yield f"{task.name}{which}: {_text(shape)} brought to {_text(goal)} ({', '.join(done)})"


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))
