"""From what a user hands over (arrays, tensors, tables, data sets, loaders, batches) to tensors in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from growmix.errors import BadInput, one_line, shortened, shown
from growmix.labels import as_names
from growmix.memory import available, require_room

IMAGE_KEYS = ("x", "image", "images", "img", "pixel_values")
SECOND_KEYS = ("y", "label", "labels", "target", "targets")
"""What images, and labels or targets, are called in items that are dictionaries."""

MOST_CHANNELS = 4
"""Of an image, where only its length can tell what an axis is."""

_NEEDED = "real numbers are needed, in an array, a tensor, lists or a table"

_LOOKED_AT = 1_000
"""Objects of an array, for a message that says of what kinds they are: there may be no end of them."""

_ABSENT: Final = object()
_PIECE = 1_024
"""Bytes that a piece takes beside its numbers."""

_NAME = 64
"""Bytes that a name takes, more or less."""

_TENSOR_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool)
_INTEGER_TYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def is_array(value: Any) -> bool:
    """Whether something is one array, not pieces of one: numpy, torch, lists, and tables such as those of pandas."""
    return isinstance(value, list) or _acts_as_array(type(value))


def _acts_as_array(kind: type) -> bool:
    return any(hasattr(kind, name) for name in ("to_numpy", "__array__", "__array_interface__"))


def _has(value: Any, method: str) -> bool:
    """Whether objects of its kind have a method; asked of the object itself, its own code would run."""
    return hasattr(type(value), method)


def is_pieces(value: Any) -> bool:
    """Whether something hands out its examples in pieces: a data set, a loader, an iterable of batches."""
    if isinstance(value, (Dataset, DataLoader)):
        return True
    if isinstance(value, (type, str, bytes, tuple, Mapping, set, frozenset)) or is_array(value):
        return False
    return _has(value, "__iter__")


def shape_of(value: Any) -> tuple[int, ...]:
    """Shape of an array, or of lists in lists as the first items tell it, at most four deep; empty for all else."""
    lengths: list[int] = []
    while isinstance(value, (list, tuple)) and value and len(lengths) < 4:
        lengths.append(len(value))
        value = value[0]
    if not _acts_as_array(type(value)):
        return tuple(lengths)
    try:
        with torch._C.DisableTorchFunctionSubclass():
            return (*lengths, *np.shape(value))
    except Exception:  # a foreign object's own code runs here, which may raise anything; whoever reads it will say so
        return tuple(lengths)


def as_tensor(value: Any, name: str, *, copy: bool = False) -> Tensor:
    """One array as a contiguous tensor on the CPU, of ``float32``, ``bool`` or whole numbers.

    Parameters
    ----------
    value
        Array of any layout and byte order, tensor of any device, nested sequence of numbers or of all these, or a
        table with ``to_numpy``. Arrays are copied; a tensor that needs no change is taken as it is.
    name
        What messages call it.
    copy
        Whether a tensor is copied even so.

    Raises
    ------
    BadInput
        It is no array of numbers of one kind, or its copy does not fit into memory.
    """
    values = read(value, name)
    if isinstance(values, Tensor):
        return _from_tensor(values, name, copy)
    return _from_array(values, name) if isinstance(values, np.ndarray) else _from_list(values, name)


def read(value: Any, name: str) -> Tensor | np.ndarray | list[Any] | tuple[Any, ...]:
    """What is given in its own type: a plain tensor, a numpy array, or a list; copied only where there is no other way.

    Lists stay as they are, and a table of objects is one of what they are: numbers, or images of their own.

    Raises
    ------
    BadInput
        It can't be read as one array, or has masked values.
    """
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, Tensor):
        with torch._C.DisableTorchFunctionSubclass():  # what a class of the user's own makes of it is not asked
            return _plain(value, name)
    with _reading(name):
        palette = _has(value, "getpalette") and value.getpalette()
        values = _table_values(value) if _has(value, "to_numpy") else value
        if not isinstance(values, (list, np.ma.MaskedArray)):
            values = np.asarray(values)
    if palette:
        raise BadInput(
            f"{name} has a picture with a palette, whose numbers are no pixels; convert('RGB') tells its pixels"
        )
    if np.ma.is_masked(values):
        masked = int(np.ma.getmaskarray(values).sum())
        raise BadInput(f"{name} has {masked} masked values; fill them, or leave them out")
    if isinstance(values, list):
        return values
    array: np.ndarray = np.ma.getdata(values)
    if array.dtype.kind == "O" and not array.ndim:
        raise BadInput(f"{name} can't be read from a {type(value).__name__}; {_NEEDED}")
    return array


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """A foreign object's own code runs in here, which may raise anything; and lists may have no end."""
    try:
        yield
    except Exception as error:
        raise BadInput(f"{name} can't be read as one array: {one_line(error)}") from error


