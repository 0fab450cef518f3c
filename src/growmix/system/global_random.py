"""Torch's global generator, lent to a user's own modules for one piece of work at a time.

growmix draws from generators of its own. A user's modules (their first weights, their dropout) draw from torch's
global generator, which the whole process shares. While they are at work it is set to a seed of ours and put back
afterwards; two such pieces of work wait for each other. Another thread of the caller that draws from it meanwhile
still disturbs them, which can't be prevented.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.RLock()


@contextmanager
def global_generator(generator: torch.Generator, *, needed: bool) -> Iterator[None]:
    """Seed torch's global generator from one of ours, and put it back afterwards.

    Parameters
    ----------
    generator
        Generator on the CPU that the seed is drawn from.
    needed
        Whether anything draws from the global generator; if not, nothing is done and nothing is drawn.

    Examples
    --------
    >>> own = torch.Generator().manual_seed(0)
    >>> before = torch.get_rng_state()
    >>> with global_generator(own, needed=True):
    ...     number = torch.rand(())
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    if not needed:
        yield
        return
    seed = int(torch.randint(2**31, (), generator=generator, device="cpu"))
    with _lock, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Seed torch's global generator for modules that draw their first weights from it, and put it back afterwards.

    Parameters
    ----------
    seed
        Seed of the global generator and of the one that is returned.
    """
    with _lock, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)
