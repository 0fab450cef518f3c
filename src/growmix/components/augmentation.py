"""Random changes of images, a batch at a time: crops, flips, jitter, quarter turns.

Nothing is drawn here: every change follows from numbers that are handed in, so a training that goes on after an
interrupt sees the images that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from growmix.data.domain import Shape


@final
@dataclass(frozen=True)
class Augmentation:
    """Moves, flips and jitters every image of a batch by numbers of its own.

    Attributes
    ----------
    crop
        How far an image may be moved, as a share of its sides; what comes in at the edge is its mirror image.
    flips
        Whether every second image is seen in a mirror: right for photos, wrong for letters.
    jitter
        How far contrast is changed, as a share; brightness changes by 0.6 of that and each colour by 0.3 of it, in
        units of half the range of a pixel.

    Examples
    --------
    >>> photos = Augmentation(flips=True)
    >>> x = torch.rand(2, 3, 8, 8)
    >>> photos(x, torch.randn(2, photos.numbers(3))).shape
    torch.Size([2, 3, 8, 8])
    """

    crop: float = 1 / 8
    flips: bool = False
    jitter: float = 0.3

    def numbers(self, channels: int) -> int:
        """Return how many standard normal numbers an image of so many channels needs."""
        return 5 + channels

    def __call__(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the images moved, flipped and jittered.

        Parameters
        ----------
        x
            Images, ``float32``, in [-1, 1] or about that, shape ``(batch, channels, height, width)``.
        noise
            Standard normal numbers, shape ``(batch, numbers(channels))``.
        """
        down, right = (
            whole(noise[:, axis], 2 * reach + 1) - reach
            for axis, reach in enumerate(int(self.crop * side) for side in x.shape[2:])
        )
        moved = shifted(x, down, right)
        if self.flips:
            moved = flipped(moved, uniform(noise[:, 2]) < 0.5)
        if not self.jitter:
            return moved
        change = self.jitter * (2.0 * uniform(noise[:, 3:]) - 1.0)
        return jittered(moved, 1.0 + change[:, 0], 0.6 * change[:, 1], 0.3 * change[:, 2:])


def uniform(noise: Tensor) -> Tensor:
    """Turn standard normal numbers into numbers uniform in [0, 1].

    Examples
    --------
    >>> uniform(torch.tensor([-9.0, 0.0, 9.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    numbers: Tensor = torch.special.ndtr(noise)
    return numbers


def whole(noise: Tensor, n: int) -> Tensor:
    """Turn standard normal numbers into whole numbers from 0 to ``n - 1``, all equally likely.

    Examples
    --------
    >>> whole(torch.tensor([-9.0, -0.1, 0.1, 9.0]), 4)
    tensor([0, 1, 2, 3])
    """
    return (uniform(noise) * n).long().clamp_(max=n - 1)


def dealt(noise: Tensor, n: int) -> Tensor:
    """Deal the whole numbers from 0 to ``n - 1`` to a batch, equally often, in the random order of its numbers.

    Examples
    --------
    >>> dealt(torch.tensor([0.3, -1.0, 0.9, 0.1]), 2)
    tensor([0, 0, 1, 1])
    """
    return noise.argsort().argsort() % n


def flipped(x: Tensor, chosen: Tensor) -> Tensor:
    """Return images ``(batch, channels, height, width)`` of which the chosen ones, ``(batch,)``, are in a mirror."""
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(-1), x)


def shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move the frame of each image, and fill what lies outside of it with its mirror image.

    Parameters
    ----------
    x
        Images, shape ``(batch, channels, height, width)``.
    down, right
        Pixels that the frame of each image moves by, fewer than its sides have, shape ``(batch,)``.

    Examples
    --------
    >>> x = torch.arange(4.0).view(1, 1, 1, 4)
    >>> shifted(x, torch.tensor([0]), torch.tensor([2])).flatten()
    tensor([2., 3., 2., 1.])
    """
    height, width = x.shape[2:]
    rows = _mirrored(torch.arange(height, device=x.device) + down.view(-1, 1), height)
    columns = _mirrored(torch.arange(width, device=x.device) + right.view(-1, 1), width)
    return _pixels(x, (rows[:, :, None] * width + columns[:, None]).flatten(1))


def turned(x: Tensor, quarters: Tensor) -> Tensor:
    """Turn each image by a number of quarter turns, counter-clockwise as ``torch.rot90`` does.

    Parameters
    ----------
    x
        Images, shape ``(batch, channels, height, width)``; of unequal sides only for half turns.
    quarters
        Number of quarter turns of each image, from 0 to 3, shape ``(batch,)``.

    Examples
    --------
    >>> turned(torch.arange(4.0).view(1, 1, 2, 2), torch.tensor([1])).flatten()
    tensor([1., 3., 0., 2.])
    """
    places = torch.arange(x[0, 0].numel(), device=x.device).view(x.shape[2:])
    came_from = torch.stack([places.rot90(turns).flatten() for turns in range(4)])
    return _pixels(x, came_from[quarters])


def jittered(x: Tensor, contrast: Tensor, brightness: Tensor, colour: Tensor) -> Tensor:
    """Change contrast about the mean of each image, its brightness, and each of its colours.

    Parameters
    ----------
    x
        Images, shape ``(batch, channels, height, width)``.
    contrast
        Factor of what each image differs from its mean by, shape ``(batch,)``.
    brightness
        What is added to all of each image, shape ``(batch,)``.
    colour
        What is added to each channel of each image, shape ``(batch, channels)``.
    """
    mean = x.mean((1, 2, 3), keepdim=True)
    added = brightness.view(-1, 1, 1, 1) + colour[:, :, None, None]
    return (x - mean) * contrast.view(-1, 1, 1, 1) + mean + added


def turns_of(shape: Shape) -> int:
    """Return in how many ways an image can be turned into another of its own shape: 4 if it is square, else 2."""
    return 4 if shape[1] == shape[2] else 2


def _mirrored(index: Tensor, side: int) -> Tensor:
    """Bring an index that is up to ``side - 1`` out of range back into it, mirrored at the first and last pixel."""
    return side - 1 - (side - 1 - index.abs()).abs()


def _pixels(x: Tensor, places: Tensor) -> Tensor:
    """Gather the pixels of each image from places in it, row by row, shape ``(batch, height * width)``."""
    n, channels = x.shape[:2]
    return x.flatten(2).gather(2, places[:, None].expand(n, channels, -1)).view(x.shape)
