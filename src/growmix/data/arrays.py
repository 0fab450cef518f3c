"""Reads one array of any kind (numpy, tensors, lists, tables) into a tensor in memory.

The adversary is a slip of the user's: an array of the wrong type, with gaps, or too big. Objects of foreign classes run
code of their own when they are read; whatever that raises comes out as a BadInput.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from growmix.errors import BadInput, one_line, shortened
from growmix.system.memory import require_room

_NEEDED = "real numbers are needed, in an array, a tensor, lists or a table"

_LOOKED_AT = 1_000
"""Objects of an array that a message names the kinds of; an array may have no end of them."""

_TENSOR_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool)
_INTEGER_TYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def is_array(value: Any) -> bool:
    """Return whether a value is one array, not pieces of one: numpy, torch, lists, tables such as those of pandas."""
    return isinstance(value, list) or _acts_as_array(type(value))


def _acts_as_array(kind: type) -> bool:
    return any(hasattr(kind, name) for name in ("to_numpy", "__array__", "__array_interface__"))


def has(value: Any, method: str) -> bool:
    """Return whether a value's class has a method; the object itself is not asked, since its own code would run."""
    return hasattr(type(value), method)


def shape_of(value: Any, name: str) -> tuple[int, ...]:
    """Return the shape of an array, or of lists in lists as the first items tell it, at most four deep; else ().

    Raises
    ------
    BadInput
        The value is an array that does not tell its shape.
    """
    lengths: list[int] = []
    while isinstance(value, (list, tuple)) and value and len(lengths) < 4:
        lengths.append(len(value))
        value = value[0]
    if not _acts_as_array(type(value)):
        return tuple(lengths)
    with _reading(name), torch._C.DisableTorchFunctionSubclass():
        return (*lengths, *np.shape(value))


def as_tensor(value: Any, name: str, *, copy: bool = False) -> Tensor:
    """Return one array as a contiguous tensor on the CPU, of ``float32``, ``bool`` or whole numbers.

    Parameters
    ----------
    value
        Array of any layout and byte order, tensor of any device, nested sequence of numbers or of all these, or a
        table with ``to_numpy``. Arrays are copied; a tensor that needs no change is taken as it is.
    name
        What messages call the array.
    copy
        Whether a tensor is copied even where it needs no change.

    Raises
    ------
    BadInput
        The value is no array of numbers of one kind, or its copy does not fit into memory.
    """
    values = read(value, name)
    if isinstance(values, Tensor):
        return _from_tensor(values, name, copy)
    return _from_array(values, name) if isinstance(values, np.ndarray) else _from_list(values, name)


