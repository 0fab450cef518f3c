"""Several scores become one by the mixture's weights, wherever an example is answered for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from growmix import GrowingMixture, evaluate, streams
from growmix.evaluation import Evaluator
from growmix.learning.distilling import soft_labels
from growmix.learning.judging import PRESET, ScoreWeights, judged, preset_of, sources_of
from growmix.learning.routing import Router
from several_scores import Several, SeveralKind, task


def learnt(tasks: int = 3, **settings: Any) -> GrowingMixture:
    mixture = GrowingMixture(component=SeveralKind(), gate="always", device="cpu", holdout=0.3, **settings)
    for number in range(tasks):
        mixture.learn(task(number))
    return mixture


def test_components_alone_judge_by_their_own_preset() -> None:
    mixture = learnt(2, score_weights="preset")
    x = torch.from_numpy(task(0)[0])
    found = Router(mixture.components).scores(x)
    assert [raw.scores.shape for raw in found.evidence] == [(400, 2, 3)] * 2
    for k, component in enumerate(mixture.components):
        elbo, log_proba = component.score(x)
        assert torch.equal(found.elbo[:, k], elbo) and torch.equal(found.class_log_proba[k], log_proba)
    preset = preset_of(mixture.components)
    assert preset == ScoreWeights((1.0, 0.0, 1.0), "score")
    assert torch.equal(judged(found, preset).elbo, found.elbo)


def test_weights_change_scores_and_leave_the_evidence() -> None:
    mixture = learnt(2, score_weights="preset")
    found = Router(mixture.components).scores(torch.from_numpy(task(0)[0]))
    told = judged(found, ScoreWeights((0.0, 2.0, 0.0), "score"))
    expected = torch.stack([(2.0 * raw.scores[:, :, 1]).logsumexp(1) for raw in found.evidence], dim=1)
    assert torch.equal(told.elbo, expected) and told.evidence is found.evidence
    assert judged(found, PRESET) is found
    some = judged(found.of([1]), ScoreWeights((0.0, 2.0, 0.0), "score"))
    assert torch.equal(some.elbo[:, 0], told.elbo[:, 1])


def test_components_of_one_score_have_no_weights() -> None:
    mixture = GrowingMixture("mlp", hidden=4, latent=2, epochs=1, device="cpu")
    mixture.learn((np.random.default_rng(0).random((20, 1, 4, 4)), np.arange(20) % 2))
    assert sources_of(mixture.components) == ()
    assert mixture.history[0].weights == PRESET == preset_of(mixture.components)
    assert mixture.component_scores(np.zeros((2, 1, 4, 4))).evidence == ()


def test_every_answer_goes_by_the_weights_that_were_chosen() -> None:
    mixture = learnt()
    weights = mixture.history[-1].weights
    assert weights.values != (1.0, 0.0, 1.0)
    x, y = task(1, seed=1)
    by_weights = judged(Router(mixture.components).scores(torch.from_numpy(x)), weights)
    route = (by_weights.elbo + mixture.log_prior).argmax(1)
    assert torch.equal(mixture.component_scores(x).elbo, by_weights.elbo)
    assert (mixture.route(x) == route.numpy()).all() and mixture.route(x, per="group") == 1
    assert (mixture.predict(x) == y).mean() > 0.95
    assert (mixture.predict_proba(x).argmax(1) == mixture.predict(x)).all()
    soft = soft_labels(mixture._knowledge, torch.from_numpy(x), mixture._labels, 1.0, 0)
    assert torch.allclose(soft, torch.from_numpy(mixture.predict_proba(x)), atol=1e-6)
    scores = mixture.component_scores(x)
    assert np.array_equal(mixture.score_samples(x, scores=scores), mixture.score_samples(x))


def test_an_evaluation_measures_what_is_predicted_under_the_weights_of_each_time() -> None:
    mixture, tests = GrowingMixture(component=SeveralKind(), gate="always", device="cpu", holdout=0.3), []
    stream = streams.from_arrays([(*task(number), *task(number, 200, seed=1)) for number in range(3)])
    evaluator = Evaluator(stream)
    for each in stream:
        mixture.learn(each.train)
        evaluator.after_task(mixture)
        seen = stream[: len(mixture.history)]
        tests.append([float((mixture.predict(test.test.x) == test.test.y).float().mean()) for test in seen])
    followed = evaluator.scores()
    assert followed.task_agnostic is not None
    for row, expected in zip(followed.task_agnostic, tests, strict=True):
        assert [cell for cell in row if cell is not None] == pytest.approx(expected, abs=1e-7)
    assert evaluate(mixture, stream).selection == followed.selection
    assert len({entry.weights for entry in mixture.history}) > 1


def test_weights_that_no_components_have_are_refused() -> None:
    for values in ((1.0, 2.0), (1.0, -1.0, 0.0), (1.0, math.nan, 0.0), (1.0, math.inf, 0.0), (1.0, 1e30, 0.0)):
        with pytest.raises(ValueError, match="score weight"):
            ScoreWeights(values).check(3)
    ScoreWeights((1.0, 0.0, 2.0)).check(3)


def test_components_of_other_scores_are_judged_each_by_its_own() -> None:
    mixture = learnt(1)
    (one,) = mixture.components
    assert isinstance(one, Several)
    other = GrowingMixture("mlp", hidden=4, latent=2, epochs=1, device="cpu", support="real")
    other.learn(task(1))
    found = Router((one, *other.components)).scores(torch.from_numpy(task(0)[0]))
    assert found.evidence == () and sources_of((one, *other.components)) == ()
    assert torch.equal(found.elbo[:, 0], one.score(torch.from_numpy(task(0)[0]))[0])
