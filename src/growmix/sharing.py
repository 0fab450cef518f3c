"""What components share: a frozen foundation that each of them stands on, and how little of its own it then needs.

``trunk``: the first half of every network is trained with the first task and then frozen; the rest is each
component's own. ``adapter``: all weights are frozen, and each component adds a low-rank update to every layer.
``rank-one``: all weights are frozen, and each component scales the inputs and outputs of every layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.component import Component
from growmix.errors import BadInput

Kind: TypeAlias = Literal["trunk", "adapter", "rank-one"]

ADAPTER_SHARE = 0.05
"""Most of a whole component's networks that a component with adapters holds itself, unless a rank is asked for."""

_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@final
class Foundation(nn.Module):
    """The frozen part that all components of a mixture stand on.

    Made once, of the first component when it is trained; from then on nothing of it changes, the buffers of
    normalisation layers included. Components refer to it without holding it: their parameters, their state and a
    copy of them are their own part alone.

    Parameters
    ----------
    networks
        Trained networks, by the names that components have for them; they are copied.
    kind
        What is shared.
    rank
        Of the updates of ``adapter``.

    References
    ----------
    ``trunk``: Ye and Bors 2025. ``adapter``: Hu et al. 2021, LoRA. ``rank-one``: Wen, Tran, Ba 2020, BatchEnsemble.

    Examples
    --------
    >>> component = learnt_example().components[0]
    >>> whole = sum(part.numel() for part in component.parameters())
    >>> foundation = Foundation.of(component, "rank-one", None)
    >>> foundation.carry(component)
    >>> sum(part.numel() for part in component.parameters()) < whole / 2
    True
    """

    def __init__(self, networks: dict[str, nn.Module], kind: Kind, rank: int | None) -> None:
        super().__init__()
        self.kind = kind
        self.rank = rank or (_affordable_rank(networks) if kind == "adapter" else 1)
        frozen = {name: _frozen_part(network, kind, name) for name, network in networks.items()}
        self._names = tuple(frozen)
        self.parts = nn.ModuleList(part for part in frozen.values())
        self.requires_grad_(False).eval()

    @classmethod
    def of(cls, component: Component, kind: Kind, rank: int | None) -> Foundation:
        """The foundation that a trained component gives to all.

        Parameters
        ----------
        component
            Has networks of its own, and is not changed.
        kind
            What is shared.
        rank
            Of the updates of ``adapter``; ``None``: the largest whose cost is at most 5 % of the networks.

        Raises
        ------
        BadInput
            ``trunk`` of a network that is no ``torch.nn.Sequential``.
        """
        return cls({name: component.get_submodule(name) for name in component.networks}, kind, rank)

    def train(self, mode: bool = True) -> Foundation:
        """Never: a foundation stays as it is in use."""
        return super().train(False)

    def carry(self, component: Component) -> None:
        """Make a component with networks of its own stand on the foundation, in place.

        A trained component that the foundation is of keeps its function (bit for bit; with ``rank-one`` up to
        rounding); a new one starts from what the foundation computes, or for ``trunk`` from its own fresh upper half.
        """
        for name, part in zip(self._names, self.parts, strict=True):
            network = component.get_submodule(name)
            if self.kind == "trunk":
                standing: nn.Module = _on_trunk(part, network)
            else:
                standing = _adapted(part, self._layer)
            parent, _, last = name.rpartition(".")
            setattr(component.get_submodule(parent), last, standing)
        component.structure = None if component.structure is None else f"{component.structure} {self.kind}"

    def _layer(self, layer: nn.Module) -> nn.Module:
        return LowRank(layer, self.rank) if self.kind == "adapter" else RankOne(layer)


@final
class _Frozen:
    """Refers to a module that belongs to a foundation: it is not registered with who refers to it, nor copied."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __deepcopy__(self, memo: dict[int, Any]) -> _Frozen:
        return self


@final
class OnTrunk(nn.Module):
    """A frozen trunk below, a component's own layers above."""

    def __init__(self, trunk: nn.Module, own: nn.Module) -> None:
        super().__init__()
        self._trunk = _Frozen(trunk)
        self.own = own

    def forward(self, x: Tensor) -> Tensor:
        """Trunk, then own layers."""
        output: Tensor = self.own(self._trunk.module(x))
        return output


@final
class LowRank(nn.Module):
    r"""A frozen layer with a low-rank update and a bias of its own: :math:`y = W x + B A x + b`, B zero at first.

    Parameters
    ----------
    frozen
        ``Linear``, ``Conv2d`` or ``ConvTranspose2d``.
    rank
        Of the update.
    """

    def __init__(self, frozen: nn.Module, rank: int) -> None:
        super().__init__()
        self._frozen = _Frozen(frozen)
        self.down = _narrow(frozen, rank)
        self.up = _widen(frozen, rank)
        self.bias = _own_bias(frozen)

    def forward(self, x: Tensor) -> Tensor:
        """Frozen layer plus update."""
        update: Tensor = self.up(self.down(x))
        return _apply(self._frozen.module, x, self.bias) + update


