"""What a task's data are, and every check of what a user hands over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import getattr_static
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from growmix.data.arrays import MOST_CHANNELS, as_tensor, is_array, kind_of, read, shape_of
from growmix.data.collecting import gather, is_pieces
from growmix.data.labels import LABELS, Names, as_names, check_names, number_names
from growmix.errors import BadInput
from growmix.settings import MIN_EXAMPLES
from growmix.settings import UNLABELLED as UNLABELLED  # where it belongs for all that compute
from growmix.system.memory import require_room

MOST_PIXELS = 2**26
"""Of an image, times its channels; no more could be read back, see :mod:`growmix.checkpoints.persistence`."""

Shape: TypeAlias = tuple[int, int, int]
"""Channels, height, width of one image."""


@dataclass(frozen=True, eq=False)
class TaskData:
    """Images and labels of one task, in memory and checked.

    Attributes
    ----------
    x
        Images, shape ``(n, channels, height, width)``: ``uint8`` in 0..255 or ``float32`` in [0, 1].
        Bytes stay bytes until a batch is gathered, which keeps a data set at a quarter of the memory.
    y
        Labels, ``int64``, shape ``(n,)``, -1 where unlabelled; ``None`` when there are none.
    target
        Images that ``x`` is to be translated to, as ``x`` but with channels of their own, shape
        ``(n, target channels, height, width)``; ``None`` when the data are no pairs.
    names
        Name of the label 0, 1, 2, ... where labels were given as strings; else empty.
    """

    x: Tensor
    y: Tensor | None = None
    target: Tensor | None = None
    names: Names = ()

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: Tensor | slice) -> TaskData:
        y, target = (None if part is None else part[index] for part in (self.y, self.target))
        return TaskData(self.x[index], y, target, self.names)

    @property
    def shape(self) -> Shape:
        """Channels, height, width of its images."""
        channels, height, width = self.x.shape[1:]
        return channels, height, width

    @property
    def target_shape(self) -> Shape | None:
        """Channels, height, width of the images to translate to."""
        if self.target is None:
            return None
        channels, height, width = self.target.shape[1:]
        return channels, height, width

    def images(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Images as ``float32`` in [0, 1], those of ``index``."""
        return as_float(self.x[index])

    def classes(self) -> tuple[int, ...]:
        """All labels that occur, ascending, without -1."""
        if self.y is None:
            return ()
        return tuple(label for label in torch.unique(self.y).tolist() if label != UNLABELLED)

    @property
    def nbytes(self) -> int:
        """Bytes of its images."""
        return self.x.nbytes + (0 if self.target is None else self.target.nbytes)

    def numbered_after(self, known: Names) -> TaskData:
        """The same with known names under their known numbers; those that are new get the numbers after them.

        Examples
        --------
        >>> task = check_task((np.random.default_rng(0).random((4, 8, 8)), ["dog", "cat", "dog", None]))
        >>> task.names, task.y.tolist()
        (('dog', 'cat'), [0, 1, 0, -1])
        >>> again = task.numbered_after(("cow", "cat"))
        >>> again.names, again.y.tolist()
        (('cow', 'cat', 'dog'), [2, 1, 2, -1])
        """
        if not self.names or self.y is None:
            return self
        place = {name: number for number, name in enumerate(known)}
        for label in self.classes():
            place.setdefault(self.names[label], len(place))
        numbers = [place.get(name, UNLABELLED) for name in self.names]
        return replace(self, y=torch.tensor([*numbers, UNLABELLED])[self.y], names=tuple(place))


def as_float(x: Tensor) -> Tensor:
    """Pixels as ``float32`` in [0, 1]: bytes are divided by 255, floats are left alone."""
    return x.float().div_(255.0) if x.dtype == torch.uint8 else x


