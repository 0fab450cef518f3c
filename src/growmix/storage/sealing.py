"""Folders that are written whole or not at all, and say so by their checksums, in ``checksums.json``.

A new folder ``.NAME.new-PID`` is filled beside the old one and put to the disk; the old one is renamed to
``.NAME.old-PID`` and the new one to NAME. Whoever stops between the two renames leaves no NAME, but two whole folders
beside it: :func:`standing` finds them, and the next to write puts one back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growmix.errors import BadCheckpoint
from growmix.storage.durable import make_folders, to_disk, write_whole
from growmix.storage.untrusted import OpenFile, strict_json

SEAL = "checksums.json"

FILE_BROWSER_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What programs that show folders leave in them."""

MOST_SEAL = 64 * 2**10
"""Bytes of a file of checksums."""

_CHUNK = 2**20

_one_at_a_time = threading.RLock()
"""Threads share a process number, which tells the folders that are being written apart."""


def seal(folder: Path) -> None:
    """Put all files of a folder to the disk, then their checksums: where these are, all else was written."""
    files = [file for file in folder.iterdir() if file.is_file() and file.name != SEAL]
    for file in files:
        to_disk(file)
    write_whole(folder / SEAL, sealed_text({file.name: _digest_of(file) for file in files}))


@dataclass(frozen=True)
class Seal:
    """The checksums of a folder, as they were read."""

    path: Path
    files: Mapping[str, Mapping[str, Any]]

    def check_names(self, names: Iterable[str]) -> None:
        """See that it is of these files and no other.

        Raises
        ------
        BadCheckpoint
            It is of others.
        """
        if set(self.files) != set(names):
            raise BadCheckpoint(f"{self.path} is of {sorted(self.files)}, needed {sorted(names)}: another folder's")

    def check(self, file: OpenFile) -> None:
        """See whether a file is as it was written; its size first, and no more in memory than a piece.

        Raises
        ------
        BadCheckpoint
            It is not.
        """
        written = self.files.get(file.path.name)
        if written is None:
            raise BadCheckpoint(f"{self.path} does not know {file.path.name}: it is another folder's")
        if file.size != written["bytes"]:
            raise BadCheckpoint(
                f"{file.path} is not what was written: it has {file.size} bytes, by {SEAL} {written['bytes']}"
            )
        if _digest(file) != written["sha256"]:
            raise BadCheckpoint(f"{file.path} is not what was written: its checksum is not the one in {SEAL}")


def replace_folder(
    path: Path,
    fill: Callable[[Path], None],
    is_whole: Callable[[Path], bool],
    check: Callable[[Path], None],
) -> None:
    """Fill a new folder, then put it where an older one may lie; if that fails, the older one is back.

    Where only the disk's last word on the names does not come, the new one stays, and the failure is told all the same.

    Parameters
    ----------
    path
        Absolute.
    fill
        Writes into the new folder.
    is_whole
        Whether a folder that an interrupted process left may take the place of a missing one.
    check
        Looks at the new folder before it takes the place of the old one; raises what this function then raises.
    """
    with _one_at_a_time:
        _recover(path, is_whole, spare_living=True)
        _replace_folder(path, fill, check)


def _replace_folder(path: Path, fill: Callable[[Path], None], check: Callable[[Path], None]) -> None:
    fresh = path.with_name(f".{path.name}.new-{os.getpid()}")
    stale = path.with_name(f".{path.name}.old-{os.getpid()}")
    make_folders(path.parent)
    fresh.mkdir()
    try:
        fill(fresh)
        seal(fresh)
        check(fresh)
        if path.exists():
            fresh.chmod(path.stat().st_mode & 0o777)  # whom its owner keeps out stays out
            path.rename(stale)
        fresh.rename(path)
        to_disk(path.parent)
    finally:
        if not path.exists() and stale.exists():
            stale.rename(path)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(stale, ignore_errors=True)


