"""Decay moves the weights that it is meant for, and no others."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from growmix.settings import Settings
from growmix.training.budget import Budget
from growmix.training.fabric import make_fabric
from growmix.training.optimizer import make_optimizer

BUDGET = Budget(epochs=1, batch_size=4, learning_rate=0.1, weight_decay=0.5, gradient_clip=0.0)
FABRIC = make_fabric(Settings(device="cpu", precision="32-true"))


def decayed(*, matrices_only: bool) -> dict[str, bool]:
    """Return which weights one step without gradients moves."""
    objective = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(2, 2, 3), nn.LayerNorm(4))
    objective[2].requires_grad_(False)
    with torch.no_grad():
        for weight in objective.parameters():
            weight.fill_(1.0)
    weights, optimizer = make_optimizer(objective, replace(BUDGET, matrices_only=matrices_only), FABRIC)
    assert [id(weight) for group in optimizer.param_groups for weight in group["params"]] == [id(w) for w in weights]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    return {name: bool((weight != 1.0).all()) for name, weight in objective.named_parameters()}


def test_biases_and_scales_are_left_without_decay_where_a_recipe_says_so() -> None:
    assert decayed(matrices_only=True) == {
        "0.weight": True, "0.bias": False, "1.weight": True, "1.bias": False, "2.weight": False, "2.bias": False
    }  # fmt: skip


def test_every_weight_that_is_trained_decays_otherwise() -> None:
    assert decayed(matrices_only=False) == {
        "0.weight": True, "0.bias": True, "1.weight": True, "1.bias": True, "2.weight": False, "2.bias": False
    }  # fmt: skip


def test_a_network_of_vectors_alone_is_trained_without_decay() -> None:
    objective = nn.LayerNorm(4)
    weights, optimizer = make_optimizer(objective, replace(BUDGET, matrices_only=True), FABRIC)
    assert len(weights) == 2 and [group["weight_decay"] for group in optimizer.param_groups] == [0.0]
