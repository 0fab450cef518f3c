"""Prediction errors: a class is known by how well its own small network predicts a frozen random one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from growmix import Settings, baselines, evaluate
from growmix.baselines.prediction_error import SHARPNESS, PredictionError, PredictionErrorKind
from growmix.checks import check_component
from growmix.components.abilities import WithoutDensity
from growmix.data.domain import Domain
from growmix.errors import BadInput
from growmix.learning.learner import Learner
from growmix.streams import from_arrays

QUICK = Settings(epochs=25, batch_size=8, device="cpu", precision="32-true")
X = np.random.default_rng(0).random((24, 1, 4, 4)).astype(np.float32) * 0.4
BRIGHT = 1.0 - X


def made(seed: int = 0, **changes: Any) -> Learner[Any]:
    return baselines.make_learner("pec", QUICK.replace(seed=seed, **changes), pec_teacher_hidden=100, pec_outputs=20)


def taught() -> Learner[Any]:
    learner = made()
    learner.learn((np.concatenate([X, BRIGHT]), np.repeat([0, 1], 24)))
    learner.learn((X.transpose(0, 1, 3, 2)[:, :, ::-1].copy() ** 4, np.full(24, 2)))
    return learner


@pytest.fixture(scope="module")
def learner() -> Learner[Any]:
    return taught()


def test_the_kind_keeps_the_contract_of_components_but_for_draws_which_it_refuses() -> None:
    kept = check_component(PredictionErrorKind(0, pec_teacher_hidden=200))
    for shape in ("(6,)", "(1, 8, 8)"):
        assert f"classes that differ are told apart (shape {shape}, with labels)" in kept
    assert not any("without labels" in name for name in kept)


def test_the_class_with_the_smallest_error_answers(learner: Learner[Any]) -> None:
    x = torch.from_numpy(np.concatenate([X[:5], BRIGHT[:5]]))
    errors = []
    for component in learner.components:
        assert isinstance(component, PredictionError)
        wanted = component.targets(x)
        errors.append((component.predictions(x)[:, 0] - wanted).square().mean(1))
    smallest = torch.stack(errors, 1)
    assert learner.predict(x.numpy()).tolist() == smallest.argmin(1).tolist() == [0] * 5 + [1] * 5
    scores = learner.component_scores(x.numpy()).elbo
    torch.testing.assert_close(scores, -SHARPNESS * smallest, rtol=1e-4, atol=1e-4)


def test_all_classes_predict_one_frozen_network_that_follows_from_the_seed_alone(learner: Learner[Any]) -> None:
    x = torch.from_numpy(X[:3])
    first, other = (component.targets(x) for component in (learner.components[0], learner.components[2]))
    again, foreign = made(), made(seed=1)
    for each in (again, foreign):
        each.learn((X, np.full(24, 7)))
    assert torch.equal(first, other) and torch.equal(first, again.components[0].targets(x))
    assert not torch.allclose(first, foreign.components[0].targets(x))
    (shared,) = learner.shared_modules
    assert learner.shared_parameters == sum(weight.numel() for weight in shared.parameters()) == 16 * 100 + 100 + 2020
    assert not any(name.startswith("teacher") for name in learner.components[0].state_dict())


def test_a_component_is_small_and_a_copy_of_it_refers_to_the_same_frozen_network(learner: Learner[Any]) -> None:
    component = learner.components[0]
    assert sum(weight.numel() for weight in component.parameters()) == 10 * 16 + 10 + 2 * 10 + 20 * 10 + 20
    (shared,) = learner.shared_modules
    before = [weight.clone() for weight in shared.parameters()]
    other = copy.deepcopy(learner)
    other.learn((X, np.full(24, 5)))
    assert other.shared_modules[0] is shared
    assert all(torch.equal(a, b) for a, b in zip(before, shared.parameters(), strict=True))


def test_what_needs_a_density_is_refused_in_words_that_name_what_has_one(learner: Learner[Any]) -> None:
    component = learner.components[0]
    assert isinstance(component, WithoutDensity) and not component.is_density
    for verb, asked in (("score_samples", X), ("sample", 3)):
        with pytest.raises(BadInput, match="the methods 'mixture' and 'generative-classifier' have"):
            getattr(learner, verb)(asked)
    for verb in ("reconstruct", "encode"):
        with pytest.raises(BadInput, match="needs components with codes; a PredictionError has none"):
            getattr(learner, verb)(X)


def test_a_run_is_evaluated_but_for_likelihood_and_pictures(learner: Learner[Any]) -> None:
    first, second = (np.concatenate([X, BRIGHT]), np.repeat([0, 1], 24)), (X**4, np.full(24, 2))
    scores = evaluate(learner, from_arrays([(*first, *first), (*second, *second)]))
    assert scores.task_agnostic is not None and scores.task_agnostic[-1][0] == 1.0
    assert scores.to_dict()["reconstruction"]["nll"] == [None, None]


def test_a_checkpoint_holds_no_frozen_network_and_answers_in_the_same_way(
    learner: Learner[Any], tmp_path: Path
) -> None:
    learner.save(tmp_path / "it")
    again = baselines.load(tmp_path / "it", "pec")
    np.testing.assert_array_equal(again.predict_proba(X), learner.predict_proba(X))
    assert sum(file.stat().st_size for file in (tmp_path / "it").glob("tensors-*")) < 4 * learner.shared_parameters


def test_networks_of_several_classes_are_told_apart_in_one_component_too() -> None:
    kind, domain = PredictionErrorKind(0, pec_teacher_hidden=50), Domain((1, 4, 4))
    component = kind.new(domain, supervised=True, generator=torch.Generator().manual_seed(0))
    assert [tuple(part.shape) for part in component.score(torch.zeros(3, 1, 4, 4))] == [(3,), (3, 0)]
    component.add_classes([4, 9], torch.Generator().manual_seed(0))
    elbo, log_proba = component.score(torch.rand(3, 1, 4, 4))
    assert elbo.shape == (3,) and log_proba.shape == (3, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"supervised": False}, "data has no labels; the method 'pec' needs one for each example"),
        ({"supervised": True, "target": Domain((1, 4, 4))}, "data has pairs of images"),
    ],
)
def test_what_it_can_not_learn_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        PredictionErrorKind(0).new(Domain((1, 4, 4)), generator=torch.Generator(), **given)
