"""How many threads torch computes with, set for one piece of work without disturbing any other.

The number is each thread's own, but a new thread begins with the number that was set last anywhere. So every piece of
work states its number, and the one that the process had before the first piece of work is what all go back to.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_working: set[object] = set()
_before = 0


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Compute with a number of threads within this block, in this thread alone.

    Parameters
    ----------
    count
        How many threads torch may use; ``None``: as many as the process uses elsewhere.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with torch_threads(1):
    ...     print(torch.get_num_threads())
    1
    >>> torch.get_num_threads() == before
    True
    """
    global _before
    token = object()
    try:
        with _lock:
            if not _working:
                _before = torch.get_num_threads()
            _working.add(token)
        torch.set_num_threads(count or _before)
        yield
    finally:
        with _lock:
            if token in _working:
                torch.set_num_threads(_before)
            _working.discard(token)
