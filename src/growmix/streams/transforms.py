"""Transforms of byte images, written ``name@transform@transform``: bytes in, bytes out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from growmix.errors import BadInput, shown
from growmix.system.memory import require_room

CHUNK = 4096
MOST_FLOATS = 2**26
"""Images, and numbers in them, that are floats at a time: 60,000 colour images would take a gigabyte at once."""

MAX_SIDE = 1024
"""Largest side that ``sizeN`` makes; beyond it a slip of the keyboard fills the memory."""


@dataclass(frozen=True)
class Kind:
    """One kind of transform: how it is written, what it does, and the function of ``(images, number)``.

    ``low`` and ``high`` bound the number that follows the word; ``None`` when no number does.
    """

    form: str
    description: str
    apply: Callable[[Tensor, int], Tensor]
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Transform:
    """A transform with its number, to be called on ``uint8`` images ``(n, channels, height, width)``."""

    text: str
    kind: Kind
    number: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Transform all images at once.

        Raises
        ------
        BadInput
            There is too little memory for another copy of them, or they are not as the transform needs them.
        """
        require_room(images.nbytes, f"transform {self.text!r} of {len(images)} images")
        return self.kind.apply(images, self.number)


def invert(images: Tensor) -> Tensor:
    """Black to white and back: 255 minus every byte.

    Examples
    --------
    >>> invert(torch.tensor([[[[0, 200]]]], dtype=torch.uint8)).tolist()
    [[[[255, 55]]]]
    """
    return 255 - images


def fliplr(images: Tensor) -> Tensor:
    """Swap left and right."""
    return images.flip(-1)


def rotate(images: Tensor, degrees: int) -> Tensor:
    """Turn counter-clockwise about the centre.

    Parameters
    ----------
    images
        ``uint8``, shape ``(n, channels, height, width)``.
    degrees
        Multiples of 90 move pixels and change none (height and width trade places where they differ);
        other angles interpolate bilinearly, keep the size, and fill the corners with 0.

    Examples
    --------
    >>> rotate(torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8), 90).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    if degrees % 90 == 0:
        return images.rot90(degrees // 90, (-2, -1))
    height, width = images.shape[-2:]
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    # The grid says where each output pixel comes from, in units of half a side: hence the ratio of the sides.
    turn = torch.tensor([[[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]]])
    grid = F.affine_grid(turn, [1, 1, height, width], align_corners=False)
    return _in_chunks(
        images,
        (height, width),
        lambda part: F.grid_sample(part, grid.expand(len(part), -1, -1, -1), align_corners=False),
    )


def permute(images: Tensor, seed: int) -> Tensor:
    """Move every pixel to another place, the same for all images and channels.

    The order comes from numpy's ``RandomState``, whose numbers are promised never to change.

    Examples
    --------
    >>> permute(torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2), 0).tolist()
    [[[[2, 3], [1, 0]]]]
    """
    height, width = images.shape[-2:]
    order = torch.from_numpy(np.random.RandomState(seed).permutation(height * width))
    return images.flatten(2)[:, :, order].reshape(images.shape)


def gray(images: Tensor) -> Tensor:
    """One channel: the luma of red, green and blue, to the last bit that of Pillow's mode ``L``.

    Raises
    ------
    BadInput
        If there are neither one nor three channels.
    """
    channels = images.shape[1]
    if channels == 1:
        return images
    if channels != 3:
        raise BadInput(f"transform 'gray' got images of {channels} channels; allowed are 1 and 3")
    # ITU-R 601 in 16-bit fixed point; an exact half is rounded up.
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32).reshape(1, 3, 1, 1)
    luma = [((part.int() * weights).sum(1, keepdim=True) + 2**15) >> 16 for part in images.split(CHUNK)]
    return torch.cat([part.to(torch.uint8) for part in luma])


def rgb(images: Tensor) -> Tensor:
    """Three channels: one that is alone is repeated over red, green and blue.

    Raises
    ------
    BadInput
        If there are neither one nor three channels, or too little memory for three.

    Examples
    --------
    >>> rgb(torch.tensor([[[[5]]]], dtype=torch.uint8)).flatten().tolist()
    [5, 5, 5]
    """
    channels = images.shape[1]
    if channels == 3:
        return images
    if channels != 1:
        raise BadInput(f"transform 'rgb' got images of {channels} channels; allowed are 1 and 3")
    require_room(3 * images.nbytes, f"three channels for {len(images)} images")
    return images.repeat(1, 3, 1, 1)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Scale bilinearly, with antialiasing when images become smaller.

    Raises
    ------
    BadInput
        There is too little memory.

    Examples
    --------
    >>> resize(torch.full((2, 1, 8, 8), 7, dtype=torch.uint8), 4, 6).shape
    torch.Size([2, 1, 4, 6])
    """
    if tuple(images.shape[-2:]) == (height, width):
        return images
    return _in_chunks(
        images,
        (height, width),
        lambda part: F.interpolate(part, (height, width), mode="bilinear", antialias=True),
    )


