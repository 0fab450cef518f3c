"""Mixed precision that leaves a batch's numbers as they are, and that several threads can use at once."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, final

import torch
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.strategies.strategy import Strategy
from torch import Tensor

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_backward_lock = threading.Lock()


@final
class BFloatOperations(Precision):
    """Computes the operations of a forward pass in bfloat16; examples and losses keep single precision.

    Parameters
    ----------
    device
        Type of the device, such as ``cuda``.
    """

    precision = "bf16-mixed"

    def __init__(self, device: str) -> None:
        self._device = device

    def forward_context(self) -> AbstractContextManager[Any]:
        """Return the context in which operations may be computed in bfloat16."""
        return torch.autocast(self._device, dtype=torch.bfloat16)

    def convert_output(self, data: Any) -> Any:
        """Return the loss in single precision."""
        return _single(data)


@final
class HalfOperations(MixedPrecision):
    """Computes the operations in half precision with scaled gradients; examples and losses keep single precision."""

    def convert_input(self, data: Any) -> Any:
        """Return the batch unchanged, where Fabric would round it to the lower precision."""
        return data

    def convert_output(self, data: Any) -> Any:
        """Return the loss in single precision, where Fabric would take the process's default type."""
        return _single(data)


def backward(fabric: Fabric, loss: Tensor) -> None:
    """Compute gradients, beside other threads that do so too.

    Fabric notes in one flag of the process that it is at work, and refuses gradients that are asked for when the flag
    is off, which another thread may have turned off. It looks there only where gradients are scaled, or the strategy
    does something of its own: such passes wait for each other. All others leave the flag alone.

    Parameters
    ----------
    fabric
        Device, precision and strategy of the training.
    loss
        Mean loss of a batch.
    """
    strategy = fabric.strategy
    if getattr(strategy.precision, "scaler", None) is None and type(strategy).backward is Strategy.backward:
        strategy.backward(loss, None)
        return
    with _backward_lock:
        fabric.backward(loss)


def _single(data: Any) -> Any:
    return data.float() if isinstance(data, Tensor) and data.is_floating_point() else data
