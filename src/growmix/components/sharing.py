"""What components share: a frozen foundation that each of them stands on, and how little of its own it then needs.

``trunk``: the first half of every network is trained with the first task and then frozen; the rest is each
component's own. ``adapter``: all weights are frozen, and each component adds a low-rank update to every layer.
``rank-one``: all weights are frozen, and each component scales the inputs and outputs of every layer.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from growmix.components.abilities import Pairs, Shared
from growmix.components.component import Component
from growmix.components.nets import initialised
from growmix.errors import BadInput

Kind: TypeAlias = Literal["trunk", "adapter", "rank-one"]

ADAPTER_SHARE = 0.05
"""Most of a whole component's networks that a component with adapters holds itself, unless a rank is asked for."""

UPDATE_SCALE = 32.0
"""Factor before a low-rank update: with 1, an adapter moves too little at the learning rate of a whole component.

Held-out bound of a 400-unit mlp on Fashion-MNIST, on a foundation trained on the digits 0 and 1, 2,000 steps:
-254.2 nats with 1, -249.7 with 8, -248.9 with 32, -249.0 with 64; a conv after 250 steps: -292.6, -271.0 and -258.5.
"""

PIXEL_RANKS = 3
"""Ranks that a fully connected layer which writes pixels has for each rank of the others, at equal cost in all.

Same measurement: -248.9 nats with 1, -246.2 with 3 (a whole component: -241.4); on the digits 2 and 3: -133.0, -129.1.
"""

_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_NUMBERS = count()


@final
class Foundation(nn.Module):
    """The frozen part that all components of a mixture stand on.

    Made once, of the first component when it is trained; from then on nothing of it changes, the buffers of
    normalisation layers included. Components refer to it without holding it: their parameters, their state and a
    copy of them are their own part alone. Moving it to a device is therefore done here, not with a component.

    Parameters
    ----------
    networks
        Trained networks, by the names that components have for them; they are copied.
    kind
        What the components share: ``trunk``, ``adapter`` or ``rank-one``.
    rank
        Rank of the updates of ``adapter``; ``None`` leaves it open.
    pixels
        Sizes of the images that the networks may write.

    Attributes
    ----------
    rank : int
        Rank of the updates of ``adapter``, also where it was left open.

    References
    ----------
    ``trunk``: Ye and Bors 2025. ``adapter``: Hu et al. 2021, LoRA. ``rank-one``: Wen, Tran, Ba 2020, BatchEnsemble.

    Examples
    --------
    >>> component = learnt_example().components[0]
    >>> whole = sum(part.numel() for part in component.parameters())
    >>> foundation = Foundation.of(component, "rank-one", None)
    >>> foundation.carry(component, torch.Generator())
    >>> sum(part.numel() for part in component.parameters()) < whole / 2
    True
    """

    def __init__(
        self, networks: dict[str, nn.Module], kind: Kind, rank: int | None, pixels: Collection[int] = ()
    ) -> None:
        super().__init__()
        self.kind = kind
        self._pixels = frozenset(pixels)
        self.rank = rank or (_affordable_rank(networks, self._pixels) if kind == "adapter" else 1)
        frozen = {name: _frozen_part(network, kind) for name, network in networks.items()}
        self._names = tuple(frozen)
        self._number = next(_NUMBERS)
        self.parts = nn.ModuleList(part for part in frozen.values())
        self.requires_grad_(False).eval()

    @classmethod
    def of(cls, component: Component, kind: Kind, rank: int | None) -> Foundation:
        """The foundation that a trained component gives to all.

        Parameters
        ----------
        component
            A trained component with networks of its own; it is not changed.
        kind
            What the components share: ``trunk``, ``adapter`` or ``rank-one``.
        rank
            Rank of the updates of ``adapter``, three times as much where a fully connected layer writes pixels;
            ``None``: the largest whose cost is at most 5 % of the networks, or 1 where even that costs more.

        Raises
        ------
        BadInput
            The component has no networks to share, or ``trunk`` is asked of a network that is no
            ``torch.nn.Sequential``.
        """
        networks = shareable(component, kind)
        sizes = [component.domain.size, *([component.target.size] if isinstance(component, Pairs) else [])]
        return cls(networks, kind, rank, sizes)

    def train(self, mode: bool = True) -> Foundation:
        """Keep the foundation as it is in use, whatever mode is asked for."""
        return super().train(False)

    def carry(self, component: Component, generator: torch.Generator) -> None:
        """Make a component with networks of its own stand on the foundation, in place.

        A trained component that the foundation is of keeps its function bit for bit; a new one starts from what the
        foundation computes, or for ``trunk`` from its own fresh upper half.

        Parameters
        ----------
        component
            The component whose networks are exchanged.
        generator
            Generator on the CPU that the first weights of updates are drawn from.
        """
        for name, part in zip(self._names, self.parts, strict=True):
            network = component.get_submodule(name)
            if self.kind == "trunk":
                standing: nn.Module = _on_trunk(part, network)
            else:
                standing = _adapted(part, network, lambda layer: self._layer(layer, generator))
            parent, _, last = name.rpartition(".")
            setattr(component.get_submodule(parent), last, standing)
        component.stand_on(f"{self.kind} {self._number}")

    def _layer(self, layer: nn.Module, generator: torch.Generator) -> nn.Module | None:
        """Return what stands in a component for a frozen layer; ``None`` where it has a copy of its own."""
        if self.kind == "rank-one":
            return RankOne(layer)
        rank = _rank_of(layer, self.rank, self._pixels)
        return LowRank(layer, rank, generator) if _update_cost(layer, rank) < _weights(layer) else None


