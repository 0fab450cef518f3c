"""Vectors end to end: the mlp autoencoder learns numbers of any size, and everything that follows works with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from growmix import BadInput, GrowingMixture, Student, evaluate, streams
from growmix.components.kinds import VAEKind
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP
from growmix.components.vae import VAEOptions
from growmix.data.domain import Domain

SMALL = {"hidden": 32, "latent": 3, "epochs": 60, "student_examples": 200, "student_epochs": 20, "device": "cpu"}
VALUES = 5


def readings(label: int, n: int = 120, seed: int = 0) -> np.ndarray:
    """Sensor readings in unlike units: a class is a corner of them."""
    rng = np.random.default_rng([seed, label])
    corner = np.array([1 if label >> bit & 1 else -1 for bit in range(VALUES)])
    return 1_000.0 * np.arange(VALUES) + (corner + 0.3 * rng.standard_normal((n, VALUES))) * 10.0 ** np.arange(VALUES)


def task(labels: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([readings(k, seed=seed) for k in labels]), np.repeat(labels, 120)


@pytest.fixture(scope="module")
def mixture() -> GrowingMixture:
    mixture = GrowingMixture("mlp", **SMALL)
    for labels in ((1, 6), (11, 28)):
        mixture.learn(task(labels))
    return mixture


def test_known_vectors_are_known_and_new_ones_grow(mixture: GrowingMixture) -> None:
    assert [decision.action for decision in mixture.decisions] == ["grow", "grow"]
    assert mixture.novelty(task((1, 6), seed=1)).value < 0.35 < mixture.novelty(task((17, 20))).value


def test_each_vector_is_answered_by_the_component_that_learnt_its_kind(mixture: GrowingMixture) -> None:
    for labels, component in (((1, 6), 0), ((11, 28), 1)):
        x, y = task(labels, seed=2)
        assert (mixture.route(x) == component).mean() > 0.95
        assert (mixture.predict(x) == y).mean() > 0.95


def test_answers_are_in_the_unit_of_the_data(mixture: GrowingMixture) -> None:
    x, _ = task((11,), seed=2)
    scale = 10.0 ** np.arange(VALUES)
    assert np.abs(mixture.reconstruct(x) - x).mean(0) / scale == pytest.approx(0.0, abs=0.6)
    drawn, labels = mixture.sample(200, label=28)
    assert drawn.shape == (200, VALUES)
    assert set(labels.tolist()) == {28}
    assert (drawn.mean(0) - readings(28).mean(0)) / scale == pytest.approx(0.0, abs=0.3)
    assert mixture.encode(x).shape == (len(x), 3)
    line, ends = mixture.interpolate(x[0], x[1], steps=4, component=0), mixture.reconstruct(x[:2], component=0)
    assert line.shape == (4, VALUES)
    np.testing.assert_allclose(line[[0, -1]], ends, rtol=1e-4, atol=1e-4 * np.abs(ends).max())


def test_the_score_is_a_density_of_the_data_whatever_their_unit() -> None:
    """The same readings in another unit are the same to the last digits, but for the density's own unit."""
    x, y = task((1, 6))
    one, other = (GrowingMixture("mlp", **SMALL) for _ in range(2))
    factor = 2.0**7
    one.learn((x, y))
    other.learn((x * factor, y))
    gap = one.score_samples(x) - other.score_samples(x * factor)
    assert gap == pytest.approx(VALUES * np.log(factor), abs=0.05)


def test_an_update_replays_vectors(mixture: GrowingMixture) -> None:
    again = GrowingMixture("mlp", threshold=1.1, **SMALL)
    for labels in ((1, 6), (11, 28)):
        again.learn(task(labels))
    assert again.decisions[1].action == "reuse"
    x, y = task((1, 6, 11, 28), seed=3)
    assert (again.predict(x) == y).mean() > 0.9


