"""What is set in torch where growmix is called, and is set aside while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def torch_as_it_comes() -> Iterator[None]:
    """Torch as it is at first: gradients, single precision, new tensors in the CPU's memory.

    Whoever calls may have set each of these otherwise, and afterwards finds it so again. It decorates verbs.

    Examples
    --------
    >>> with torch.inference_mode(), torch.device("meta"), torch_as_it_comes():
    ...     print(torch.zeros(1), torch.is_grad_enabled())
    tensor([0.]) True
    """
    dtype = torch.get_default_dtype()
    # only where it is elsewhere: under a device that is named, every call of torch takes longer
    device = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    try:
        torch.set_default_dtype(torch.float32)
        with torch.inference_mode(False), torch.enable_grad(), device:
            yield
    finally:
        torch.set_default_dtype(dtype)
