"""Many small networks trained at once: stacked weights, one call for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

WEIGHT_DECAY = 0.01


@final
class Ensemble:
    """Networks of one kind, each with weights and with inputs of its own.

    Parameters
    ----------
    make
        Gives a network with random weights.
    members
        How many.
    """

    def __init__(self, make: Callable[[], nn.Module], members: int) -> None:
        networks = [make() for _ in range(members)]
        weights, _ = stack_module_state(networks)
        self.weights: dict[str, Tensor] = {name: w.detach().requires_grad_() for name, w in weights.items()}
        self._network = networks[0]

    def __call__(self, x: Tensor) -> Tensor:
        """From ``(members, n, *shape)`` to ``(members, n, outputs)``."""
        output: Tensor = vmap(lambda w, inputs: functional_call(self._network, w, (inputs,)))(self.weights, x)
        return output


def descend(networks: list[Ensemble], loss: Callable[[int], Tensor], steps: int, learning_rate: float) -> None:
    """Minimise the sum of the members' losses, which leaves each member its own gradient; AdamW, one cycle.

    Parameters
    ----------
    networks
        What is trained.
    loss
        Of step number i: one number per member.
    steps, learning_rate
        Of the optimisation.
    """
    weights = [weight for ensemble in networks for weight in ensemble.weights.values()]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss(step).sum().backward()
        optimizer.step()
        schedule.step()
