"""A task, a stream of tasks, and streams made of a user's own arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final, overload

from torch import Tensor

from growmix.data.arrays import as_tensor
from growmix.data.domain import Domain, Shape, Support
from growmix.data.examples import check_support, described
from growmix.data.labels import Names, check_names
from growmix.data.task import TaskData, check_data, check_task
from growmix.errors import BadInput, one_line, shown
from growmix.settings import is_whole
from growmix.system.ambient import torch_as_it_comes

MAX_CLASSES = 100_000
"""Most classes of a stream. Labels are positions in ``class_names``; one in the billions is an id."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """One step of a stream: what is learnt, and what it is tested on.

    Attributes
    ----------
    name
        Such as ``mnist/0-1`` or ``mnist@permute3``; a stream that repeats a data set repeats the name.
    train, test
        Examples (images or vectors) and global labels ``(n,)``; or pairs: source images, and the targets that they are
        to be translated to, in the same order.
    classes
        Global labels that occur in the task, ascending; empty when it has no labels.

    Raises
    ------
    BadInput
        A part is no data that :func:`growmix.data.check_data` takes, only one part has pairs, or a label is none of
        ``classes``.
    """

    name: str
    train: TaskData
    test: TaskData
    classes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise BadInput(f"name is {shown(self.name)}; the name of a task is text")
        for part, of in (("train", "training"), ("test", "test")):
            data = getattr(self, part)
            if not isinstance(data, TaskData) or not isinstance(data.x, Tensor):
                raise BadInput(
                    f"task {self.name!r}: {part} is {shown(data)}; allowed is a TaskData, as growmix.data.check_task "
                    "and streams.from_arrays make them"
                )
            with _wrong_in(f"{self.name!r}, {of} data"):
                object.__setattr__(self, part, check_data(data))
        if (self.train.target is None) != (self.test.target is None):
            raise BadInput(f"task {self.name!r} has targets in one part only; training and test data both need them")
        self._check_classes()

    def _check_classes(self) -> None:
        if not isinstance(self.classes, (list, tuple)) or not all(is_whole(label, 0) for label in self.classes):
            raise BadInput(f"task {self.name!r}: classes is {shown(self.classes)}; allowed are whole numbers from 0 on")
        object.__setattr__(self, "classes", tuple(map(int, self.classes)))
        others = sorted({*self.train.classes(), *self.test.classes()}.difference(self.classes))
        if others:
            raise BadInput(
                f"task {self.name!r}: classes is {shown(self.classes)}, but y has the labels {shown(others)} beside "
                "them; all labels that occur must be there"
            )

    def __repr__(self) -> str:
        return f"Task({self.name!r}, train={len(self.train)}, test={len(self.test)}, classes={self.classes})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Stream(Sequence[Task]):
    """Tasks in the order in which they arrive, with examples of one domain and labels of one numbering.

    Attributes
    ----------
    name
        Name in the catalogue, or the user's.
    tasks
        One task or more, in their order.
    class_names
        Name of every global label, such as ``mnist/3``; the position is the label.
    notes
        What was done to the stream: data sets replaced, examples left out, images made to fit together; one line
        for each.

    Raises
    ------
    BadInput
        There is no task, the tasks' examples are unlike in shape or support, only some tasks have pairs, or names are
        not different or too few.
    """

    name: str
    tasks: tuple[Task, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise BadInput(f"name is {shown(self.name)}; the name of a stream is text")
        if not isinstance(self.tasks, (list, tuple)) or not all(isinstance(task, Task) for task in self.tasks):
            raise BadInput(f"tasks is {shown(self.tasks)}; allowed is a list of growmix.streams.Task")
        object.__setattr__(self, "tasks", tuple(self.tasks))
        object.__setattr__(self, "class_names", check_names(self.class_names, "class_names"))
        self._check_shapes()
        highest = max((label for task in self.tasks for label in task.classes), default=-1)
        if highest >= len(self.class_names):
            raise BadInput(
                f"class_names has {len(self.class_names)} names, but y has the label {highest}; name every label from 0"
            )

    def _check_shapes(self) -> None:
        if not self.tasks:
            raise BadInput(f"stream {self.name!r} has no task; at least one is needed")
        first = self.tasks[0].name
        for task in self.tasks:
            for part, data in (("training", task.train), ("test", task.test)):
                if data.shape != self.shape:
                    raise BadInput(
                        f"task {task.name!r} has as {part} data {described(data.shape)}, but task {first!r} has "
                        f"{described(self.shape)}; bring all examples of a stream to one shape"
                    )
                if data.support != self.domain.support:
                    raise BadInput(
                        f"task {task.name!r} has {part} data of {data.support} support, but task {first!r} has "
                        f"{self.domain.support} support; give all examples of a stream one support"
                    )
                if data.target_shape != self.target_shape:
                    raise BadInput(
                        f"task {task.name!r} has {part} targets of shape {data.target_shape}, but those of task "
                        f"{first!r} have {self.target_shape} (None: no pairs); "
                        "a stream has pairs of one shape, or none"
                    )

    @property
    def domain(self) -> Domain:
        """Shape and support of every example, without statistics."""
        return self.tasks[0].train.domain

    @property
    def shape(self) -> Shape:
        """Axes of every example; of every source image where the tasks are pairs."""
        return self.domain.shape

    @property
    def target_shape(self) -> Shape | None:
        """Channels, height and width of every target; ``None`` where the tasks are no pairs."""
        return self.tasks[0].train.target_shape

    def __len__(self) -> int:
        return len(self.tasks)

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> Stream: ...

    def __getitem__(self, index: int | slice) -> Task | Stream:
        if isinstance(index, slice):
            return Stream(self.name, self.tasks[index], self.class_names, self.notes)
        return self.tasks[index]

    def __repr__(self) -> str:
        return f"Stream({self.name!r}, tasks={len(self)}, shape={self.shape}, classes={len(self.class_names)})"


@torch_as_it_comes()
def from_arrays(
    tasks: Mapping[str, Sequence[Any]] | Iterable[Sequence[Any]],
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    support: Support | None = None,
) -> Stream:
    """Make a stream of your own arrays or tensors.

    Parameters
    ----------
    tasks
        Per task ``(x, y, x_test, y_test)``, or ``(x, x_test)`` when there are no labels, or ``(train, test)`` of
        torch data sets or loaders, with labels or without, or pairs of images
        ``(source, target, source_test, target_test)``, told by targets of three or more axes; a mapping names
        the tasks, otherwise they are ``task-1``, ``task-2``, and so on. Examples are as
        :func:`growmix.data.check_examples` takes them: images ``(n, channels, height, width)`` or vectors
        ``(n, numbers)``. Labels ``(n,)`` are integers with one meaning in all
        tasks, -1 where unlabelled; or strings, ``None`` where unlabelled, which are numbered over the whole stream.
        Targets are images with channels of their own. All is copied.
    name
        Name of the stream.
    class_names
        Name of label 0, 1, 2, ...; without them a label is its own name, and labels that are strings are numbered in
        the order in which they appear.
    support
        ``"unit"`` allows numbers in [0, 1] and bytes, ``"real"`` any finite numbers; by default images are ``unit`` and
        vectors ``real``.

    Returns
    -------
    Stream
        All tasks in the order given, checked and copied.

    Raises
    ------
    BadInput
        Anything that :func:`growmix.data.check_task` refuses, with the task's name before it; examples of unlike
        shape; pairs in some tasks only; a label without a name; names that are not different strings; no task.
        An exception that ``tasks`` raised is the cause of a BadInput.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((6, 1, 8, 8))
    >>> stream = from_arrays({"left": (x, [0] * 6, x, [0] * 6), "right": (x, [1] * 6, x, [1] * 6)})
    >>> stream
    Stream('arrays', tasks=2, shape=(1, 8, 8), classes=2)
    >>> stream[1]
    Task('right', train=6, test=6, classes=(1,))
    >>> from_arrays([(x, 1 - x, x, 1 - x)]).target_shape
    (1, 8, 8)
    >>> from_arrays([(x.reshape(6, 64) * 9, x.reshape(6, 64))]).domain.support
    'real'
    >>> from_arrays([(x, ["cat"] * 6, x, ["cat"] * 6), (x, ["ant"] * 6, x, ["ant"] * 6)]).class_names
    ('cat', 'ant')
    """
    class_names = None if class_names is None else check_names(class_names, "class_names")
    support = check_support(support)
    made = tuple(_checked_task(name, arrays, support) for name, arrays in _named(tasks))
    made, found = _numbered(made, class_names)
    highest = max((label for task in made for label in task.classes), default=-1)
    if highest >= MAX_CLASSES:
        raise BadInput(f"y has the label {highest}; number the classes of a stream 0, 1, 2, ... (below {MAX_CLASSES})")
    names = found or tuple(str(label) for label in range(highest + 1)) if class_names is None else class_names
    if found and highest >= len(names):
        raise BadInput(f"y has the label {shown(found[len(names)])}; allowed are those of class_names: {shown(names)}")
    return Stream(name, made, names)


def _named(tasks: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and arrays; each task is checked before the next is asked for, which may come in the same memory."""
    if isinstance(tasks, Mapping):
        yield from ((str(name), arrays) for name, arrays in tasks.items())
        return
    if not isinstance(tasks, Iterable) or isinstance(tasks, (str, bytes, Tensor)):
        raise BadInput(f"tasks is {shown(tasks)}; allowed is a list of tasks, or a mapping from names to tasks")
    number = 0
    try:
        for number, arrays in enumerate(tasks, start=1):
            yield f"task-{number}", arrays
    except Exception as error:  # the user's own code runs here; what is done with a task is done elsewhere
        raise BadInput(f"tasks raised an exception after {number} tasks: {one_line(error)}") from error


