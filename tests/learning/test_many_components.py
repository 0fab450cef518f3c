"""A mixture that scores a list of its components: what it keeps, what it answers, and how that is measured."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from forging import change_document, change_tensors
from growmix import BadCheckpoint, GrowingMixture, evaluate, streams
from growmix.evaluation import Evaluator
from growmix.training.callbacks import Callback, Progress

TINY: dict[str, Any] = {
    "hidden": 16,
    "latent": 2,
    "epochs": 4,
    "learning_rate": 1e-2,
    "batch_size": 16,
    "device": "cpu",
    "precision": "32-true",
    "novelty": "stored",
    "threshold": 0.0,
}


def images(kind: int, n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy classes, ``2 * kind`` and the next; kinds have little in common."""
    templates = np.random.default_rng(kind).random((2, 1, 9, 8)) > 0.5
    rng = np.random.default_rng([seed, kind])
    which = rng.permutation(np.arange(n) % 2)
    return (0.5 * templates[which] + 0.5 * rng.random((n, 1, 9, 8))).astype(np.float32), which + 2 * kind


STREAM = streams.from_arrays([(*images(kind), *images(kind, 40, 1)) for kind in range(4)])


def learner(**changes: Any) -> GrowingMixture:
    mixture = GrowingMixture(**{**TINY, **changes})
    for task in STREAM:
        mixture.learn(task.train)
    return mixture


_of_two: list[GrowingMixture] = []


@pytest.fixture
def mixture() -> GrowingMixture:
    """A mixture of four components that scores two of them for an example."""
    if not _of_two:
        _of_two.append(learner(shortlist=2))
    return copy.deepcopy(_of_two[0])


X = np.concatenate([images(kind, 10, 2)[0] for kind in range(4)])


def sums_of(mixture: GrowingMixture) -> list[Tensor]:
    return [tensor for sums in mixture._memory.sums for tensor in (sums.mean, sums.scatter)]


def test_at_most_two_components_are_scored_and_all_where_that_is_asked_for(mixture: GrowingMixture) -> None:
    listed = torch.isfinite(mixture.component_scores(X).elbo)
    assert set(listed.sum(1).tolist()) <= {1, 2}  # one where the second is far behind
    own = torch.arange(4).repeat_interleave(10)
    assert bool(listed[torch.arange(40), own].all())  # these kinds are easy to tell apart
    every = mixture.component_scores(X, range(4)).elbo
    assert bool(torch.isfinite(every).all())
    assert (mixture.route(X) == own.numpy()).mean() > 0.7


def with_list(mixture: GrowingMixture, longest: int | None) -> GrowingMixture:
    changed = copy.copy(mixture)
    changed.settings = mixture.settings.replace(shortlist=longest)
    changed._state = changed.with_lists(mixture._state)
    return changed


def test_lists_as_long_as_the_components_change_nothing(mixture: GrowingMixture) -> None:
    plain = copy.copy(mixture)
    plain._state = replace(mixture._state, knowledge=replace(mixture._state.knowledge, shortlist=None))
    for longest in (None, 0, 4, 10**6):
        listing = with_list(mixture, longest)
        for verb in ("predict_proba", "route", "score_samples"):
            assert np.array_equal(getattr(listing, verb)(X), getattr(plain, verb)(X))


def test_what_a_component_learns_later_is_added_to_its_sums() -> None:
    mixture = GrowingMixture(**{**TINY, "novelty": "ks", "threshold": 2.0})
    first, second = images(0), images(1)
    mixture.learn(first)
    before = mixture._memory.sums
    mixture.learn(second)
    assert len(mixture.components) == 1 and mixture._memory.sums[0].labels == (0, 1, 2, 3)
    assert torch.equal(mixture._memory.sums[0].mean[:2], before[0].mean)  # replayed examples are not counted again
    assert mixture._memory.sums[0].counts == (30,) * 4 and before[0].counts == (30,) * 2


