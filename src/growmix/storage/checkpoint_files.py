"""The two files of a checkpoint: ``state.json``, and the file of tensors that it names by its digest.

The adversary is a crash: a process that is killed, a disk that is full, a bit that flips, two that save to one
place. Promised is that at every instant the old checkpoint or the new one can be read, whole, and that no changed byte
stays unseen: new tensors are written beside the old ones, then ``state.json`` is replaced in one step, and only then
are the old tensors removed. ``state.json`` begins with the checksum of the rest of itself.

A stranger can write right checksums for wrong numbers: what the files say is for those who read them to check.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from growmix.errors import BadCheckpoint
from growmix.storage.durable import make_folders, to_disk, write_whole
from growmix.storage.untrusted import OpenFile
from growmix.system.locking import taking_turns

DOCUMENT = "state.json"
TENSORS = "tensors-*.safetensors"
"""How messages call the file of tensors, whose name has the beginning of its digest for the star."""

FILE_BROWSER_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that programs leave in the folders that they show."""

_OWN = re.compile(
    r"state\.json|tensors-[0-9a-f]{16}\.safetensors|\.(state\.json|tensors-[0-9a-f]{16}\.safetensors)\.new"
)
"""Names of all files that a save makes, those included that a killed one leaves."""

_CHUNK = 2**20
_DIGITS = 64
_BEGIN, _MIDDLE = b'{"sha256": "', b'", '
_BODY = len(_BEGIN) + _DIGITS + len(_MIDDLE)
"""The byte at which that part of ``state.json`` begins whose checksum stands before it."""


def commit(
    folder: Path, document: Mapping[str, Any], tensors: bytes, check: Callable[[bytes], object] = lambda _: None
) -> None:
    """Put a document and a file of tensors in the place of what a folder held, in one step.

    Folders inside it hold checkpoints that belonged to the old one, such as the student that it taught; they are
    removed just before the step, so that none is ever taken for the new one's.

    Parameters
    ----------
    folder
        An absolute path; the folder is made if it is missing, and holds nothing but checkpoints.
    document
        What ``state.json`` is to say, ready for JSON.
    tensors
        The content of the file of tensors.
    check
        Given the content of ``state.json`` before anything is written; raises ``ValueError`` if it can't be read back.

    Raises
    ------
    OSError
        The files can't be written; the old checkpoint still stands.
    TypeError, ValueError
        The document can't be written as JSON, or not be read back.
    """
    digest = hashlib.sha256(tensors).hexdigest()
    state = state_of(document, digest, len(tensors))
    check(state)
    name = tensors_name(digest)
    is_new = not folder.exists()
    make_folders(folder)
    with taking_turns(folder):
        before = {place.name for place in folder.glob(TENSORS)}
        try:
            write_whole(folder / name, tensors)
            write_whole(folder / DOCUMENT, state, ready=lambda: _remove_inner(folder))
        finally:
            with suppress(OSError):
                stands = (folder / DOCUMENT).exists() and (folder / DOCUMENT).read_bytes() == state
                _remove_files(folder, keep={name} if stands else before)
                if is_new and not stands:
                    folder.rmdir()


def state_of(document: Mapping[str, Any], digest: str, size: int) -> bytes:
    """Return the content of ``state.json``: a checksum, a document, and which file of tensors belongs to it.

    Examples
    --------
    >>> state = state_of({"kind": "student"}, "0" * 64, 8)
    >>> is_whole(state), is_whole(state.replace(b"student", b"mixture"))
    (True, False)
    """
    entry = {"tensors": {"bytes": size, "sha256": digest}}
    return with_checksum(json.dumps({**document, **entry}, allow_nan=False).encode().removeprefix(b"{"))


def with_checksum(body: bytes) -> bytes:
    """Return a body, which is a JSON object without its first brace, behind its checksum."""
    return _BEGIN + hashlib.sha256(body).hexdigest().encode() + _MIDDLE + body


def is_whole(state: bytes) -> bool:
    """Tell whether the content of ``state.json`` is as it was written: no byte of it can change unseen."""
    return with_checksum(state[_BODY:]) == state


def tensors_name(digest: str) -> str:
    """Return the name of the file of tensors that has this SHA-256, in hexadecimal digits."""
    return TENSORS.replace("*", digest[:16])


def named_tensors(document: Mapping[str, Any], state: Path) -> tuple[str, int]:
    """Return which file of tensors a document names: its SHA-256 and its size in bytes.

    Raises
    ------
    BadCheckpoint
        The document names none.
    """
    entry = document.get("tensors")
    digest, size = (entry.get("sha256"), entry.get("bytes")) if isinstance(entry, dict) else (None, None)
    if isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) and type(size) is int:
        return digest, size
    raise BadCheckpoint(f"{state} does not say which tensors belong to it")


def check_content(file: OpenFile, digest: str, size: int) -> None:
    """See that an open file has the content that ``state.json`` tells of; its size first, and a piece of it at a time.

    Raises
    ------
    BadCheckpoint
        The file was changed since it was written.
    """
    if file.size != size:
        raise BadCheckpoint(
            f"{file.path} is not what was written: it has {file.size} bytes, but {DOCUMENT} tells of {size}"
        )
    found = hashlib.sha256()
    for start in range(0, size, _CHUNK):
        found.update(file.read(min(_CHUNK, size - start)))
    if found.hexdigest() != digest:
        raise BadCheckpoint(f"{file.path} is not what was written: its checksum is not the one in {DOCUMENT}")


def foreign_in(folder: Path) -> Path | None:
    """Return a file in a folder, or in one inside it, that belongs to no checkpoint and must stay, if there is one."""
    for place in sorted(folder.glob("*")):
        if place.is_dir() and not place.is_symlink():
            inside = foreign_in(place)
            if inside is not None:
                return inside
        elif place.name not in FILE_BROWSER_FILES and not _OWN.fullmatch(place.name):
            return place
    return None


def remove_folder(folder: Path) -> None:
    """Remove a folder, if there is one: ``state.json`` first, so that half a folder is never taken for a checkpoint.

    Raises
    ------
    OSError
        Something in it can't be removed.
    """
    if folder.exists():
        (folder / DOCUMENT).unlink(missing_ok=True)
        shutil.rmtree(folder)


def _remove_inner(folder: Path) -> None:
    inner = [place for place in folder.iterdir() if place.is_dir() and not place.is_symlink()]
    for place in inner:
        remove_folder(place)
    if inner:
        to_disk(folder)


def _remove_files(folder: Path, keep: set[str]) -> None:
    """Remove files that a save made, but not ``state.json`` nor the tensors to keep."""
    for place in folder.iterdir():
        if _OWN.fullmatch(place.name) and place.name not in {DOCUMENT, *keep}:
            place.unlink(missing_ok=True)
