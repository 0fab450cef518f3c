"""The one optimisation loop: what it sees, when it stops, what it reports and what it leaves alone."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from growmix import GrowingMixture, experiment
from growmix.config import RunConfig
from growmix.errors import BadInput, NonFiniteLoss
from growmix.settings import Settings
from growmix.system import memory
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, FitInfo, Follower, Progress, TrainingLog
from growmix.training.fabric import make_fabric
from growmix.training.loop import _threads, fit

BUDGET = Budget(epochs=3, batch_size=4, learning_rate=0.1, weight_decay=0.0, gradient_clip=0.0, patience=None)


class Witness(nn.Module):
    """An objective that notes which examples it is shown, with which images and noise."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.batches: list[list[int]] = []
        self.images: list[Tensor] = []
        self.noise: list[Tensor] = []
        self.modes: set[bool] = set()

    def forward(self, x: Tensor, which: Tensor, noise: Tensor) -> Tensor:
        self.batches.append(which.tolist())
        self.images.append(x)
        self.noise.append(noise)
        self.modes.add(self.training)
        return ((self.weight - which.float()) ** 2).mean()


class Diary(Callback):
    def __init__(self) -> None:
        self.fits: list[FitInfo] = []
        self.epochs: list[Progress] = []
        self.logs: list[TrainingLog] = []

    def on_fit_start(self, fit: FitInfo) -> None:
        self.fits.append(fit)

    def on_epoch_end(self, progress: Progress) -> None:
        self.epochs.append(progress)

    def on_fit_end(self, log: TrainingLog) -> None:
        self.logs.append(log)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return make_fabric(Settings(device="cpu", precision="32-true"))


def run(fabric: Fabric, n: int = 10, objective: nn.Module | None = None, seed: int = 0, **keywords: Any) -> TrainingLog:
    budget = dataclasses.replace(BUDGET, **keywords.pop("budget", {}))
    x = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1)
    data = [x, torch.arange(n)]
    stream = torch.Generator().manual_seed(seed)
    return fit(objective or Witness(), data, 2, budget, fabric, stream, **{"component": 0, **keywords})


@hypothesis_settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 3))
def test_every_example_is_seen_exactly_once_per_epoch(n: int, batch_size: int, epochs: int) -> None:
    witness = Witness()
    log = run(make_fabric(Settings(device="cpu")), n, witness, budget={"batch_size": batch_size, "epochs": epochs})
    steps = math.ceil(n / batch_size)
    assert len(witness.batches) == log.steps == steps * epochs
    for epoch in range(epochs):
        batches = witness.batches[epoch * steps : (epoch + 1) * steps]
        assert Counter(i for batch in batches for i in batch) == Counter(range(n))
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1
    assert log.examples == n * epochs