def _numbered(tasks: tuple[Task, ...], class_names: Names | None) -> tuple[tuple[Task, ...], Names]:
    """Number labels that are names over the whole stream, as ``class_names`` says or in order of appearance."""
    parts = [part for task in tasks for part in (task.train, task.test)]
    if not any(part.names for part in parts):
        return tasks, ()
    names = tuple(class_names or ())
    numbered = []
    for task in tasks:
        both = []
        for part in (task.train, task.test):
            if part.classes() and not part.names:
                raise BadInput(
                    f"task {task.name!r} has numbers as labels, another of the stream has names; one kind is allowed"
                )
            part = part.numbered_after(names)
            names = part.names or names
            both.append(part)
        train, test = both
        classes = tuple(sorted({*train.classes(), *test.classes()}))
        numbered.append(replace(task, train=train, test=test, classes=classes))
    return tuple(numbered), names


def _checked_task(name: str, arrays: Sequence[Any], support: Support | None) -> Task:
    if not isinstance(arrays, (tuple, list)) or len(arrays) not in (2, 4):
        what = f"{len(arrays)} items" if isinstance(arrays, (tuple, list)) else f"a {type(arrays).__name__}"
        raise BadInput(
            f"task {name!r} is {what}; allowed are (x, y, x_test, y_test), (train, test) of examples without labels or "
            "of data sets, or (source, target, source_test, target_test)"
        )
    if len(arrays) == 2 and getattr(arrays[1], "ndim", None) == 1:
        raise BadInput(
            f"task {name!r} has two items, and the second has one axis, as labels have; two are "
            "(train, test), with labels give (x, y, x_test, y_test)"
        )
    given, test_given = arrays if len(arrays) == 2 else (tuple(arrays[:2]), tuple(arrays[2:]))
    with _wrong_in(f"{name!r}, training data"):
        train = check_task(_owned_parts(given), support=support)
    with _wrong_in(f"{name!r}, test data"):
        test = check_data(_owned_parts(test_given), support=support)
    return Task(name, train, test, tuple(sorted({*train.classes(), *test.classes()})))


@contextmanager
def _wrong_in(part: str) -> Iterator[None]:
    """Put the part of a task that is being checked before the message of what is wrong with it."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"task {part}: {error}") from error


def _owned_parts(given: Any) -> Any:
    """Copy each tensor of data or a pair: the caller's may change under us, or be filled for the next task."""
    if isinstance(given, tuple) and len(given) == 2:
        return tuple(map(_owned, given, "xy"))
    return _owned(given, "x")


def _owned(part: Any, name: str) -> Any:
    if isinstance(part, TaskData):
        return replace(part, **{name: _owned(getattr(part, name), name) for name in ("x", "y", "target")})
    return as_tensor(part, name, copy=True) if isinstance(part, Tensor) else part
