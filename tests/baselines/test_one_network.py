"""One network: what its penalty is told, what it trains on, and what stays the objective of the task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from growmix.baselines.elastic_weights import ElasticWeights
from growmix.baselines.one_network import OneNetwork, RestrainedTrainer
from growmix.baselines.penalties import Penalty, Restraint, Weights
from growmix.baselines.rehearsal import Everything
from growmix.components.component import Component
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.settings import Settings

QUICK = Settings(hidden=8, latent=2, epochs=1, batch_size=8)
DARK = 0.4 * np.random.default_rng(0).random((24, 1, 4, 4))


class Watching(Penalty, Restraint):
    """Costs nothing, and writes down what it is shown."""

    def __init__(self) -> None:
        self.teachers: list[bool] = []
        self.batches: list[tuple[Tensor, Tensor]] = []
        self.losses: list[int] = []

    def restrain(self, component: Component, teacher: Component | None) -> Watching:
        self.teachers.append(teacher is not None)
        return self

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        self.batches.append((x, replayed))
        return x.new_zeros(())

    def keep(self, losses: Iterable[Tensor]) -> Watching:
        self.losses.append(sum(bool(loss.isfinite()) for loss in losses))
        return self

    def pack(self) -> dict[str, Tensor]:
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> Watching:
        return self


def test_a_penalty_is_told_which_examples_are_replayed_and_sees_losses_of_new_ones_alone() -> None:
    seen = Watching()
    network = OneNetwork("watched", QUICK, rehearsal=Everything(), penalty=seen)
    network.learn(DARK)
    assert not any(bool(replayed.any()) for _, replayed in seen.batches)
    seen.batches.clear()
    network.learn(1 - DARK[:16])
    dark = torch.cat([x.flatten(1).mean(1) < 0.5 for x, _ in seen.batches])
    assert torch.equal(torch.cat([replayed for _, replayed in seen.batches]), dark)
    assert 0 < int(dark.sum()) < len(dark)
    assert seen.teachers == [False, True]
    assert seen.losses == [24, 16]


def test_a_penalty_is_added_to_the_objective_which_stays_as_it_was() -> None:
    class Objective(nn.Module):
        def forward(self, x: Tensor, positions: Tensor, noise: Tensor) -> Tensor:
            return x.sum()

    class Dear(Watching):
        def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
            return 100.0 * replayed.sum()

    minimised: list[Any] = []

    def minimise(objective: nn.Module, data: Sequence[Tensor], *, noise: int, **others: Any) -> None:
        minimised.append(objective(*data, torch.zeros(3, noise)))

    inner: Any = SimpleNamespace(generator=torch.Generator(), minimise=minimise)
    trainer = RestrainedTrainer(inner, Dear(), torch.tensor([False, True, True]))
    plain, data = Objective(), [torch.ones(3), torch.zeros(3)]
    trainer.minimise(plain, data, noise=2)
    assert [float(value) for value in minimised] == [203.0]
    assert trainer.objectives == [(plain, 2)]


def test_elastic_weights_hold_every_network_that_a_component_has() -> None:
    small = Settings(component="vae+denoiser+recogniser", hidden=4, latent=2, denoiser_width=8, recogniser_width=3)
    network = OneNetwork("ewc", small.replace(max_steps=2, device="cpu"), penalty=ElasticWeights(1.0))
    network.learn((np.random.default_rng(0).random((12, 1, 8, 8)), np.arange(12) % 2))
    penalty = network._memory.penalty
    assert isinstance(penalty, ElasticWeights)
    for part in ("main.", "others.denoiser.", "others.recogniser."):
        held = [float(weight.sum()) > 0 for name, weight in penalty.importance.items() if name.startswith(part)]
        assert sum(held) > len(held) / 2 > 1, part


def test_pairs_are_refused_and_nothing_is_learnt() -> None:
    network = OneNetwork("fine-tuning", QUICK)
    x = torch.rand(8, 1, 4, 4)
    with pytest.raises(BadInput, match="pairs of images, which the method 'fine-tuning' can't learn"):
        network.learn(TaskData(x, target=x))
    assert network.history == () and network.components == ()


def test_what_one_network_does_not_have_is_refused_when_it_is_made() -> None:
    with pytest.raises(BadInput, match="patience is 3"):
        OneNetwork("fine-tuning", QUICK.replace(patience=3))
