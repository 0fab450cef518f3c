"""Encoders and decoders: what makes them, ``mlp``, and how a user's own modules come in.

An encoder maps examples ``(batch, *shape)`` to features ``(batch, features)``; the heads for posterior and class sit
on top and belong to the component. A decoder maps a code ``(batch, inputs)`` (the latent, with the class code behind
it when supervised) to an output in the shape of an example.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.data.domain import Shape
from growmix.errors import BadInput, one_line
from growmix.settings import MOST_LAYERS, MOST_UNITS, require_whole
from growmix.system.global_random import global_generator

SMALL_EXAMPLE = 256
"""Numbers per example up to which an mlp needs only half the units; more cost time there and gain nothing."""


@runtime_checkable
class Blueprint(Protocol):
    """Interface of what makes the networks of a new component.

    Attributes
    ----------
    name
        Name of the blueprint in checkpoints and reports.
    batchable
        Whether its modules are plain layers that ``torch.func.vmap`` can run for many components at once.
    """

    @property
    def name(self) -> str:
        """Name of the blueprint in checkpoints and reports."""

    @property
    def batchable(self) -> bool:
        """Whether ``torch.func.vmap`` can run its modules for many components at once."""

    def encoder(self, shape: Shape) -> nn.Module:
        """Make a network from examples of ``shape`` to features ``(batch, features)``."""

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """Make a network from codes ``(batch, inputs)`` to outputs ``(batch, *shape)``."""


class PlainLayers:
    """Ability of a blueprint whose networks are made of torch's own linear and convolutional layers alone.

    Such networks can be made without memory, to look at them, and growmix draws their first weights from a generator
    of its own. A user's own modules may do anything when they are made, torch's global generator included.
    """


class HasRecipe(ABC):
    """Ability of a blueprint whose networks are trained by a recipe of their own."""

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """What the networks are trained by where the settings leave it open."""


class StartsAtZero(ABC):
    """Ability of a module some of whose layers are zero at first, so that a new one adds nothing."""

    @abstractmethod
    def zero_at_first(self) -> tuple[nn.Module, ...]:
        """Return the layers whose weights and biases are zero at first."""


@dataclass(frozen=True)
class MLP(PlainLayers):
    """Fully connected encoder and decoder with GELU.

    Parameters
    ----------
    hidden
        Number of units in every hidden layer; by default 800, or 400 for examples of at most 256 numbers.
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

    def as_settings(self) -> dict[str, Any]:
        """Return the settings that name such a blueprint; none of one that has another name."""
        given = {"hidden": self.hidden, "depth": self.depth}
        return {"blueprint": "mlp", **given} if self == MLP(self.hidden, self.depth) else {}

    def encoder(self, shape: Shape) -> nn.Module:
        """Make a network that flattens examples and has ``depth`` layers."""
        return nn.Sequential(nn.Flatten(), *self._layers(math.prod(shape), shape))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """Make a network of ``depth`` layers and one that writes the example."""
        head = nn.Linear(self._units(shape), math.prod(shape))
        return nn.Sequential(*self._layers(inputs, shape), head, nn.Unflatten(1, shape))

    def _layers(self, inputs: int, shape: Shape) -> list[nn.Module]:
        widths = [inputs, *[self._units(shape)] * self.depth]
        return [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.GELU())]

    def _units(self, shape: Shape) -> int:
        if self.hidden is not None:
            return self.hidden
        return 400 if math.prod(shape) <= SMALL_EXAMPLE else 800