def read(value: Any, name: str) -> Tensor | np.ndarray | list[Any] | tuple[Any, ...]:
    """Return a value as a plain tensor, a numpy array or a list; it is copied only where there is no other way.

    Lists stay as they are, and a table of objects becomes an array or list of these: numbers, or images.

    Raises
    ------
    BadInput
        The value can't be read as one array, or has masked values.
    """
    if isinstance(value, (list, tuple)):
        return value
    if type(value) is Tensor:
        return _plain(value, name)
    if isinstance(value, Tensor):
        with torch._C.DisableTorchFunctionSubclass():  # a class of the user's own may do anything in its methods
            return _plain(value, name)
    with _reading(name):
        palette = has(value, "getpalette") and value.getpalette()
        values = _table_values(value) if has(value, "to_numpy") else value
        if not isinstance(values, (list, np.ma.MaskedArray)):
            values = np.asarray(values)
    if palette:
        raise BadInput(
            f"{name} has a picture with a palette, whose numbers are no pixels; convert('RGB') makes pixels of them"
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
    """Turn whatever a foreign object's own code raises into a BadInput; lists in themselves end here too."""
    try:
        yield
    except Exception as error:
        raise BadInput(f"{name} can't be read as one array: {one_line(error)}") from error


def _from_list(values: Any, name: str) -> Tensor:
    with _reading(name):
        kinds = _leaves(values)
    if any(_acts_as_array(kind) and not issubclass(kind, np.generic) for kind in kinds):
        return joined([as_tensor(part, name) for part in values], name, batched=False)
    _require_one_kind(kinds, name)
    with _reading(name):
        array = np.asarray(values)
        if array.dtype.kind in "fO" and all(issubclass(kind, (int, np.integer)) for kind in kinds):
            # numpy's one type for signed and unsigned numbers may be of floats
            array = np.array(values, dtype=np.int64)
    return _from_array(array, name)


def _leaves(values: Any) -> set[type]:
    """Return the types of all that is no list in nested lists."""
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
    """Return a table's values: an array, also of objects where names are among them; else a list of the objects.

    What the table calls missing becomes ``None``.
    """
    try:
        values = table.to_numpy()
    except Exception:
        if not has(table, "__array__"):
            raise
        values = np.asarray(table)  # pyarrow's own method gives only what need not be copied
    if not isinstance(values, np.ndarray) or values.dtype.kind != "O":
        return values
    if has(table, "isna"):
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
    return value.detach() if type(value) is Tensor else value.detach().as_subclass(Tensor)


def _from_tensor(value: Tensor, name: str, copy: bool) -> Tensor:
    if value.dtype in (*_WIDE_UNSIGNED, torch.float64):
        return _from_array(value.cpu().resolve_neg().numpy(), name)
    if value.dtype not in _TENSOR_TYPES + _INTEGER_TYPES:
        raise BadInput(f"{name} of shape {tuple(value.shape)} is of type {value.dtype}; {_NEEDED}")
    wanted = torch.float32 if value.is_floating_point() else value.dtype
    if copy or value.dtype != wanted or not value.is_contiguous():
        require_room(value.numel() * wanted.itemsize, f"{name} of shape {tuple(value.shape)} as one tensor")
    return value.to("cpu", wanted, copy=copy).contiguous().resolve_neg()


def _from_array(array: np.ndarray, name: str) -> Tensor:
    kind = array.dtype.kind
    if kind not in "fiub":
        objects = sorted({type(value).__name__ for value in islice(array.flat, _LOOKED_AT)}) if kind == "O" else []
        what = f"has objects for values ({', '.join(objects)})" if objects else f"is of type {array.dtype}"
        raise BadInput(f"{name} of shape {array.shape} {shortened(what)}; {_NEEDED}")
    if array.dtype.itemsize == 8 and kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise BadInput(f"{name} has the number {int(array.max())}; whole numbers of up to 63 bits are allowed")
    wanted = np.dtype(np.float32 if kind == "f" else np.bool_ if kind == "b" else np.int64)
    if array.dtype == np.uint8:
        wanted = array.dtype
    require_room(array.size * wanted.itemsize, f"{name} of shape {array.shape} as {wanted}")
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, and is refused as that
        # copied: torch warns of read-only memory, and the caller's array may change under us
        values = np.array(array, dtype=wanted, order="C")
        if kind == "f" and array.dtype.itemsize > wanted.itemsize and array.size:
            _keep_outside(array, values)
    return torch.from_numpy(values)


def _keep_outside(exact: np.ndarray, rounded: np.ndarray) -> None:
    """Move numbers outside [0, 1] that single precision rounds to 0 or 1 to the next one outside, in place.

    So whoever checks the range afterwards still sees them, and nobody else notices.
    """
    if exact.min() < 0:
        rounded[(exact < 0) & (rounded == 0)] = -np.finfo(np.float32).tiny
    if exact.max() > 1:
        rounded[(exact > 1) & (rounded == 1)] = np.nextafter(np.float32(1), np.float32(2))


def joined(parts: list[Tensor], name: str, batched: bool) -> Tensor:
    """Return all parts as one tensor; they must be of one kind, or a byte 1 would be read as a white pixel.

    Raises
    ------
    BadInput
        The parts are of unlike kind or shape, or do not fit into memory.
    """
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
    listed = ", ".join(map(str, shapes[:5]))
    return f"{listed}, ..." if len(shapes) > 5 else listed


def kind_of(part: Tensor) -> str:
    """Return what messages call the numbers of a tensor."""
    if part.dtype == torch.bool:
        return "truth values"
    return "floats" if part.is_floating_point() else "whole numbers"


def like_given(values: Tensor, given: Any) -> Any:
    """Hand an answer back in the kind that the question came in: tensors for tensors, else numpy."""
    return values if isinstance(given, Tensor) else values.numpy()
