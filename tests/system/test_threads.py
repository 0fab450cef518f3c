"""A lock belongs to one object: whoever holds that of an original can still use a copy."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable

import pytest

from growmix.system.threads import OwnLock

COPIES: dict[str, Callable[[OwnLock], OwnLock]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda lock: pickle.loads(pickle.dumps(lock)),
}


def is_free(lock: OwnLock) -> bool:
    """Whether another thread can have it."""
    had = []

    def try_it() -> None:
        had.append(lock.held.acquire(blocking=False))
        if had[0]:
            lock.held.release()

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    return had[0]


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_free_while_the_original_is_held(way: str) -> None:
    lock = OwnLock()
    with lock.held:
        other = COPIES[way](lock)
        assert not is_free(lock)
        assert is_free(other)


def test_who_holds_it_may_enter_again() -> None:
    lock = OwnLock()
    with lock.held, lock.held:
        assert not is_free(lock)
    assert is_free(lock)
