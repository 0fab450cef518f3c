"""Locks for objects that several threads use, and that may be copied or sent to another process."""

from __future__ import annotations

import threading
from typing import Any, final


@final
class OwnLock:
    """A re-entrant lock that belongs to one object: a copy of the object, or its pickle, gets a new one.

    Attributes
    ----------
    held
        The lock itself, to be entered with ``with``.

    Examples
    --------
    >>> import copy
    >>> lock = OwnLock()
    >>> with lock.held, copy.deepcopy(lock).held:
    ...     print("two locks")
    two locks
    """

    def __init__(self) -> None:
        self.held = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnLock, ()
