"""What only a GPU can show: the same numbers each time, the same answers wherever a model is, and resuming there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from growmix import BadInput, GrowingMixture, Settings, Student, streams
from growmix.baselines import METHODS, make_learner
from growmix.checkpoints.snapshots import Snapshots
from growmix.evaluation.frechet import train_features
from growmix.learning.learner import Learner
from growmix.training.callbacks import Callback, FitInfo, Progress

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")

RANDOM = np.random.default_rng(0)
X = (RANDOM.random((60, 1, 16, 16)) * 255).astype(np.uint8)
Y = np.arange(60) % 3
SMALL = Settings(
    device="cuda", hidden=32, latent=4, epochs=4, batch_size=8, density_components=2,
    student_examples=20, student_epochs=2, student_hidden=16, student_latent=4,
)  # fmt: skip


def weights(model: Learner[Any] | Student) -> list[Tensor]:
    return [tensor.cpu() for component in model.components for tensor in component.state_dict().values()]


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def learnt(settings: Settings, method: str = "mixture") -> Learner[Any]:
    learner = make_learner(method, settings)
    learner.learn((X, Y))
    learner.learn((255 - X, Y + 3))
    return learner


@pytest.mark.parametrize("blueprint", ["mlp", "conv"])
@pytest.mark.parametrize("precision", ["auto", "32-true"])
def test_the_same_seed_gives_the_same_numbers(blueprint: Any, precision: Any) -> None:
    settings = SMALL.replace(blueprint=blueprint, precision=precision)
    one, other = (learnt(settings) for _ in range(2))
    assert equal(weights(one), weights(other))
    assert isinstance(one, GrowingMixture) and isinstance(other, GrowingMixture)
    assert equal(weights(one.distill()), weights(other.distill()))
    assert np.array_equal(one.sample(9)[0], other.sample(9)[0])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_same_numbers(method: str) -> None:
    settings = SMALL.replace(blueprint="conv", epochs=2)
    assert equal(weights(learnt(settings, method)), weights(learnt(settings, method)))


def test_the_features_of_the_frechet_distance_are_the_same_each_time() -> None:
    tasks = [task.train for task in streams.from_arrays([(X, Y, X, Y)])]
    one, other = (train_features(tasks, 0, "cuda")(torch.tensor(X)) for _ in range(2))
    assert torch.equal(one, other)


def test_what_was_learnt_there_answers_wherever_it_is_loaded(tmp_path: Path) -> None:
    mixture = learnt(SMALL)
    assert isinstance(mixture, GrowingMixture)
    mixture.save(tmp_path / "mixture")
    mixture.distill().save(tmp_path / "student")
    for load in (
        lambda device: GrowingMixture.load(tmp_path / "mixture", device=device),
        lambda device: Student.load(tmp_path / "student", device=device),
    ):
        there, here = load(None), load("cpu")
        for model, kind in ((there, "cuda"), (here, "cpu")):
            assert {weight.device.type for c in model.components for weight in c.parameters()} == {kind}
            assert model.sample(3)[0].shape == (3, 1, 16, 16)
        assert equal(weights(there), weights(here))
        np.testing.assert_allclose(there.predict_proba(X), here.predict_proba(X), atol=1e-3)
        np.testing.assert_allclose(there.score_samples(X), here.score_samples(X), rtol=1e-3)


def test_images_may_lie_there_too() -> None:
    x, y = torch.tensor(X, device="cuda"), torch.tensor(Y, device="cuda")
    mixture = make_learner("mixture", SMALL)
    mixture.learn((x, y))
    assert mixture.predict(x).tolist() == mixture.predict(X).tolist()


class Stop(Callback):
    """Ends a training after two epochs; one that began later goes on."""

    began = 0

    def on_fit_start(self, fit: FitInfo) -> None:
        self.began = fit.done

    def on_epoch_end(self, progress: Progress) -> None:
        if progress.epoch == 2 and not self.began:
            raise KeyboardInterrupt


@pytest.mark.parametrize("blueprint", ["mlp", "conv"])
@pytest.mark.parametrize("precision", ["auto", "16-mixed", "32-true"])
def test_an_interrupted_training_goes_on_to_the_same_weights(blueprint: Any, precision: Any, tmp_path: Path) -> None:
    settings = SMALL.replace(blueprint=blueprint, precision=precision)
    whole = make_learner("mixture", settings)
    whole.learn((X, Y))
    with pytest.raises(KeyboardInterrupt):
        make_learner("mixture", settings).learn((X, Y), callbacks=[Snapshots(tmp_path / "it", steps=3), Stop()])
    resumed, witness = make_learner("mixture", settings), Stop()
    resumed.learn((X, Y), callbacks=[Snapshots(tmp_path / "it", steps=100), witness])
    assert witness.began > 0
    assert equal(weights(whole), weights(resumed))


def test_more_than_there_is_room_for_is_refused_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = learnt(SMALL.replace(hidden=1_024))
    before = weights(mixture)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**20, 2**30))
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    with pytest.raises(BadInput, match=r"needs about .* MiB of memory, but .* are available on cuda:0"):
        mixture.learn((X, Y))
    assert equal(weights(mixture), before)
