"""Paths as users give them are checked before anything is done with them.

The adversary is a typo. Promised is one line that names the argument.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from growmix.errors import BadInput, shown


def check_path(value: object, name: str) -> Path:
    """Return a path that the system can look up, with ``~`` resolved; whether anything is there is not asked.

    Raises
    ------
    BadInput
        The value is no path, or none that can be had here: no such user, a name too long, the character NUL.

    Examples
    --------
    >>> check_path("data/mnist", "data_root")
    PosixPath('data/mnist')
    >>> check_path("", "data_root")
    Traceback (most recent call last):
    growmix.errors.BadInput: data_root is ''; allowed is a path
    """
    if not isinstance(value, (str, os.PathLike)) or value == "":
        raise BadInput(f"{name} is {shown(value)}; allowed is a path")
    given = shown(str(value) if isinstance(value, Path) else value)
    try:
        path = Path(value).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.lstat()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{name} is {given}; allowed is a path that can be had here ({reason})") from error
    return path


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Turn what the system says of a place that can't be written into a ``BadInput`` that names it.

    Examples
    --------
    >>> with writing_to(Path("x.png")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    growmix.errors.BadInput: out is 'x.png', which can't be written: No space left on device
    """
    try:
        yield
    except OSError as error:
        raise BadInput(f"out is {str(out)!r}, which can't be written: {error.strerror or error}") from error