def check_task(data: Any, shape: Shape | None = None) -> TaskData:
    """Bring what a user hands to ``learn`` into one form, or say what is wrong with it.

    Parameters
    ----------
    data
        Images alone, or a pair ``(x, y)`` of images and labels, as arrays: numpy (any layout, ``float16`` to
        ``float64``, whole numbers as bytes, memory maps), tensors of any device, lists, tables such as those of pandas.
        Or pieces of these: a torch ``Dataset`` or ``IterableDataset`` of examples, a ``DataLoader`` or any other
        iterable of batches, each images, a pair, or a dictionary (see :func:`growmix.data.collecting.gather`). Or a
        :class:`TaskData`. Where the second of a pair has three or more dimensions, it is the image that the first is
        to be translated to.
    shape
        Channels, height and width that the images must have; ``None`` takes any.

    Returns
    -------
    TaskData
        At least four examples, not all alike. Labels that are strings are numbered in the order in which they appear.

    Raises
    ------
    BadInput
        Not images, unlike ``shape``, not finite, out of range, too few, all alike, or too many for the memory; labels
        of another length, neither whole numbers from -1 on nor strings, or given twice; a pair of images of unlike
        size; names that are not different. An exception
        that a data set or loader raised is the cause of a BadInput that says at which piece.

    Examples
    --------
    >>> task = check_task((np.random.default_rng(0).random((6, 8, 8)), [0, 0, 1, 1, -1, 0]))
    >>> task.x.shape, task.classes()
    (torch.Size([6, 1, 8, 8]), (0, 1))
    """
    task = check_data(data, shape)
    n = len(task)
    if n < MIN_EXAMPLES:
        raise BadInput(f"data has {n} example{'s' * (n != 1)}; learning needs at least {MIN_EXAMPLES}")
    if bool((task.x == task.x[:1]).all()):
        raise BadInput(f"all {n} images in data are alike; there is nothing to learn from one image")
    return task


def check_data(data: Any, shape: Shape | None = None) -> TaskData:
    """The same for what is only looked at, such as test data: one image may be all, and all may be alike.

    Raises
    ------
    BadInput
        As for :func:`check_task`, but for how many there are and how unlike.
    """
    x, y, target, names = _parts(data, shape)
    images = check_images(x, shape)
    n = images.shape[0]
    if images[0].numel() > MOST_PIXELS:
        raise BadInput(f"data has images of {images[0].numel():,} values; allowed are up to {MOST_PIXELS:,}")
    labels = None
    if y is None:
        names = ()
    else:
        names = check_names(names)
        labels, names = (_check_numbers(y, n, len(names)), names) if names else check_labels(y, n)
    targets = None if target is None else check_targets(target, images)
    if labels is not None and targets is not None:
        raise BadInput("data has labels and targets; pairs of images are learnt without labels: leave y out")
    return TaskData(images, labels, targets, names)


def check_targets(target: Any, source: Tensor) -> Tensor:
    """Images that ``source`` is to be translated to, checked like :func:`check_images`.

    Raises
    ------
    BadInput
        If they are no images, not as many as those of ``source``, or of another height or width.

    Examples
    --------
    >>> check_targets(np.zeros((2, 3, 8, 8)), torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """
    try:
        images = check_images(target)
    except BadInput as error:
        raise BadInput(f"the targets of the pairs: {error}") from error
    if len(images) != len(source):
        raise BadInput(f"the pairs have {len(source)} sources and {len(images)} targets; one each is needed")
    if images.shape[2:] != source.shape[2:]:
        sizes = (f"{height}x{width}" for height, width in (source.shape[2:], images.shape[2:]))
        raise BadInput(
            f"the pairs have sources and targets of unlike size ({', '.join(sizes)}); bring both to one size"
        )
    return images


