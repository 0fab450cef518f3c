"""What is set in torch where growmix is called, and is set aside while it works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_KINDS = ("cpu", "cuda", "mps", "xpu")
"""Of devices."""

_lock = threading.Lock()
_found: tuple[bool, bool] | None = None
_within = 0


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


@contextmanager
def _one_order() -> Iterator[None]:
    """Convolutions on a GPU are summed in one order until the last who asked for it has left.

    The switch is of all threads: the first one in one of them notes how it was, and the last one turns it back.
    """
    global _within, _found
    with _lock:
        if _within == 0:
            _found = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if _within == 0 and _found is not None:
                torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = _found
