"""What is set in torch where growmix is called: it is set aside while growmix works, in this thread alone.

Gradients, inference mode, autocast, the device and the type of new tensors are set aside in a way that no other thread
sees. cuDNN's switch is one for the process: it is counted, and put back by the last thread that leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, final
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")
"""Device types whose autocast a caller may have switched on."""


@contextmanager
def torch_as_it_comes() -> Iterator[None]:
    """Torch as it is at first: gradients, single precision and no autocast, new tensors in the CPU's memory.

    In one thing it is not as at first: convolutions on a GPU are summed in the same order each time, because otherwise
    the same seed gives other weights. Whoever calls may have set each of these otherwise, and afterwards finds it so
    again. It decorates verbs.

    Examples
    --------
    >>> with torch.inference_mode(), torch.device("meta"), torch_as_it_comes():
    ...     print(torch.zeros(1), torch.is_grad_enabled())
    tensor([0.]) True
    """
    with _one_order(), torch.inference_mode(False), torch.enable_grad(), ExitStack() as others:
        # each only where it is needed: under a device that is named, or this mode, every call of torch takes longer
        if torch.get_default_device().type != "cpu":
            others.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            others.enter_context(SinglePrecision())
        for kind in filter(torch.is_autocast_enabled, AUTOCAST_DEVICES):
            # an autocast within this one would keep what it cast of weights, until they are those of steps ago
            others.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
        yield


@final
class SinglePrecision(TorchFunctionMode):
    """Within, this thread's new tensors have single precision where no type is asked for.

    The default type of torch is one for the whole process: another thread may set it at any time, and would see it
    set. So growmix leaves it alone, names the type where it makes tensors itself, and enters this mode where modules
    are built, or where the default is another one.

    Examples
    --------
    >>> with SinglePrecision():
    ...     print(torch.zeros(2).dtype, torch.tensor([1, 2]).dtype, torch.nn.Linear(1, 1).weight.dtype)
    torch.float32 torch.int64 torch.float32
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, with the type where it would take the default one."""
        named = dict(kwargs or {})
        takes_default = _FACTORIES.get(func)
        if takes_default is not None and named.get("dtype") is None and takes_default(*args, **named):
            named["dtype"] = torch.float32
        return func(*args, **named)


def _always(*args: Any, **named: Any) -> bool:
    return True


def _with_fraction(*args: Any, **named: Any) -> bool:
    """Return whether one of the numbers given is a fraction: ``full`` and ``arange`` take their type from them."""
    return any(isinstance(value, float) for value in (*args, *named.values()))


def _of_fractions(*args: Any, **named: Any) -> bool:
    """Return whether values are Python's own fractions: arrays, and what is made of them, have a type."""
    values = args[0] if args else named.get("data", named.get("obj"))
    while isinstance(values, (list, tuple)) and values:
        values = next((value for value in values if not isinstance(value, int)), values[0])
    return isinstance(values, (float, list, tuple)) and not isinstance(values, (np.generic, np.ndarray, Tensor))


_FACTORIES: dict[Any, Callable[..., bool]] = {
    **dict.fromkeys(
        (
            torch.empty,
            torch.zeros,
            torch.ones,
            torch.rand,
            torch.randn,
            torch.eye,
            torch.linspace,
            torch.logspace,
            torch.empty_strided,
            torch.scalar_tensor,
        ),
        _always,
    ),
    **dict.fromkeys((torch.full, torch.arange, torch.normal), _with_fraction),
    **dict.fromkeys((torch.tensor, torch.as_tensor, torch.asarray), _of_fractions),
}
"""Functions that take the default type, and whether they do so of these arguments."""


class _Visit:
    """One verb at work, in one thread."""


_lock = threading.Lock()
_visits: WeakSet[_Visit] = WeakSet()  # weak: one that an interrupt kept from leaving is none any more
_found: tuple[bool, bool] | None = None


@contextmanager
def _one_order() -> Iterator[None]:
    """Have a GPU sum convolutions in one order until the last thread that asked for it has left.

    The switch is one for all threads: the first to come notes how it was, and the last to leave turns it back.
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