def shareable(component: Component, kind: Kind) -> dict[str, nn.Module]:
    """Return the networks of a component that can be shared, by the names that the component has for them.

    Parameters
    ----------
    component
        A component with networks of its own, trained or new.
    kind
        What components are to share: ``trunk``, ``adapter`` or ``rank-one``.

    Raises
    ------
    BadInput
        The component has no networks to share, or ``trunk`` is asked of a network that is no ``torch.nn.Sequential``.
    """
    if not isinstance(component, Shared):
        raise BadInput(
            f"sharing is {kind!r}, but a {type(component).__name__} has no networks that could be shared; "
            "take sharing 'none'"
        )
    networks = {name: component.get_submodule(name) for name in component.networks}
    for name, network in networks.items():
        if kind == "trunk" and not _can_be_halved(network):
            raise BadInput(
                f"sharing is 'trunk', but network {name!r} is a {type(network).__name__}; a trunk is the lower half of "
                "a torch.nn.Sequential: wrap the layers in one, or take sharing 'adapter' or 'none'"
            )
    return networks


@final
class Frozen:
    """Refers to a module that many share: it is not registered with who refers to it, nor copied with them.

    Parameters
    ----------
    module
        The module, which nothing trains.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def __deepcopy__(self, memo: dict[int, Any]) -> Frozen:
        return self


@final
class OnTrunk(nn.Module):
    """A frozen trunk below, a component's own layers above."""

    def __init__(self, trunk: nn.Module, own: nn.Module) -> None:
        super().__init__()
        self._trunk = Frozen(trunk)
        self.own = own

    def forward(self, x: Tensor) -> Tensor:
        """Compute the trunk, then the component's own layers."""
        output: Tensor = self.own(self._trunk.module(x))
        return output


