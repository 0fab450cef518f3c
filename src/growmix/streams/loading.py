"""Make a stream from names: find data sets, choose classes and examples, transform images, bring them to one shape."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TypeAlias, get_args

import numpy as np
import torch

from growmix.data.task import UNLABELLED, TaskData, check_task
from growmix.errors import BadInput, shown
from growmix.streams import catalogue, transforms
from growmix.streams.cache import DecodedCache
from growmix.streams.catalogue import LabelSpace
from growmix.streams.decoding import Decoded
from growmix.streams.fitting import one_shape
from growmix.streams.naming import Replace, TaskSpec, parse_replacements, parse_task
from growmix.streams.selection import Integers, Selection
from growmix.streams.sources import DataSet, locate
from growmix.streams.stream import MAX_CLASSES, Stream, Task
from growmix.system.ambient import torch_as_it_comes

DataSets: TypeAlias = Mapping[tuple[str, str | None], DataSet]
"""Data sets by their name and the column of images that is read."""


@torch_as_it_comes()
def load(
    name: str,
    *,
    tasks: str | Sequence[str] | None = None,
    data_root: str | os.PathLike[str] | None = None,
    seed: int = 0,
    label_space: LabelSpace | None = None,
    replace: Replace = (),
    train_examples: int | None = None,
    test_examples: int | None = None,
    label_fraction: float = 1.0,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Stream:
    """Load a named stream into memory, as bytes.

    Parameters
    ----------
    name
        Name of a stream, one of :func:`available`.
    tasks
        Names of the tasks in order, as a sequence or separated by commas, for ``domains`` alone. A name is
        ``data_set``, ``data_set/3`` or ``data_set/0-4`` (some classes), then any number of ``@transform``:
        ``invert``, ``rotateN`` (degrees, counter-clockwise), ``fliplr``, ``permuteN``, ``gray``, ``rgb``, ``sizeN``,
        applied from left to right. ``data_set.column`` takes another image column of the data set's file.
        ``SOURCE:TARGET`` is a task of pairs: two such names of one data set and its same classes; a stream has only
        pairs, or none. Images of unlike shape are brought to the largest size and channel count, and ``notes`` of
        the stream says so.
    data_root
        Folder of ``<data_set>/{train,test}.parquet`` in the layout of Hugging Face ``datasets``. Without it,
        the environment's ``GROWMIX_DATA``; without that, the Hub. Not looked at for ``digits``, which is always there.
    seed
        Seed of the order in which training examples lie in memory (files are often sorted by class), and of what
        ``train_examples``, ``test_examples`` and ``label_fraction`` draw. Nothing else of a stream depends on it.
    label_space
        Meaning of equal labels. ``"separate"``: each data set has classes of its own, which its transforms and
        repetitions share. ``"shared"``: equal numbers are one class, whatever the data set. ``None`` takes the stream's
        own.
    replace
        Data sets to take in place of others, ``{"svhn": "mnist_m"}`` or ``["svhn=mnist_m"]``; the tasks are named
        after them, and ``notes`` name them.
    train_examples
        Most training examples of a task, a random part whatever their labels, named in ``notes``; ``None`` takes all.
    test_examples
        Most test examples of a task, a random part, named in ``notes``; ``None`` takes all.
    label_fraction
        Share of each class's training labels that is kept, in [0, 1]; at least one label where it is above 0. The
        other labels become -1, and test labels stay.
    cache_dir
        Folder for decoded images; without it ``$GROWMIX_CACHE``, ``$XDG_CACHE_HOME/growmix`` or
        ``~/.cache/growmix``.

    Returns
    -------
    Stream
        Images ``uint8`` ``(n, channels, height, width)``; labels ``int64`` ``(n,)``, -1 where unlabelled, or targets
        like the images where the tasks are pairs. A task that occurs twice is held once.

    Raises
    ------
    BadInput
        The stream, a transform or the label space is unknown; task names are missing, not wanted or not understood;
        classes that a data set does not have; pairs beside tasks without, or of images of unlike size; a replacement
        of what the stream does not use; examples or labels of a number that is not allowed; a file that is not a table
        of images and labels; a task that can't be learnt, see :func:`growmix.data.check_task`; more than fits into
        memory.
    DataUnavailable
        Data sets can't be had; the message names all of them, where each was looked for, and how to replace one.
        Nothing is decoded before.

    Examples
    --------
    >>> stream = load("split-digits")
    >>> stream
    Stream('split-digits', tasks=5, shape=(1, 8, 8), classes=10)
    >>> stream[1]
    Task('digits/2-3', train=288, test=72, classes=(2, 3))
    >>> load("domains", tasks="digits,digits@rotate90").class_names[3]
    'digits/3'
    >>> pairs = load("domains", tasks="digits@invert:digits", train_examples=100)[0]
    >>> len(pairs.train), pairs.train.target_shape
    (100, (1, 8, 8))
    """
    entry = catalogue.entry(name)
    space = entry.label_space if label_space is None else label_space
    if not isinstance(space, str) or space not in get_args(LabelSpace):
        raise BadInput(f"label_space is {shown(space)}; allowed are {' and '.join(map(repr, get_args(LabelSpace)))}")
    selection = Selection(seed, train_examples, test_examples, label_fraction)
    replacements = parse_replacements(replace)
    specs = _replaced([parse_task(text) for text in _task_names(entry, tasks)], replacements, name)
    _check_pairs(specs, selection)
    cache = DecodedCache(cache_dir)
    images = [each for spec in specs for each in spec.images]
    sources = locate(tuple(dict.fromkeys(each.data_set for each in images)), data_root, cache)
    sets = {origin: sources[origin[0]].read(origin[1]) for origin in dict.fromkeys(each.origin for each in images)}
    different = dict.fromkeys(specs)
    if specs[0].target is not None:
        made = {spec.name: _pairs(spec, sets, selection) for spec in different}
        class_names: tuple[str, ...] = ()
    else:
        first_label, class_names = _label_space({each.name: each for each in sets.values()}, space)
        made = {spec.name: _labelled(spec, sets, first_label[spec.source.data_set], selection) for spec in different}
    fitted, fitting_notes = one_shape(made)
    notes = (*(f"{old} replaced by {new}" for old, new in replacements.items()), *selection.notes, *fitting_notes)
    for task in fitted.values():
        _check_learnable(task)
    return Stream(name, tuple(fitted[spec.name] for spec in specs), class_names, notes)


def _check_learnable(task: Task) -> None:
    try:
        check_task(task.train)
    except BadInput as error:
        raise BadInput(f"task {task.name!r}: {error}") from error


def _task_names(entry: catalogue.Entry, tasks: str | Sequence[str] | None) -> Sequence[str]:
    if entry.tasks:
        if tasks is not None:
            raise BadInput(f"tasks is given, but stream {entry.name!r} has its own; it goes with {catalogue.DOMAINS!r}")
        return entry.tasks
    given = [tasks] if isinstance(tasks, str) else tasks
    if isinstance(given, (list, tuple)) and all(isinstance(each, str) for each in given):
        names = [each.strip() for each in ",".join(given).split(",")]
        if all(names):
            return names
    raise BadInput(
        f"tasks is {shown(tasks)}; stream {entry.name!r} needs one or more task names, "
        "such as 'mnist,fashion_mnist@invert'"
    )


def _replaced(specs: Sequence[TaskSpec], replacements: Mapping[str, str], stream: str) -> list[TaskSpec]:
    """Replace data sets in the tasks; each one that is replaced must occur."""
    used = dict.fromkeys(spec.source.data_set for spec in specs)
    for old, new in replacements.items():
        if old not in used:
            raise BadInput(
                f"replace is '{old}={new}', but stream {stream!r} does not use {old!r}; allowed is to replace one of "
                f"{', '.join(used)}"
            )
    return [spec.replaced(replacements) for spec in specs]


def _check_pairs(specs: Sequence[TaskSpec], selection: Selection) -> None:
    pairs = [spec.name for spec in specs if spec.target is not None]
    others = [spec.name for spec in specs if spec.target is None]
    if pairs and others:
        raise BadInput(
            f"tasks has pairs (such as {pairs[0]!r}) and others (such as {others[0]!r}); "
            "allowed are only pairs, or none"
        )
    if pairs and selection.label_fraction != 1:
        raise BadInput(
            f"label_fraction is {selection.label_fraction!r}, but the tasks are pairs, which are learnt without "
            "labels; leave it out"
        )


def _label_space(sets: Mapping[str, DataSet], space: LabelSpace) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the first global label of every data set, and the name of every global label."""
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


