"""The network of a recogniser: residual, with batch normalisation, from images of any size to features."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.nets import initialised
from growmix.data.domain import Shape
from growmix.errors import BadInput

SMALLEST_SIDE = 4
"""Pixels that each side of an image must have; a turn of less shows nothing."""

_BLOCK = 2  # pixels of a side that become channels before the first convolution, which a CPU spends most time on


@final
class Residual(nn.Module):
    """Two 3x3 convolutions with batch normalisation whose output is added to their input; at first that adds nothing.

    Parameters
    ----------
    channels
        Number of channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.normalised = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, channels, height, width)`` of the same shape."""
        return F.relu(x + self.normalised(self.second(self.first(x))))


@final
class ResidualNet(nn.Module):
    """Three stages of a convolution and a residual block each, then the mean over all places.

    Parameters
    ----------
    shape
        Axes of one image, ``(channels, height, width)``.
    width
        Number of channels of the first stage; the second has twice as many, the third 2 2/3 times.
    generator
        Generator on the CPU that the first weights are drawn from.

    Raises
    ------
    BadInput
        The examples are no images, or smaller than 4x4.

    Attributes
    ----------
    features : int
        Number of features of an image.

    References
    ----------
    He et al. 2016.

    Examples
    --------
    >>> net = ResidualNet((3, 32, 32), 48, torch.Generator().manual_seed(0))
    >>> net.eval()(torch.rand(2, 3, 32, 32)).shape, sum(weight.numel() for weight in net.parameters())
    (torch.Size([2, 128]), 661152)
    """

    def __init__(self, shape: Shape, width: int, generator: torch.Generator) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < SMALLEST_SIDE:
            raise BadInput(
                f"a recogniser learns how images look when they are turned, but examples have shape {shape}; it needs "
                f"(channels, height, width) of at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels. Choose a component "
                "without 'recogniser'"
            )
        self._padding = [-shape[2] % _BLOCK, -shape[1] % _BLOCK]
        self.features = 8 * width // 3
        self.layers = initialised(lambda: self._layers(shape, (width, 2 * width, self.features)), generator)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()  # statistics too
        for layer in self.modules():
            if isinstance(layer, Residual):
                nn.init.zeros_(layer.normalised.weight)
            if isinstance(layer, nn.Conv2d):  # a third faster on a CPU, and on a GPU in low precision
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)

    def _layers(self, shape: Shape, widths: tuple[int, ...]) -> nn.Module:
        layers: list[nn.Module] = [nn.PixelUnshuffle(_BLOCK)]
        channels, side = shape[0] * _BLOCK**2, min(shape[1:]) // _BLOCK
        for stage, width in enumerate(widths):
            halved = stage > 0 and side >= SMALLEST_SIDE
            layers += [_convolution(channels, width, stride=2 if halved else 1), Residual(width)]
            channels, side = width, (side + 1) // 2 if halved else side
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(batch, features)`` of images ``(batch, channels, height, width)``, centred about 0."""
        if any(self._padding):
            right, below = self._padding
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        places: Tensor = self.layers(x)
        return places.float().mean((2, 3))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
