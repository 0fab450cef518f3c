"""Files of tensors are read with safetensors; what it lets through and growmix never writes is refused here.

The adversary is a stranger's file. Promised is that shapes and types are known before any tensor is read, that
memory is taken only for numbers that the file has, and that what is read can be worked with. That the header is JSON,
that every tensor's bytes are as many as its shape and type need, and that tensors fill the file without gap or overlap:
all this safetensors checks when it opens a file.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from growmix.errors import BadCheckpoint, shown
from growmix.storage.untrusted import OpenFile, strict_json
from growmix.system.memory import require_room

MOST_HEADER = 16 * 2**20
"""Bytes of a header, which tell of a hundred thousand tensors; safetensors would parse 100 MB."""

MOST_DIMENSIONS = 16

MOST_NUMBERS = 2**48
"""Product of the sides of a shape, without those that are 0: torch multiplies them where a tensor is empty too."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types of numbers that a checkpoint may hold, by their name in safetensors, which knows more."""


def outlines(file: OpenFile) -> dict[str, Tensor]:
    """Return tensors of the shapes and types in a file, by name, that take no memory: they are on the device ``meta``.

    Raises
    ------
    BadCheckpoint
        The file holds no tensors that growmix can have written.
    """
    file.stream.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > min(MOST_HEADER, file.size - 8):
        raise BadCheckpoint(f"{file.path} is no safetensors file: a header of {length} bytes in {file.size}")
    strict_json(file.read(length), file.path)  # a name that comes twice, of which safetensors takes the last
    found = {}
    with _opened(file, "numpy") as tensors:
        for name in tensors.keys():  # noqa: SIM118 not a dictionary
            part = tensors.get_slice(name)
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
            if dtype not in DTYPES:
                raise BadCheckpoint(f"{file.path}: tensor {shown(name)} is of type {shown(dtype)}, unknown here")
            if len(shape) > MOST_DIMENSIONS or math.prod(max(1, n) for n in shape) > MOST_NUMBERS:
                raise BadCheckpoint(f"{file.path}: tensor {shown(name)} has shape {shown(shape)}")
            found[name] = torch.empty(shape, dtype=DTYPES[dtype], device="meta")
    return found


def read_tensors(file: OpenFile) -> dict[str, Tensor]:
    """Return all tensors of a file whose outlines were looked at before.

    Raises
    ------
    BadCheckpoint
        A tensor of truth values has bytes that are neither 0 nor 1, or the file is no longer what it was.
    BadInput
        The tensors do not fit into memory.
    """
    require_room(file.size, f"{file.path}")
    found: dict[str, Tensor] = {}
    with _opened(file, "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 not a dictionary
            tensor = tensors.get_tensor(name)
            if tensor.dtype == torch.bool and tensor.numel() and int(tensor.view(torch.uint8).max()) > 1:
                raise BadCheckpoint(f"{file.path}: tensor {shown(name)} has truth values that are neither 0 nor 1")
            found[name] = tensor.clone()  # until then it lies in the file, and changes with it
    return found


def _opened(file: OpenFile, framework: str) -> Any:
    try:
        return safe_open(file.path, framework=framework)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise BadCheckpoint(f"{file.path} can't be read: {shown(error)}") from error