def _from_list(values: Any, name: str) -> Tensor:
    with _reading(name):
        kinds = _leaves(values)
    if any(_acts_as_array(kind) and not issubclass(kind, np.generic) for kind in kinds):
        return _joined([as_tensor(part, name) for part in values], name, batched=False)
    _require_one_kind(kinds, name)
    with _reading(name):
        array = np.asarray(values)
        if array.dtype.kind in "fO" and all(issubclass(kind, (int, np.integer)) for kind in kinds):
            array = np.array(
                values, dtype=np.int64
            )  # numpy's one type for signed and unsigned numbers may be of floats
    return _from_array(array, name)


def _leaves(values: Any) -> set[type]:
    """Types of all that is no list in nested lists."""
    kinds = set(map(type, values))
    if not any(issubclass(kind, (list, tuple)) for kind in kinds):
        return kinds
    return set().union(*(_leaves(part) if isinstance(part, (list, tuple)) else {type(part)} for part in values))


def _require_one_kind(kinds: set[type], name: str) -> None:
    """Refuse truth values beside others: numpy takes True for 1 without a word, where a white pixel is 255."""
    truths = kinds & {bool, np.bool_}
    if truths and kinds - truths:
        raise BadInput(f"{name} has truth values among others; all must be of one kind")


def _table_values(table: Any) -> Any:
    """Values of a table: an array, of objects where names are among them; a list of objects that are none.

    What it calls missing among objects is ``None``.
    """
    try:
        values = table.to_numpy()
    except Exception:
        if not _has(table, "__array__"):
            raise
        values = np.asarray(table)  # pyarrow's own method gives only what need not be copied
    if not isinstance(values, np.ndarray) or values.dtype.kind != "O":
        return values
    if _has(table, "isna"):
        values = values.copy()
        values[np.asarray(table.isna(), dtype=bool)] = None
    names = any(value is None or isinstance(value, str) for value in values.flat)
    return values if names else values.tolist()


def _plain(value: Tensor, name: str) -> Tensor:
    if value.is_nested or value.layout != torch.strided:
        kind = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        raise BadInput(f"{name} is a {kind} tensor; give a dense one (to_dense or to_padded_tensor makes it)")
    if value.is_quantized:
        raise BadInput(f"{name} is a quantised tensor; dequantize() makes it one of floats")
    if value.device.type == "meta":
        raise BadInput(f"{name} is a tensor on the device 'meta', which holds no values; give one that does")
    # masked tensors, and all else that only acts as a tensor
    if type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        raise BadInput(f"{name} is a {type(value).__name__}; give a plain tensor")
    return value.detach().as_subclass(Tensor)


def _from_tensor(value: Tensor, name: str, copy: bool) -> Tensor:
    if value.dtype in _WIDE_UNSIGNED:
        return _from_array(value.cpu().numpy(), name)
    if value.dtype not in _TENSOR_TYPES + _INTEGER_TYPES:
        raise BadInput(f"{name} of shape {tuple(value.shape)} is of type {value.dtype}; {_NEEDED}")
    wanted = torch.float32 if value.is_floating_point() else value.dtype
    if copy or value.dtype != wanted or not value.is_contiguous():
        require_room(value.numel() * wanted.itemsize, f"{name} of shape {tuple(value.shape)} as one tensor")
    if value.dtype == torch.float64 and value.numel():
        _require_same_side(float(value.min()), float(value.max()), name)
    return value.to("cpu", wanted, copy=copy).contiguous().resolve_neg()


def _from_array(array: np.ndarray, name: str) -> Tensor:
    kind = array.dtype.kind
    if kind not in "fiub":
        objects = sorted({type(value).__name__ for value in islice(array.flat, _LOOKED_AT)}) if kind == "O" else []
        what = f"has objects for values ({', '.join(objects)})" if objects else f"is of type {array.dtype}"
        raise BadInput(f"{name} of shape {array.shape} {shortened(what)}; {_NEEDED}")
    if array.dtype.itemsize == 8 and kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise BadInput(f"{name} has the number {int(array.max())}, which is out of range")
    wanted = np.dtype(np.float32 if kind == "f" else np.bool_ if kind == "b" else np.int64)
    if array.dtype == np.uint8:
        wanted = array.dtype
    require_room(array.size * wanted.itemsize, f"{name} of shape {array.shape} as {wanted}")
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, and is refused as that
        if kind == "f" and array.dtype.itemsize > wanted.itemsize and array.size:
            _require_same_side(array.min(), array.max(), name)
        # copied: torch warns of read-only memory, and the caller's array may change under us
        return torch.from_numpy(np.array(array, dtype=wanted, order="C"))


