"""A training that diverged but stayed finite is told from every healthy one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from growmix import GrowingMixture, NonFiniteLoss, Settings
from growmix.checkpoints.snapshots import Snapshots
from growmix.system.interrupts import Interrupts
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, Progress, TrainingLog
from growmix.training.divergence import has_diverged
from growmix.training.fabric import make_fabric
from growmix.training.loop import fit


class Told(nn.Module):
    """An objective whose loss is told beforehand, step by step."""

    def __init__(self, losses: Sequence[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self._losses = iter(losses)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.weight.sum() * 0.0 + next(self._losses)


def train(
    losses: Sequence[float], callbacks: Sequence[Callback] = (), patience: int | None = None, scores: Sequence[int] = ()
) -> TrainingLog:
    """A training of one step an epoch with these losses, on examples of four numbers."""
    budget = Budget(len(losses), 8, 0.1, weight_decay=0.0, gradient_clip=0.0, patience=patience)
    score = iter(scores)
    return fit(
        Told(losses),
        [torch.zeros(8, 1, 2, 2)],
        2,
        budget,
        make_fabric(Settings(device="cpu", precision="32-true")),
        torch.Generator().manual_seed(0),
        component=0,
        callbacks=callbacks,
        held_out=(lambda: float(next(score))) if scores else None,
    )


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(1, 10_000))
def test_a_training_that_did_not_make_the_loss_larger_never_diverged(before: float, gain: float, numbers: int) -> None:
    assert not has_diverged(before, before - gain, numbers)


@pytest.mark.parametrize("before", [-3.0, 0.0, 2.0])
def test_a_loss_near_zero_has_the_size_of_one_nat_for_each_number(before: float) -> None:
    assert not has_diverged(before, before + 399.0, numbers=4)
    assert has_diverged(before, before + 401.0, numbers=4)


def test_a_loss_a_hundred_times_what_it_began_with_ends_the_training_in_words() -> None:
    assert train([10.0, 1e9, 900.0]).steps == 3  # what comes back in time is left alone
    with pytest.raises(NonFiniteLoss, match=r"diverged: the mean loss is 2000 .* was 10 .*learning_rate below 0\.1"):
        train([10.0, 5.0, 2000.0])


def test_with_patience_the_epoch_whose_weights_are_kept_counts() -> None:
    assert train([10.0, 8.0, 1e9, 1e9], patience=2, scores=[1, 9, 3, 2]).epochs == 4
    with pytest.raises(NonFiniteLoss, match="diverged"):
        train([10.0, 8.0, 1e9, 5.0], patience=1, scores=[1, 2, 9, 3])


class StopAfter(Callback):
    """Interrupts a training after so many epochs."""

    def __init__(self, epochs: int, interrupts: Interrupts) -> None:
        self._epochs, self._interrupts = epochs, interrupts

    def on_epoch_end(self, progress: Progress) -> None:
        self._interrupts.asked = progress.epoch == self._epochs


def test_a_training_that_is_taken_up_again_still_knows_where_it_began(tmp_path: Path) -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        train([10.0, 5.0, 5.0, 5.0], [Snapshots(tmp_path, interrupts=interrupts), StopAfter(1, interrupts)])
    with pytest.raises(NonFiniteLoss, match="was 10 before"):
        train([2000.0, 2000.0, 2000.0, 2000.0], [Snapshots(tmp_path)])


def test_a_rate_that_is_far_too_large_leaves_the_mixture_as_it_was() -> None:
    x = np.random.default_rng(0).random((40, 1, 8, 8)) * 0.3
    mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=6, gradient_clip=0.0, novelty_examples=20)
    mixture.learn(x)
    before = mixture.score_samples(x)
    mixture.settings = mixture.settings.replace(learning_rate=1e3)
    with pytest.raises(NonFiniteLoss, match="diverged"):
        mixture.learn(1 - x)
    np.testing.assert_array_equal(mixture.score_samples(x), before)
    assert len(mixture.components) == 1
