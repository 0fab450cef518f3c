"""What makes each method that method."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from growmix import BadInput, GrowingMixture, Settings
from growmix.baselines import METHODS, MIXTURES, make_learner
from growmix.baselines.elastic_weights import ElasticWeights
from growmix.baselines.one_network import OneNetwork
from growmix.baselines.rehearsal import Generated
from growmix.learning.gating import DirichletGate, make_gate
from growmix.learning.learner import Learner

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "hidden": 32,
    "latent": 2,
    "epochs": 30,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "density_components": 2,
    "device": "cpu",
    "precision": "32-true",
}


def images(kind: int, n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy classes, ``2 * kind`` and the next; kinds have nothing in common."""
    templates = np.random.default_rng(kind).random((2, 1, 8, 8)) > 0.5
    rng = np.random.default_rng([seed, kind])
    which = rng.permutation(np.arange(n) % 2)
    return (0.8 * templates[which] + 0.2 * rng.random((n, 1, 8, 8))).astype(np.float32), which + 2 * kind


def make(name: str, **changes: Any) -> Learner[Any]:
    own = [each.name for each in METHODS[name].parameters]
    parameters = {name: changes.pop(name) for name in own if name in changes}
    return make_learner(name, Settings(**{**SMALL, **changes}), **parameters)


_taught: dict[str, Learner[Any]] = {}


def taught(name: str) -> Learner[Any]:
    """A learner of kinds 0 and 1, not to be changed."""
    if name not in _taught:
        _taught[name] = make(name)
        for kind in (0, 1):
            _taught[name].learn(images(kind))
    return _taught[name]


def accuracy(learner: Learner[Any], kind: int) -> float:
    x, y = images(kind, seed=1)
    return float((learner.predict(x) == y).mean())


def digest(module: nn.Module) -> str:
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in module.state_dict().values())).hexdigest()


def weights(learner: Learner[Any]) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in learner.components[0].named_parameters()}


METHODS_THAT_DO_NOT_FORGET = ["joint", "er", "lgm", "dgr", "generative-classifier", "pec", "vae-per-task", "mixture"]


def test_fine_tuning_forgets() -> None:
    assert accuracy(taught("fine-tuning"), 1) > 0.9
    assert accuracy(taught("fine-tuning"), 0) < 0.2


@pytest.mark.parametrize("name", METHODS_THAT_DO_NOT_FORGET)
def test_methods_that_keep_or_regenerate_data_or_networks_do_not_forget(name: str) -> None:
    assert accuracy(taught(name), 1) > 0.8
    assert accuracy(taught(name), 0) > 0.8


def test_penalties_leave_the_first_task_as_fine_tuning_learns_it() -> None:
    plain = make("fine-tuning", gradient_clip=0.0)
    plain.learn(images(0))
    for name in ("ewc", "si", "lgm", "er", "joint"):
        learner = make(name, gradient_clip=0.0)
        learner.learn(images(0))
        assert learner.history[0].log.losses == plain.history[0].log.losses, name
        assert digest(learner.components[0]) == digest(plain.components[0]), name


def test_elastic_weights_hold_important_weights_where_they_were() -> None:
    moved = {}
    for strength in (0.0, 1e3):
        learner = make("ewc", ewc_strength=strength)
        learner.learn(images(0))
        penalty, before = learner._memory.penalty, weights(learner)
        assert isinstance(penalty, ElasticWeights)
        learner.learn(images(1))
        after = weights(learner)
        way = {name: (after[name][: len(before[name])] - before[name]) ** 2 for name in before}
        moved[strength] = sum(float((penalty.importance[name] * way[name]).sum()) for name in way)
    assert 0 < moved[1e3] < 0.05 * moved[0.0]


def test_elastic_weights_know_which_weights_matter() -> None:
    learner = make("ewc")
    x, y = images(0)
    x[:, :, :4] = 0.0  # the upper half of all images is black: weights of its pixels never matter
    learner.learn((x, y))
    penalty = learner._memory.penalty
    assert isinstance(penalty, ElasticWeights)
    first = penalty.importance["encoder.1.weight"].view(-1, 8, 8)
    assert float(first[:, :4].abs().max()) == 0.0
    assert float(first[:, 4:].abs().min(0).values.max()) > 0.0


def test_synaptic_intelligence_moves_less_the_stronger_it_is() -> None:
    moved = {}
    for strength in (0.0, 1e3):
        learner = make("si", si_strength=strength)
        learner.learn(images(0))
        before = weights(learner)["encoder.3.weight"]
        learner.learn(images(1))
        moved[strength] = float((weights(learner)["encoder.3.weight"] - before).norm())
    assert 0 < moved[1e3] < 0.5 * moved[0.0]
    assert learner.settings.gradient_clip == 0.0
    with pytest.raises(BadInput, match="16-mixed"):
        make("si", precision="16-mixed")


