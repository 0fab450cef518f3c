"""A dear score for those components alone that lead by a cheap one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix import BadInput, GrowingMixture, evaluate, streams
from growmix.components.abilities import Cheap
from growmix.components.component import Component
from growmix.components.kinds import ComponentKind
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.learning.answers import class_probabilities, scores_together, scores_under
from growmix.learning.cascade import leading, leading_together, narrowed
from growmix.learning.distilling import soft_labels
from growmix.learning.knowledge import Knowledge
from growmix.learning.routing import only
from growmix.learning.shortlist import NOBODY, Lists, Shortlist
from growmix.learning.state import LearnerState
from growmix.learning.sums import ProjectedSums
from known_points import DOMAIN, CodedPoint, Filing, task


class CheapPoint(CodedPoint, Cheap):
    """A point with a cheap score that sees distances in steps of eight alone, and counts who is asked."""

    def __init__(self, place: float, classes: Sequence[int] = (), *, supervised: bool = True) -> None:
        super().__init__(place, classes, supervised=supervised)
        self.asked = {"cheap": 0, "dear": 0}

    def cheap(self, x: Tensor) -> Tensor:
        self.asked["cheap"] += len(x)
        return -((x[:, 0] - self.place) / 8).round().abs() * 64

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.asked["dear"] += len(x)
        return super().score(x)


def cheap_point(k: int) -> CheapPoint:
    component = CheapPoint(10.0 * k, (2 * k, 2 * k + 1))
    component.class_counts += 4.0
    component.freeze()
    return component


def known(cascade: int | None, longest: int | None = 0) -> Knowledge:
    """Return points at 0, 10, ... 50."""
    sums = tuple(ProjectedSums.of(TaskData(*task(k), support="real"), DOMAIN) for k in range(6))
    points = tuple(cheap_point(k) for k in range(6))
    return Knowledge(points, (8,) * 6, shortlist=Shortlist(DOMAIN, sums, longest), cascade=cascade)


def asked(knowledge: Knowledge, what: str) -> list[int]:
    return [each.asked[what] for each in knowledge.components if isinstance(each, CheapPoint)]


X = torch.tensor([[1.0, 0.0], [22.0, 1.0], [49.0, 0.0]])


@given(
    st.lists(st.lists(st.floats(-50, 0, width=32), min_size=4, max_size=4), min_size=1, max_size=5), st.integers(1, 5)
)
def test_those_lead_that_have_the_best_cheap_scores(rows: list[list[float]], most: int) -> None:
    cheap, log_prior = torch.tensor(rows), torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    found = leading(cheap, log_prior, most)
    assert found.shape == (len(rows), min(most, 4))
    posterior = cheap + log_prior
    for i, row in enumerate(found.tolist()):
        assert len(set(row)) == len(row)
        least = min(posterior[i, k] for k in row)
        assert all(posterior[i, k] <= least for k in set(range(4)) - set(row))
    together = leading_together(cheap, log_prior, most)
    assert together.shape == found.shape and bool((together == together[0]).all())
    if len(rows) == 1:
        assert torch.equal(together, found)


def test_who_was_not_listed_does_not_lead() -> None:
    cheap = torch.tensor([[-1.0, -2.0, -3.0]] * 2)
    found = narrowed(Lists(torch.tensor([[2, 1], [2, NOBODY]]), None), cheap, torch.zeros(3), 2)
    assert found.each is not None and found.each.tolist() == [[1, 2], [2, NOBODY]]
    assert found.together is not None and found.together.tolist() == [[0, 1]] * 2


def test_the_dear_score_is_computed_for_the_leading_few_of_each_example() -> None:
    few = known(2)
    scores, whole = scores_under(few, X, 0), scores_under(known(None), X, 0)
    scored = torch.isfinite(scores.elbo)
    assert [scored[i].nonzero()[:, 0].tolist() for i in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert torch.equal(scores.elbo[scored], whole.elbo[scored])
    assert asked(few, "cheap") == [3] * 6 and asked(few, "dear") == [1] * 6
    everything = tuple(range(12))
    assert torch.equal(
        class_probabilities(few, X, 0, None, everything).argmax(1),
        class_probabilities(known(None), X, 0, None, everything).argmax(1),
    )


@pytest.mark.parametrize(("cascade", "most"), [(None, 2), (1, 1), (6, 6)])
def test_a_student_is_taught_by_the_leading_two_or_as_many_as_answer(cascade: int | None, most: int) -> None:
    teacher = known(cascade)
    soft = soft_labels(teacher, X, tuple(range(12)), 2.0, 0)
    assert sum(asked(teacher, "dear")) == most * len(X)
    torch.testing.assert_close(soft, soft_labels(known(6), X, tuple(range(12)), 2.0, 0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("cascade", [None, 6, 10])
def test_where_all_are_scored_in_full_the_cheap_score_is_not_asked_for(cascade: int | None) -> None:
    full, plain = known(cascade), replace(known(None), shortlist=None)
    assert torch.equal(scores_under(full, X, 0).elbo, scores_under(plain, X, 0).elbo)
    assert asked(full, "cheap") == [0] * 6


def test_of_many_components_those_that_are_listed_are_scored_cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("growmix.learning.shortlist.FAR", 1e9)
    both = known(1, longest=2)
    assert torch.isfinite(scores_under(both, X, 0).elbo).sum(1).tolist() == [1, 1, 1]
    assert asked(both, "cheap") == [1] * 6 and sum(asked(both, "dear")) == 3


def test_components_that_know_none_of_the_classes_that_compete_do_not_lead() -> None:
    few = known(1)
    far = class_probabilities(few, X, 0, None, (8, 11))
    assert far.argmax(1).tolist() == [0, 0, 1] and asked(few, "cheap") == [0, 0, 0, 0, 3, 3]


def test_a_group_has_the_same_leading_few() -> None:
    scored = torch.isfinite(scores_together(known(2), X, 0).elbo)
    assert bool((scored == scored[0]).all()) and int(scored[0].sum()) == 2


def test_lists_for_scores_that_are_there_are_those_that_are_answered_by() -> None:
    few = known(2)
    lists = few.lists(X, lambda k: few.router.cheap_scores(X)[:, k])
    full = scores_under(replace(known(None), shortlist=None), X, 0)
    assert torch.equal(only(full, lists.each).elbo, scores_under(few, X, 0).elbo)
    assert torch.equal(only(full, lists.together).elbo, scores_together(few, X, 0).elbo)


class Cascading(Filing):
    """Files tasks as points of which one is scored in full."""

    def with_lists(self, state: LearnerState[int]) -> LearnerState[int]:
        points = tuple(cheap_point(round(float(each.code(torch.zeros(1, 2))[0, 0]) / -10)) for each in state.components)
        return replace(state, knowledge=replace(state.knowledge, components=points, cascade=1))


def test_what_is_measured_is_what_is_answered() -> None:
    rng = np.random.default_rng(0)

    def near(k: int) -> np.ndarray[Any, Any]:
        return (task(k, 40)[0].numpy() + rng.normal(size=(40, 2)) * (6.0, 0.3)).astype(np.float32)

    stream = streams.from_arrays([(*map(np.asarray, task(k)), near(k), task(k, 40)[1].numpy()) for k in range(3)])
    learner = Cascading()
    for each in stream:
        learner.learn(each.train)
    scores = evaluate(learner, stream)
    for i, each in enumerate(stream):
        x, y = each.test.x, each.test.y
        assert scores.task_agnostic[-1][i] == pytest.approx(float((learner.predict(x) == y).float().mean()))
        assert scores.selection[-1][i] == pytest.approx(float((learner.route(x) == i).float().mean()))
    assert min(scores.selection[-1]) < 1.0  # some are answered wrongly, and counted so


class CheapKind(ComponentKind):
    name = "cheap-point"

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        return CheapPoint(0.0, supervised=supervised)


class DearKind(CheapKind):
    name = "point"

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        return CodedPoint(0.0, supervised=supervised)


def data(k: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x, y = task(k, 40)
    return x.numpy() + np.random.default_rng(k).normal(size=(40, 2)).astype(np.float32) * 0.1, y.numpy()


def test_a_mixture_keeps_its_cascade(tmp_path: Path) -> None:
    mixture = GrowingMixture(component=CheapKind(), cascade=1, device="cpu")
    for k in range(3):
        mixture.learn(data(k))
    x = np.concatenate([data(k)[0] for k in range(3)])
    assert torch.isfinite(mixture.component_scores(x).elbo).sum(1).tolist() == [1] * 120
    mixture.save(tmp_path / "it")
    again = GrowingMixture.load(tmp_path / "it", component=CheapKind())
    assert np.array_equal(again.predict_proba(x), mixture.predict_proba(x))
    assert np.isfinite(mixture.score_samples(x)).all()


@pytest.mark.slow
def test_of_denoisers_one_is_scored_in_full() -> None:
    tiny: dict[str, Any] = {"denoiser_width": 4, "max_steps": 30, "gate": "always", "device": "cpu"}
    mixture = GrowingMixture(component="denoiser", cascade=1, **tiny)
    stream = streams.load("split-digits", test_examples=20)[:2]
    for each in stream:
        mixture.learn(each.train)
    x = torch.cat([each.test.x for each in stream])
    assert torch.isfinite(mixture.component_scores(x).elbo).sum(1).tolist() == [1] * 40
    scores = evaluate(mixture, stream)
    for i, each in enumerate(stream):
        assert scores.selection[-1][i] == pytest.approx(float((mixture.route(each.test.x) == i).float().mean()))


def test_components_without_a_cheap_score_are_refused_before_they_learn() -> None:
    mixture = GrowingMixture(component=DearKind(), cascade=1, device="cpu")
    with pytest.raises(BadInput, match=r"^cascade is 1, but a CodedPoint has no cheap score; leave it out$"):
        mixture.learn(data(0))
    with pytest.raises(BadInput, match=r"^cascade is 2, which has no effect with component"):
        GrowingMixture("mlp", cascade=2)
