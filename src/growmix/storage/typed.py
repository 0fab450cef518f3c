"""What was read from a file, against what it must be: types, ranges, shapes. What does not fit is a ``ValueError``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import torch
from torch import Tensor

from growmix.errors import shown

R = TypeVar("R")

MOST_SECONDS = 1e10
"""Three hundred years."""


def check_outline(tensors: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> None:
    """See that tensors have the names, shapes and types of others, whatever their numbers are.

    Raises
    ------
    ValueError
        They have not.
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
        It is not, or it is not there.
    """
    if name not in tensors:
        raise ValueError(f"tensor {name!r} is missing")
    tensor = tensors[name]
    fits = len(shape) == tensor.ndim and all(m is None or n == m for n, m in zip(tensor.shape, shape, strict=True))
    if not fits or tensor.dtype != dtype:
        raise ValueError(f"tensor {name!r} is {tensor.dtype} of shape {tuple(tensor.shape)}, needed {dtype} of {shape}")


def record_from(document: Any, kind: type[R]) -> R:
    """A dataclass, or what else a type tells of, from what JSON has of it: each value must be of the type that is told.

    Raises
    ------
    ValueError
        One is not; the message says where.

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
        It is not.
    """
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}")