def _pairs(spec: TaskSpec, sets: DataSets, selection: Selection) -> Task:
    """Make a task of source and target images; their labels, which choose the examples, are not learnt."""
    train_rows, test_rows = _rows(spec, sets[spec.source.origin], selection)
    parts = [sets[each.origin] for each in spec.images]
    x, target = _images(spec, [each.train for each in parts], selection.part(train_rows))
    x_test, target_test = _images(spec, [each.test for each in parts], test_rows)
    return Task(spec.name, TaskData(x, None, target), TaskData(x_test, None, target_test), ())


def _labelled(spec: TaskSpec, sets: DataSets, first_label: int, selection: Selection) -> Task:
    data_set = sets[spec.source.origin]
    train_rows, test_rows = _rows(spec, data_set, selection)
    y, y_test = _global(data_set.train.y[train_rows], first_label), _global(data_set.test.y[test_rows], first_label)
    # from all examples: the classes of a task do not depend on which of its labels are kept
    classes = np.unique(np.concatenate([y, y_test]))
    (x,) = _images(spec, [data_set.train], selection.part(train_rows))
    (x_test,) = _images(spec, [data_set.test], test_rows)
    return Task(
        spec.name,
        TaskData(x, torch.from_numpy(selection.labels(selection.part(y)))),
        TaskData(x_test, torch.from_numpy(y_test)),
        tuple(classes[classes != UNLABELLED].tolist()),
    )