@dataclass(frozen=True)
class OwnModules(HasRecipe):
    """A user's own encoder and decoder.

    Parameters
    ----------
    make_encoder
        Called with the shape of an example for every new component; returns a module from examples to features.
    make_decoder
        Called with the number of inputs (latent size, plus the class code when supervised) and the shape.
    name
        Name of the blueprint in reports. A checkpoint can't hold code: pass the same blueprint to ``load``.
    batchable
        Say so if ``torch.func.vmap`` can run the modules; routing over many components is then one call.
    recipe
        What the modules are trained by where the settings leave it open; by default as an ``mlp`` is.

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
    recipe: Recipe = DEFAULT_RECIPE

    def encoder(self, shape: Shape) -> nn.Module:
        """Return what ``make_encoder`` makes for the shape."""
        return self.make_encoder(shape)

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """Return what ``make_decoder`` makes for inputs and shape."""
        return self.make_decoder(inputs, shape)


def recipe_of(blueprint: Blueprint) -> Recipe:
    """Return what the networks of a blueprint are trained by: the usual recipe, unless it has one of its own.

    Examples
    --------
    >>> recipe_of(MLP()).epochs
    40
    """
    return blueprint.recipe if isinstance(blueprint, HasRecipe) else DEFAULT_RECIPE


def check_blueprint(blueprint: Blueprint, inputs: int, shape: Shape, target_shape: Shape | None = None) -> int:
    """Return how many features a blueprint's encoder gives, found by running each of its networks once.

    Parameters
    ----------
    blueprint
        Networks of plain layers are made without memory, a user's own as they are.
    inputs
        Length of what a decoder gets.
    shape
        Axes of an example.
    target_shape
        Axes of the examples that these are translated to, if they are.

    Raises
    ------
    BadInput
        The encoder does not give ``(batch, features)`` or a decoder not ``(batch, *shape)``, in single precision.
    """
    fails = f"blueprint {blueprint.name!r} fails on examples of shape {shape}"
    features = _trial(blueprint, lambda: blueprint.encoder(shape), shape, fails)
    if not _is_batch(features, (None,)):
        raise BadInput(f"{fails}: encoder gives {_told(features)}, needed (batch, features) of torch.float32")
    _try_decoder(blueprint, inputs, shape, fails)
    if target_shape is not None:
        fails = f"blueprint {blueprint.name!r} fails to decode targets of shape {target_shape}"
        _try_decoder(blueprint, inputs, target_shape, fails)
    return int(features.shape[1])


def make_network(blueprint: Blueprint, make: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """Make one network of a blueprint, with first weights that follow from the generator alone.

    Parameters
    ----------
    blueprint
        What the network is of.
    make
        Calls the blueprint's encoder or decoder.
    generator
        Generator on the CPU; a user's own modules draw from torch's global one, which is seeded from it.
    """
    if isinstance(blueprint, PlainLayers):
        return initialised(make, generator)
    with global_generator(generator, needed=True):
        # copied: a blueprint may hand out one module twice, and components must not share weights or buffers
        return copy.deepcopy(make())


def initialised(make: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """Make a module of torch's own layers, with the first weights that torch gives them, drawn from a generator.

    Layers that a part of it names in :meth:`StartsAtZero.zero_at_first` are zero.
    Within ``torch.device("meta")`` it has shapes and no memory, and nothing is drawn.

    Examples
    --------
    >>> layer = initialised(lambda: nn.Linear(4, 2), torch.Generator().manual_seed(0))
    >>> bool((layer.weight.abs() <= 0.5).all())
    True
    """
    without_memory = torch.get_default_device().type == "meta"
    with torch.device("meta"):
        module = make()
    if without_memory:
        return module
    module.to_empty(device="cpu")
    for layer in module.modules():
        own = dict(layer.named_parameters(recurse=False))
        if own:
            # uniform within 1 / sqrt(inputs): what torch's own initialisation comes to for these layers
            reach = 1.0 / math.sqrt(max(1, own["weight"][0].numel()))
            for weight in own.values():
                nn.init.uniform_(weight, -reach, reach, generator=generator)
    for part in module.modules():
        if isinstance(part, StartsAtZero):
            for weight in (weight for layer in part.zero_at_first() for weight in layer.parameters()):
                nn.init.zeros_(weight)
    return module


def with_rows(old: nn.Parameter, new: torch.Tensor) -> nn.Parameter:
    """Return weights with new rows behind the old ones, on the device of the old ones."""
    return nn.Parameter(torch.cat([old.detach(), new.detach().to(old.device)]))


def _try_decoder(blueprint: Blueprint, inputs: int, shape: Shape, fails: str) -> None:
    output = _trial(blueprint, lambda: blueprint.decoder(inputs, shape), (inputs,), fails)
    if not _is_batch(output, shape):
        raise BadInput(f"{fails}: decoder gives {_told(output)}, needed (batch, *{shape}) of torch.float32")


def _trial(blueprint: Blueprint, make: Callable[[], nn.Module], size: Shape, fails: str) -> Any:
    """Run a new network on two inputs, as components use it: copied first."""
    plain = isinstance(blueprint, PlainLayers)
    seeded = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad(), torch.device("meta") if plain else global_generator(seeded, needed=True):
            return copy.deepcopy(make()).eval()(torch.zeros(2, *size, dtype=torch.float32))
    except Exception as error:  # the user's own code runs here, which may raise anything
        raise BadInput(f"{fails}: {one_line(error)}") from error


def _is_batch(output: Any, shape: tuple[int | None, ...]) -> bool:
    """Whether an output has a row for each of two inputs; ``None`` stands for any number."""
    if not isinstance(output, torch.Tensor) or output.dtype != torch.float32 or output.ndim != 1 + len(shape):
        return False
    return all(wanted in (None, given) for wanted, given in zip((2, *shape), output.shape, strict=True))


def _told(output: Any) -> str:
    """Describe in a message what a network gave."""
    if not isinstance(output, torch.Tensor):
        return f"a {type(output).__name__}"
    return f"{tuple(output.shape)} of {output.dtype} for a batch of 2"