@final
class RankOne(nn.Module):
    r"""A frozen layer with scales and a bias of its own: :math:`y = s \circ W (r \circ x) + b`, scales one at first.

    Parameters
    ----------
    frozen
        ``Linear``, ``Conv2d`` or ``ConvTranspose2d``.
    """

    def __init__(self, frozen: nn.Module) -> None:
        super().__init__()
        self._frozen = _Frozen(frozen)
        inputs, outputs = _widths(frozen)
        self.scale_in = nn.Parameter(torch.ones(inputs))
        self.scale_out = nn.Parameter(torch.ones(outputs))
        self.bias = _own_bias(frozen)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled frozen layer."""
        spread = (-1,) if x.ndim == 2 else (-1, 1, 1)
        y = _apply(self._frozen.module, x * self.scale_in.view(spread), None) * self.scale_out.view(spread)
        return y if self.bias is None else y + self.bias.view(spread)


def _apply(layer: Any, x: Tensor, bias: Tensor | None) -> Tensor:
    """What a layer computes with another bias."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, layer.weight, bias)
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(x, layer.weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
    how = (layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation)
    return F.conv_transpose2d(x, layer.weight, bias, *how)


def _widths(layer: Any) -> tuple[int, int]:
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels


def _own_bias(layer: Any) -> nn.Parameter | None:
    return None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())


def _narrow(layer: Any, rank: int) -> nn.Module:
    """From the layer's inputs to ``rank``; a convolution does its moving about here."""
    inputs, _ = _widths(layer)
    device = layer.weight.device
    if isinstance(layer, nn.Linear):
        return nn.Linear(inputs, rank, bias=False, device=device)
    if isinstance(layer, nn.Conv2d):
        size: Any = layer.kernel_size
        how: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        return nn.Conv2d(inputs, rank, size, bias=False, device=device, **how)
    return nn.Conv2d(inputs, rank, 1, bias=False, device=device)


def _widen(layer: Any, rank: int) -> nn.Module:
    """From ``rank`` to the layer's outputs, zero at first; a transposed convolution does its moving about here."""
    _, outputs = _widths(layer)
    device = layer.weight.device
    if isinstance(layer, nn.Linear):
        wide: nn.Module = nn.Linear(rank, outputs, bias=False, device=device)
    elif isinstance(layer, nn.Conv2d):
        wide = nn.Conv2d(rank, outputs, 1, bias=False, device=device)
    else:
        size: Any = layer.kernel_size
        how: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        how["output_padding"] = layer.output_padding
        wide = nn.ConvTranspose2d(rank, outputs, size, bias=False, device=device, **how)
    for weight in wide.parameters():
        nn.init.zeros_(weight)
    return wide


def _frozen_part(network: nn.Module, kind: Kind, name: str) -> nn.Module:
    if kind != "trunk":
        return copy.deepcopy(network)
    if isinstance(network, _LAYERS):
        return nn.Identity()  # a single layer can't be halved
    if not isinstance(network, nn.Sequential):
        raise BadInput(
            f"sharing is 'trunk', but network {name!r} is a {type(network).__name__}; a trunk is the lower half of a "
            "torch.nn.Sequential: wrap the layers in one, or take sharing 'adapter' or 'none'"
        )
    return copy.deepcopy(network[: _halfway(network)])


def _halfway(network: nn.Sequential) -> int:
    """Where the upper half of the weight layers begins; layers between belong to what is below them."""
    places = [i for i, layer in enumerate(network) if any(True for _ in layer.parameters())]
    return 0 if len(places) < 2 else places[(len(places) + 1) // 2]


def _on_trunk(trunk: nn.Module, network: nn.Module) -> nn.Module:
    if not isinstance(network, nn.Sequential) or not isinstance(trunk, nn.Sequential) or len(trunk) == 0:
        return network
    return OnTrunk(trunk, network[len(trunk) :])


def _adapted(network: nn.Module, adapt: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The network with its weight layers adapted; all other layers that hold anything are copied whole."""
    if isinstance(network, _LAYERS):
        return adapt(network)
    own = copy.copy(network)  # shallow: its layers are exchanged below, what it holds itself is copied
    own._parameters = {k: None if v is None else nn.Parameter(v.detach().clone()) for k, v in own._parameters.items()}
    own._buffers = {k: None if v is None else v.clone() for k, v in own._buffers.items()}
    own._modules = {k: None if layer is None else _adapted(layer, adapt) for k, layer in network._modules.items()}
    return own


def _weight_layers(network: nn.Module) -> Iterator[Any]:
    for layer in network.modules():
        if isinstance(layer, _LAYERS):
            yield layer


def _affordable_rank(networks: dict[str, nn.Module]) -> int:
    """Largest rank whose updates, biases and whole copies cost at most 5 % of the networks; at least 1."""
    whole = sum(part.numel() for network in networks.values() for part in network.parameters())
    layers = [layer for network in networks.values() for layer in _weight_layers(network)]
    fixed = whole - sum(layer.weight.numel() for layer in layers)
    per_rank = sum(
        part.numel() for layer in layers for part in (*_narrow(layer, 1).parameters(), *_widen(layer, 1).parameters())
    )
    return max(1, int((ADAPTER_SHARE * whole - fixed) // per_rank))
