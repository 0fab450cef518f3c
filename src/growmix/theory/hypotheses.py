"""Classes of hypotheses: finite ones, whose every member can be tried, and networks, which can be trained."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from growmix.errors import BadInput


class Finite:
    """A class of hypotheses that can be enumerated.

    Parameters
    ----------
    answers
        Function of examples ``(n, ...)`` that returns the answers of all members, ``(members, n)``.
    name
        The name that reports call it by.

    Examples
    --------
    >>> thresholds([0.0, 1.0]).answers(torch.tensor([[-1.0], [0.5], [2.0]]))
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """

    def __init__(self, answers: Callable[[Tensor], Tensor], name: str) -> None:
        self.answers = answers
        self.name = name


def thresholds(places: Sequence[float]) -> Finite:
    """Make the class of classifiers on a line that say 1 at and above a place; examples are ``(n, 1)``."""
    cuts = _numbers("places", places)

    def answers(x: Tensor) -> Tensor:
        _require_columns(x, 1)
        return (x[:, 0][None] >= cuts[:, None]).long()

    return Finite(answers, f"{len(cuts)} thresholds")


def half_planes(directions: int, offsets: Sequence[float]) -> Finite:
    """Make the class of linear classifiers in the plane on a grid; examples are ``(n, 2)``.

    Parameters
    ----------
    directions
        How many normals there are, evenly over half a turn (the other half gives the same disagreements).
    offsets
        Places of the boundary along each normal.

    Examples
    --------
    >>> half_planes(2, [0.0]).answers(torch.tensor([[1.0, -1.0]]))
    tensor([[1],
            [0]])
    """
    angles = torch.arange(_whole("directions", directions)) * (math.pi / directions)
    normals = torch.stack([angles.cos(), angles.sin()])
    cuts = _numbers("offsets", offsets)

    def answers(x: Tensor) -> Tensor:
        _require_columns(x, 2)
        along = (x @ normals).T  # (directions, n)
        return (along[:, None] >= cuts[None, :, None]).long().flatten(0, 1)

    return Finite(answers, f"{directions} x {len(cuts)} half-planes")


class Trainable(ABC):
    """Interface of a class of hypotheses that are networks.

    Attributes
    ----------
    name
        The name that reports call it by.
    """

    name: str

    @abstractmethod
    def network(self, shape: Sequence[int], outputs: int) -> nn.Module:
        """Make a member with random weights, from ``(n, *shape)`` to ``(n, outputs)``."""


@final
class Linear(Trainable):
    """The class of networks of one linear layer.

    Examples
    --------
    >>> Linear().network((1, 4, 4), 3)(torch.zeros(5, 1, 4, 4)).shape
    torch.Size([5, 3])
    """

    name = "linear"

    def network(self, shape: Sequence[int], outputs: int) -> nn.Module:
        """Make a member, as :meth:`Trainable.network` says."""
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))


@final
class MLP(Trainable):
    """The class of networks with one hidden layer; with as many outputs as inputs they are autoencoders.

    Parameters
    ----------
    hidden
        How many units the hidden layer has.
    """

    def __init__(self, hidden: int = 32) -> None:
        self.hidden = _whole("hidden", hidden)
        self.name = f"mlp of {hidden}"

    def network(self, shape: Sequence[int], outputs: int) -> nn.Module:
        """Make a member, as :meth:`Trainable.network` says."""
        inputs = math.prod(shape)
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, self.hidden), nn.GELU(), nn.Linear(self.hidden, outputs))


@final
class Conv(Trainable):
    """The class of networks of two strided convolutions and a linear layer, for images.

    Parameters
    ----------
    channels
        Channels of the first convolution; the second has twice as many.
    """

    def __init__(self, channels: int = 8) -> None:
        self.channels = _whole("channels", channels)
        self.name = f"convolutions of {channels}"

    def network(self, shape: Sequence[int], outputs: int) -> nn.Module:
        """Make a member, as :meth:`Trainable.network` says."""
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise BadInput(
                f"examples have the shape {tuple(shape)}; hypotheses of convolutions take (channels, height, width), "
                "each side 4 or more"
            )
        channels, height, width = shape
        places = math.ceil(height / 4) * math.ceil(width / 4)
        return nn.Sequential(
            nn.Conv2d(channels, self.channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(self.channels, 2 * self.channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(2 * self.channels * places, outputs),
        )


def _numbers(name: str, values: Sequence[float]) -> Tensor:
    if len(values) == 0:
        raise BadInput(f"{name} is empty; at least one number is needed")
    return torch.as_tensor(values, dtype=torch.float32)


def _require_columns(x: Tensor, columns: int) -> None:
    if x.dim() != 2 or x.shape[1] != columns:
        raise BadInput(f"examples have the shape {tuple(x.shape)}; these hypotheses take (examples, {columns})")


def _whole(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadInput(f"{name} is {value!r}; allowed is a whole number of 1 or more")
    return value
