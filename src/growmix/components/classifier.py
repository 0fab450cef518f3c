"""A small convolutional classifier beside a generator that has none of its own; it gains classes by rows."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.nets import initialised, with_rows
from growmix.data.domain import Shape

FEATURES = 16
"""Numbers that an image is described by before its class is told."""

_GROUP = 8
"""Channels that are normalised together."""


@final
class ConvClassifier(nn.Module):
    """Three strided convolutions, a few features, and a row of weights for each class.

    Parameters
    ----------
    shape
        Axes of an image: channels, height, width.
    generator
        Generator on the CPU that first weights are drawn from.

    Examples
    --------
    >>> classifier = ConvClassifier((1, 8, 8), torch.Generator().manual_seed(0))
    >>> classifier.add_classes(2, torch.Generator().manual_seed(0))
    >>> classifier.logits(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 2])
    """

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.features = initialised(lambda: _features(shape), generator)
        self.weight = nn.Parameter(torch.empty(0, FEATURES, dtype=torch.float32))
        self.bias = nn.Parameter(torch.empty(0, dtype=torch.float32))

    def add_classes(self, n: int, generator: torch.Generator) -> None:
        """Add rows for ``n`` classes behind those that are there, which stay bit for bit."""
        weight = torch.empty(n, FEATURES, dtype=torch.float32)
        bias = torch.empty(n, dtype=torch.float32)
        if not weight.is_meta:
            for values in (weight, bias):
                values.uniform_(-(FEATURES**-0.5), FEATURES**-0.5, generator=generator)
        self.weight, self.bias = with_rows(self.weight, weight), with_rows(self.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(batch, FEATURES)`` of images in [-1, 1], shape ``(batch, *shape)``."""
        features: Tensor = self.features(x)
        return features

    def logits(self, x: Tensor) -> Tensor:
        """Return class logits ``(batch, classes)`` of images in [-1, 1]; zero columns where there are no classes."""
        if len(self.weight) == 0:
            return x.new_zeros(len(x), 0, dtype=torch.float32)
        return F.linear(self(x), self.weight, self.bias).float()


def _features(shape: Shape) -> nn.Module:
    channels, height, width = shape
    layers: list[nn.Module] = []
    inputs, outputs = channels, _GROUP * min(channels, 4)
    for stage in range(3):
        layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
        if stage:  # without weights of its own: what follows has some
            layers.append(nn.GroupNorm(outputs // _GROUP, outputs, affine=False))
        layers.append(nn.SiLU())
        inputs, outputs = outputs, 2 * outputs
        height, width = (height + 1) // 2, (width + 1) // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * height * width, FEATURES))