def parse(text: str) -> Transform:
    """Read one transform, such as ``invert`` or ``rotate90``.

    Raises
    ------
    BadInput
        If there is no such transform, or its number is missing, not wanted, not whole or out of range.

    Examples
    --------
    >>> parse("rotate90").number
    90
    """
    match = re.fullmatch(r"([a-z_]+)(.*)", text)
    word, number = match.groups() if match else (text, "")
    kind = KINDS.get(word)
    if kind is None:
        close = get_close_matches(word, KINDS, n=1)
        hint = f"; did you mean {KINDS[close[0]].form!r}?" if close else ""
        allowed = ", ".join(each.form for each in KINDS.values())
        raise BadInput(f"unknown transform {shown(text)}{hint} (allowed: {allowed})")
    if kind.low is None or kind.high is None:
        if number:
            raise BadInput(f"transform {shown(text)} takes no number; write {kind.form!r}")
        return Transform(text, kind)
    # isascii, and at most ten digits: int() takes any script's digits, and refuses thousands of them.
    if not re.fullmatch(r"-?[0-9]{1,10}", number) or not kind.low <= int(number) <= kind.high:
        raise BadInput(
            f"transform {shown(text)} has the number {shown(number)}; "
            f"{kind.form!r} takes a whole N from {kind.low} to {kind.high}"
        )
    return Transform(text, kind, int(number))


def apply(transforms: Sequence[Transform], images: Tensor) -> Tensor:
    """Apply transforms from left to right; the result lies in one piece of memory."""
    for transform in transforms:
        images = transform(images)
    return images.contiguous()


def _in_chunks(images: Tensor, size: tuple[int, int], function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of floats in 0..255 to bytes, and round; it makes images of that height and width."""
    made = (*images.shape[:2], *size)
    each = max(math.prod(made[1:]), math.prod(images.shape[1:]))
    rows = max(1, min(CHUNK, len(images), MOST_FLOATS // each))
    # all as bytes, and as floats (of four bytes) one chunk before and after
    require_room(math.prod(made) + 8 * rows * each, f"{len(images)} images of shape {made[1:]}")
    result = torch.empty(made, dtype=torch.uint8)
    for part, into in zip(images.split(rows), result.split(rows), strict=True):
        into.copy_(function(part.float()).round_().clamp_(0, 255))
    return result


KINDS: dict[str, Kind] = {
    "invert": Kind("invert", "black to white and back", lambda x, _: invert(x)),
    "rotate": Kind("rotateN", "turned N degrees counter-clockwise", rotate, -360, 360),
    "fliplr": Kind("fliplr", "left and right swapped", lambda x, _: fliplr(x)),
    "permute": Kind("permuteN", "pixels in the fixed random order number N", permute, 0, 2**32 - 1),
    "gray": Kind("gray", "one channel: the luma of a colour image", lambda x, _: gray(x)),
    "rgb": Kind("rgb", "three channels: gray repeated over them", lambda x, _: rgb(x)),
    "size": Kind("sizeN", "scaled to N x N pixels", lambda x, n: resize(x, n, n), 1, MAX_SIDE),
}
"""Every transform by its word; a new one is a new row."""