def check_images(x: Any, shape: Shape | None = None, name: str = "x") -> Tensor:
    """Images as a tensor ``(n, channels, height, width)``, ``uint8`` or ``float32`` in [0, 1].

    Parameters
    ----------
    x
        Images as :func:`check_task` takes them, in one array or in pieces; labels that come with pieces are left
        alone. Shape ``(n, channels, height, width)``, ``(n, height, width)`` for one channel, or ``(n, values)`` when
        ``shape`` tells the rest, or without it ``(n, pixels)`` for one channel and a square. Floats in [0, 1], bytes
        in 0..255; integers of another width count as bytes.
    shape
        What every image must have; ``None`` takes any.
    name
        What messages call them.

    Raises
    ------
    BadInput
        See the message: it names the argument, what was given and what is allowed.
    """
    tensor = _image_shaped(read_images(x, shape, name), shape, name)
    if shape is not None and tuple(tensor.shape[1:]) != tuple(shape):
        raise BadInput(
            f"{name} has images of shape {tuple(tensor.shape[1:])}, but {tuple(shape)} (channels, height, width) is "
            "what was learnt; resize them (stream transforms 'size28', 'gray') or start a new mixture"
        )
    return _in_range(tensor, name)


def read_images(x: Any, shape: Shape | None = None, name: str = "x") -> Tensor:
    """What :func:`check_images` takes as one tensor; whether that is images is not asked yet."""
    if isinstance(x, TaskData):
        return as_tensor(x.x, name)
    return gather(x, name, shape, seconds=False)[0] if is_pieces(x) else as_tensor(x, name)


def check_labels(y: Any, n: int) -> tuple[Tensor, Names]:
    """Labels as ``int64`` of shape ``(n,)``, each -1 (unlabelled) or a class number; and names, if they were strings.

    Parameters
    ----------
    y
        Whole numbers, -1 for unlabelled; or strings, ``None`` for unlabelled, which all may be.
    n
        How many there must be.

    Raises
    ------
    BadInput
        If there are not ``n``, if they are neither whole numbers nor strings, or one is below -1.

    Examples
    --------
    >>> check_labels([0, -1], 2), check_labels(["cat", None], 2)
    ((tensor([ 0, -1]), ()), (tensor([ 0, -1]), ('cat',)))
    """
    with _reading_labels():
        y = read(y, "y")
    if isinstance(y, np.ndarray) and y.ndim == 1:
        _require_length(y, n)  # before all are looked at: there may be no end of them
    named = as_names(y)
    if named is None:
        return _check_numbers(y, n), ()
    numbers, names = number_names(named)
    return _check_numbers(numbers, n), names


