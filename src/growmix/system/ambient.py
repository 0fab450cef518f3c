"""What is set in torch where growmix is called, and is set aside while it works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from weakref import WeakSet

import torch

_KINDS = ("cpu", "cuda", "mps", "xpu")
"""Of devices."""


@contextmanager
def torch_as_it_comes() -> Iterator[None]:
    """Torch as it is at first: gradients, single precision and no autocast, new tensors in the CPU's memory.

    In one thing it is not as at first: convolutions on a GPU are summed in the same order each time, without which the
    same seed gives other weights. Whoever calls may have set each of these otherwise, and afterwards finds it so again.
    It decorates verbs.

    Examples
    --------
    >>> with torch.inference_mode(), torch.device("meta"), torch_as_it_comes():
    ...     print(torch.zeros(1), torch.is_grad_enabled())
    tensor([0.]) True
    """
    dtype = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float32)
        with _one_order(), torch.inference_mode(False), torch.enable_grad(), ExitStack() as others:
            # only where they are set: under a device that is named, every call of torch takes longer
            if torch.get_default_device().type != "cpu":
                others.enter_context(torch.device("cpu"))
            for kind in filter(torch.is_autocast_enabled, _KINDS):
                # an autocast within this one would keep what it cast of weights, until they are those of steps ago
                others.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
            yield
    finally:
        torch.set_default_dtype(dtype)


class _Visit:
    """One verb at work."""


_lock = threading.Lock()
_visits: WeakSet[_Visit] = WeakSet()  # weak: one that an interrupt kept from leaving is none any more
_found: tuple[bool, bool] | None = None


@contextmanager
def _one_order() -> Iterator[None]:
    """Convolutions on a GPU are summed in one order until the last who asked for it has left.

    The switch is one for all threads: who comes first notes how it was, and who leaves last turns it back.
    """
    global _found
    mine, switch = _Visit(), torch.backends.cudnn
    try:
        with _lock:
            _found = _found or (switch.deterministic, switch.benchmark)
            _visits.add(mine)
            switch.deterministic, switch.benchmark = True, False
        yield
    finally:
        with _lock:
            _visits.discard(mine)
            before = _found or (switch.deterministic, switch.benchmark)
            switch.deterministic, switch.benchmark = (True, False) if _visits else before
            _found = before if _visits else None