def standing(path: Path, is_whole: Callable[[Path], bool]) -> Path:
    """The folder, or where it is missing the whole one that an interrupted process left beside it.

    The folder that holds it may be what is missing.
    """
    if os.path.lexists(path):
        return path
    for left in _leftovers(path):
        if is_whole(left):
            return left
    if path.parent != path and not path.parent.exists():
        return standing(path.parent, is_whole) / path.name
    return path


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from one that took its place; ``None`` where there is none."""
    try:
        found = os.lstat(folder)
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def recover(path: Path, is_whole: Callable[[Path], bool]) -> None:
    """Put back what an interrupted process left beside a missing folder, and clear the rest of what it left.

    Its number may be another process's by now, so what is whole is put back whoever has it.
    """
    with _one_at_a_time:
        _recover(path, is_whole, spare_living=False)


def _recover(path: Path, is_whole: Callable[[Path], bool], *, spare_living: bool) -> None:
    if path.parent != path and not path.parent.exists():
        _recover(path.parent, is_whole, spare_living=False)
    whole = standing(path, is_whole)
    if whole.parent == path.parent and whole != path and not (spare_living and _is_alive(whole)):
        whole.rename(path)
        to_disk(path.parent)
    for left in _leftovers(path):
        # what was finished but can't be read may be all that there is: a newer growmix may be able to
        needless = path.exists() or not (left / SEAL).exists()
        if needless and not _is_alive(left):
            shutil.rmtree(left, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that interrupted processes left beside it; nothing, where there is none.

    Raises
    ------
    OSError
        One can't be removed.
    """
    for left in (path, *_leftovers(path)):
        if left.exists():
            shutil.rmtree(left)


def is_leftover(place: Path) -> bool:
    """Whether a folder has the name of one that is being written, or that an interrupted process left."""
    return re.fullmatch(r"\..+\.(new|old)-\d+", place.name) is not None


def _leftovers(path: Path) -> list[Path]:
    """Folders of interrupted or running processes: new before old, later before earlier."""
    kinds = (f".{path.name}.old-", f".{path.name}.new-")
    with suppress(OSError):
        left = [place for place in path.parent.iterdir() if place.name.startswith(kinds) and not place.is_symlink()]
        return sorted(left, key=lambda place: (place.name.startswith(kinds[1]), _changed(place)), reverse=True)
    return []


def _changed(place: Path) -> float:
    with suppress(OSError):
        return place.stat().st_mtime
    return 0.0


def _is_alive(left: Path) -> bool:
    """Whether the process that a folder is named for may be writing it."""
    number = left.name.rpartition("-")[2]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    if os.name != "posix":  # asking would end the process there
        return True
    try:
        with suppress(PermissionError):  # it is another user's
            os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    return True


def sealed_text(files: Mapping[str, Any]) -> bytes:
    """The only form that checksums may have, so that no byte of it can change unseen."""
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return (json.dumps({"files": files, "sha256": own}, indent=1, sort_keys=True) + "\n").encode()


def read_seal(sealed: OpenFile) -> Seal:
    """The checksums that a file holds.

    Raises
    ------
    BadCheckpoint
        They are not themselves.
    """
    if sealed.size > MOST_SEAL:
        raise BadCheckpoint(f"{sealed.path} has {sealed.size} bytes; checksums take less")
    content = sealed.read(sealed.size)
    document = strict_json(content, sealed.path)
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, dict) or sealed_text(files) != content:
        raise BadCheckpoint(f"{sealed.path} is not what was written: its checksum is not its own")
    if not all(isinstance(entry, dict) and entry.keys() == {"bytes", "sha256"} for entry in files.values()):
        raise BadCheckpoint(f"{sealed.path} can't be understood")
    return Seal(sealed.path, files)


def _digest_of(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        file = OpenFile(path, stream, path.stat().st_size)
        return {"bytes": file.size, "sha256": _digest(file)}


def _digest(file: OpenFile) -> str:
    """SHA-256 of a whole file, which is then at its beginning again."""
    digest = hashlib.sha256()
    for piece in _pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(file: OpenFile) -> Iterator[bytes]:
    file.stream.seek(0)
    for start in range(0, file.size, _CHUNK):
        yield file.read(min(_CHUNK, file.size - start))
    file.stream.seek(0)
