"""Steps of a training compiled by ``torch.compile``, where a setting asks for it.

On a CPU, element-wise work is fused; on a CUDA device, the whole step is captured in a graph as well, since small
networks are bound by the launches of their kernels.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from growmix.errors import LONGEST_REASON, BadInput, shortened

REFUSED = "compile is True, but a step of training can't be compiled here"


def compiled(objective: nn.Module, device: torch.device) -> nn.Module:
    """Return an objective that compiles itself when it is first called; the weights are those of the given one.

    Parameters
    ----------
    objective
        Module that computes the loss of a batch.
    device
        Device that it is trained on.

    Raises
    ------
    BadInput
        The device is a CPU, and there is no compiler of C++.
    """
    if device.type == "cpu" and (name := missing_compiler()) is not None:
        raise BadInput(f"{REFUSED}: there is no C++ compiler {name!r}; install one, name one in CXX, or leave it out")
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    compile_module: Callable[..., Any] = torch.compile
    module: nn.Module = compile_module(objective, mode=mode)
    return module


def missing_compiler() -> str | None:
    """Return the name of the C++ compiler that torch would call, if there is none of that name."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name = os.environ.get("CXX", usual)
    return None if shutil.which(name) else name


@contextmanager
def told_of_compiling(active: bool) -> Iterator[None]:
    """Say which setting to leave out where compiling fails, which shows at the first step alone."""
    if not active:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException  # takes a second to import

    try:
        yield
    except TorchDynamoException as error:
        raise BadInput(f"{REFUSED}; leave it out ({shortened(str(error), LONGEST_REASON)})") from error


def begin_step(active: bool, device: torch.device) -> None:
    """Tell a captured graph that a new step begins, so that what the last one gave may be written over."""
    if active and device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()