def _require_same_side(low: Any, high: Any, name: str) -> None:
    """Refuse floats outside [0, 1] that single precision would round to 0 or 1: afterwards nobody can tell."""
    if low < 0 == np.float32(low) or np.float32(high) == 1 < high:
        raise BadInput(f"{name} has floats from {low!s} to {high!s}; floats must be in [0, 1]")


def gather(data: Any, name: str, shape: tuple[int, ...] | None = None, *, seconds: bool = True) -> tuple[Tensor, Any]:
    """Collect what is given in pieces, all of them, the last partial batch included.

    Each piece is copied: whoever hands out the next may use the same memory for it.

    Parameters
    ----------
    data
        A ``Dataset`` or ``IterableDataset`` of examples, a ``DataLoader``, or an iterable of batches. A piece is images
        alone, or images and labels (or target images) as a pair, or a dictionary with the keys ``x``, ``image``,
        ``images``, ``img`` or ``pixel_values``, and ``y``, ``label``, ``labels``, ``target`` or ``targets``. A list of
        two images is no pair, unless both are batches of four dimensions.
    name
        What messages call it.
    shape
        Of one image, where that is known.
    seconds
        Whether labels are asked for; if not, they are not even looked at.

    Returns
    -------
    images
        All of them.
    second
        Labels (a tensor, or a list of names) or target images; ``None`` where there are none.

    Raises
    ------
    BadInput
        The pieces do not fit together or into memory; or the data raised an exception of their own, which is then the
        cause (``__cause__``) of this one, whose message says at which piece. Ctrl-C passes as it is.
    """
    room = available()
    images: list[Tensor] = []
    others: list[Any] = []
    held = 0
    batched = False
    piece = "example" if isinstance(data, Dataset) else "batch"
    for place, (item, (given, second)) in enumerate(_items(data, name, piece, seconds)):
        image = as_tensor(given, name, copy=True)
        if not images:
            batched = _is_batch(data, image, second, name, shape)
        if _are_two_images(image, second, batched=batched, listed=isinstance(item, list)):
            raise BadInput(
                f"{name}: {piece} {place} is two images, {tuple(image.shape)} and {shape_of(second)}, not images and "
                "labels; give batches as arrays (n, channels, height, width), or an image and its target as a tuple"
            )
        images.append(image)
        held += image.nbytes + _PIECE
        if seconds and second is not _ABSENT and not (batched and second is None):
            n = math.prod(image.shape[:1]) if batched else None
            others.append(_kept(second, n, f"{piece} {place}"))
            held += _bytes_of(others[-1])
        if room is not None and held > room:
            require_room(held, f"{name} up to {piece} {place}", room)
    if not images:
        raise BadInput(f"{name} is empty; at least one example is needed")
    if others and len(others) != len(images):
        raise BadInput(
            f"{name} has a label for {len(others)} of {len(images)} items; label all, with -1 for unlabelled, or none"
        )
    return _joined(images, name, batched), _joined_seconds(others, batched)


def _items(data: Any, name: str, piece: str, seconds: bool) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """The pieces, one after another, each with its two parts; an exception of the data's own says at which."""
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


def _is_batch(data: Any, image: Tensor, second: Any, name: str, shape: tuple[int, ...] | None) -> bool:
    """Whether pieces are batches: data sets hand out examples, loaders make batches; else only a piece can tell.

    By its pixels, where it is known how many an image has, unless it is one image either way; else by its label or list
    of labels.
    """
    if isinstance(data, Dataset):
        return False
    if image.ndim >= 4 or _makes_batches(data, image):
        return True
    pixels = None if shape is None else math.prod(shape)
    one, several = image.numel() == pixels, image.ndim > 0 and math.prod(image.shape[1:]) == pixels
    if one != several:
        return several
    given, labels = second is not _ABSENT and second is not None, shape_of(second)
    if given and len(labels) < 2 and not (shape is None and _may_be_one_hot(labels, image)):
        return len(labels) == 1
    if shape is not None:
        return one and len(labels) < 3
    raise BadInput(
        f"{name} yields pieces of shape {tuple(image.shape)} {f'and {labels}' if given else 'without labels'}, which "
        "may be one image or several; give batches of shape (n, channels, height, width)"
    )


