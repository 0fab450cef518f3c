"""Files and folders that are on the disk when a function returns, not some time later."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, and put it to the disk; where a link was, the file takes its place.

    Raises
    ------
    OSError
        It can't be written; what was there still is.
    """
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)  # of a process that was killed
    try:
        with fresh.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    to_disk(file.parent)


def make_folders(folder: Path) -> None:
    """Make a folder and those that hold it, where they are missing, each one's name on the disk before the next.

    Raises
    ------
    OSError
        One can't be made.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    to_disk(folder.parent)


def to_disk(place: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    is_folder = place.is_dir()
    if is_folder and os.name != "posix":  # has no handles of folders
        return
    handle = os.open(place, os.O_RDONLY if is_folder else os.O_RDWR)  # Windows wants it to be writable
    try:
        os.fsync(handle)
    except OSError as error:
        if not (is_folder and error.errno == errno.EINVAL):  # file systems that keep names in order by themselves
            raise
    finally:
        os.close(handle)
