"""How a contract suite runs: a promise is a function that raises ``AssertionError`` where it is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from growmix.errors import BadInput

T = TypeVar("T")


def keep(promises: Sequence[Callable[[T], None]], make: Callable[[], T]) -> list[str]:
    """Try every promise on a fresh object, and return the names of those that were kept, which are all.

    Parameters
    ----------
    promises
        What is promised: functions that raise ``AssertionError`` where it is broken.
    make
        Returns the object that each promise is tried on.
    """
    kept = []
    for promise in promises:
        state = torch.get_rng_state()
        promise(make())
        name = promise.__name__.replace("_", " ").strip()
        require(
            torch.equal(state, torch.get_rng_state()),
            f"torch's global generator was drawn from while it was checked that {name}; draw from the generator given",
        )
        kept.append(name)
    return kept


def require(holds: bool, sentence: str) -> None:
    """Raise ``AssertionError`` with a sentence unless something holds; unlike ``assert`` also under ``python -O``."""
    if not holds:
        raise AssertionError(sentence)


def refuses(act: Callable[[], Any], what: str) -> None:
    """Require that something is refused in words, with :class:`growmix.BadInput`."""
    try:
        answer = act()
    except BadInput:
        return
    except Exception as error:
        raise AssertionError(
            f"{what} must raise growmix.BadInput; it raised {type(error).__name__}: {error}"
        ) from error
    raise AssertionError(f"{what} must raise growmix.BadInput; it returned {answer!r}")
