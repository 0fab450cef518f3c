"""What is tied is tied over all components: a mixture that grows answers as one estimator that had all data."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from growmix import GrowingMixture, evaluate, streams
from growmix.components.gaussian.component import Gaussian
from growmix.components.gaussian.covariance import Shape, covariances
from growmix.components.gaussian.sums import sums_of
from growmix.evaluation.evaluator import Evaluator
from growmix.learning.history import answer_versions

WINE, GROWER = load_wine(return_X_y=True)


def learnt(order: tuple[int, ...] = (0, 1, 2), **changes: Any) -> GrowingMixture:
    """A component for each class."""
    mixture = GrowingMixture(component="gaussian", gate="always", **changes)
    for label in order:
        mixture.learn((WINE[label == GROWER], GROWER[label == GROWER]))
    return mixture


def test_classes_that_come_one_by_one_are_told_apart_as_by_one_discriminant_analysis_of_all() -> None:
    mixture = learnt(shrinkage=0.0, reg_covar=0.0)
    known = LinearDiscriminantAnalysis(solver="lsqr").fit(WINE, GROWER)
    np.testing.assert_allclose(mixture.predict_proba(WINE), known.predict_proba(WINE), atol=1e-5)


def test_the_order_of_classes_does_not_matter_where_the_scale_is_the_same() -> None:
    own = np.arange(len(WINE)) % 2 == 0
    found = []
    for order in ((0, 1, 2), (2, 0, 1)):
        mixture = GrowingMixture(component="gaussian", gate="always", shrinkage=0.0, reg_covar=0.0)
        mixture.learn((WINE[own], GROWER[own]))  # says the scale
        for label in order:
            rest = ~own & (label == GROWER)
            mixture.learn((WINE[rest], GROWER[rest]))
        found.append(mixture.predict_proba(WINE))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


@pytest.mark.parametrize("covariance_type", ["tied", "full", "diag", "auto"])
def test_type_and_shrinkage_are_chosen_once_for_all_components(covariance_type: Any) -> None:
    mixture = learnt(covariance_type=covariance_type)
    choices = {component.choice for component in mixture.components if isinstance(component, Gaussian)}
    assert len(choices) == 1
    assert float((mixture.predict(WINE) == GROWER).mean()) > 0.97


def test_a_class_of_few_examples_takes_what_is_tied_from_the_others() -> None:
    x = torch.from_numpy(WINE)
    few = np.flatnonzero(GROWER == 2)[:4]
    rows = np.concatenate([np.flatnonzero(GROWER < 2), few])
    mixture = GrowingMixture(component="gaussian", gate="always", shrinkage=0.0, reg_covar=0.0)
    mixture.learn((WINE[GROWER < 2], GROWER[GROWER < 2]))
    mixture.learn((WINE[few], GROWER[few]))  # four examples in 13 dimensions
    sums = sums_of(x[rows], torch.from_numpy(GROWER[rows]), 3, "each")
    tied = covariances(sums, Shape("tied", reg_covar=0.0))[0]
    drawn = torch.from_numpy(mixture.sample(4_000, label=2)[0]).double()
    unit = torch.outer(tied.diagonal().sqrt(), tied.diagonal().sqrt())
    torch.testing.assert_close(drawn.T.cov() / unit, tied / unit, rtol=0, atol=0.1)


def test_what_a_component_keeps_stays_bit_for_bit_while_its_answers_move() -> None:
    mixture = learnt((0, 1))
    before = copy.deepcopy(mixture.components[0].state_dict())
    answers = mixture.components[0].score(torch.from_numpy(WINE).float())[0]
    mixture.learn((WINE[GROWER == 2], GROWER[GROWER == 2]))
    after = mixture.components[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(mixture.components[0].score(torch.from_numpy(WINE).float())[0], answers)


def test_copies_and_pickles_answer_the_same() -> None:
    mixture = learnt()
    for again in (copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert np.array_equal(again.predict_proba(WINE), mixture.predict_proba(WINE))
        again.learn((WINE, GROWER))
    assert len(mixture.components) == 3


def stream() -> Any:
    own = np.arange(len(WINE)) % 3 > 0
    parts = [(own & (label == GROWER), ~own & (label == GROWER)) for label in range(3)]
    return streams.from_arrays([(WINE[a], GROWER[a], WINE[b], GROWER[b]) for a, b in parts])


def test_an_evaluator_measures_answers_as_they_were_after_each_task() -> None:
    mixture, followed, rows = GrowingMixture(component="gaussian", gate="always"), Evaluator(stream()), []
    for task in stream():
        mixture.learn(task.train)
        followed.after_task(mixture)
        rows.append(evaluate(mixture, stream()).task_agnostic[-1])  # type: ignore[index]
    found = followed.scores().task_agnostic
    assert found is not None and [row[: t + 1] for t, row in enumerate(found)] == rows
    assert mixture.versions == (1, 1, 1) and answer_versions(mixture.history, mixture.components) == (3, 2, 1)
    alone = evaluate(mixture, stream())
    assert alone.task_agnostic is not None
    # no earlier row can still be had: with the last task, all answers have changed
    assert alone.task_agnostic[0] == (None, None, None) and alone.task_agnostic[-1] == rows[-1]


def test_known_data_stay_known_while_later_tasks_move_the_answers() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 6, 6))
    parts = [rng.normal(size=(900, 6)) @ mixing[k] + 8.0 * k for k in range(3)]
    mixture = GrowingMixture(component="gaussian", gate="always", supervised=False, covariance_type="tied", modes=1)
    for part in parts:
        mixture.learn(part[:600])
    for k, part in enumerate(parts):
        known = mixture.novelty(part[600:])
        assert not known.is_new and known.shares.index(max(known.shares)) == k
    assert mixture.novelty(parts[0][600:] + 4.0).is_new
