"""What a task's data are, and every check of what a user hands over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from growmix.errors import BadInput

Shape: TypeAlias = tuple[int, int, int]
"""Channels, height, width of one image."""

UNLABELLED = -1
"""The label of an example whose class is not known."""

MIN_EXAMPLES = 4
"""The fewest examples that can be learnt: three to train on, one to hold out."""


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
    """

    x: Tensor
    y: Tensor | None = None
    target: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: Tensor | slice) -> TaskData:
        parts = (None if part is None else part[index] for part in (self.y, self.target))
        return TaskData(self.x[index], *parts)

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


def as_float(x: Tensor) -> Tensor:
    """Pixels as ``float32`` in [0, 1]: bytes are divided by 255, floats are left alone."""
    return x.float().div_(255.0) if x.dtype == torch.uint8 else x


def check_task(data: Any, shape: Shape | None = None) -> TaskData:
    """Bring what a user hands to ``learn`` into one form, or say what is wrong with it.

    Parameters
    ----------
    data
        ``x`` alone; an ``(x, y)`` pair of arrays or tensors; a :class:`TaskData`; a torch ``Dataset`` of
        images or ``(image, label)`` pairs; a ``DataLoader`` of batches of these. Where the second of a pair has three
        or more dimensions, it is the image that the first is to be translated to.
    shape
        Channels, height and width that the images must have; ``None`` takes any.

    Returns
    -------
    TaskData
        At least four examples, not all alike.

    Raises
    ------
    BadInput
        Not images, unlike ``shape``, not finite, out of range, too few, all alike; labels of another
        length, not integers or below -1; a pair of images of unlike size.

    Examples
    --------
    >>> task = check_task((np.random.default_rng(0).random((6, 8, 8)), [0, 0, 1, 1, -1, 0]))
    >>> task.x.shape, task.classes()
    (torch.Size([6, 1, 8, 8]), (0, 1))
    """
    x, y, target = _parts(data)
    images = check_images(x, shape)
    n = images.shape[0]
    labels = None if y is None else check_labels(y, n)
    targets = None if target is None else check_targets(target, images)
    if labels is not None and targets is not None:
        raise BadInput("data has labels and targets; pairs of images are learnt without labels: leave y out")
    if n < MIN_EXAMPLES:
        raise BadInput(f"data has {n} example{'s' * (n != 1)}; learning needs at least {MIN_EXAMPLES}")
    if bool((images == images[:1]).all()):
        raise BadInput(f"all {n} images in data are alike; there is nothing to learn from one image")
    return TaskData(images, labels, targets)


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


def check_images(x: Any, shape: Shape | None = None) -> Tensor:
    """Images as a tensor ``(n, channels, height, width)``, ``uint8`` or ``float32`` in [0, 1].

    Parameters
    ----------
    x
        Array, tensor or nested sequence: ``(n, channels, height, width)``, ``(n, height, width)`` for one
        channel, or ``(n, pixels)`` for one channel when ``shape`` or a square number tells the rest.
        Floats in [0, 1], bytes in 0..255; integers of another width count as bytes. A ``Dataset`` or ``DataLoader``
        is gathered; its labels are left alone.
    shape
        What every image must have; ``None`` takes any.

    Raises
    ------
    BadInput
        See the message: it names the argument, what was given and what is allowed.
    """
    if isinstance(x, (Dataset, DataLoader)):
        x, _ = _pair(x)  # labels that come along are not asked for
    tensor = _tensor(x, "x")
    if tensor.ndim == 0 or tensor.shape[0] == 0:
        raise BadInput(f"x is empty (shape {tuple(tensor.shape)}); at least one image is needed")
    if 0 in tensor.shape:
        raise BadInput(f"x has images of shape {tuple(tensor.shape[1:])}, without any pixel")
    tensor = _image_shaped(tensor, shape)
    if shape is not None and tuple(tensor.shape[1:]) != tuple(shape):
        raise BadInput(
            f"x has images of shape {tuple(tensor.shape[1:])}, but {tuple(shape)} (channels, height, width) is what "
            "was learnt; resize them (stream transforms 'size28', 'gray') or start a new mixture"
        )
    return _in_range(tensor)


def check_labels(y: Any, n: int) -> Tensor:
    """Labels as ``int64`` of shape ``(n,)``, each -1 (unlabelled) or a class number.

    Raises
    ------
    BadInput
        If there are not ``n``, if they are not whole numbers, or one is below -1.
    """
    labels = _tensor(y, "y")
    if labels.ndim != 1 or labels.shape[0] != n:
        raise BadInput(f"y has shape {tuple(labels.shape)}, but x has {n} images; y must have shape ({n},)")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise BadInput(f"y is of type {labels.dtype}; labels are integers, with -1 for unlabelled")
    labels = labels.to(torch.int64)
    if int(labels.min()) < UNLABELLED:
        raise BadInput(f"y has the label {int(labels.min())}; labels are 0 or above, or -1 for unlabelled")
    return labels


