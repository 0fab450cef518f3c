"""Collects what hands out its examples in pieces (data sets, loaders, iterables of batches) into tensors in memory.

The adversary is a slip of the user's, an exception of their data's own, and data without an end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from growmix.data.arrays import as_tensor, has, is_array, joined, read, shape_of
from growmix.data.domain import Domain
from growmix.data.labels import as_names
from growmix.errors import BadInput, one_line, shown
from growmix.system.memory import available, require_room

EXAMPLE_KEYS = ("x", "image", "images", "img", "pixel_values")
"""Keys of the examples in items that are dictionaries."""

SECOND_KEYS = ("y", "label", "labels", "target", "targets")
"""Keys of the labels or targets in items that are dictionaries."""

_ABSENT: Final = object()
_PIECE = 1_024
"""Bytes that a piece takes in memory beside its numbers."""

_NAME = 64
"""Bytes that a name takes in memory, more or less."""


def is_pieces(value: Any) -> bool:
    """Return whether a value hands out its examples in pieces: a data set, a loader, an iterable of batches."""
    if isinstance(value, (Dataset, DataLoader)):
        return True
    if isinstance(value, (type, str, bytes, tuple, Mapping, set, frozenset)) or is_array(value):
        return False
    return has(value, "__iter__")


def gather(data: Any, name: str, like: Domain | None = None, *, seconds: bool = True) -> tuple[Tensor, Any]:
    """Collect what is given in pieces, all of them, the last partial batch included.

    Each piece is copied: whoever hands out the next may use the same memory for it.

    Parameters
    ----------
    data
        A ``Dataset`` or ``IterableDataset`` of examples, a ``DataLoader``, or any other iterable of batches. A piece is
        examples alone, or examples and labels (or target images) as a pair, or a dictionary with the keys ``x``,
        ``image``, ``images``, ``img`` or ``pixel_values``, and ``y``, ``label``, ``labels``, ``target`` or ``targets``.
        A list of two images is no pair, unless both are batches of four axes.
    name
        What messages call the data.
    like
        The domain learnt, or ``None``; it tells a single image from several gray ones.
    seconds
        Whether labels are asked for; if not, they are not even looked at.

    Returns
    -------
    examples
        All examples as one tensor.
    second
        Labels (a tensor, or a list of names) or target images; ``None`` where there are none.

    Raises
    ------
    BadInput
        The pieces do not fit together or into memory; or the data raised an exception of their own, which is then the
        cause (``__cause__``) of this one, whose message says at which piece. Ctrl-C passes as it is.
    """
    room = available()
    examples: list[Tensor] = []
    others: list[Any] = []
    held = 0
    batched = False
    piece = "example" if isinstance(data, Dataset) else "batch"
    for place, (item, (given, second)) in enumerate(_items(data, name, piece, seconds)):
        x = as_tensor(given, name, copy=True)
        if _are_two_examples(x, second, unsure=isinstance(item, list) or _makes_batches(data)):
            raise BadInput(
                f"{name}: {piece} {place} is two examples, {tuple(x.shape)} and {shape_of(second, 'y')}, not "
                "examples and labels; give batches as arrays, or an image and its target as a tuple"
            )
        if not examples and not isinstance(data, Dataset):
            if has(given, "getbands"):
                raise BadInput(f"{name} yields single pictures; give arrays (n, channels, height, width)")
            batched = _is_batch(x, second, name, like)
        examples.append(x)
        held += x.nbytes + _PIECE
        if seconds and second is not _ABSENT and not (batched and second is None):
            n = math.prod(x.shape[:1]) if batched else None
            others.append(_kept(second, n, f"{piece} {place}"))
            held += _bytes_of(others[-1])
        if room is not None and held > room:
            require_room(held, f"{name} up to {piece} {place}", room)
    if not examples:
        raise BadInput(f"{name} is empty; at least one example is needed")
    if others and len(others) != len(examples):
        raise BadInput(
            f"{name} has a label for {len(others)} of {len(examples)} items; label all, with -1 for unlabelled, or none"
        )
    return joined(examples, name, batched), _joined_seconds(others, batched)


def _items(data: Any, name: str, piece: str, seconds: bool) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """Yield the pieces, each with its two parts; an exception of the data's own comes out with the place."""
    place = 0
    try:
        for item in _pieces(data, name):
            yield item, _pair_of(item, name, seconds)
            place += 1
    except BadInput:
        raise
    except Exception as error:  # the user's own code runs here, which may raise anything
        raise BadInput(f"{name} failed at {piece} {place}: {one_line(error)}") from error


