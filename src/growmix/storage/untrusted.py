"""Files that a stranger may have written: nothing in them is executed, and no size in them is believed unchecked."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from growmix.errors import BadCheckpoint, shown
from growmix.system.memory import require_room

MOST_HEADER = 16 * 2**20
"""Bytes of a header of tensors: a hundred thousand of them."""

MOST_DIGITS = 310
"""Of a whole number: what does not fit into a float is nothing that growmix wrote."""

MOST_SMALL = 1_000_000
"""Values of a JSON file that may be as short as they like: each takes some eighty bytes of memory."""

BYTES_PER_VALUE = 10
"""That the others take in the file at least: a number of growmix's own has twenty digits."""

MOST_DIMENSIONS = 16
MOST_NUMBERS = 2**48
"""Of a tensor. Of one without elements too: torch multiplies its other sides."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types of numbers that a checkpoint may hold, by their name in safetensors."""


@dataclass(frozen=True, eq=False)
class OpenFile:
    """A regular file, open for reading."""

    path: Path
    stream: BinaryIO
    size: int

    def read(self, size: int) -> bytes:
        """The next so many bytes.

        Raises
        ------
        BadCheckpoint
            There are fewer.
        """
        content = bytearray(min(size, self.size))
        self.fill(memoryview(content))
        if size > self.size:
            raise BadCheckpoint(f"{self.path} has {self.size} bytes, but {size} were to be read")
        return bytes(content)

    def fill(self, room: memoryview) -> None:
        """Read the next bytes to where there is room for them.

        Raises
        ------
        BadCheckpoint
            There are fewer.
        """
        try:
            read = self.stream.readinto(room)  # type: ignore[attr-defined] # a BufferedReader has it
        except OSError as error:
            raise BadCheckpoint(f"{self.path} can't be read: {error}") from error
        if read != len(room):
            raise BadCheckpoint(f"{self.path} ends too early")


