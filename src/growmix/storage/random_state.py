"""States of generators of random numbers are looked at before they are drawn from.

The adversary is a stranger's file: torch reads past the end of its memory where a state contradicts itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEFT, _NEXT = slice(8, 12), slice(16, 24)
"""Where a state of the CPU's generator (mt19937) says how many numbers of a round are left, and which is next."""

_ROUND = 624
"""How many numbers the generator makes at a time."""


def check_state(state: Tensor) -> None:
    """See that a state of the CPU's generator can be drawn from.

    Torch looks at the numbers left and at the place of the next one by one, and reads past the end of its memory where
    they contradict each other.

    Raises
    ------
    ValueError
        The tensor is no state of the CPU's generator, or one that contradicts itself.

    Examples
    --------
    >>> state = torch.Generator().get_state()
    >>> check_state(state)
    >>> state[16:24] = torch.tensor([5]).view(torch.uint8)
    >>> check_state(state)
    Traceback (most recent call last):
    ValueError: no state of a generator of random numbers: 1 left, 5 next
    """
    known = torch.Generator().get_state()
    if state.dtype != known.dtype or state.shape != known.shape:
        raise ValueError(f"no state of a generator of random numbers: {state.dtype} of shape {tuple(state.shape)}")
    left, following = (int.from_bytes(bytes(state[part].tolist()), "little") for part in (_LEFT, _NEXT))
    fresh = (left, following) == (1, 0)
    if not fresh and not (1 <= left <= _ROUND and left + following == _ROUND + 1):
        raise ValueError(f"no state of a generator of random numbers: {left} left, {following} next")


def set_state(generator: torch.Generator, state: Tensor) -> None:
    """Go on with a stream from a state, which is looked at first.

    Raises
    ------
    ValueError
        The tensor is no state of such a generator, or one that contradicts itself.
    """
    if generator.device.type == "cpu":
        check_state(state)
    try:
        generator.set_state(state)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"no state of a generator of random numbers: {error}") from error


def state_from(numbers: object) -> Tensor:
    """A state as JSON has it, a list of bytes.

    Raises
    ------
    ValueError
        The tensor is no state of the CPU's generator, or one that contradicts itself.
    """
    if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 256 for n in numbers):
        raise ValueError("no state of a generator of random numbers: no list of bytes")
    return torch.tensor(numbers, dtype=torch.uint8)
