"""One writer for each folder, by a lock that the system itself lets go of when its process ends, however it ends.

The adversary is a user who starts a second process by mistake. Promised is that a run's folder has one writer,
and that a process that was killed is in nobody's way. The file ``lock`` says whose the folder is, for people and for
messages; what counts is the lock that the system holds on it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from growmix.errors import BadInput, shown
from growmix.system.paths import writing_to

LOCK = "lock"

_PATIENCE, _MOMENT = 20, 0.01
"""How often a lock is asked for again, and after how many seconds: its owner may only have looked at it."""

_one_thread = threading.RLock()
"""Held by the thread that is changing a folder: what keeps processes apart does not keep threads apart everywhere."""

if sys.platform == "win32":
    import msvcrt

    _FAR = 2**30  # a byte that is locked can't be read, so one far behind the end of the file is locked

    @contextmanager
    def _alone_in(folder: Path) -> Iterator[None]:
        yield  # folders can't be locked here

    def _seize(file: IO[str], *, alone: bool) -> None:
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        finally:
            file.seek(0)
else:
    import fcntl

    def _seize(file: IO[str], *, alone: bool) -> None:
        """Lock a file, or raise ``BlockingIOError`` where another process has."""
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)

    @contextmanager
    def _alone_in(folder: Path) -> Iterator[None]:
        handle = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # some network drives have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)  # a process that was forked meanwhile would hold it still
            os.close(handle)


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Wait for every other thread and process that is within this for the same folder; then be the only one."""
    with _one_thread, _alone_in(folder):
        yield


@contextmanager
def hold(folder: Path) -> Iterator[str | None]:
    """Be the one process that writes to a folder while this is held.

    Parameters
    ----------
    folder
        The folder, which must be there.

    Yields
    ------
    str or None
        What the user should know: that a process that is gone had left its lock, or that locks can't be had here.

    Raises
    ------
    BadInput
        Another process writes to the folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, hold(Path(folder)):
    ...     refuse_second(Path(folder))
    Traceback (most recent call last):
    growmix.errors.BadInput: ...
    """
    file, notice = _take(folder)
    with file:
        own = {"pid": os.getpid(), "host": socket.gethostname(), "started": _now()}
        with suppress(OSError):  # a disk that is full; what it says is for people, and the lock is held without
            os.ftruncate(file.fileno(), 0)
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            os.write(file.fileno(), (json.dumps(own) + "\n").encode())
        try:
            yield notice
        finally:
            with suppress(OSError):
                if _is_at(folder / LOCK, file):
                    (folder / LOCK).unlink()


def refuse_second(folder: Path) -> None:
    """See that no other process writes to a folder, without writing there.

    Raises
    ------
    BadInput
        Another process writes there.
    """
    try:
        file = (folder / LOCK).open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with file:
        try:
            _seize(file, alone=False)
        except BlockingIOError:
            raise BadInput(_refusal(folder, file)) from None
        except OSError:
            return


def _take(folder: Path) -> tuple[IO[str], str | None]:
    """Return the locked file, and what the user should know."""
    patience = _PATIENCE
    while True:
        file = _open(folder / LOCK)
        try:
            _seize(file, alone=True)
            if _is_at(folder / LOCK, file):
                left = _said(file)
                return file, None if left is None else f"the lock of {_owner(left)} was left behind, and is taken over"
        except BlockingIOError:
            if not patience:
                with file:
                    raise BadInput(_refusal(folder, file)) from None
            patience -= 1
            time.sleep(_MOMENT)
        except OSError as error:
            return file, f"locks can't be had here ({error.strerror}), so nothing keeps a second process out"
        file.close()


def _is_at(path: Path, file: IO[str]) -> bool:
    """Tell whether a file is still the one at that path: its owner removes it, and the next one makes another."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> IO[str]:
    """Open the file at that path, and make it if it is not there."""
    with writing_to(path.parent):
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8", errors="replace")


def _said(file: IO[str]) -> dict[str, Any] | None:
    """Return what an earlier owner wrote, or ``None`` where the file is new."""
    file.seek(0)
    text = file.read(4096)
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {} if text else None
    return said if isinstance(said, dict) else {}


def _refusal(folder: Path, file: IO[str]) -> str:
    owner = _owner(_said(file) or {})
    return f"out is {str(folder)!r}, which {owner} is writing; wait for its end, or choose another folder"


def _owner(said: dict[str, Any]) -> str:
    if not {"pid", "host", "started"} <= said.keys():
        return "another process"
    pid, host, started = (shown(said[name]) for name in ("pid", "host", "started"))
    return f"process {pid} on host {host}, started {started},"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