def _rows(spec: TaskSpec, data_set: DataSet, selection: Selection) -> tuple[Integers, Integers]:
    """Return the rows of the training and the test part that have the task's classes, in the order of the task."""
    rows = selection.order(len(data_set.train.y)), np.arange(len(data_set.test.y))
    if spec.source.classes is None:
        return rows[0], selection.test_part(rows[1])
    low, high = spec.source.classes
    if high >= data_set.classes:
        known = f"the classes 0 to {data_set.classes - 1}" if data_set.classes else "no labels"
        raise BadInput(f"task {spec.name!r}: data set {data_set.name!r} has {known}")
    train, test = (
        each[(part.y[each] >= low) & (part.y[each] <= high)]
        for part, each in zip((data_set.train, data_set.test), rows, strict=True)
    )
    if not (len(train) and len(test)):
        raise BadInput(f"task {spec.name!r}: a part of data set {data_set.name!r} has no example of its classes")
    return train, selection.test_part(test)


def _images(spec: TaskSpec, parts: Sequence[Decoded], rows: Integers) -> list[torch.Tensor]:
    """Transform images of each kind that the task has; only the rows asked for are read."""
    made = []
    try:
        for each, part in zip(spec.images, parts, strict=True):
            made.append(transforms.apply(each.transforms, torch.from_numpy(part.x[rows])))
    except BadInput as error:
        raise BadInput(f"task {spec.name!r}: {error}") from error
    return made


def _global(y: Integers, first_label: int) -> Integers:
    return np.where(y == UNLABELLED, UNLABELLED, y + first_label)
