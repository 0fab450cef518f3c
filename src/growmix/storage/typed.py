"""What was read from a file is compared with what it must be: types, ranges, shapes.

The adversary is a stranger's file. Promised is a ``ValueError`` that says where, for whatever does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import torch
from torch import Tensor

from growmix.errors import shown

R = TypeVar("R")

MOST_SECONDS = 1e10
"""The most seconds that anything can have taken: three hundred years."""


def check_outline(tensors: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> None:
    """See that tensors have the names, shapes and types of others, whatever their numbers are.

    Raises
    ------
    ValueError
        A tensor is missing, is one too many, or has another shape or type.
    """
    if tensors.keys() != needed.keys():
        unlike = sorted(tensors.keys() ^ needed.keys())
        raise ValueError(f"tensors such as {shown(unlike[0])} are missing, or are not asked for")
    for name, like in needed.items():
        check_tensor(tensors, name, tuple(like.shape), like.dtype)


def check_tensor(tensors: Mapping[str, Tensor], name: str, shape: Sequence[int | None], dtype: torch.dtype) -> None:
    """See that a tensor is of a shape, with any number of rows where that says ``None``, and of a type.

    Raises
    ------
    ValueError
        The tensor is missing, or its shape or type differs.
    """
    if name not in tensors:
        raise ValueError(f"tensor {name!r} is missing")
    tensor = tensors[name]
    fits = len(shape) == tensor.ndim and all(m is None or n == m for n, m in zip(tensor.shape, shape, strict=True))
    if not fits or tensor.dtype != dtype:
        raise ValueError(f"tensor {name!r} is {tensor.dtype} of shape {tuple(tensor.shape)}, needed {dtype} of {shape}")


def record_from(document: Any, kind: type[R]) -> R:
    """Return a dataclass, or an object of another type, from what JSON has of it, each value of just the type it says.

    Raises
    ------
    ValueError
        A value is of another type; the message says where.

    Examples
    --------
    >>> record_from([1, 2], tuple[int, ...])
    (1, 2)
    >>> record_from({"epochs": True}, dict[str, int])
    Traceback (most recent call last):
    msgspec.ValidationError: Expected `int`, got `bool` - at `$[...]`
    """
    return msgspec.convert(document, kind, strict=True)


def check_range(name: str, value: float, least: float, most: float = 2**63 - 1) -> None:
    """See that a number is from ``least`` to ``most``.

    Raises
    ------
    ValueError
        The number is out of that range.
    """
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}")