def test_rows_stay_together_and_bytes_arrive_as_floats(fabric: Fabric) -> None:
    witness = Witness()
    run(fabric, 10, witness)
    for x, which in zip(witness.images, witness.batches, strict=True):
        assert x.dtype == torch.float32
        torch.testing.assert_close(x.flatten() * 255, torch.tensor(which).float())
    assert witness.modes == {True}
    assert not witness.training, "afterwards it is ready for use"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_pixels_and_targets_reach_the_likelihood_as_they_are_in_any_precision(precision: str) -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = nn.Linear(1, 1), []

        def forward(self, x: Tensor, soft: Tensor, noise: Tensor) -> Tensor:
            self.seen.append((x.double(), soft.double(), self.layer(x.flatten(1)).dtype))
            return (self.layer(x.flatten(1)).float() ** 2).mean()

    sums = Sums()
    x, soft = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1), torch.rand(256, 3).softmax(1)
    budget = dataclasses.replace(BUDGET, epochs=1, batch_size=256)
    fabric = make_fabric(Settings(device="cpu", precision=precision))
    fit(sums, [x, soft], 2, budget, fabric, torch.Generator().manual_seed(0), component=0)
    pixels, targets, product = sums.seen[0]
    assert product == (torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
    assert len(pixels.unique()) == 256
    torch.testing.assert_close(pixels.flatten().sort().values * 255, torch.arange(256.0).double(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(targets.sum(1), torch.ones(256).double(), rtol=0, atol=1e-6)


def test_order_and_noise_are_drawn_anew_every_epoch(fabric: Fabric) -> None:
    witness = Witness()
    run(fabric, 40, witness, budget={"batch_size": 40})
    orders = [tuple(batch) for batch in witness.batches]
    assert len(set(orders)) == 3
    assert all(noise.shape == (40, 2) for noise in witness.noise)
    assert not torch.equal(witness.noise[0], witness.noise[1])
    assert float(torch.cat(witness.noise).std()) == pytest.approx(1.0, abs=0.2)


def test_the_same_seed_shows_the_same_and_another_does_not(fabric: Fabric) -> None:
    seen = []
    for seed in (0, 0, 1):
        witness = Witness()
        run(fabric, 20, witness, seed=seed)
        seen.append((witness.batches, torch.cat(witness.noise).tolist(), witness.weight.item()))
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[2][0]
    assert seen[0][1] != seen[2][1]


def test_what_is_minimised_goes_down_and_the_mean_loss_of_each_epoch_is_logged(fabric: Fabric) -> None:
    witness, diary = Witness(), Diary()
    log = run(fabric, 10, witness, budget={"epochs": 60}, callbacks=[diary])
    assert witness.weight.item() == pytest.approx(4.5, abs=0.5)
    assert log.losses[-1] < log.losses[0] / 2
    assert log.losses[-1] == pytest.approx(8.25, abs=0.5)  # the variance of 0..9
    assert log.losses == tuple(progress.loss for progress in diary.epochs)


def test_the_mean_loss_weighs_every_example_alike_whatever_its_batch(fabric: Fabric) -> None:
    witness = Witness()
    witness.weight.requires_grad_(False)
    witness.extra = nn.Parameter(torch.zeros(1))
    witness.forward = lambda x, which, noise: which.float().mean() + 0 * witness.extra.sum()  # type: ignore[method-assign]
    log = run(fabric, 10, witness)  # batches of 4, 3 and 3
    assert log.losses == pytest.approx([4.5] * 3)


def test_callbacks_are_told_in_order_and_with_the_right_numbers(fabric: Fabric) -> None:
    diary = Diary()
    log = run(fabric, 10, callbacks=[diary], component=4)
    assert diary.fits == [FitInfo("component", 4, epochs=3, steps=9, examples=10)]
    assert [(p.epoch, p.epochs, p.step, p.steps, p.held_out) for p in diary.epochs] == [
        (1, 3, 3, 9, None),
        (2, 3, 6, 9, None),
        (3, 3, 9, 9, None),
    ]
    assert all(p.examples_per_second > 0 for p in diary.epochs)
    assert diary.logs == [log]
    assert (log.epochs, log.steps, log.examples) == (3, 9, 30)
    assert log.seconds > 0


def test_the_student_is_announced_as_such(fabric: Fabric) -> None:
    diary = Diary()
    run(fabric, callbacks=[diary], component=None)
    assert (diary.fits[0].what, diary.fits[0].component) == ("student", None)


def test_early_stopping_waits_for_its_patience_and_keeps_the_best_weights(fabric: Fabric) -> None:
    witness, diary = Witness(), Diary()
    scores, weights = iter([1.0, 3.0, 2.0, 3.0, 9.0]), []

    def held_out() -> float:
        assert not witness.training
        weights.append(witness.weight.item())
        return next(scores)

    log = run(fabric, 10, witness, budget={"epochs": 50, "patience": 2}, held_out=held_out, callbacks=[diary])
    assert (log.epochs, log.steps, log.examples, len(log.losses)) == (4, 12, 40, 4)
    assert witness.weight.item() == weights[1] != weights[3]
    assert [p.held_out for p in diary.epochs] == [1.0, 3.0, 2.0, 3.0]
    assert witness.modes == {True}, "looking must not leave training in the mode of use"


def test_a_score_that_keeps_rising_is_never_stopped(fabric: Fabric) -> None:
    witness, scores = Witness(), iter(range(100))
    log = run(fabric, 10, witness, budget={"epochs": 7, "patience": 1}, held_out=lambda: float(next(scores)))
    assert log.epochs == 7


def test_without_patience_nothing_is_held_against_the_budget(fabric: Fabric) -> None:
    def never() -> float:
        raise AssertionError("held-out data are not scored without patience")

    assert run(fabric, held_out=never).epochs == 3


@pytest.mark.parametrize("clip", [0.0, 0.25])
def test_gradients_are_clipped_to_the_norm_asked_for(
    fabric: Fabric, monkeypatch: pytest.MonkeyPatch, clip: float
) -> None:
    witness, norms, step = Witness(), [], torch.optim.AdamW.step

    def spy(self: Any, closure: Any = None) -> Any:
        assert witness.weight.grad is not None
        norms.append(float(witness.weight.grad.norm()))
        return step(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(fabric, 10, witness, budget={"gradient_clip": clip})
    assert len(norms) == 9
    if clip:
        assert max(norms) == pytest.approx(clip, rel=1e-3)
    else:
        assert max(norms) > 1.0


def test_frozen_weights_stay_as_they_are(fabric: Fabric) -> None:
    witness = Witness()
    witness.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
    run(fabric, 10, witness, budget={"weight_decay": 0.5})
    assert torch.equal(witness.frozen, torch.ones(3))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_training_at_once(fabric: Fabric, value: float) -> None:
    witness, diary = Witness(), Diary()
    witness.forward = lambda x, which, noise: witness.weight.sum() + value  # type: ignore[method-assign]
    with pytest.raises(NonFiniteLoss, match=rf"{value} after epoch 1 of 3.*learning_rate below 0\.1"):
        run(fabric, 10, witness, callbacks=[diary])
    assert diary.epochs == []
    assert diary.logs == []


def test_images_that_do_not_fit_on_a_device_are_refused(fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    elsewhere = torch.empty(3, 1, 2_400, 2_400, dtype=torch.uint8, device="meta")  # for a CPU, this is another device
    with pytest.raises(
        BadInput, match=r"^the 3 examples to train on needs about 16\.5 MiB of memory, but 1\.0 MiB are"
    ):
        fit(Witness(), [elsewhere], 2, BUDGET, fabric, torch.Generator(), component=0)


def test_a_step_that_does_not_fit_on_a_device_says_what_to_change(fabric: Fabric) -> None:
    def full(*_: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 TiB.")

    witness = Witness()
    witness.forward = full  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=r"batch_size 4 does not fit .* of cpu; smaller batches, .*3\.00 TiB"):
        run(fabric, 10, witness)


def test_one_step_is_enough_for_a_training(fabric: Fabric) -> None:
    assert run(fabric, 1, budget={"epochs": 1}).steps == 1


ONE_DEVICE = """
import numpy as np
from growmix import GrowingMixture
x, y = np.random.default_rng(0).random((12, 1, 4, 4)), np.arange(12) % 3
for strategy in ("auto", "ddp"):
    mixture = GrowingMixture("mlp", hidden=4, latent=2, max_steps=3, device="cpu", strategy=strategy)
    mixture.learn((x, y))
    print(mixture.score_samples(x).tolist())
"""


@pytest.mark.slow
def test_a_strategy_of_several_processes_learns_with_one_device_too() -> None:
    """In a process of its own, which the strategy makes one of several for good."""
    done = subprocess.run([sys.executable, "-c", ONE_DEVICE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    alone, launched = done.stdout.splitlines()
    assert alone == launched


def test_a_strategy_that_starts_processes_from_a_function_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    asked = RunConfig(
        stream="split-digits", out=tmp_path / "run", settings=Settings(device="cpu", strategy="ddp_spawn")
    )
    with pytest.raises(BadInput, match="devices 1, strategy 'ddp_spawn'"):
        experiment.run(asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_every_precision_learns(precision: str) -> None:
    mixture = GrowingMixture(hidden=16, latent=2, epochs=2, precision=precision, device="cpu")
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mixture.learn((images, torch.arange(40) % 2))
    assert np.isfinite(mixture.score_samples(images.numpy())).all()


def test_training_ends_after_the_steps_of_the_budget_even_within_an_epoch(fabric: Fabric) -> None:
    witness = Witness()
    log = run(fabric, 10, witness, budget={"batch_size": 4, "epochs": 3, "steps": 4})
    assert (log.steps, len(witness.batches), log.epochs) == (4, 4, 2)
    assert log.examples == sum(len(batch) for batch in witness.batches)
    assert all(math.isfinite(loss) for loss in log.losses)


def test_a_constant_schedule_keeps_the_rate_and_the_momentum(fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, *args: Any) -> Any:
        seen.append((self.param_groups[0]["lr"], self.param_groups[0]["betas"][0]))
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    run(fabric, 10, budget={"schedule": "constant", "beta1": 0.5})
    assert set(seen) == {(BUDGET.learning_rate, 0.5)}


def test_after_every_step_the_weights_still_have_their_gradients(fabric: Fabric) -> None:
    class Looks(Follower):
        def after_step(self) -> None:
            seen.append([w.grad is not None for w in weights])

        def state(self) -> dict[str, Tensor]:
            return {}

        def restore(self, tensors: Mapping[str, Tensor]) -> None:
            raise AssertionError("nothing was kept")

    objective, seen = Witness(), []
    weights = list(objective.parameters())
    log = run(fabric, 10, objective, follower=Looks())
    assert len(seen) == log.steps
    assert all(all(row) for row in seen)


def test_no_step_waits_for_the_device(fabric: Fabric) -> None:
    class Waits(TorchDispatchMode):
        """Counts what brings a number of the device to Python."""

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counts["waits"] += function in (aten._local_scalar_dense.default, aten.nonzero.default)
            return function(*args, **(kwargs or {}))

    aten, counts = torch.ops.aten, Counter[str]()
    witness = nn.Linear(1, 1)

    class Objective(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = witness

        def forward(self, x: Tensor, which: Tensor, noise: Tensor) -> Tensor:
            return (self.layer(x.flatten(1)) - noise.mean()).square().mean()

    found = []
    for steps in (2, 40):
        counts.clear()
        with Waits():
            run(fabric, 200, Objective(), budget={"gradient_clip": 1.0, "epochs": 1, "steps": steps})
        found.append(counts["waits"])
    assert found[0] == found[1] > 0, "once an epoch, and at the end"


@pytest.mark.parametrize(
    ("network", "shape", "threads"),
    [
        (nn.Linear(1_000, 490), (1_000,), 1),
        (nn.Linear(1_000, 600), (1_000,), None),
        (nn.Conv2d(32, 32, 3), (1, 8, 8), 1),
        (nn.Conv2d(48, 48, 3), (1, 28, 28), None),
    ],
)
def test_threads_share_the_steps_that_are_long(network: nn.Module, shape: tuple[int, ...], threads: int | None) -> None:
    assert _threads(network, shape, torch.device("cpu")) == threads
    assert _threads(network, shape, torch.device("cuda")) is None
