"""From names to a stream: data sets found, classes chosen, images transformed and brought to one shape."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch

from growmix.data import UNLABELLED, Shape, TaskData
from growmix.errors import BadInput
from growmix.streams import catalogue, transforms
from growmix.streams.cache import DecodedCache
from growmix.streams.decoding import Decoded
from growmix.streams.sources import DataSet, find
from growmix.streams.stream import MAX_CLASSES, Stream, Task

LabelSpace: TypeAlias = Literal["separate", "shared"]


@dataclass(frozen=True)
class TaskSpec:
    """What a task's name says: data set, first and last class (``None``: all), transforms in order."""

    name: str
    data_set: str
    classes: tuple[int, int] | None
    transforms: tuple[transforms.Transform, ...]


def load(
    name: str,
    *,
    tasks: str | Sequence[str] | None = None,
    data_root: str | os.PathLike[str] | None = None,
    seed: int = 0,
    label_space: LabelSpace = "separate",
    cache_dir: str | os.PathLike[str] | None = None,
) -> Stream:
    """Load a named stream into memory, as bytes.

    Parameters
    ----------
    name
        One of :func:`available`.
    tasks
        For ``domains``, and only there: task names in order, as a sequence or separated by commas. A name is
        ``data_set``, ``data_set/3`` or ``data_set/0-4`` (some classes), then any number of ``@transform``:
        ``invert``, ``rotateN`` (degrees, counter-clockwise), ``fliplr``, ``permuteN``, ``gray``, ``sizeN``,
        applied from left to right. Images of unlike shape are brought to the largest size and channel count,
        and ``notes`` of the stream says so.
    data_root
        Folder of ``<data_set>/{train,test}.parquet`` in the layout of Hugging Face ``datasets``. Without it,
        the environment's ``GROWMIX_DATA``; without that, the Hub.
    seed
        Of the order in which a data set's training examples lie in memory (files are often sorted by class).
        Which examples, classes and permutations a stream has does not depend on it.
    label_space
        ``"separate"``: each data set brings its own classes, which its transforms and repetitions share.
        ``"shared"``: equal numbers are one class, whatever the data set.
    cache_dir
        Folder for decoded images; without it ``$GROWMIX_CACHE``, ``$XDG_CACHE_HOME/growmix`` or
        ``~/.cache/growmix``.

    Returns
    -------
    Stream
        Images ``uint8`` ``(n, channels, height, width)``, labels ``int64`` ``(n,)``, -1 where unlabelled.
        A task that occurs twice is held once.

    Raises
    ------
    BadInput
        Unknown stream, transform or label space; task names missing, not wanted or not understood; classes
        that a data set does not have; a file that is not a table of images and labels.
    DataUnavailable
        A data set can't be had; the message names where it was looked for.

    Examples
    --------
    >>> stream = load("split-digits")
    >>> stream
    Stream('split-digits', tasks=5, shape=(1, 8, 8), classes=10)
    >>> stream[1]
    Task('digits/2-3', train=288, test=72, classes=(2, 3))
    >>> load("domains", tasks="digits,digits@rotate90").class_names[3]
    'digits/3'
    """
    entry = catalogue.entry(name)
    if label_space not in get_args(LabelSpace):
        raise BadInput(f"label_space is {label_space!r}; allowed are {' and '.join(map(repr, get_args(LabelSpace)))}")
    if seed < 0:
        raise BadInput(f"seed is {seed}; it must be 0 or above")
    specs = [parse_task(text) for text in _task_names(entry, tasks)]
    cache = DecodedCache(cache_dir)
    sets = {each: find(each, data_root, cache) for each in dict.fromkeys(spec.data_set for spec in specs)}
    first_label, class_names = _label_space(sets, label_space)
    made: dict[str, Task] = {}
    for spec in specs:
        if spec.name not in made:
            made[spec.name] = _task(spec, sets[spec.data_set], first_label[spec.data_set], seed)
    fitted, notes = _one_shape(made)
    return Stream(name, tuple(fitted[spec.name] for spec in specs), class_names, notes)


def parse_task(text: str) -> TaskSpec:
    """Read a task's name.

    Raises
    ------
    BadInput
        If it is not ``data_set``, ``data_set/3`` or ``data_set/0-4``, then any number of ``@transform``.

    Examples
    --------
    >>> spec = parse_task("mnist/0-4@invert@rotate90")
    >>> spec.data_set, spec.classes, [each.text for each in spec.transforms]
    ('mnist', (0, 4), ['invert', 'rotate90'])
    """
    source, *texts = text.split("@")
    match = re.fullmatch(r"(\w[\w.-]*)(?:/([0-9]{1,9})(?:-([0-9]{1,9}))?)?", source, flags=re.ASCII)
    if match is None:
        raise BadInput(
            f"task {text!r} is not understood; a task is a data set such as 'mnist', 'mnist/3' or "
            "'mnist/0-4', then transforms such as '@invert'"
        )
    data_set, first, last = match.groups()
    classes = None if first is None else (int(first), int(last or first))
    if classes is not None and classes[0] > classes[1]:
        raise BadInput(f"task {text!r} asks for the classes {first} to {last}; the first must not be above the last")
    try:
        return TaskSpec(text, data_set, classes, tuple(transforms.parse(each) for each in texts))
    except BadInput as error:
        raise BadInput(f"task {text!r}: {error}") from error


