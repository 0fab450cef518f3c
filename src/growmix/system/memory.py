"""What fits into memory is asked before something large is made.

The adversary is a slip: a size with a digit too many. Promised is one line with the bytes needed and the bytes there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from growmix.errors import BadInput

SMALL = 16 * 2**20
"""Bytes up to which nobody needs to ask: the asking would cost more than the memory."""

HOST = torch.device("cpu")

TRAINED = 4
"""Numbers that training holds for a weight: itself, its gradient, and two moments."""

_MEMINFO = Path("/proc/meminfo")
_CONTROL_GROUP = Path("/sys/fs/cgroup")
_LIMIT_AND_USE = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Where Linux tells what a container may have and has, in the second and the first version of control groups."""


def available() -> int | None:
    """Bytes that can still be had without swapping; ``None`` where the system does not tell.

    Linux says what is free or can be freed, in the machine and in the container. Elsewhere it is all memory that there
    is: a check against that refuses what never fits.
    """
    rooms = [room for room in (_of_machine(), _of_container()) if room is not None]
    return min(rooms, default=None)


def available_on(device: torch.device) -> int | None:
    """Bytes that can still be had on a device; one that has no memory of its own has the machine's.

    Examples
    --------
    >>> available_on(torch.device("cpu")) == 0
    False
    """
    if device.type != "cuda":
        return available()
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _of_machine() -> int | None:
    try:
        return _entry(_MEMINFO, "MemAvailable:") * 1024
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_container() -> int | None:
    """What the limit of a container leaves; files in its cache count as used there, but make room when asked."""
    for limit, use, detail in _LIMIT_AND_USE:
        try:
            most, used = (int((_CONTROL_GROUP / name).read_text(encoding="ascii")) for name in (limit, use))
            cached = sum(_entry(_CONTROL_GROUP / detail, name) for name in ("inactive_file", "active_file"))
        except (OSError, ValueError, StopIteration):  # no such file, or no limit ("max")
            continue
        return max(0, most - used + cached)
    return None


def _entry(file: Path, name: str) -> int:
    """The number behind a name, in a file of such lines."""
    lines = (line.split() for line in file.read_text(encoding="ascii").splitlines())
    return next(int(line[1]) for line in lines if line and line[0] == name)


def require_room(needed: int, what: str, room: int | None = None, device: torch.device = HOST) -> None:
    """Refuse to start what can't fit.

    Parameters
    ----------
    needed
        Estimated number of bytes.
    what
        What they are for, as the subject of the message.
    room
        Bytes that there are; by default as many as are available now.
    device
        The device whose memory is meant.

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
    room = available_on(device) if room is None else room
    if room is not None and needed > room:
        place = "" if device == HOST else f" on {device}"
        raise BadInput(
            f"{what} needs about {_readable(needed)} of memory, but {_readable(room)} are available{place}; "
            "give less at a time, or smaller images"
        )


def require_training(weights: Iterable[Tensor], shape: tuple[int, ...], device: torch.device) -> None:
    """Refuse to train what can't fit.

    Parameters
    ----------
    weights
        The weights to be trained, or copied and then trained; those of networks still to be made are on ``meta``.
    shape
        The shape of the examples that the weights are for.
    device
        The device on which the weights are trained.

    Raises
    ------
    BadInput
        More is needed than there is.
    """
    weights = list(weights)
    numbers, size = sum(weight.numel() for weight in weights), sum(weight.nbytes for weight in weights)
    what = f"{numbers:,} weights for images of shape {shape}"
    require_room(TRAINED * size, f"training {what}", device=device)
    if device != HOST and any(weight.is_meta for weight in weights):
        require_room(size, what)  # networks are made here, and then brought there


def _readable(size: float) -> str:
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
    rank = 0
    while size >= 1024 and rank < len(units) - 1:
        size, rank = size / 1024, rank + 1
    return f"{size:.4g} bytes" if rank == 0 else f"{size:.1f} {units[rank]}"
