"""Folders hold a document (JSON) and tensors (safetensors), written whole and read in distrust; no pickle anywhere.

The adversary is a crash, chance damage and a stranger's folder. Promised is that a folder is read as it was
written, by this version of growmix or an older one whose schema is known, or refused with the name of the file; that a
reader beside a writer reads one state or the next; that nothing in a folder is executed; and that tensors are looked at
by shape and type before memory is taken for them. What the document means is for the models to check.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from safetensors.torch import save
from torch import Tensor

from growmix import __version__
from growmix.checkpoints.migration import SCHEMA, can_be_read, migrated
from growmix.errors import BadCheckpoint, BadInput, shown
from growmix.storage.checkpoint_files import (
    DOCUMENT,
    check_content,
    commit,
    foreign_in,
    is_whole,
    named_tensors,
    tensors_name,
)
from growmix.storage.tensor_files import DTYPES, MOST_HEADER, outlines, read_tensors
from growmix.storage.untrusted import open_file, read_bytes, strict_json

MOST_JSON = 128 * 2**20
"""Bytes of a document: a mixture that has learnt thousands of tasks has fewer."""

_LOOKS = 20
"""How often a folder is read again because another checkpoint took its place meanwhile."""

Look: TypeAlias = Callable[[dict[str, Any], dict[str, Tensor]], None]
"""Looks at a document and at tensors that have shape and type but no memory (on the device ``meta``)."""

R = TypeVar("R")


def write_folder(path: Path, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Put a document and tensors in the place of what a folder holds, in one step.

    At every instant a whole checkpoint stands there, and whatever fails, it is the old one. Folders inside the old one
    go with it.

    Parameters
    ----------
    path
        The folder: a new one, or one that holds checkpoints alone.
    document
        What is no tensor, ready for JSON; the schema and the version of growmix are added.
    tensors
        The tensors, by name.

    Raises
    ------
    BadInput
        The place can't be written, what is there is no checkpoint, or what is given could not be read back.
    """
    path = path.absolute()
    given = f"path {str(path)!r}"
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES.values():
            raise BadInput(f"{given}: tensor {name!r} is of {tensor.dtype}, which no checkpoint holds")
    # a tensor of its own for each name: safetensors refuses two names for the same numbers
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    if int.from_bytes(content[:8], "little") > MOST_HEADER:
        raise BadInput(f"{given}: {len(tensors)} tensors are more than could be read back")
    _check_replaceable(path)
    try:
        commit(path, {**document, "schema": SCHEMA, "growmix": __version__}, content, _check_state)
    except OSError as error:
        raise BadInput(f"{given} can't be written: {error}") from error
    except (TypeError, ValueError) as error:
        raise BadInput(f"{given}: what is to be kept can't be written as JSON and read back: {error}") from error


def _check_state(state: bytes) -> None:
    """See that a document could be read back; raises ``ValueError`` if it could not."""
    if len(state) > MOST_JSON:
        raise ValueError(f"it takes {len(state):,} bytes; allowed are {MOST_JSON:,}")
    strict_json(state, Path(DOCUMENT))


def _check_replaceable(path: Path) -> None:
    """See that a folder holds checkpoints alone, or is new: all that is in it goes with it."""
    if path.is_symlink():
        raise BadInput(f"path {str(path)!r} is a symbolic link; give the folder that it leads to")
    if path.exists() and not path.is_dir():
        raise BadInput(f"path {str(path)!r} is a file; give a new folder")
    foreign = foreign_in(path)
    if foreign is not None:
        raise BadInput(
            f"path {str(path)!r} holds {str(foreign.relative_to(path))!r}, no checkpoint's; give a new folder"
        )


def exists(path: Path) -> bool:
    """Tell whether :func:`read_folder` finds anything at that path, readable or not."""
    return os.path.lexists(path / DOCUMENT)


def read_document(path: Path) -> dict[str, Any]:
    """Return the document of a folder that :func:`write_folder` wrote, both files of it checked, but no tensor read.

    Raises
    ------
    BadCheckpoint
        A file is missing, is not what was written, or is of a schema that is not known.
    """
    return _read(path, lambda document, shapes, tensors: document)


def read_folder(path: Path, look: Look) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read back what :func:`write_folder` wrote, of this schema or an older one that is known.

    Parameters
    ----------
    path
        The folder to be read.
    look
        Called before any tensor is read, with the document and the tensors' outlines; raises if they do not fit.

    Raises
    ------
    BadCheckpoint
        A file is missing, is not what was written, or is of a schema that is not known; the message names it.
    BadInput
        The tensors do not fit into memory.
    """

    def read(document: dict[str, Any], shapes: dict[str, Tensor], file: Path) -> tuple[Any, dict[str, Tensor]]:
        look(document, shapes)
        with open_file(file) as tensors:
            return document, read_tensors(tensors)

    return _read(path, read)


def _read(path: Path, read: Callable[[dict[str, Any], dict[str, Tensor], Path], R]) -> R:
    """Read a folder, again if another checkpoint took its place meanwhile."""
    path = path.absolute()
    looks = 0
    while True:
        looks += 1
        met = _identity(path / DOCUMENT)
        try:
            return read(*_opened(path))
        except BadCheckpoint:
            if looks == _LOOKS or _identity(path / DOCUMENT) == met:
                raise
            time.sleep(0.001)


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that took its place; ``None`` where there is none."""
    try:
        found = os.lstat(file)
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _opened(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], Path]:
    """Return a folder's document as this schema says it, the outlines of its tensors, and the file that they are in."""
    if folder.is_symlink():
        raise BadCheckpoint(f"{folder} is a symbolic link; give the folder that it leads to")
    document = _document(folder / DOCUMENT)
    digest, size = named_tensors(document, folder / DOCUMENT)
    place = folder / tensors_name(digest)
    with open_file(place) as file:
        check_content(file, digest, size)
        shapes = outlines(file)
    own = {name: value for name, value in document.items() if name not in ("sha256", "tensors")}
    try:
        return migrated(own), shapes, place
    except (LookupError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{folder / DOCUMENT} can't be understood: {shown(error)}") from error


def _document(file: Path) -> dict[str, Any]:
    """Return what ``state.json`` says; its schema comes first, since older ones had no checksum there."""
    state = read_bytes(file, MOST_JSON)
    whole = is_whole(state)
    try:
        document = strict_json(state, file)
    except BadCheckpoint:
        if whole:
            raise
        document = None
    schema = document.get("schema") if isinstance(document, dict) else None
    readable = type(schema) is int and can_be_read(schema)
    if not whole and (readable or type(schema) is not int):
        raise BadCheckpoint(f"{file} is not what was written: its checksum is not its own")
    if type(schema) is not int or schema < 1:
        raise BadCheckpoint(f"{file} is not the document of a checkpoint")
    if not readable:
        advice = "update it" if schema > SCHEMA else "learn the tasks again, or go on with the growmix that wrote it"
        raise BadCheckpoint(
            f"{file} has schema {schema}, of growmix {shown(document.get('growmix'))}; "
            f"this is growmix {__version__}, which reads schema {SCHEMA}: {advice}"
        )
    return dict(document)
