"""Encoders and decoders: ``mlp``, ``conv``, and how a user's own modules come in.

An encoder maps images ``(batch, channels, height, width)`` to features ``(batch, features)``; the heads for
posterior and class sit on top and belong to the component. A decoder maps a code ``(batch, inputs)`` (the
latent, with the class code behind it when supervised) to an output in the image's shape.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from growmix.data.task import Shape
from growmix.errors import BadInput, one_line
from growmix.settings import MOST_LAYERS, MOST_UNITS, require_whole

SMALL_IMAGE = 256
"""Pixels up to which an mlp needs only half the units; more cost time there and gain nothing."""


@runtime_checkable
class Blueprint(Protocol):
    """Makes the networks of a new component.

    Attributes
    ----------
    name
        How checkpoints and reports call it.
    batchable
        Whether its modules are plain layers that ``torch.func.vmap`` can run for many components at once.
    """

    @property
    def name(self) -> str:
        """See the attributes."""

    @property
    def batchable(self) -> bool:
        """See the attributes."""

    def encoder(self, shape: Shape) -> nn.Module:
        """Images of ``shape`` to features ``(batch, features)``."""

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """Codes ``(batch, inputs)`` to outputs ``(batch, *shape)``."""


@dataclass(frozen=True)
class MLP:
    """Fully connected encoder and decoder with GELU.

    Parameters
    ----------
    hidden
        Units of every hidden layer; by default 800, or 400 for images of at most 256 pixels.
    depth
        Number of hidden layers on each side.

    Examples
    --------
    >>> MLP(hidden=16, depth=1).encoder((1, 8, 8))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 16])
    """

    hidden: int | None = None
    depth: int = 2
    name: str = "mlp"
    batchable: bool = True

    def __post_init__(self) -> None:
        require_whole(self.depth, "depth", 1, MOST_LAYERS)
        if self.hidden is not None:
            require_whole(self.hidden, "hidden", 1, MOST_UNITS)

    def encoder(self, shape: Shape) -> nn.Module:
        """Flatten, then ``depth`` layers."""
        return nn.Sequential(nn.Flatten(), *self._layers(_pixels(shape), shape))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """``depth`` layers, then one to the pixels."""
        head = nn.Linear(self._units(shape), _pixels(shape))
        return nn.Sequential(*self._layers(inputs, shape), head, nn.Unflatten(1, shape))

    def _layers(self, inputs: int, shape: Shape) -> list[nn.Module]:
        widths = [inputs, *[self._units(shape)] * self.depth]
        return [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.GELU())]

    def _units(self, shape: Shape) -> int:
        if self.hidden is not None:
            return self.hidden
        return 400 if _pixels(shape) <= SMALL_IMAGE else 800


@dataclass(frozen=True)
class Conv:
    """Strided convolutions with GELU; the decoder mirrors them.

    Each stage halves the image until its side would fall below four, so that 8x8, 28x28, 32x32 and 64x64
    (and unequal sides) all work; no batch normalisation, so nothing differs between training and use.

    Parameters
    ----------
    width
        Channels after the first stage; doubled at every further one.
    hidden
        Units of the fully connected layer at the narrow end.

    Examples
    --------
    >>> conv = Conv(width=8, hidden=32)
    >>> conv.decoder(5, (3, 28, 28))(conv.encoder((3, 28, 28))(torch.zeros(2, 3, 28, 28))[:, :5]).shape
    torch.Size([2, 3, 28, 28])
    """

    width: int = 32
    hidden: int = 256
    name: str = "conv"
    batchable: bool = True

    def __post_init__(self) -> None:
        require_whole(self.width, "width", 1, MOST_UNITS)
        require_whole(self.hidden, "hidden", 1, MOST_UNITS)

    def encoder(self, shape: Shape) -> nn.Module:
        """Strided convolutions, then one fully connected layer."""
        sizes = _halvings(shape)
        layers: list[nn.Module] = []
        channels = shape[0]
        for stage in range(len(sizes) - 1):
            layers += [nn.Conv2d(channels, self._channels(stage), 3, stride=2, padding=1), nn.GELU()]
            channels = self._channels(stage)
        flat = channels * sizes[-1][0] * sizes[-1][1]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, self.hidden), nn.GELU())

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """One fully connected layer, then transposed convolutions back up through the same sizes."""
        sizes = _halvings(shape)
        stages = len(sizes) - 1
        channels = self._channels(stages - 1)
        narrow = (channels, *sizes[-1])
        layers: list[nn.Module] = [
            nn.Linear(inputs, self.hidden),
            nn.GELU(),
            nn.Linear(self.hidden, _pixels(narrow)),
            nn.GELU(),
            nn.Unflatten(1, narrow),
        ]
        for stage in reversed(range(stages)):
            small, large = sizes[stage + 1], sizes[stage]
            # an odd size was halved upwards (7 -> 4), so the way back overshoots by one unless it was even
            extra = (large[0] - (2 * small[0] - 1), large[1] - (2 * small[1] - 1))
            out = shape[0] if stage == 0 else self._channels(stage - 1)
            layers.append(nn.ConvTranspose2d(channels, out, 3, stride=2, padding=1, output_padding=extra))
            layers += [nn.GELU()] if stage else []
            channels = out
        return nn.Sequential(*layers)

    def _channels(self, stage: int) -> int:
        return self.width << min(stage, 2)  # beyond four times the width, cost grows and density hardly


@dataclass(frozen=True)
class OwnModules:
    """A user's own encoder and decoder.

    Parameters
    ----------
    make_encoder
        Called with the image's shape for every new component; returns a module from images to features.
    make_decoder
        Called with the number of inputs (latent size, plus the class code when supervised) and the shape.
    name
        How reports call it. A checkpoint can't hold code: pass the same blueprint to ``load``.
    batchable
        Say so if ``torch.func.vmap`` can run the modules; routing over many components is then one call.

    Examples
    --------
    >>> own = OwnModules(
    ...     lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
    ...     lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape)),
    ... )
    >>> check_blueprint(own, 4, (1, 8, 8))
    10
    """

    make_encoder: Callable[[Shape], nn.Module]
    make_decoder: Callable[[int, Shape], nn.Module]
    name: str = "own"
    batchable: bool = False

    def encoder(self, shape: Shape) -> nn.Module:
        """What ``make_encoder`` returns."""
        return self.make_encoder(shape)

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """What ``make_decoder`` returns."""
        return self.make_decoder(inputs, shape)


def check_blueprint(blueprint: Blueprint, inputs: int, shape: Shape, target_shape: Shape | None = None) -> int:
    """Number of features that a blueprint's encoder gives, found by running each of its networks once.

    Parameters
    ----------
    blueprint
        Ours are made without memory, and a user's own as they are.
    inputs
        What a decoder gets.
    shape
        Of the images.
    target_shape
        Of the images that these are translated to, if they are.

    Raises
    ------
    BadInput
        The encoder does not give ``(batch, features)`` or a decoder not ``(batch, *shape)``, in single precision.
    """
    fails = f"blueprint {blueprint.name!r} fails on images of shape {shape}"
    features = _trial(blueprint, lambda: blueprint.encoder(shape), shape, fails)
    if not _is_batch(features, (None,)):
        raise BadInput(f"{fails}: encoder gives {_told(features)}, needed (batch, features) of torch.float32")
    _try_decoder(blueprint, inputs, shape, fails)
    if target_shape is not None:
        fails = f"blueprint {blueprint.name!r} fails to decode targets of shape {target_shape}"
        _try_decoder(blueprint, inputs, target_shape, fails)
    return int(features.shape[1])


def is_ours(blueprint: Blueprint) -> bool:
    """Whether its networks can be made without memory; a user's own may not know how."""
    return isinstance(blueprint, (MLP, Conv))


