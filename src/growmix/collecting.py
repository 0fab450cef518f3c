"""From what a user hands over (arrays, tensors, tables, data sets, loaders, batches) to tensors in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from growmix.errors import BadInput
from growmix.labels import as_names
from growmix.memory import available, require_room

IMAGE_KEYS = ("x", "image", "images", "img", "pixel_values")
SECOND_KEYS = ("y", "label", "labels", "target")
"""What images, and labels or targets, are called in items that are dictionaries."""

_ABSENT: Final = object()
_TENSOR_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool)
_INTEGER_TYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def is_array(value: Any) -> bool:
    """Whether something is one array, not pieces of one: numpy, torch, lists, and tables such as those of pandas."""
    if isinstance(value, type):
        return False
    return isinstance(value, (np.ndarray, Tensor, list)) or any(
        hasattr(value, name) for name in ("to_numpy", "__array__", "__array_interface__")
    )


def is_pieces(value: Any) -> bool:
    """Whether something hands out its examples in pieces: a data set, a loader, an iterable of batches."""
    if isinstance(value, (Dataset, DataLoader)):
        return True
    if isinstance(value, (type, str, bytes, tuple, Mapping, set, frozenset)) or is_array(value):
        return False
    return hasattr(value, "__iter__")


def as_tensor(value: Any, name: str) -> Tensor:
    """One array as a contiguous tensor on the CPU, of ``float32``, ``bool`` or whole numbers.

    Parameters
    ----------
    value
        Array of any layout and byte order, tensor of any device, nested sequence, or a table with ``to_numpy``.
        Arrays are copied; a tensor that needs no change is taken as it is.
    name
        What messages call it.

    Raises
    ------
    BadInput
        It is no array of numbers, or its copy does not fit into memory.
    """
    if isinstance(value, (list, tuple)) and value and all(isinstance(part, Tensor) for part in value):
        value = _stacked([_from_tensor(part, name) for part in value], name)
    if isinstance(value, Tensor):
        return _from_tensor(value, name)
    return _from_array(as_numpy(value, name), name)


def as_numpy(value: Any, name: str) -> np.ndarray:
    """What is no tensor as a numpy array, of whatever type; copied only where there is no other way.

    Raises
    ------
    BadInput
        It can't be read as one array, or has masked values.
    """
    try:
        if callable(getattr(value, "to_numpy", None)) and not isinstance(value, type):
            value = _table_values(value)
        if not isinstance(value, np.ma.MaskedArray):
            return np.asarray(value)
    except Exception as error:  # a foreign object's own code runs here, which may raise anything
        raise BadInput(f"{name} can't be read as one array: {_one_line(error)}") from error
    if np.ma.is_masked(value):
        raise BadInput(f"{name} has {int(np.ma.getmaskarray(value).sum())} masked values; fill them, or leave them out")
    return np.ma.getdata(value)


def _table_values(table: Any) -> Any:
    """Values of a table; what it calls missing among objects is ``None``, and its own types of number are numpy's."""
    values = table.to_numpy()
    if not isinstance(values, np.ndarray) or values.dtype.kind != "O":
        return values
    missing = (
        np.asarray(table.isna(), dtype=bool)
        if hasattr(table, "isna")
        else np.array([value is None for value in values.flat]).reshape(values.shape)
    )
    if missing.any():
        values = values.copy()
        values[missing] = None
        return values
    return values if any(isinstance(value, str) for value in values.flat) else np.array(values.tolist())


def _from_tensor(value: Tensor, name: str) -> Tensor:
    if value.is_nested or value.layout != torch.strided:
        kind = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        raise BadInput(f"{name} is a {kind} tensor; give a dense one (to_dense or to_padded_tensor makes it)")
    if value.is_quantized:
        raise BadInput(f"{name} is a quantised tensor; dequantize() makes it one of floats")
    if value.device.type == "meta":
        raise BadInput(f"{name} is a tensor on the device 'meta', which holds no values")
    value = value.detach()
    if value.dtype in _WIDE_UNSIGNED:
        return _from_array(value.cpu().numpy(), name)
    if value.dtype not in _TENSOR_TYPES + _INTEGER_TYPES:
        raise BadInput(f"{name} is of type {value.dtype}; numbers are needed: floats, or whole numbers")
    wanted = torch.float32 if value.is_floating_point() else value.dtype
    if value.dtype != wanted or not value.is_contiguous():
        require_room(value.numel() * wanted.itemsize, f"{name} of shape {tuple(value.shape)} as one tensor")
    return value.cpu().to(wanted).contiguous().resolve_neg()


def _from_array(array: np.ndarray, name: str) -> Tensor:
    kind = array.dtype.kind
    if kind not in "fiub":
        raise BadInput(f"{name} has the type {array.dtype}; numbers are needed")
    if array.dtype.itemsize == 8 and kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise BadInput(f"{name} has the number {int(array.max())}, which is out of range")
    wanted = np.dtype(np.float32 if kind == "f" else np.bool_ if kind == "b" else np.int64)
    if array.dtype == np.uint8:
        wanted = array.dtype
    require_room(array.size * wanted.itemsize, f"{name} of shape {array.shape} as {wanted}")
    # copied: torch warns of read-only memory, and the caller's array may change under us
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as that
        return torch.from_numpy(np.array(array, dtype=wanted, order="C"))