def test_experience_replay_keeps_no_more_than_its_buffer() -> None:
    learner = make("er", buffer_size=10)
    everything = [images(kind) for kind in (0, 1, 2)]
    for task in everything:
        learner.learn(task)
    kept = learner._memory.rehearsal.data
    real = {image.tobytes() for x, _ in everything for image in x}
    assert len(kept) == 10
    assert {image.numpy().tobytes() for image in kept.x} <= real
    assert sorted(kept.y.bincount().tolist()) == [1, 1, 2, 2, 2, 2]


def test_lifelong_generative_modeling_keeps_its_codes_nearer_to_the_teachers_than_replay_alone() -> None:
    x, _ = images(0, seed=1)
    replay_alone = OneNetwork("replay", Settings(**SMALL, sampling="prior"), rehearsal=Generated())
    drift = []
    for learner in (make("lgm"), replay_alone):
        learner.learn(images(0)[0])  # without labels the codes have to tell the classes apart
        before = learner.encode(x)
        learner.learn(images(1)[0])
        drift.append(float(np.square(learner.encode(x) - before).sum(1).mean()))
    assert drift[0] < 0.5 * drift[1]


def test_a_generative_classifier_has_a_network_for_every_class_and_shares_the_steps_out() -> None:
    learner = taught("generative-classifier")
    assert [component.classes for component in learner.components] == [(0,), (1,), (2,), (3,)]
    assert [[part.component for part in step.parts] for step in learner.history] == [[0, 1], [2, 3]]
    assert [(d.action, d.component) for d in learner.decisions] == [("grow", 0), ("grow", 2)]
    assert [step.log.steps for step in learner.history] == [step.log.steps for step in taught("vae-per-task").history]
    x, _ = images(0, seed=1)
    scores = learner.component_scores(x)
    by_bayes = (scores.elbo + learner.log_prior).softmax(1)
    np.testing.assert_allclose(learner.predict_proba(x), by_bayes, atol=1e-5)


def test_a_generative_classifier_updates_the_class_that_comes_again_and_no_other() -> None:
    learner = make("generative-classifier", epochs=3)
    for kind in (0, 1):
        learner.learn(images(kind))
    before = [digest(component) for component in learner.components]
    x, y = images(0, seed=2)
    again = learner.learn((x[y == 1], y[y == 1]))
    after = [digest(component) for component in learner.components]
    assert (again.action, again.component) == ("reuse", 1)
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True, True]
    assert learner.versions == (1, 2, 1, 1)
    mixed = learner.learn((np.concatenate([x[:20], images(2)[0][:20]]), np.repeat([0, 4], 20)))
    assert (mixed.action, mixed.component) == ("grow", 4)
    assert [part.component for part in learner.history[-1].parts] == [0, 4]


def test_images_of_a_class_are_those_that_the_solver_puts_there() -> None:
    learner = make("dgr", sampling="prior")
    learner.learn(images(0))
    for label in (0, 1):
        drawn, _ = learner.sample(20, label=label)
        assert float((learner.predict(drawn) == label).mean()) > 0.9


def test_one_vae_per_task_is_whole_and_batch_ensemble_adds_little() -> None:
    def own(name: str) -> list[int]:
        return [sum(weight.numel() for weight in component.parameters()) for component in taught(name).components]

    whole, thin = own("vae-per-task"), own("batch-ensemble")
    assert len(whole) == len(thin) == 2
    assert whole[0] == whole[1]
    assert thin[1] < 0.15 * whole[1]
    assert taught("batch-ensemble").shared_parameters > 0.8 * whole[0]


def test_one_component_per_task_even_for_the_same_data() -> None:
    for name in ("vae-per-task", "batch-ensemble"):
        learner = make(name, epochs=2)
        for _ in range(2):
            learner.learn(images(0))
        assert [decision.action for decision in learner.decisions] == ["grow", "grow"], name


def test_limix_gates_with_a_dirichlet_process_on_the_papers_measure() -> None:
    settings = make("limix").settings
    gate = make_gate(settings)
    assert isinstance(gate, DirichletGate)
    assert (settings.novelty, gate.temperature, settings.threshold) == ("paper", 1.0, None)
    asked = make("limix", temperature=0.3, threshold=12.0, alpha=9.0).settings
    assert (asked.temperature, asked.threshold, asked.alpha) == (0.3, 12.0, 9.0)
    rich, poor = (gate.decide([35.0], [n], 30.0).action for n in (60_000, 10))
    assert (rich, poor) == ("reuse", "grow")  # what has learnt much draws tasks to it


def test_mixtures_are_those_that_can_teach_a_student() -> None:
    for name in METHODS:
        assert isinstance(make(name), GrowingMixture) == (name in MIXTURES)
