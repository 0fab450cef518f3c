"""Snapshots of a training: when they are written, what is part of them, and whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from growmix import BadCheckpoint, GrowingMixture, Settings
from growmix.checkpoints.snapshots import Snapshots
from growmix.components.nets import OwnModules
from growmix.report.reporter import Reporter
from growmix.training.budget import Budget
from growmix.training.callbacks import Progress
from growmix.training.fabric import make_fabric
from growmix.training.loop import fit

TINY = Settings(hidden=16, latent=4, epochs=4, batch_size=32, density_components=3, device="cpu")


def test_with_patience_the_best_epoch_is_part_of_the_state(tmp_path: Path) -> None:
    """Killed after its best epoch, a training must still come back to it."""
    x = torch.rand(40, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    budget = Budget(8, 10, 0.5, 0.0, 0.0, patience=3)
    elbos = [0.0, 5.0, 4.0, 3.0, 2.0, 9.0]

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor, noise: Tensor) -> Tensor:
            return ((self.weight - x.flatten() + noise[:, 0]) ** 2).mean()

    def trained(asked: Iterator[float], steps: int | None = None) -> tuple[float, int]:
        class Stop(Reporter):
            def on_epoch_end(self, progress: Progress) -> None:
                if progress.epoch == steps:
                    raise KeyboardInterrupt

        objective = Mean()
        stream = torch.Generator().manual_seed(0)
        keeping = [Snapshots(tmp_path, steps=1), Stop()] if steps else []
        if steps == 0:
            keeping = [Snapshots(tmp_path, steps=1)]
        fabric = make_fabric(TINY)
        log = fit(
            objective, [x], 1, budget, fabric, stream, component=0, callbacks=keeping, held_out=lambda: next(asked)
        )
        return float(objective.weight.detach()), log.epochs

    whole = trained(iter(elbos))
    assert whole[1] == 5, "gave up three epochs after the second"
    with pytest.raises(KeyboardInterrupt):
        trained(iter(elbos), steps=4)
    # the last snapshot is of before the end of the fourth epoch
    assert trained(iter(elbos[3:]), steps=0) == whole


@pytest.mark.parametrize(
    ("changes", "bright"), [({"epochs": 3}, 0.3), ({"seed": 1}, 0.3), ({"variance": 0.1}, 0.3), ({}, 0.4)]
)
def test_a_snapshot_of_another_training_is_refused(tmp_path: Path, changes: dict[str, Any], bright: float) -> None:
    """Other settings, another seed, or other data of the same shape."""
    x = np.random.default_rng(0).random((40, 1, 8, 8))
    settings = TINY.replace(likelihood="gaussian")
    GrowingMixture(None, settings).learn(x * 0.3, callbacks=[Snapshots(tmp_path, steps=2)])
    mixture = GrowingMixture(None, settings.replace(**changes))
    with pytest.raises(BadCheckpoint, match="another training"):
        mixture.learn(x * bright, callbacks=[Snapshots(tmp_path, steps=2)])
    assert mixture.decisions == ()


def test_what_a_users_modules_draw_is_part_of_the_state(tmp_path: Path) -> None:
    own = OwnModules(
        lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5)),
        lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape)),
    )
    x = np.random.default_rng(0).random((90, 1, 8, 8)) * 0.3

    class Stop(Reporter):
        def on_epoch_end(self, progress: Progress) -> None:
            if progress.epoch == 3:
                raise KeyboardInterrupt

    whole = GrowingMixture(own, TINY)
    whole.learn(x)
    mixture = GrowingMixture(own, TINY)
    with pytest.raises(KeyboardInterrupt):
        mixture.learn(x, callbacks=[Snapshots(tmp_path, steps=2), Stop()])
    assert mixture.decisions == ()
    mixture = GrowingMixture(own, TINY)
    mixture.learn(x, callbacks=[Snapshots(tmp_path, steps=2)])
    ours, theirs = mixture.components[0].state_dict(), whole.components[0].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert mixture.training_logs[0].losses == whole.training_logs[0].losses


def test_snapshots_come_by_the_clock_too(tmp_path: Path) -> None:
    now = iter(range(0, 10_000, 10))
    snapshots = Snapshots(tmp_path, seconds=25, clock=lambda: float(next(now)))
    written: list[int] = []
    write = snapshots._write
    snapshots._write = lambda state: (written.append(state.document["done"]), write(state))[1]  # type: ignore[method-assign, func-returns-value]
    GrowingMixture(None, TINY).learn(np.random.default_rng(0).random((40, 1, 8, 8)) * 0.3, callbacks=[snapshots])
    assert written == [3, 4]  # the clock is asked once a step; the end is always kept


def test_moments_go_on_in_the_memory_order_of_their_weights(tmp_path: Path) -> None:
    """A fused step of the optimiser pairs numbers by where they lie, and some convolutions have channels last."""
    x = np.random.default_rng(0).random((40, 1, 8, 8)) * 0.3

    class Stop(Reporter):
        def on_epoch_end(self, progress: Progress) -> None:
            if progress.epoch == 2:
                raise KeyboardInterrupt

    def denoisers() -> GrowingMixture:
        return GrowingMixture("denoiser", denoiser_width=4, epochs=3, batch_size=10, device="cpu")

    whole, mixture = denoisers(), denoisers()
    whole.learn(x)
    with pytest.raises(KeyboardInterrupt):
        mixture.learn(x, callbacks=[Snapshots(tmp_path, steps=2), Stop()])
    mixture = denoisers()
    mixture.learn(x, callbacks=[Snapshots(tmp_path, steps=2)])
    assert any(weight.ndim == 4 and not weight.is_contiguous() for weight in whole.components[0].parameters())
    ours, theirs = mixture.components[0].state_dict(), whole.components[0].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