def _task_names(entry: catalogue.Entry, tasks: str | Sequence[str] | None) -> Sequence[str]:
    if entry.tasks:
        if tasks is not None:
            raise BadInput(f"tasks is given, but stream {entry.name!r} has its own; it goes with {catalogue.DOMAINS!r}")
        return entry.tasks
    text = tasks if isinstance(tasks, str) else ",".join(map(str, tasks or ()))
    names = [each.strip() for each in text.split(",")]
    if not all(names):
        raise BadInput(
            f"tasks is {tasks!r}; stream {entry.name!r} needs one or more task names, "
            "such as 'mnist,fashion_mnist@invert'"
        )
    return names


def _label_space(sets: dict[str, DataSet], space: LabelSpace) -> tuple[dict[str, int], tuple[str, ...]]:
    """First global label of every data set, and the name of every global label."""
    for each in sets.values():
        if each.classes > MAX_CLASSES:
            raise BadInput(
                f"data set {each.name!r} has the label {each.classes - 1}; "
                f"its classes must be numbered from 0 (below {MAX_CLASSES})"
            )
    if space == "shared":
        return dict.fromkeys(sets, 0), tuple(map(str, range(max(each.classes for each in sets.values()))))
    first: dict[str, int] = {}
    names: list[str] = []
    for data_set in sets.values():
        first[data_set.name] = len(names)
        names += [f"{data_set.name}/{label}" for label in range(data_set.classes)]
    return first, tuple(names)


def _task(spec: TaskSpec, data_set: DataSet, first_label: int, seed: int) -> Task:
    if spec.classes is not None and spec.classes[1] >= data_set.classes:
        raise BadInput(f"task {spec.name!r}: data set {spec.data_set!r} has the classes 0 to {data_set.classes - 1}")
    order = np.random.default_rng(seed).permutation(len(data_set.train.y))
    train = _part(spec, data_set.train, order, first_label)
    test = _part(spec, data_set.test, np.arange(len(data_set.test.y)), first_label)
    return Task(spec.name, train, test, tuple(sorted({*train.classes(), *test.classes()})))


def _part(
    spec: TaskSpec, part: Decoded, rows: np.ndarray[tuple[int], np.dtype[np.int64]], first_label: int
) -> TaskData:
    if spec.classes is not None:
        low, high = spec.classes
        rows = rows[(part.y[rows] >= low) & (part.y[rows] <= high)]
        if not len(rows):
            raise BadInput(f"task {spec.name!r}: a part of data set {spec.data_set!r} has no example of its classes")
    x = transforms.apply(spec.transforms, torch.from_numpy(part.x[rows]))
    y = torch.from_numpy(part.y[rows])
    return TaskData(x, torch.where(y == UNLABELLED, UNLABELLED, y + first_label))


def _one_shape(tasks: dict[str, Task]) -> tuple[dict[str, Task], tuple[str, ...]]:
    """Bring all images to the largest size and channel count, and say for which tasks something was done."""
    shapes = [data.shape for task in tasks.values() for data in (task.train, task.test)]
    target: Shape = (max(s[0] for s in shapes), max(s[1] for s in shapes), max(s[2] for s in shapes))
    fitted = {
        name: Task(name, _fit(task.train, target), _fit(task.test, target), task.classes)
        for name, task in tasks.items()
    }
    return fitted, tuple(note for task in tasks.values() for note in _notes(task, target))


def _fit(data: TaskData, target: Shape) -> TaskData:
    channels, height, width = target
    x = transforms.resize(data.x, height, width)
    # Resized first: one channel is a third of the work of three.
    return TaskData(x.repeat(1, channels // x.shape[1], 1, 1) if x.shape[1] != channels else x, data.y)


def _notes(task: Task, target: Shape) -> Iterator[str]:
    for shape in dict.fromkeys((task.train.shape, task.test.shape)):
        done = []
        if shape[0] != target[0]:
            done.append("gray repeated over the colour channels")
        if shape[1:] != target[1:]:
            done.append("resized bilinearly")
        if done:
            yield f"{task.name}: {_text(shape)} brought to {_text(target)} ({', '.join(done)})"


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))