@dataclass(frozen=True)
class Slot:
    """Where a tensor lies in a file, and what it is."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@contextmanager
def open_files(folder: Path, names: tuple[str, ...], optional: str | None = None) -> Iterator[dict[str, OpenFile]]:
    """Regular files of a folder by name, all opened before any is read: whoever replaces the folder then is late.

    Parameters
    ----------
    folder
        No symbolic link.
    names
        All must be there, and be no symbolic links, devices or pipes.
    optional
        Likewise, but may be missing.

    Raises
    ------
    BadCheckpoint
        One of them is missing, can't be read or is no regular file.
    """
    streams: dict[str, OpenFile] = {}
    place = None
    try:
        place = _open_folder(folder, names[0])
        if optional is not None and _is_there(folder / optional, place):
            streams[optional] = _open_file(folder / optional, place)
        for name in names:
            streams[name] = _open_file(folder / name, place)
        yield streams
    finally:
        for file in streams.values():
            file.stream.close()
        if place is not None:
            os.close(place)


def read_json(path: Path, most: int) -> Any:
    """What a JSON file says, if it is a regular file of at most so many bytes, see :func:`strict_json`.

    Raises
    ------
    BadCheckpoint
        It is not.
    """
    with open_files(path.parent.resolve(), (path.name,)) as files:
        file = files[path.name]
        if file.size > most:
            raise BadCheckpoint(f"{path} has {file.size} bytes; allowed are {most:,}")
        return strict_json(file.read(file.size), path)


def strict_json(content: bytes, path: Path) -> Any:
    """What a JSON file says, where it is within bounds: nesting, size of whole numbers, finite, no name twice.

    Raises
    ------
    BadCheckpoint
        It is not, or no JSON.

    Examples
    --------
    >>> strict_json(b'{"latent": 1e999}', Path("state.json"))
    Traceback (most recent call last):
    growmix.errors.BadCheckpoint: state.json can't be read: 1e999 is not finite
    """
    values = sum(content.count(mark) for mark in (b"[", b"{", b","))
    if values > MOST_SMALL + len(content) // BYTES_PER_VALUE:
        raise BadCheckpoint(f"{path} can't be read: it has {values:,} values in {len(content):,} bytes")
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{path} can't be read: {error}") from error


def read_slots(file: OpenFile) -> dict[str, Slot]:
    """What tensors a safetensors file holds, by name, none of them read: they fill the file without gap or overlap.

    Raises
    ------
    BadCheckpoint
        The header is none, or says something else than the file's size allows.
    """
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(MOST_HEADER, file.size - 8):
        raise BadCheckpoint(f"{file.path} is no safetensors file: a header of {length} bytes in {file.size}")
    header = strict_json(file.read(length), file.path)
    if not isinstance(header, dict):
        raise BadCheckpoint(f"{file.path} is no safetensors file: its header is no object")
    slots = {name: _slot(name, entry, file.path) for name, entry in header.items() if name != "__metadata__"}
    end = 0
    for name, slot in sorted(slots.items(), key=lambda item: (item[1].begin, item[1].end)):
        if slot.begin != end:
            raise BadCheckpoint(f"{file.path}: tensor {shown(name)} begins at byte {slot.begin} where {end} is free")
        end = slot.end
    if 8 + length + end != file.size:
        raise BadCheckpoint(f"{file.path} has {file.size} bytes, but its header tells of {8 + length + end}")
    return slots


def outlines(slots: Mapping[str, Slot]) -> dict[str, Tensor]:
    """Tensors of the same shapes and types without memory: on the device ``meta``."""
    return {name: torch.empty(slot.shape, dtype=slot.dtype, device="meta") for name, slot in slots.items()}


def read_tensors(file: OpenFile, slots: Mapping[str, Slot]) -> dict[str, Tensor]:
    """All tensors of a file of which the header was read just before.

    Raises
    ------
    BadCheckpoint
        The file changed meanwhile.
    BadInput
        It does not fit into memory.
    """
    require_room(file.size, f"{file.path}")
    tensors = {}
    for name, slot in sorted(slots.items(), key=lambda item: item[1].begin):
        try:
            tensor = torch.empty(slot.shape, dtype=slot.dtype)
        except (RuntimeError, MemoryError) as error:
            raise BadCheckpoint(
                f"{file.path}: no memory for tensor {shown(name)} of shape {shown(slot.shape)}"
            ) from error
        if slot.end > slot.begin:
            content = tensor.view(-1).view(torch.uint8)
            file.fill(memoryview(content.numpy()))  # type: ignore[arg-type] # an array is a buffer
            if slot.dtype == torch.bool and int(content.max()) > 1:
                raise BadCheckpoint(f"{file.path}: tensor {shown(name)} has truth values that are neither 0 nor 1")
        tensors[name] = tensor
    return tensors


def _open_folder(folder: Path, first: str) -> int | None:
    """A handle of the folder, where the system has such: files are then opened in it, wherever it is moved to."""
    if folder.is_symlink():
        raise BadCheckpoint(f"{folder} is a symbolic link; give the folder that it leads to")
    try:
        if os.open in os.supports_dir_fd:
            return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise BadCheckpoint(f"{folder / first} can't be read: {error}") from error
    return None


def _is_there(path: Path, place: int | None) -> bool:
    try:
        os.lstat(path if place is None else path.name, dir_fd=place)
    except OSError:
        return False
    return True


def _open_file(path: Path, place: int | None) -> OpenFile:
    # without waiting, or a pipe without a writer would hang
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
    where = path if place is None else path.name
    try:
        kind = os.lstat(where, dir_fd=place).st_mode
        if not stat.S_ISREG(kind):
            raise BadCheckpoint(f"{path} is {name_kind(kind)}; a checkpoint holds regular files only")
        handle = os.open(where, flags, dir_fd=place)
    except OSError as error:
        raise BadCheckpoint(f"{path} can't be read: {error}") from error
    opened = os.fstat(handle)
    if not stat.S_ISREG(opened.st_mode):  # it was changed for something else meanwhile
        os.close(handle)
        raise BadCheckpoint(f"{path} is {name_kind(opened.st_mode)}; a checkpoint holds regular files only")
    return OpenFile(path, os.fdopen(handle, "rb"), opened.st_size)


def name_kind(mode: int) -> str:
    """What a file that is no regular one is, in words."""
    if stat.S_ISREG(mode):
        return "a file"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(mode) else "a device, a socket or a pipe"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number has {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is not finite")
    return number


def _slot(name: str, entry: Any, path: Path) -> Slot:
    try:
        dtype, shape, (begin, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        fits = len(shape) <= MOST_DIMENSIONS and math.prod(max(1, n) for n in shape) <= MOST_NUMBERS
        if whole and fits and end - begin == math.prod(shape) * dtype.itemsize:
            return Slot(dtype, tuple(shape), begin, end)
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{path}: tensor {shown(name)} can't be understood: {shown(error)}") from error
    raise BadCheckpoint(
        f"{path}: tensor {shown(name)} has shape {shown(shape)} and bytes {shown(begin)} to {shown(end)}"
    )
