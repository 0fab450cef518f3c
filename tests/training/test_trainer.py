"""A trainer hands a component's objective to the loop, and keeps the log; without a step it has an empty one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from growmix.settings import Settings
from growmix.training.budget import Budget
from growmix.training.fabric import make_fabric
from growmix.training.trainer import GradientTrainer


class Square(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.widths: set[int] = set()

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        self.widths.add(noise.shape[1])
        return (self.weight - x).square().mean()


def trainer() -> GradientTrainer:
    budget = Budget(2, 4, learning_rate=0.1, weight_decay=0.0, gradient_clip=0.0)
    fabric = make_fabric(Settings(device="cpu", precision="32-true"))
    return GradientTrainer(budget, fabric, torch.Generator().manual_seed(0), component=0)


def test_an_objective_is_minimised_and_the_log_kept() -> None:
    objective, its = Square(), trainer()
    its.minimise(objective, [torch.full((8, 1), 0.5)], noise=3)
    assert 0.5 < float(objective.weight) < 1.0
    assert objective.widths == {3}
    assert (its.log.epochs, its.log.steps, its.log.examples) == (2, 4, 16)


def test_a_component_in_closed_form_leaves_a_log_of_no_steps() -> None:
    assert (trainer().log.steps, trainer().log.losses) == (0, ())
