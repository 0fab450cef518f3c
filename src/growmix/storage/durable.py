"""Files and folders are on the disk when a function returns, not some time later.

The adversary is a crash, of the process or of the machine. Promised is that a file has its old content or its
new one, whole, and that what a function made is still there after the machine has lost its power.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def write_whole(file: Path, content: bytes, ready: Callable[[], object] = lambda: None) -> None:
    """Write a file whole or not at all, and put it to the disk; where a link was, the file takes its place.

    Parameters
    ----------
    file
        Where the file is to be.
    content
        All of its bytes.
    ready
        Called when the content is on the disk and only has to be given its name.

    Raises
    ------
    OSError
        The file can't be written; what was there still is.
    """
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)  # a process that was killed may have left one
    try:
        with fresh.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        ready()
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
        One of them can't be made.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    to_disk(folder.parent)


def to_disk(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name != "posix":  # where folders can't be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that keep names in order by themselves
            raise
    finally:
        os.close(handle)
