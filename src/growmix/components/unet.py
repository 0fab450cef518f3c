"""The network of a denoiser: a small U-net of convolutions that knows how much noise there is, and of which class."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.nets import initialised
from growmix.data.domain import Shape

WAVES = 8
"""Sines, and as many cosines, that tell the network the logarithm of the noise."""

_FREQUENCIES = (0.3, 3.0)
"""From the slowest wave, a tenth of a turn over the whole range of noise, to the fastest, one and a half turns."""


@final
class UNet(nn.Module):
    """U-net with one residual block a level on each side, told of noise and class by a scale and a shift of features.

    Every convolution but those between levels is inside a residual block, without normalisation; what a block and the
    whole network add is zero at first. Images of any size are taken: they are folded into fewer, deeper pixels where
    they are large, padded by their edge to a whole number of these, and cropped again.

    Parameters
    ----------
    shape
        Axes of an image: channels, height, width.
    widths
        Channels of each level, the finest first.
    context
        Length of the code that tells of noise and class.

    Examples
    --------
    >>> unet = make_unet((1, 9, 11), (8, 8), 16, torch.Generator().manual_seed(0))
    >>> unet(torch.rand(2, 1, 9, 11), torch.zeros(2), torch.zeros(2, 16)).shape
    torch.Size([2, 1, 9, 11])
    """

    def __init__(self, shape: Shape, widths: tuple[int, ...], context: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.fold = fold = folding(shape)
        self._size = (height, width)
        self._padding = (0, -width % fold, 0, -height % fold)
        folded = channels * fold**2
        self.noise = nn.Sequential(nn.Linear(2 * WAVES, context), nn.SiLU(), nn.Linear(context, context), nn.SiLU())
        self.enter = _conv(folded, widths[0])
        self.down = nn.ModuleList(Block(wide, context) for wide in widths)
        self.halve = nn.ModuleList(_conv(a, b, stride=2) for a, b in pairwise(widths))
        self.widen = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.skip = nn.ModuleList(nn.Conv2d(wide, wide, 1) for wide in widths[:-1])
        self.up = nn.ModuleList(Block(wide, context) for wide in widths[:-1])
        self.leave = _conv(widths[0], folded)

    def start_from_nothing(self) -> None:
        """Set what each block adds, and what the network says, to zero."""
        for block in (*self.down, *self.up):
            for layer in (block.film, block.last):
                _zero(layer)
        _zero(self.leave)

    def forward(self, x: Tensor, log_sigma: Tensor, label_code: Tensor) -> Tensor:
        """Return an output in the shape of the images.

        Parameters
        ----------
        x
            Noised images, shape ``(n, channels, height, width)``.
        log_sigma
            Logarithm of the noise's standard deviation, shape ``(n,)``.
        label_code
            Code of each image's class, shape ``(n, context)``; zeros for no class.
        """
        context = self.noise(_waves(log_sigma)) + label_code
        if any(self._padding):
            x = F.pad(x, self._padding, mode="replicate")
        hidden = self.enter(F.pixel_unshuffle(x, self.fold) if self.fold > 1 else x)
        skipped = []
        for level, block in enumerate(self.down):
            hidden = block(hidden, context)
            if level < len(self.halve):
                skipped.append(self.skip[level](hidden))
                hidden = self.halve[level](hidden)
        for level in reversed(range(len(self.up))):
            wider = F.interpolate(self.widen[level](hidden), size=skipped[level].shape[-2:], mode="nearest")
            hidden = self.up[level](wider + skipped[level], context)
        output: Tensor = self.leave(F.silu(hidden))
        output = F.pixel_shuffle(output, self.fold) if self.fold > 1 else output
        return output[..., : self._size[0], : self._size[1]]


@final
class Block(nn.Module):
    """Residual block of two convolutions; between them features are scaled and shifted as the context says.

    Parameters
    ----------
    channels
        Number of channels that come in and go out.
    context
        Length of the code that tells of noise and class.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.film = nn.Linear(context, 2 * channels)
        self.last = _conv(channels, channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Add the block to features ``(n, channels, height, width)``."""
        scale, shift = self.film(context)[:, :, None, None].chunk(2, dim=1)
        hidden = torch.addcmul(shift, self.first(F.silu(x)), 1.0 + scale)
        added: Tensor = x + self.last(F.silu(hidden))
        return added


def make_unet(shape: Shape, widths: tuple[int, ...], context: int, generator: torch.Generator) -> UNet:
    """Make a U-net whose first weights are drawn from a generator; parameters as of :class:`UNet`."""
    unet = initialised(lambda: UNet(shape, widths, context), generator)
    assert isinstance(unet, UNet)
    unet.start_from_nothing()
    # channels beside each other in memory: half the time of a score on a CPU, and what a GPU's matrix units take
    for weight in unet.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return unet


def folding(shape: Shape) -> int:
    """Return how many pixels a side are folded into channels: most of the cost lies in the finest level.

    Examples
    --------
    >>> folding((1, 8, 8)), folding((1, 28, 28)), folding((3, 32, 32)), folding((3, 64, 64))
    (1, 2, 2, 4)
    """
    smaller = min(shape[1:])
    if smaller < 16:
        return 1
    return 2 if smaller < 48 else 4


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def _zero(layer: nn.Module) -> None:
    for weight in layer.parameters():
        nn.init.zeros_(weight)


def _waves(log_sigma: Tensor) -> Tensor:
    """Return sines and cosines of log sigma, shape ``(n, 2 * WAVES)``."""
    frequencies = torch.linspace(*_FREQUENCIES, WAVES, dtype=torch.float32, device=log_sigma.device)
    angles = log_sigma[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