def _pieces(data: Any, name: str) -> Iterable[Any]:
    if not isinstance(data, Dataset) or isinstance(data, IterableDataset):
        pieces: Iterable[Any] = data
        return pieces
    if not hasattr(data, "__len__"):
        raise BadInput(f"{name} is a {type(data).__name__} without a length; give it one, or an IterableDataset")
    length: int = len(data)
    return (data[i] for i in range(length))


def _is_batch(x: Tensor, second: Any, name: str, like: Domain | None) -> bool:
    """Return whether the pieces of a loader or another iterable are batches, by the axes of the first one.

    Four axes are a batch of images and two a batch of vectors; one axis is one vector. Three axes are one image, where
    a single label or target says so, or the shape learnt; else they may be gray images, and are refused.
    """
    if x.ndim != 3:
        return x.ndim in (2, 4)
    labels = shape_of(second, "y")
    single = second is not _ABSENT and second is not None and len(labels) in (0, 3)
    if not single and (like is None or like.shape != x.shape):
        with_labels = f"and {labels}" if labels else "without labels"
        raise BadInput(
            f"{name} yields pieces of shape {tuple(x.shape)} {with_labels}, which may be one image or several; "
            "give batches of shape (n, channels, height, width)"
        )
    return False


def _makes_batches(data: Any) -> bool:
    """Return whether a loader puts examples together to batches of several."""
    return isinstance(data, DataLoader) and data.batch_sampler is not None and data.batch_size != 1


def _are_two_examples(x: Tensor, second: Any, *, unsure: bool) -> bool:
    """Return whether what should be a pair may be a list of two examples.

    A tuple of an image and its target is a pair, but a list may be two images or vectors of a batch, and so may be
    whatever a loader's own ``collate_fn`` makes. With two or four axes both are batches.
    """
    other = shape_of(second, "y")
    return unsure and x.ndim in (1, 3) and (other == x.shape or len(other) == x.ndim == 3)


def _pair_of(item: Any, name: str, seconds: bool) -> tuple[Any, Any]:
    """Return the examples of a piece, and its labels or targets."""
    if isinstance(item, Mapping):
        x = [item[key] for key in EXAMPLE_KEYS if key in item]
        second = [item[key] for key in SECOND_KEYS if key in item]
        # without labels, any other key may be the user's own name for labels
        if len(x) != 1 or len(second) > 1 or (seconds and not second and len(item) > 1):
            raise BadInput(
                f"{name} yields dictionaries with the keys {shown(sorted(map(str, item)))}; one of "
                f"{', '.join(EXAMPLE_KEYS)} is needed, and at most one of {', '.join(SECOND_KEYS)}; "
                "without any of these no other key is allowed"
            )
        return x[0], second[0] if second else _ABSENT
    if not isinstance(item, (tuple, list)):
        return item, _ABSENT
    if len(item) not in (1, 2):
        raise BadInput(f"{name} yields tuples of {len(item)}; allowed are examples, or pairs of example and label")
    return item[0], item[1] if len(item) == 2 else _ABSENT


def _kept(second: Any, n: int | None, where: str) -> Any:
    """Return labels or targets of a piece, copied: one name, a list of names, or a tensor.

    ``n`` is the number of examples, ``None`` for a single one.
    """
    if second is None or isinstance(second, str):
        return second
    values = read(second, "y")
    count = len(values) if isinstance(values, (list, tuple)) or values.ndim else 1
    if n is not None and count != n:
        raise BadInput(f"y has {count} labels in {where}, but x has {n} examples there; one each is needed")
    names = as_names(values)
    if names is not None and n is None:
        raise BadInput(f"y has {count} names in {where}; one is needed for one example")
    return as_tensor(values, "y", copy=True) if names is None else names


def _bytes_of(second: Any) -> int:
    return second.nbytes if isinstance(second, Tensor) else _NAME * (len(second) if isinstance(second, list) else 1)


def _joined_seconds(others: list[Any], batched: bool) -> Any:
    """Return all labels or targets together; ``None`` if no piece has any."""
    if all(second is None for second in others):
        return None
    if all(isinstance(second, Tensor) for second in others):
        return joined(others, "y", batched)
    names = [name for second in others for name in (second if isinstance(second, list) else [second])]
    if any(isinstance(name, Tensor) for name in names):
        raise BadInput("y has names or None in some pieces and numbers in others; one kind is allowed")
    return names