@contextmanager
def _reading_labels() -> Iterator[None]:
    """What can't be read as numbers can't be read as labels: these are what is allowed."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{error}; {LABELS}") from error


def _check_numbers(y: Any, n: int, most: int | None = None) -> Tensor:
    """Labels that are whole numbers; below ``most``, if that is known."""
    with _reading_labels():
        y = read(y, "y")
        labels = as_tensor(y, "y")
    _require_length(labels, n)
    if labels.is_floating_point() or labels.dtype == torch.bool:
        missing = ", NaN among them" if bool(labels.isnan().any()) else ""
        what = f"is of type {y.dtype}" if isinstance(y, (Tensor, np.ndarray)) else f"has {kind_of(labels)}"
        raise BadInput(f"y {what}{missing}; {LABELS}")
    labels = labels.to(torch.int64)
    if int(labels.min()) < UNLABELLED:
        raise BadInput(f"y has the label {int(labels.min())}; labels are 0 or above, or -1 for unlabelled")
    if most is not None and int(labels.max()) >= most:
        raise BadInput(f"y has the label {int(labels.max())}, but there are names for {most} labels, from 0 on")
    return labels


def _require_length(y: Tensor | np.ndarray, n: int) -> None:
    if y.ndim != 1 or y.shape[0] != n:
        raise BadInput(f"y has shape {tuple(y.shape)}, but x has {n} images; y must have shape ({n},)")


def _parts(data: Any, shape: Shape | None) -> tuple[Any, Any, Any, Names]:
    """Images, labels and targets, the last two ``None`` where there are none; names of labels that are numbered."""
    if isinstance(data, TaskData):
        return data.x, data.y, data.target, data.names
    if is_pieces(data):
        x, second = gather(data, "data", shape)
    elif isinstance(data, tuple) and len(data) == 2:
        x, second = data
        if is_pieces(x) or isinstance(x, TaskData):
            x, *own, _ = _parts(x, shape)
            if any(part is not None for part in own):
                what = "labels" if own[1] is None else "targets"
                beside = "None" if second is None else "y"
                raise BadInput(
                    f"data is a pair of x and {beside}, but x has {what} of its own; give x alone, or without them"
                )
    elif is_array(data):
        x, second = data, None
    else:
        raise BadInput(
            f"data is a {type(data).__name__}; allowed are x, a pair (x, y), a torch Dataset, a DataLoader and an "
            f"iterable of batches{'; give its train' if getattr_static(data, 'train', None) else ''}"
        )
    if len(shape_of(second, "y")) >= 3:
        return x, None, second, ()
    return x, second, None, ()


def _image_shaped(x: Tensor, shape: Shape | None, name: str) -> Tensor:
    given = tuple(x.shape)
    if given and not given[0]:
        raise BadInput(f"{name} is empty (shape {given}); at least one image is needed")
    if 0 in given:
        raise BadInput(f"{name} has images of shape {given[1:]}, without any pixel; one at least is needed")
    if x.ndim == 4:
        _, channels, _, last = given
        if (channels not in (1, 3) and last in (1, 3)) or last <= MOST_CHANNELS < channels:
            raise BadInput(
                f"{name} has shape {given}, with the channels last; images are (n, channels, height, width): "
                "permute the axes to (0, 3, 1, 2)"
            )
        return x
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 2:
        side = round(given[1] ** 0.5)
        full = shape or (1, side, side)
        if math.prod(full) == given[1]:
            return x.reshape(-1, *full)
        wanted = f"images of shape {tuple(full)}" if shape else "a square image"
        raise BadInput(
            f"{name} has {given[1]} values per example, which do not make {wanted}; give (n, channels, height, width)"
        )
    raise BadInput(f"{name} has shape {given}; images are (n, channels, height, width) or (n, height, width)")


def _in_range(x: Tensor, name: str) -> Tensor:
    if x.dtype == torch.uint8:
        return x
    if x.dtype == torch.bool:
        require_room(4 * x.numel(), f"{name} of shape {tuple(x.shape)} as floats")
        return x.float()
    low, high = x.min().numpy(), x.max().numpy()  # numpy writes no more digits than their precision has
    if not x.is_floating_point():
        if low < 0 or high > 255:
            raise BadInput(f"{name} has whole numbers from {low} to {high}; bytes in 0..255 are allowed")
        if high == 1:
            raise BadInput(f"{name} has the whole numbers 0 and 1; give floats in [0, 1], or bytes in 0..255 as uint8")
        return x.to(torch.uint8)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadInput(f"{name} has NaN or infinite pixels (in single precision); all must be finite, in [0, 1]")
    if low < 0 or high > 1:
        raise BadInput(
            f"{name} has pixels from {low!s} to {high!s}; floats must be in [0, 1] (or give bytes in 0..255)"
        )
    return x


def like_given(values: Tensor, given: Any) -> Any:
    """Hand an answer back in the kind that the question came in: tensors for tensors, else numpy."""
    return values if isinstance(given, Tensor) else values.numpy()


def label_positions(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Index of every label in ``classes``; -1 stays -1.

    Examples
    --------
    >>> label_positions(torch.tensor([7, 3, -1]), (3, 7))
    tensor([ 1,  0, -1])
    """
    if not classes:
        return torch.full_like(labels, UNLABELLED)
    known = torch.tensor(sorted(classes), dtype=torch.int64, device=labels.device)
    order = torch.tensor(sorted(range(len(classes)), key=lambda i: classes[i]), device=labels.device)
    place = torch.searchsorted(known, labels).clamp_(max=len(classes) - 1)
    return torch.where(known[place] == labels, order[place], UNLABELLED)
