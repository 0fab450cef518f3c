"""Synaptic intelligence counts what the way of each weight did for a task's loss, and nothing else."""

from __future__ import annotations

import pytest
import torch

from growmix.baselines.synaptic_intelligence import DAMPING, SynapticIntelligence
from restrained import Line, cost, restrain, take_steps


def test_contributions_add_up_to_the_decrease_of_the_loss() -> None:
    line, slope, rate = Line(2.0, -1.0), torch.tensor([1.0, 3.0]), 1e-3
    before = 0.5 * (slope * line.w.detach() ** 2)
    restraint = restrain(SynapticIntelligence(1.0), line)
    take_steps(line, restraint, lambda: 0.5 * (slope * line.w**2).sum(), steps=500, rate=rate)
    decrease = before - 0.5 * (slope * line.w.detach() ** 2)
    # gradient descent on a parabola overshoots the path integral by exactly 2 / (2 - rate * slope)
    torch.testing.assert_close(restraint.contributions()["w"], decrease * 2 / (2 - rate * slope), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_penalty_does_not_count_as_the_tasks() -> None:
    line = Line(2.0, -1.0)
    penalty = SynapticIntelligence(3.0, {"w": torch.tensor([0.5, 4.0])})
    restraint, by_hand = restrain(penalty, line), torch.zeros(2)
    target = torch.tensor([1.0, 1.0])
    for _ in range(20):
        before = line.w.detach().clone()
        take_steps(line, restraint, lambda: ((line.w - target) ** 2).sum(), steps=1, rate=0.02)
        by_hand -= 2 * (before - target) * (line.w.detach() - before)
    torch.testing.assert_close(restraint.contributions()["w"], by_hand, rtol=1e-4, atol=1e-5)


def test_importance_is_the_contribution_over_the_damped_way_and_never_negative() -> None:
    line = Line(2.0, 0.0)
    restraint = restrain(SynapticIntelligence(1.0, {"w": torch.tensor([0.0, 0.25])}), line)
    line.w.grad = torch.tensor([1.0, 1.0])
    with torch.no_grad():
        line.w += torch.tensor([-0.5, 0.5])  # the second moved against its task
    restraint.after_step()
    kept = restraint.keep(iter(())).importance["w"]
    torch.testing.assert_close(kept, torch.tensor([0.5 / (0.25 + DAMPING), 0.25]))


def test_synaptic_intelligence_pulls_towards_where_the_last_task_ended() -> None:
    line = Line(2.0)
    restraint = restrain(SynapticIntelligence(3.0, {"w": torch.tensor([0.5])}), line)
    assert cost(restraint) == 0.0
    with torch.no_grad():
        line.w += 2.0
    assert cost(restraint) == pytest.approx(3.0 * 0.5 * 4.0)
    free = restrain(SynapticIntelligence(3.0), line)
    assert cost(free) == 0.0
