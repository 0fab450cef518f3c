"""Transforms of byte images, written ``name@transform@transform``: bytes in, bytes out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from growmix.errors import BadInput, nearest, shown
from growmix.system.memory import require_room

CHUNK = 4096
MOST_FLOATS = 2**26
"""Most images, and most numbers in them, that are floats at a time; 60,000 colour images would take a gigabyte."""

MAX_SIDE = 1024
"""Largest side in pixels that ``sizeN`` makes, since one more digit of a slip would fill the memory."""


@dataclass(frozen=True)
class Kind:
    """One kind of transform.

    Attributes
    ----------
    form
        How the transform is written, with N for its number.
    description
        What the transform does, in a few words.
    apply
        Function of the images and the number.
    low, high
        Bounds of the number that follows the word; ``None`` where no number follows.
    """

    form: str
    description: str
    apply: Callable[[Tensor, int], Tensor]
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Transform:
    """A transform with its number, which is called on ``uint8`` images ``(n, channels, height, width)``."""

    text: str
    kind: Kind
    number: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Transform all images at once.

        Raises
        ------
        BadInput
            There is too little memory for images of another size, or they are not as the transform needs them.
        """
        return self.kind.apply(images, self.number)


def invert(images: Tensor) -> Tensor:
    """Turn black to white and back: 255 minus every byte.

    Examples
    --------
    >>> invert(torch.tensor([[[[0, 200]]]], dtype=torch.uint8)).tolist()
    [[[[255, 55]]]]
    """
    return 255 - images


def fliplr(images: Tensor) -> Tensor:
    """Swap the left and the right of all images."""
    return images.flip(-1)


def rotate(images: Tensor, degrees: int) -> Tensor:
    """Turn all images counter-clockwise about their centre.

    Parameters
    ----------
    images
        ``uint8``, shape ``(n, channels, height, width)``.
    degrees
        Angle in degrees. Multiples of 90 move pixels and change none (height and width trade places where they differ);
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
    """Make one channel of three: the luma, equal to the last bit to that of Pillow's mode ``L``.

    Raises
    ------
    BadInput
        The images have neither one nor three channels.
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
    """Make three channels of one, which is repeated over red, green and blue.

    Raises
    ------
    BadInput
        The images have neither one nor three channels.

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
    return images.repeat(1, 3, 1, 1)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Scale images bilinearly, with antialiasing where they become smaller.

    Raises
    ------
    BadInput
        There is too little memory for the scaled images.

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
    """Read one transform as it is written, such as ``invert`` or ``rotate90``.

    Raises
    ------
    BadInput
        There is no such transform, or its number is missing, not wanted, not whole or out of range.

    Examples
    --------
    >>> parse("rotate90").number
    90
    """
    match = re.fullmatch(r"([a-z_]+)(.*)", text)
    word, number = match.groups() if match else (text, "")
    kind = KINDS.get(word)
    if kind is None:
        near = nearest(word, KINDS)
        hint = f"; did you mean {KINDS[near].form!r}?" if near else ""
        allowed = ", ".join(each.form for each in KINDS.values())
        raise BadInput(f"unknown transform {shown(text)}{hint} (allowed: {allowed})")
    if kind.low is None or kind.high is None:
        if number:
            raise BadInput(f"transform {shown(text)} takes no number; write {kind.form!r}")
        return Transform(text, kind)
    # ASCII digits, and at most ten: int() takes the digits of any script, and refuses thousands of them
    if not re.fullmatch(r"-?[0-9]{1,10}", number) or not kind.low <= int(number) <= kind.high:
        raise BadInput(
            f"transform {shown(text)} has the number {shown(number)}; "
            f"{kind.form!r} takes a whole N from {kind.low} to {kind.high}"
        )
    return Transform(text, kind, int(number))


def apply(transforms: Sequence[Transform], images: Tensor) -> Tensor:
    """Apply transforms from left to right; the result is contiguous in memory."""
    for transform in transforms:
        images = transform(images)
    return images.contiguous()


def _in_chunks(images: Tensor, size: tuple[int, int], function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply to bytes a function of floats in 0..255 that makes images of this height and width, and round."""
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
