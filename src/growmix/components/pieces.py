"""Answers of a component for many examples, in pieces that bound the memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.data.task import as_float

ROWS = 1_024
"""Number of examples answered at a time; a CPU is at its full speed with far fewer."""


@torch.no_grad()
def in_pieces(component: Component, answer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Ask a component about many examples, on its device and a piece at a time.

    Parameters
    ----------
    component
        Whose device the pieces are brought to.
    answer
        What to ask of it, such as ``component.code``.
    x
        Examples, ``uint8`` or ``float32``, shape ``(n, *shape)``.

    Returns
    -------
    Tensor
        The answers for all examples, on the CPU.
    """
    return torch.cat([answer(as_float(piece.to(component.device))).cpu() for piece in x.split(ROWS)])
