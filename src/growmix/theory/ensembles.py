"""Trains many small networks at once: stacked weights, one call of each layer for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from growmix.checkpoints.persistence import under

WEIGHT_DECAY = 0.01

_EACH_ALONE = (nn.Flatten, nn.Linear, nn.Conv2d, nn.GELU, nn.ReLU, nn.Tanh, nn.Sigmoid)
"""Layers that look at no other example of the batch, and do the same in training and after it."""


@final
class Ensemble:
    """Networks of one kind, each with weights and with inputs of its own.

    Parameters
    ----------
    make
        Makes one network with random weights.
    members
        How many networks there are.
    """

    def __init__(self, make: Callable[[], nn.Module], members: int) -> None:
        networks = [make() for _ in range(members)]
        weights, _ = stack_module_state(networks)
        self.weights: dict[str, Tensor] = {name: w.detach().requires_grad_() for name, w in weights.items()}
        first = networks[0]
        steps = dict(first.named_children()) if _is_chain(first) else {"": first}
        self._layers = [(layer, under(f"{name}." if name else "", self.weights)) for name, layer in steps.items()]

    def __call__(self, x: Tensor) -> Tensor:
        """Run every member on its inputs: ``(members, n, *shape)`` to ``(members, n, outputs)``."""
        for layer, weights in self._layers:
            x = _through(layer, weights, x)
        return x


def _is_chain(network: nn.Module) -> bool:
    """Whether a network is a chain of known layers, none of which occurs twice or shares weights."""
    if type(network) is not nn.Sequential or not all(type(layer) in _EACH_ALONE for layer in network):
        return False
    weights = [weight for layer in network for weight in layer.parameters()]
    return len(set(network)) == len(network) and len(set(weights)) == len(weights)


def _through(layer: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Run one layer of all members on ``(members, n, *shape)``; vmap takes a third of a small network's training."""
    output: Tensor
    if not weights:  # the same for all members: one batch
        output = layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    elif isinstance(layer, nn.Linear) and weights.keys() == {"weight", "bias"} and x.dim() == 3:
        output = torch.baddbmm(weights["bias"][:, None], x, weights["weight"].mT)
    else:
        output = vmap(lambda w, inputs: functional_call(layer, w, (inputs,)))(weights, x)
    return output


def descend(networks: list[Ensemble], loss: Callable[[int], Tensor], steps: int, learning_rate: float) -> None:
    """Minimise the sum of the members' losses, which leaves each member its own gradient; AdamW, one cycle.

    Parameters
    ----------
    networks
        The ensembles that are trained together.
    loss
        Computes the loss of step number i, one number for each member.
    steps
        How many steps are made.
    learning_rate
        The peak of the one-cycle schedule.
    """
    weights = [weight for ensemble in networks for weight in ensemble.weights.values()]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).sum().backward()
        optimizer.step()
        schedule.step()