def gather(data: Any, *, seconds: bool = True) -> tuple[Tensor, Any]:
    """Collect what is given in pieces, all of them, the last partial batch included.

    Parameters
    ----------
    data
        A ``Dataset`` or ``IterableDataset`` of examples, a ``DataLoader``, or an iterable of batches. A piece is images
        alone, or images and labels (or target images) as a pair, or a dictionary with the keys ``x``, ``image``,
        ``images``, ``img`` or ``pixel_values``, and ``y``, ``label``, ``labels`` or ``target``.
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
    piece = "batch" if _is_batched(data) else "example"
    for place, item in enumerate(_items(data, piece)):
        image, second = _pair_of(item)
        images.append(as_tensor(image, "x"))
        held += images[-1].nbytes
        if seconds and second is not _ABSENT:
            others.append(second)
        if room is not None and held > room:
            require_room(held, f"data up to {piece} {place}", room)
    if not images:
        raise BadInput("data is empty; at least one example is needed")
    if others and len(others) != len(images):
        raise BadInput(
            f"data has a label for {len(others)} of {len(images)} items; label all, with -1 for unlabelled, or none"
        )
    require_room(held, f"data of {len(images)} pieces as one tensor")
    batched = _is_batched(data) if not _decides_itself(data) else _looks_batched(images[0], others)
    return _joined(images, "images", batched), _joined_seconds(others, batched)


def _items(data: Any, piece: str) -> Iterator[Any]:
    """The pieces, one after another; an exception of the data's own says at which."""
    place = 0
    try:
        for item in _pieces(data):
            yield item
            place += 1
    except BadInput:
        raise
    except Exception as error:  # the user's own code runs here, which may raise anything
        raise BadInput(f"data failed at {piece} {place}: {_one_line(error)}") from error


def _pieces(data: Any) -> Iterable[Any]:
    if not isinstance(data, Dataset) or isinstance(data, IterableDataset):
        pieces: Iterable[Any] = data
        return pieces
    if not hasattr(data, "__len__"):
        raise BadInput(f"data is a {type(data).__name__} without a length; give it one, or an IterableDataset")
    length: int = len(data)
    return (data[i] for i in range(length))


def _is_batched(data: Any) -> bool:
    return not isinstance(data, Dataset)


def _decides_itself(data: Any) -> bool:
    """Whether only its pieces tell if they are batches: a loader that was told not to make any."""
    return isinstance(data, DataLoader) and data.batch_sampler is None


def _looks_batched(image: Tensor, others: list[Any]) -> bool:
    return image.ndim == 4 or bool(others and np.ndim(others[0]) == 1)


def _pair_of(item: Any) -> tuple[Any, Any]:
    """Images of a piece, and its labels or targets."""
    if isinstance(item, Mapping):
        image = [item[key] for key in IMAGE_KEYS if key in item]
        second = [item[key] for key in SECOND_KEYS if key in item]
        if len(image) != 1 or len(second) > 1:
            raise BadInput(
                f"data yields dictionaries with the keys {sorted(map(str, item))}; one of {', '.join(IMAGE_KEYS)} is "
                f"needed, and at most one of {', '.join(SECOND_KEYS)}"
            )
        return image[0], second[0] if second else _ABSENT
    if not isinstance(item, (tuple, list)):
        return item, _ABSENT
    if len(item) not in (1, 2):
        raise BadInput(f"data yields tuples of {len(item)}; allowed are images, or pairs of image and label")
    return item[0], item[1] if len(item) == 2 else _ABSENT


def _joined_seconds(others: list[Any], batched: bool) -> Any:
    if all(second is None for second in others):
        return None
    if batched:
        lists = [as_names(_plain(second)) for second in others]
        if not any(lists):
            return _joined([as_tensor(second, "y") for second in others], "labels", batched)
        # a batch without any name has to be one of None alone, which as_names can't tell from no names
        return [name for names, second in zip(lists, others, strict=True) for name in names or _without_names(second)]
    named = as_names(others)
    return _joined([as_tensor(second, "y") for second in others], "labels", batched) if named is None else named


def _plain(second: Any) -> Any:
    return second if isinstance(second, (Tensor, list, tuple)) else as_numpy(second, "y")


def _without_names(second: Any) -> list[None]:
    values = list(second) if isinstance(second, (list, tuple, np.ndarray)) else [second]
    if any(value is not None for value in values):
        raise BadInput("data has batches with names as labels and batches with numbers; one kind is allowed")
    return values


def _joined(parts: list[Tensor], what: str, batched: bool) -> Tensor:
    if len({part.is_floating_point() for part in parts}) > 1:
        raise BadInput(f"data has items of unlike type (whole numbers and floats among the {what}); all must be alike")
    try:
        return torch.cat(parts) if batched else torch.stack(parts)
    except (RuntimeError, TypeError) as error:
        shapes = sorted({tuple(part.shape[batched:]) for part in parts})
        raise BadInput(f"data has items of unlike shape or type ({what} of {shapes}); all must be alike") from error


def _stacked(parts: list[Tensor], name: str) -> Tensor:
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) > 1:
        raise BadInput(f"{name} can't be read as one array: it has tensors of the shapes {sorted(shapes)}")
    return torch.stack(parts)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