def _parts(data: Any) -> tuple[Any, Any, Any]:
    """Images, labels and targets, the last two ``None`` where there are none."""
    if isinstance(data, TaskData):
        return data.x, data.y, data.target
    x, second = _pair(data)
    if second is not None and getattr(second, "ndim", 0) >= 3:
        return x, None, second
    return x, second, None


def _pair(data: Any) -> tuple[Any, Any]:
    if isinstance(data, TaskData):
        return data.x, data.y
    if isinstance(data, DataLoader):
        return _gather(data, batched=True)
    if isinstance(data, IterableDataset):
        return _gather(data, batched=False)
    if isinstance(data, Dataset):
        if not hasattr(data, "__len__"):
            raise BadInput(f"data is a {type(data).__name__} without a length; give it one, or an IterableDataset")
        length: int = len(data)
        return _gather((data[i] for i in range(length)), batched=False)
    if isinstance(data, tuple) and len(data) == 2:
        return data
    if isinstance(data, (np.ndarray, Tensor, list)):
        return data, None
    raise BadInput(f"data is a {type(data).__name__}; allowed are x, a pair (x, y), a torch Dataset and a DataLoader")


def _gather(items: Iterable[Any], *, batched: bool) -> tuple[Tensor, Tensor | None]:
    """Collect a data set that is given in pieces, all of them, the last partial batch included."""
    xs: list[Tensor] = []
    ys: list[Tensor] = []
    for item in items:
        pair = tuple(item) if isinstance(item, (tuple, list)) else (item,)
        if len(pair) > 2:
            raise BadInput(f"data yields tuples of {len(pair)}; allowed are images, or pairs of image and label")
        xs.append(_tensor(pair[0], "x"))
        ys.extend(_tensor(second, "y") for second in pair[1:])
    if not xs:
        raise BadInput("data is empty; at least one example is needed")
    if ys and len(ys) != len(xs):
        raise BadInput(f"data has a label for {len(ys)} of {len(xs)} items; label all, with -1 for unlabelled, or none")
    join = torch.cat if batched else torch.stack
    try:
        return join(xs), join(ys) if ys else None
    except (RuntimeError, TypeError) as error:
        shapes = sorted({tuple(x.shape[batched:]) for x in xs})
        raise BadInput(f"data has items of unlike shape or type (images of {shapes}); all must be alike") from error


def _tensor(value: Any, name: str) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BadInput(f"{name} can't be read as one array: {error}") from error
    if array.dtype == np.bool_:
        return torch.from_numpy(np.ascontiguousarray(array)).float()
    if array.dtype.kind == "f":
        return torch.from_numpy(np.array(array, dtype=np.float32))
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise BadInput(f"{name} has the number {int(array.max())}, which is out of range")
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        return torch.from_numpy(np.array(array, dtype=np.int64))
    if array.dtype == np.uint8:
        # copied: torch warns of read-only memory, and the caller's array may change under us
        return torch.from_numpy(np.array(array))
    raise BadInput(f"{name} has the type {array.dtype}; numbers are needed")


def _image_shaped(x: Tensor, shape: Shape | None) -> Tensor:
    if x.ndim == 4:
        if x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
            raise BadInput(
                f"x has shape {tuple(x.shape)}, with the channels last; images are (n, channels, height, width): "
                "permute the axes to (0, 3, 1, 2)"
            )
        return x
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 2:
        pixels = x.shape[1]
        side = round(pixels**0.5)
        full = shape or (1, side, side)
        if full[0] * full[1] * full[2] == pixels:
            return x.reshape(-1, *full)
        wanted = f"images of shape {tuple(full)}" if shape else "a square image"
        raise BadInput(
            f"x has {pixels} values per example, which do not make {wanted}; give (n, channels, height, width)"
        )
    raise BadInput(f"x has shape {tuple(x.shape)}; images are (n, channels, height, width) or (n, height, width)")


def _in_range(x: Tensor) -> Tensor:
    if x.is_complex():
        raise BadInput(f"x is of type {x.dtype}; images are floats in [0, 1] or bytes in 0..255")
    if x.dtype == torch.uint8:
        return x.contiguous()
    if x.dtype == torch.bool:
        return x.float()
    low, high = float(x.min()), float(x.max())
    if not x.is_floating_point():
        if low < 0 or high > 255:
            raise BadInput(f"x has whole numbers from {low:g} to {high:g}; bytes in 0..255 are allowed")
        if high == 1:
            raise BadInput("x has the whole numbers 0 and 1; give floats in [0, 1], or bytes in 0..255 as uint8")
        return x.to(torch.uint8).contiguous()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadInput("x has NaN or infinite pixels; all must be finite, in [0, 1]")
    if low < 0.0 or high > 1.0:
        raise BadInput(f"x has pixels from {low:g} to {high:g}; floats must be in [0, 1] (or give bytes in 0..255)")
    return x.to(torch.float32).contiguous()


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