@final
class LowRank(nn.Module):
    r"""A frozen layer with a low-rank update and a bias of its own: :math:`y = W x + 32 B A x + b`, B zero at first.

    The frozen bias is added with the frozen weight and the difference of the two after it, so that an update which
    has learnt nothing changes no bit.

    Parameters
    ----------
    frozen
        ``Linear``, ``Conv2d`` or ``ConvTranspose2d``.
    rank
        Rank of the update.
    generator
        Generator on the CPU that the first weights of the update are drawn from.
    """

    def __init__(self, frozen: nn.Module, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self._frozen = Frozen(frozen)
        like = _weight_of(frozen)
        down = initialised(lambda: _narrow(frozen, rank), generator)
        without_memory = any(weight.is_meta for weight in down.parameters())
        self.down = down if without_memory else down.to(like.device, like.dtype)
        self.up = _widen(frozen, rank)
        self.bias = _own_bias(frozen)

    def forward(self, x: Tensor) -> Tensor:
        """Add the update to what the frozen layer gives."""
        layer = self._frozen.module
        y: Tensor = layer(x) + UPDATE_SCALE * self.up(self.down(x))
        return y if self.bias is None else y + _along_channels(self.bias - layer.bias, layer, y)


@final
class RankOne(nn.Module):
    r"""A frozen layer with scales and a bias of its own: :math:`y = s \circ W (r \circ x) + b`, scales one at first.

    The frozen bias is added and scaled with the frozen weight and what is missing to the own one after it, so that
    scales which have learnt nothing change no bit.

    Parameters
    ----------
    frozen
        ``Linear``, ``Conv2d`` or ``ConvTranspose2d``.
    """

    def __init__(self, frozen: nn.Module) -> None:
        super().__init__()
        self._frozen = Frozen(frozen)
        inputs, outputs = _widths(frozen)
        like = _weight_of(frozen)
        self.scale_in = nn.Parameter(torch.ones(inputs, device=like.device, dtype=like.dtype))
        self.scale_out = nn.Parameter(torch.ones(outputs, device=like.device, dtype=like.dtype))
        self.bias = _own_bias(frozen)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the frozen layer with scaled inputs and outputs."""
        layer = self._frozen.module
        y: Tensor = layer(x * _along_channels(self.scale_in, layer, x))
        y = y * _along_channels(self.scale_out, layer, y)
        return y if self.bias is None else y + _along_channels(self.bias - self.scale_out * layer.bias, layer, y)


def _along_channels(vector: Tensor, layer: nn.Module, x: Tensor) -> Tensor:
    """Shape a vector so that it meets the features of a layer's inputs or outputs, in their precision."""
    return (vector if isinstance(layer, nn.Linear) else vector.view(-1, 1, 1)).to(x.dtype)


def _weight_of(layer: Any) -> Tensor:
    weight: Tensor = layer.weight
    return weight


def _weights(layer: nn.Module) -> int:
    return _weight_of(layer).numel()


def _widths(layer: Any) -> tuple[int, int]:
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels


def _own_bias(layer: Any) -> nn.Parameter | None:
    return None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())