def test_a_checkpoint_keeps_the_sums_and_the_answers(mixture: GrowingMixture, tmp_path: Path) -> None:
    mixture.save(tmp_path / "it")
    again = GrowingMixture.load(tmp_path / "it")
    assert all(map(torch.equal, sums_of(again), sums_of(mixture)))
    assert np.array_equal(again.predict_proba(X), mixture.predict_proba(X))
    for each in (again, mixture):
        each.learn(images(4))
    assert all(map(torch.equal, sums_of(again), sums_of(mixture)))
    assert np.array_equal(again.predict_proba(X), mixture.predict_proba(X))


def test_a_checkpoint_without_sums_scores_all_components(mixture: GrowingMixture, tmp_path: Path) -> None:
    mixture.save(tmp_path / "it")
    change_document(tmp_path / "it", lambda document: document["memory"].pop("sums"))
    for name in ("others.sums.mean", "others.sums.scatter"):
        change_tensors(tmp_path / "it", lambda tensors, name=name: tensors.pop(name))
    again = GrowingMixture.load(tmp_path / "it")
    assert bool(torch.isfinite(again.component_scores(X).elbo).all())
    again.learn(images(4))
    again.save(tmp_path / "then")
    then = GrowingMixture.load(tmp_path / "then").component_scores(X).elbo
    assert bool(torch.isfinite(then[:, :4]).all())  # who is not known is always asked


TAMPERED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "another shape": lambda t: t.update({"others.sums.mean": t["others.sums.mean"][:, :5]}),
    "no number": lambda t: t.update({"others.sums.mean": t["others.sums.mean"] * np.nan}),
    "no scatter": lambda t: t.update({"others.sums.scatter": -t["others.sums.scatter"]}),
    "missing": lambda t: t.pop("others.sums.scatter"),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_sums_that_can_not_be_are_refused(
    mixture: GrowingMixture, tmp_path: Path, tamper: Callable[[dict[str, Tensor]], Any]
) -> None:
    mixture.save(tmp_path / "it")
    change_tensors(tmp_path / "it", tamper)
    with pytest.raises(BadCheckpoint):
        GrowingMixture.load(tmp_path / "it")


class Failing(Callback):
    def on_epoch_end(self, progress: Progress) -> None:
        raise OSError("enough")


def test_a_task_that_could_not_be_learnt_leaves_no_sums(mixture: GrowingMixture) -> None:
    before, answers = mixture._memory.sums, mixture.predict_proba(X)
    with pytest.raises(OSError, match="enough"):
        mixture.learn(images(4), callbacks=[Failing()])
    assert mixture._memory.sums is before and np.array_equal(mixture.predict_proba(X), answers)


def test_what_is_measured_is_what_is_answered(mixture: GrowingMixture) -> None:
    scores = evaluate(mixture, STREAM)
    for i, task in enumerate(STREAM):
        x, y = task.test.x.numpy(), task.test.y.numpy()
        assert scores.task_agnostic[-1][i] == pytest.approx((mixture.predict(x) == y).mean())
        assert scores.selection[-1][i] == pytest.approx((mixture.route(x) == i).mean())
        assert scores.task_aware[-1][i] == pytest.approx(
            (mixture.predict(x, component=i, classes=task.classes) == y).mean()
        )
        chosen = mixture.route(x, per="group")
        assert scores.grouped[-1][i] == pytest.approx(
            (mixture.predict(x, component=chosen, classes=mixture.components[chosen].classes) == y).mean()
        )
        assert scores.reconstruction[i].nll == pytest.approx(-mixture.score_samples(x).mean(), rel=1e-5)


def test_earlier_rows_are_those_of_the_lists_of_then() -> None:
    mixture = GrowingMixture(**{**TINY, "epochs": 1}, shortlist=1)
    followed = Evaluator(STREAM)
    for task in STREAM:
        mixture.learn(task.train)
        followed.after_task(mixture)
    assert evaluate(mixture, STREAM).task_agnostic == followed.scores().task_agnostic


def test_a_student_learns_from_what_is_listed(mixture: GrowingMixture) -> None:
    mixture.settings = mixture.settings.replace(student_examples=30, student_epochs=1)
    assert np.isfinite(mixture.distill().predict_proba(X)).all()