def _try_decoder(blueprint: Blueprint, inputs: int, shape: Shape, fails: str) -> None:
    output = _trial(blueprint, lambda: blueprint.decoder(inputs, shape), (inputs,), fails)
    if not _is_batch(output, shape):
        raise BadInput(f"{fails}: decoder gives {_told(output)}, needed (batch, *{shape}) of torch.float32")


def _trial(blueprint: Blueprint, make: Callable[[], nn.Module], size: tuple[int, ...], fails: str) -> Any:
    """What a new network gives for two inputs, when it is used as components do: copied first."""
    try:
        with torch.no_grad(), torch.device("meta") if is_ours(blueprint) else nullcontext():
            return copy.deepcopy(make()).eval()(torch.zeros(2, *size))
    except Exception as error:  # the user's own code runs here, which may raise anything
        raise BadInput(f"{fails}: {one_line(error)}") from error


def _is_batch(output: Any, shape: tuple[int | None, ...]) -> bool:
    """Whether that has a row for each of two inputs; ``None`` is any number."""
    if not isinstance(output, torch.Tensor) or output.dtype != torch.float32 or output.ndim != 1 + len(shape):
        return False
    return all(wanted in (None, given) for wanted, given in zip((2, *shape), output.shape, strict=True))


def _told(output: Any) -> str:
    """What a network gave, for a message."""
    if not isinstance(output, torch.Tensor):
        return f"a {type(output).__name__}"
    return f"{tuple(output.shape)} of {output.dtype} for a batch of 2"


def _pixels(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def _halvings(shape: Shape) -> list[tuple[int, int]]:
    sizes = [(shape[1], shape[2])]
    while len(sizes) == 1 or (min(sizes[-1]) > 4 and len(sizes) < 5):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes
