"""A mixture of Gaussian components: every verb answers, updates are exact, and settings without effect are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from growmix import BadInput, GrowingMixture, Settings
from growmix.baselines import make_learner
from growmix.components.gaussian.component import Gaussian, GaussianOptions
from growmix.components.gaussian.kind import GaussianKind
from growmix.data.task import TaskData

WINE, GROWER = load_wine(return_X_y=True)


def learnt(order: tuple[tuple[int, ...], ...] = ((0, 1), (2,)), **changes: Any) -> GrowingMixture:
    mixture = GrowingMixture(component="gaussian", **changes)
    for classes in order:
        own = np.isin(GROWER, classes)
        mixture.learn((WINE[own], GROWER[own]))
    return mixture


def test_classes_that_come_later_are_learnt_without_the_earlier_ones() -> None:
    mixture = learnt()
    assert len(mixture.components) == 2
    assert float((mixture.predict(WINE) == GROWER).mean()) > 0.95
    assert mixture.training_logs[0].steps == 0


def test_an_update_is_exact_and_needs_no_replay() -> None:
    mixture = GrowingMixture(component="gaussian", threshold=1.0)  # everything is known
    order = np.random.default_rng(0).permutation(len(WINE))
    for rows in np.array_split(order, 4):
        mixture.learn((WINE[rows], GROWER[rows]))
    component = mixture.components[0]
    assert isinstance(component, Gaussian) and len(mixture.components) == 1
    whole = Gaussian(mixture.domain, component.options, supervised=True)
    whole.add_classes(component.classes, torch.Generator())
    x, y = torch.from_numpy(WINE).float(), torch.from_numpy(GROWER)
    whole.absorb(TaskData(x, y, support="real"), torch.Generator())
    for one, other in zip(component.sums.parameters(), whole.sums.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert component.class_counts.tolist() == [float((label == GROWER).sum()) for label in component.classes]


def test_every_verb_answers() -> None:
    mixture = learnt()
    assert mixture.predict_proba(WINE[:5]).sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    assert np.isfinite(mixture.score_samples(WINE)).all()
    assert mixture.encode(WINE[:5]).shape == (5, 13)
    np.testing.assert_allclose(mixture.reconstruct(WINE[:5]), WINE[:5], rtol=1e-2)
    vectors, labels = mixture.sample(400, label=2)
    np.testing.assert_allclose(vectors.mean(0), WINE[GROWER == 2].mean(0), rtol=0.1)
    assert set(labels) == {2}
    assert mixture.interpolate(WINE[0], WINE[1], steps=3).shape == (3, 13)
    assert mixture.novelty(WINE[GROWER == 0] + 1e3).is_new
    with pytest.raises(BadInput, match="learnt no pairs"):
        mixture.translate(WINE)


def test_a_mixture_without_labels_learns_and_routes() -> None:
    mixture = GrowingMixture(component="gaussian")
    for label in (0, 2):
        mixture.learn(WINE[label == GROWER])
    own = np.isin(GROWER, (0, 2))
    assert float((mixture.route(WINE[own]) == (GROWER[own] == 2)).mean()) > 0.95


@pytest.mark.parametrize("covariance_type", ["tied", "full", "low-rank", "diag", "auto"])
def test_what_is_saved_answers_the_same(covariance_type: Any, tmp_path: Path) -> None:
    changes = {"covariance_rank": 2} if covariance_type == "low-rank" else {}
    mixture = learnt(covariance_type=covariance_type, **changes)
    mixture.save(tmp_path / "model")
    again = GrowingMixture.load(tmp_path / "model")
    assert np.array_equal(again.predict_proba(WINE), mixture.predict_proba(WINE))
    assert np.array_equal(again.sample(5)[0], mixture.sample(5)[0])
    again.learn((WINE, GROWER))


def test_settings_reach_the_component() -> None:
    mixture = learnt(covariance_type="auto", shrinkage=0.1, reg_covar=1e-3, latent=5, modes=2)
    component = mixture.components[0]
    assert isinstance(component, Gaussian)
    assert component.options == GaussianOptions(None, 0.1, 1e-3, 10, 5, 2)
    assert component.choice.shape.shrinkage == 0.1


def test_an_object_of_the_kind_can_be_handed_in() -> None:
    mixture = GrowingMixture(component=GaussianKind(GaussianOptions("full", 0.1)))
    mixture.learn((WINE, GROWER))
    assert float((mixture.predict(WINE) == GROWER).mean()) > 0.95


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", 8),
        ("epochs", 3),
        ("patience", 2),
        ("sharing", "trunk"),
        ("classification_weight", 2.0),
        ("replay_ratio", 0.5),
        ("covariance_rank", 3),
    ],
)
def test_settings_without_effect_are_refused(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"{name} is .* which has no effect with"):
        GrowingMixture(component="gaussian", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("covariance_type", "full"), ("shrinkage", 0.5), ("reg_covar", 0.1), ("modes", 2), ("covariance_rank", 3)],
)
def test_settings_of_gaussians_are_refused_elsewhere(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"{name} is .* which has no effect with"):
        GrowingMixture(**{name: value})
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.slow
def test_a_student_learns_from_draws() -> None:
    student = learnt(student_examples=400).distill()
    assert float((student.predict(WINE) == GROWER).mean()) > 0.85


@pytest.mark.parametrize("name", ["fine-tuning", "vae-per-task", "generative-classifier"])
def test_methods_that_only_learn_take_gaussians_and_count_each_example_once(name: str) -> None:
    learner = make_learner(name, Settings(component="gaussian", device="cpu"))
    halves = np.arange(len(WINE)) % 2
    for half in (0, 1):
        learner.learn((WINE[halves == half], GROWER[halves == half]))
    assert float((learner.predict(WINE) == GROWER).mean()) > 0.95
    kept = [component.sums.count.sum() for component in learner.components if isinstance(component, Gaussian)]
    assert float(sum(kept)) == len(WINE)


@pytest.mark.parametrize("name", ["joint", "er", "ewc"])
def test_methods_about_networks_refuse_gaussians(name: str) -> None:
    learner = make_learner(name, Settings(component="gaussian", device="cpu"))
    with pytest.raises(BadInput, match=f"the method '{name}' is about networks"):
        learner.learn((WINE, GROWER))
