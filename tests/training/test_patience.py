"""The best epoch's weights are kept, counted from, and put back, also by another process."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from growmix.training.patience import BestWeights


def look(best: BestWeights, objective: nn.Linear, epoch: int) -> float:
    with torch.no_grad():
        objective.weight.fill_(float(epoch))
    return best.look(objective)


def scores(*values: float) -> Iterator[float]:
    yield from values


def test_it_gives_up_after_so_many_epochs_without_a_better_one_and_puts_the_best_back() -> None:
    told, objective = scores(-3.0, -1.0, -2.0, -1.0), nn.Linear(1, 1)
    best = BestWeights(lambda: next(told), patience=2)
    assert [look(best, objective, epoch) for epoch in range(4)] == [-3.0, -1.0, -2.0, -1.0]
    assert best.gave_up
    assert objective.training, "training goes on in the mode that it had"
    best.put_back(objective)
    assert float(objective.weight) == 1.0


def test_its_state_makes_another_one_go_on() -> None:
    told, objective = scores(-3.0, -4.0), nn.Linear(1, 1)
    best, other = BestWeights(lambda: next(told), 2), BestWeights(lambda: -5.0, 2)
    assert (best.state.score, best.tensors()) == (None, {})
    for epoch in range(2):
        look(best, objective, epoch)
    other.restore(best.state, best.tensors())
    assert not other.gave_up
    look(other, objective, 2)
    assert other.gave_up
    other.put_back(objective)
    assert float(objective.weight) == 0.0