def _makes_batches(data: Any, image: Tensor) -> bool:
    """Whether a loader makes batches; where they are of one, its own way to join examples may leave out that axis."""
    if not isinstance(data, DataLoader) or data.batch_sampler is None:
        return False
    return data.batch_size != 1 or image.shape[:1] == (1,)


def _may_be_one_hot(labels: tuple[int, ...], image: Tensor) -> bool:
    """Whether as many labels as gray images may be the one-hot label of one image with as many channels."""
    return image.ndim == 3 and 1 < image.shape[0] <= MOST_CHANNELS and labels == image.shape[:1]


def _are_two_images(image: Tensor, second: Any, *, batched: bool, listed: bool) -> bool:
    """Whether what should be a pair is a list of two images, or may be.

    A tuple of examples is a pair, but loaders make lists of pairs too. There both are batches, with four dimensions; of
    fewer, images are of like shape, or have channels.
    """
    other = shape_of(second)
    alike = other == image.shape and image.ndim > batched
    return (batched or listed) and image.ndim <= 3 and (alike or len(other) == image.ndim == 3)


def _pair_of(item: Any, name: str, seconds: bool) -> tuple[Any, Any]:
    """Images of a piece, and its labels or targets."""
    if isinstance(item, Mapping):
        image = [item[key] for key in IMAGE_KEYS if key in item]
        second = [item[key] for key in SECOND_KEYS if key in item]
        # without labels, what else there is may be labels under a name of their own
        if len(image) != 1 or len(second) > 1 or (seconds and not second and len(item) > 1):
            raise BadInput(
                f"{name} yields dictionaries with the keys {shown(sorted(map(str, item)))}; one of "
                f"{', '.join(IMAGE_KEYS)} is needed, and at most one of {', '.join(SECOND_KEYS)}; without any of these "
                "no other key is allowed"
            )
        return image[0], second[0] if second else _ABSENT
    if not isinstance(item, (tuple, list)):
        return item, _ABSENT
    if len(item) not in (1, 2):
        raise BadInput(f"{name} yields tuples of {len(item)}; allowed are images, or pairs of image and label")
    return item[0], item[1] if len(item) == 2 else _ABSENT


def _kept(second: Any, n: int | None, where: str) -> Any:
    """Labels or targets of a piece as they are now: one name, a list of names, or a tensor.

    ``n`` is the number of images, ``None`` for a single one.
    """
    if second is None or isinstance(second, str):
        return second
    values = read(second, "y")
    count = len(values) if isinstance(values, (list, tuple)) or values.ndim else 1
    if n is not None and count != n:
        raise BadInput(f"y has {count} labels in {where}, but x has {n} images there; one each is needed")
    names = as_names(values)
    if names is not None and n is None:
        raise BadInput(f"y has {count} names in {where}; one is needed for one image")
    return as_tensor(values, "y", copy=True) if names is None else names


def _bytes_of(second: Any) -> int:
    return second.nbytes if isinstance(second, Tensor) else _NAME * (len(second) if isinstance(second, list) else 1)


def _joined_seconds(others: list[Any], batched: bool) -> Any:
    """All labels or targets; ``None`` if no piece has any."""
    if all(second is None for second in others):
        return None
    if all(isinstance(second, Tensor) for second in others):
        return _joined(others, "y", batched)
    names = [name for second in others for name in (second if isinstance(second, list) else [second])]
    if any(isinstance(name, Tensor) for name in names):
        raise BadInput("y has names or None in some pieces and numbers in others; one kind is allowed")
    return names


def _joined(parts: list[Tensor], name: str, batched: bool) -> Tensor:
    """All parts as one tensor; of one kind, so that nothing is read as what it is not: a byte 1 as a white pixel."""
    kinds = sorted({kind_of(part) for part in parts})
    if len(kinds) > 1:
        raise BadInput(f"{name} has items of unlike type ({' and '.join(kinds)}); all must be alike")
    require_room(sum(part.nbytes for part in parts), f"{name} of {len(parts)} parts as one tensor")
    try:
        return torch.cat(parts) if batched else torch.stack(parts)
    except (RuntimeError, TypeError) as error:
        shapes = sorted({tuple(part.shape[batched:]) for part in parts})
        raise BadInput(f"{name} can't be read as one array: it has items of unlike shape ({_few(shapes)})") from error


def _few(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes[:5])) + ", ..." * (len(shapes) > 5)


def kind_of(part: Tensor) -> str:
    """What messages call the numbers of a tensor."""
    if part.dtype == torch.bool:
        return "truth values"
    return "floats" if part.is_floating_point() else "whole numbers"