def test_a_student_learns_from_generated_vectors(mixture: GrowingMixture, tmp_path: Path) -> None:
    student = mixture.distill()
    x, y = task((1, 6, 11, 28), seed=3)
    assert (student.predict(x) == y).mean() > 0.9
    student.save(tmp_path / "student")
    assert np.array_equal(Student.load(tmp_path / "student").predict_proba(x), student.predict_proba(x))


def test_a_checkpoint_keeps_centre_and_scale(mixture: GrowingMixture, tmp_path: Path) -> None:
    mixture.save(tmp_path / "mixture")
    again = GrowingMixture.load(tmp_path / "mixture")
    x, _ = task((1, 11), seed=3)
    assert again.domain == mixture.domain
    assert (np.array(again.domain.centre) - task((1, 6))[0].mean(0)) / again.domain.scale == pytest.approx(0.0, abs=0.1)
    assert np.array_equal(again.score_samples(x), mixture.score_samples(x))
    assert again.learn(task((17, 20))).action == "grow"


def test_a_stream_of_vectors_is_evaluated_without_figures_of_images(mixture: GrowingMixture) -> None:
    parts = [(*task(labels), *task(labels, seed=4)) for labels in ((1, 6), (11, 28))]
    scores = evaluate(mixture, streams.from_arrays(parts))
    assert min(scores.task_agnostic[-1]) > 0.95
    for row in scores.reconstruction:
        assert row.mse > 0
        assert row.ssim is None
        assert row.psnr is None


def test_images_and_vectors_do_not_mix(mixture: GrowingMixture) -> None:
    before = mixture.history
    with pytest.raises(BadInput, match=r"x has images of shape \(1, 8, 8\), but vectors of 5 numbers"):
        mixture.predict(np.zeros((4, 1, 8, 8)))
    with pytest.raises(BadInput, match="vectors"):
        mixture.learn(np.random.default_rng(0).random((40, 1, 8, 8)))
    with pytest.raises(BadInput, match="vectors of 6 numbers"):
        mixture.learn(np.random.default_rng(0).random((40, 6)))
    assert mixture.history == before


@pytest.mark.parametrize(
    "changes", [{"blueprint": "conv"}, {"likelihood": "bernoulli"}], ids=["convolutions", "a likelihood of [0, 1]"]
)
def test_what_is_for_images_is_refused_before_anything_changes(changes: dict[str, str]) -> None:
    mixture = GrowingMixture(**{**{name: SMALL[name] for name in ("epochs", "device")}, **changes})
    with pytest.raises(BadInput, match=r"images|\[0, 1\]"):
        mixture.learn(task((1, 6)))
    assert mixture.components == ()


def test_a_constant_value_is_learnt_and_may_change_later() -> None:
    x, y = task((1, 6))
    x[:, 2] = 7.0
    mixture = GrowingMixture("mlp", **SMALL)
    mixture.learn((x, y))
    assert mixture.domain.scale[2] == 1.0
    assert np.isfinite(mixture.score_samples(task((1, 6))[0])).all()


def test_a_vector_of_unit_support_is_learnt_like_pixels() -> None:
    rng = np.random.default_rng(0)
    mixture = GrowingMixture("mlp", support="unit", **SMALL)
    mixture.learn((rng.random((120, 6)) * 0.3).round(2))
    assert mixture.domain == Domain((6,), "unit")
    drawn, _ = mixture.sample(50)
    assert 0.0 <= drawn.min() <= drawn.max() <= 1.0


def test_a_likelihood_can_be_handed_in_as_an_object() -> None:
    generator = torch.Generator().manual_seed(0)
    kind = VAEKind(MLP(hidden=8), Bernoulli(), options=VAEOptions(latent=2))
    first, second = (kind.make(Domain((3,)), supervised=False, target=None, generator=generator) for _ in range(2))
    x: Tensor = torch.rand(4, 3)
    assert first.score(x)[0].shape == (4,)
    assert first.likelihood is not second.likelihood
