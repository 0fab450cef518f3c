"""What fits into memory, asked before something large is made rather than found out by it."""

from __future__ import annotations

import os
from pathlib import Path

from growmix.errors import BadInput

SMALL = 16 * 2**20
"""Bytes up to which nobody needs to ask: the asking would cost more than the memory."""

_MEMINFO = Path("/proc/meminfo")


def available() -> int | None:
    """Bytes that can still be had without swapping; ``None`` where the system does not tell.

    Linux says what is free or can be freed. Elsewhere it is all memory that there is: a check against that refuses
    what never fits.
    """
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def require_room(needed: int, what: str, room: int | None = None) -> None:
    """Refuse to start what can't fit.

    Parameters
    ----------
    needed
        Bytes, estimated.
    what
        What they are for, as the subject of the message.
    room
        Bytes that there are; by default as many as are available now.

    Raises
    ------
    BadInput
        More is needed than there is.

    Examples
    --------
    >>> require_room(3 * 2**40, "x as float32, 3 numbers", room=2**30)
    Traceback (most recent call last):
    growmix.errors.BadInput: x as float32, 3 numbers needs about 3.0 TiB of memory, but 1.0 GiB are available; ...
    """
    if needed <= SMALL:
        return
    room = available() if room is None else room
    if room is not None and needed > room:
        raise BadInput(
            f"{what} needs about {_readable(needed)} of memory, but {_readable(room)} are available; "
            "give less at a time, or smaller images"
        )


def _readable(size: float) -> str:
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
    rank = 0
    while size >= 1024 and rank < len(units) - 1:
        size, rank = size / 1024, rank + 1
    return f"{size:.4g} bytes" if rank == 0 else f"{size:.1f} {units[rank]}"
