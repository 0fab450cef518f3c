"""An ensemble answers, and learns, as its members would one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from growmix.theory.ensembles import Ensemble
from growmix.theory.hypotheses import MLP, Conv, Linear

MEMBERS = 3


class Residual(nn.Module):
    """No sequence of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return flat + self.layer(flat)


class Reversed(nn.Sequential):
    """Its layers from the last to the first."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in reversed(self):
            x = layer(x)
        return x


def twice_the_same(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), layer, nn.Linear(8, 8), layer)


def tied() -> nn.Module:
    first, second = nn.Linear(64, 64), nn.Linear(64, 64)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, nn.Tanh(), second)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: MLP(hidden=5).network((1, 8, 8), 4),
    "linear": lambda: Linear().network((1, 8, 8), 4),
    "conv": lambda: Conv(channels=2).network((1, 8, 8), 4),
    "no sequence": Residual,
    "no bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4, bias=False)),
    "linear over images": lambda: nn.Sequential(nn.Linear(8, 2), nn.Tanh(), nn.Flatten()),
    "an activation twice": lambda: twice_the_same(nn.ReLU()),
    "weights twice": lambda: twice_the_same(nn.Linear(8, 8)),
    "tied weights": tied,
    "a sequence of its own kind": lambda: Reversed(nn.Linear(64, 4), nn.Flatten()),
    "over the batch": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8, affine=False, track_running_stats=False)
    ),
    "nested": lambda: nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(64, 4), nn.ReLU())),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_members_are_as_if_each_were_alone(name: str) -> None:
    torch.manual_seed(0)
    networks = [NETWORKS[name]() for _ in range(MEMBERS)]
    waiting = iter(copy.deepcopy(networks))
    ensemble = Ensemble(lambda: next(waiting), MEMBERS)
    x = torch.rand(MEMBERS, 6, 1, 8, 8)
    ensemble(x)
    output = ensemble(x)
    output.square().mean((1, 2)).sum().backward()
    for k, network in enumerate(networks):
        alone = network(x[k])
        torch.testing.assert_close(output[k], alone)
        alone.square().mean().backward()
        for key, weight in network.named_parameters():
            assert ensemble.weights[key].grad is not None
            torch.testing.assert_close(ensemble.weights[key].grad[k], weight.grad)
