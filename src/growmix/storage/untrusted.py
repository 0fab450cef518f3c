"""Files that a stranger may have written are opened, measured and parsed before anything in them is believed.

Promised is that nothing in them is executed, that only regular files are read (a pipe would wait for ever, a link lead
elsewhere), and that no size in them is believed: what parsing takes is in proportion to the bytes that are there.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from growmix.errors import BadCheckpoint

MOST_DIGITS = 310
"""Digits of a whole number: growmix never wrote one that does not fit into a float."""

MOST_SMALL = 1_000_000
"""How many values of a JSON file may be as short as they like: each takes some eighty bytes of memory."""

BYTES_PER_VALUE = 10
"""How many bytes of the file all further values take on average, at least: growmix's own numbers have twenty digits."""


@dataclass(frozen=True, eq=False)
class OpenFile:
    """A regular file, open for reading."""

    path: Path
    stream: BinaryIO
    size: int

    def read(self, size: int) -> bytes:
        """Return the next bytes, as many as are asked for.

        Raises
        ------
        BadCheckpoint
            The file has fewer.
        """
        try:
            content = self.stream.read(min(size, self.size))
        except OSError as error:
            raise BadCheckpoint(f"{self.path} can't be read: {error}") from error
        if len(content) != size:
            raise BadCheckpoint(f"{self.path} ends too early: it has {self.size:,} bytes")
        return content


@contextmanager
def open_file(path: Path) -> Iterator[OpenFile]:
    """Open a file for reading if it is a regular one: no symbolic link, folder, device or pipe.

    Raises
    ------
    BadCheckpoint
        The file is missing, can't be read or is no regular file.
    """
    # without waiting, or a pipe without a writer would hang
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
    try:
        _check_regular(path, os.lstat(path).st_mode)
        stream = os.fdopen(os.open(path, flags), "rb")
    except OSError as error:
        raise BadCheckpoint(f"{path} can't be read: {error}") from error
    with stream:
        opened = os.fstat(stream.fileno())
        _check_regular(path, opened.st_mode)  # another may have taken its place since it was looked at
        yield OpenFile(path, stream, opened.st_size)


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadCheckpoint(f"{path} is {name_kind(mode)}, where only regular files are read")


def read_json(path: Path, most: int) -> Any:
    """Return what a regular JSON file of at most so many bytes says, see :func:`strict_json`.

    Raises
    ------
    BadCheckpoint
        The file is larger, or is no JSON within bounds.
    """
    return strict_json(read_bytes(path, most), path)


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most so many bytes.

    Raises
    ------
    BadCheckpoint
        The file is larger, or can't be read.
    """
    with open_file(path) as file:
        if file.size > most:
            raise BadCheckpoint(f"{path} has {file.size:,} bytes; allowed are {most:,}")
        return file.read(file.size)


def strict_json(content: bytes, path: Path) -> Any:
    """Return what JSON says, if it is within bounds: nesting, size of whole numbers, finite numbers, no name twice.

    Parameters
    ----------
    content
        The JSON itself.
    path
        The file that it was read from, for the message.

    Raises
    ------
    BadCheckpoint
        The content is no JSON, or is out of bounds.

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


def name_kind(mode: int) -> str:
    """Say in words what kind of file has this mode."""
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