def _narrow(layer: Any, rank: int) -> nn.Module:
    """Make a layer from the frozen one's inputs to ``rank``; that of a convolution slides over the image."""
    inputs, _ = _widths(layer)
    like: dict[str, Any] = {"bias": False}
    if isinstance(layer, nn.Linear):
        return nn.Linear(inputs, rank, **like)
    if isinstance(layer, nn.Conv2d):
        like |= {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        like |= {"kernel_size": layer.kernel_size, "padding_mode": layer.padding_mode}
        return nn.Conv2d(inputs, rank, **like)
    return nn.Conv2d(inputs, rank, 1, **like)


def _widen(layer: Any, rank: int) -> nn.Module:
    """Make a layer from ``rank`` to the outputs, zero at first; a transposed convolution slides here instead."""
    _, outputs = _widths(layer)
    like: dict[str, Any] = {"bias": False, "device": "meta", "dtype": layer.weight.dtype}
    if isinstance(layer, nn.Linear):
        wide: nn.Module = nn.Linear(rank, outputs, **like)
    elif isinstance(layer, nn.Conv2d):
        wide = nn.Conv2d(rank, outputs, 1, **like)
    else:
        like |= {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        wide = nn.ConvTranspose2d(rank, outputs, layer.kernel_size, output_padding=layer.output_padding, **like)
    wide.to_empty(device=layer.weight.device)
    for weight in wide.parameters():
        nn.init.zeros_(weight)
    return wide


def _rank_of(layer: nn.Module, rank: int, pixels: Collection[int]) -> int:
    writes_pixels = isinstance(layer, nn.Linear) and layer.out_features in pixels
    return PIXEL_RANKS * rank if writes_pixels else rank


def _update_cost(layer: Any, rank: int) -> int:
    """Count the weights of a low-rank update; the side of a convolution that slides has its kernel."""
    inputs, outputs = _widths(layer)
    kernel = 1 if isinstance(layer, nn.Linear) else math.prod(layer.kernel_size)
    moving, plain = (outputs, inputs) if isinstance(layer, nn.ConvTranspose2d) else (inputs, outputs)
    return rank * (moving * kernel + plain)


def _is_one_layer(network: nn.Module) -> bool:
    return isinstance(network, _LAYERS) or not any(True for _ in network.parameters())


def _can_be_halved(network: nn.Module) -> bool:
    """Whether a network has a lower half, or is a single layer, of which a trunk has nothing."""
    return _is_one_layer(network) or isinstance(network, nn.Sequential)


def _frozen_part(network: nn.Module, kind: Kind) -> nn.Module:
    if kind != "trunk":
        return copy.deepcopy(network)
    if _is_one_layer(network) or not isinstance(network, nn.Sequential):
        return nn.Identity()  # a single layer can't be halved
    return copy.deepcopy(network[: _halfway(network)])


def _halfway(network: nn.Sequential) -> int:
    """Return where the upper half of the weight layers begins; layers between belong to what is below them."""
    places = [i for i, layer in enumerate(network) if _has_weights(layer)]
    return 0 if len(places) < 2 else places[(len(places) + 1) // 2]


def _has_weights(layer: nn.Module) -> bool:
    """Whether a step of a network is a layer or a block of layers; a normalisation belongs to what is below it."""
    return any(part.ndim > 1 for part in layer.parameters()) and not isinstance(layer, nn.LayerNorm)


def _on_trunk(trunk: nn.Module, network: nn.Module) -> nn.Module:
    if not isinstance(network, nn.Sequential) or not isinstance(trunk, nn.Sequential) or len(trunk) == 0:
        return network
    return OnTrunk(trunk, network[len(trunk) :])


def _adapted(part: nn.Module, network: nn.Module, adapt: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Copy a frozen network with its weight layers adapted; all else that has numbers is copied as it is.

    Parameters
    ----------
    part
        The frozen network of a foundation.
    network
        The component's, which says what of its own is trained.
    adapt
        What stands for a layer, or ``None``.
    """
    stands = {id(layer): adapt(layer) for layer in _weight_layers(part)}
    # who copies deeply asks this record first, so every layer in it is exchanged wherever the network refers to it
    own: nn.Module = copy.deepcopy(part, {key: layer for key, layer in stands.items() if layer is not None})
    trained = {name: weight.requires_grad for name, weight in network.named_parameters()}
    for name, weight in own.named_parameters():
        weight.requires_grad_(trained.get(name, True))
    return own.train(network.training)


def _weight_layers(network: nn.Module) -> Iterator[nn.Module]:
    """Yield each layer that can be adapted once; torch's own compound modules stay whole, as they reach into theirs."""
    found: dict[int, nn.Module] = {}
    waiting = [network]
    while waiting:
        module = waiting.pop(0)
        if type(module) in _LAYERS:
            found.setdefault(id(module), module)
        elif isinstance(module, _CONTAINERS) or not type(module).__module__.startswith("torch."):
            waiting += module.children()
    yield from found.values()


def _affordable_rank(networks: dict[str, nn.Module], pixels: Collection[int]) -> int:
    """Return the largest rank at which a component holds at most 5 % of the networks itself, at least 1."""
    whole = sum(part.numel() for network in networks.values() for part in network.parameters())
    layers = [layer for network in networks.values() for layer in _weight_layers(network)]
    spared = sum(map(_weights, layers))

    def cost(rank: int) -> int:
        updates = ((layer, _update_cost(layer, _rank_of(layer, rank, pixels))) for layer in layers)
        return whole - spared + sum(min(update, _weights(layer)) for layer, update in updates)

    rank = 1
    while cost(rank) < cost(rank + 1) <= ADAPTER_SHARE * whole:
        rank += 1
    return rank
