"""Answers of two components, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from growmix import BadInput
from growmix.components.abilities import Codes
from growmix.data.task import TaskData
from growmix.learning import shortlist
from growmix.learning.answers import (
    are_scores_of,
    between,
    bound,
    by_components,
    class_probabilities,
    codes_of,
    drawn,
    pairs_of,
    routing_noise,
    scores_together,
    scores_under,
)
from growmix.learning.knowledge import Knowledge
from growmix.learning.shortlist import Shortlist
from growmix.learning.sums import ProjectedSums
from known_points import DOMAIN, Point, point, task

KNOWN = Knowledge((point(0), point(1)), (8, 24))
X = torch.tensor([[0.0, 0.0], [10.0, 1.0], [9.0, 0.0]])


def test_some_components_say_what_they_say_among_all() -> None:
    everyone = scores_under(KNOWN, X, 0)
    assert everyone.elbo.tolist() == [[0.0, -100.0], [-100.0, 0.0], [-81.0, -1.0]]
    for asked in ([1], [1, 0]):
        some, expected = scores_under(KNOWN, X, 0, asked), everyone.of(asked)
        assert torch.equal(some.elbo, expected.elbo)
        assert all(torch.equal(a, b) for a, b in zip(some.class_log_proba, expected.class_log_proba, strict=True))


def many(longest: int | None, components: int = 6) -> Knowledge:
    """Return points at 0, 10, 20, ... that learnt eight examples each, of which some are listed."""
    learnt = (TaskData(*task(k), support="real") for k in range(components))
    lists = Shortlist(DOMAIN, tuple(ProjectedSums.of(each, DOMAIN) for each in learnt), longest)
    return Knowledge(tuple(point(k) for k in range(components)), (8,) * components, shortlist=lists)


BETWEEN = torch.tensor([[1.0, 0.0], [22.0, 1.0], [49.0, 0.0]])


def test_of_many_components_those_that_are_listed_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    near = scores_under(many(2), BETWEEN, 0).elbo
    assert torch.isfinite(near).sum(1).tolist() == [1, 1, 1]  # all others are far behind
    monkeypatch.setattr(shortlist, "FAR", 1e9)
    few, all_of_them = many(2), many(0)
    scores, whole = scores_under(few, BETWEEN, 0), scores_under(all_of_them, BETWEEN, 0)
    scored = torch.isfinite(scores.elbo)
    assert scored.sum(1).tolist() == [2, 2, 2] and torch.equal(scores.elbo[scored], whole.elbo[scored])
    assert [scored[i].nonzero()[:, 0].tolist() for i in range(3)] == [[0, 1], [2, 3], [4, 5]]
    everything = tuple(range(12))
    proba = class_probabilities(few, BETWEEN, 0, None, everything)
    torch.testing.assert_close(proba, class_probabilities(all_of_them, BETWEEN, 0, None, everything))
    torch.testing.assert_close(bound(few, BETWEEN, scores), bound(all_of_them, BETWEEN, whole))


@pytest.mark.parametrize("longest", [0, 6, 7, None])
def test_a_list_of_all_components_changes_nothing(longest: int | None) -> None:
    listed, plain = many(longest), replace(many(longest), shortlist=None)
    a, b = (scores_under(known, BETWEEN, 0) for known in (listed, plain))
    assert torch.equal(a.elbo, b.elbo) and all(map(torch.equal, a.class_log_proba, b.class_log_proba))
    classes = tuple(range(12))
    assert torch.equal(*(class_probabilities(known, BETWEEN, 0, None, classes) for known in (listed, plain)))


def test_components_that_know_none_of_the_classes_that_compete_take_no_place_in_a_list() -> None:
    far = class_probabilities(many(1), BETWEEN, 0, None, (8, 11))
    torch.testing.assert_close(far, class_probabilities(many(0), BETWEEN, 0, None, (8, 11)))
    assert far.argmax(1).tolist() == [0, 0, 1]  # one of these is at 40, the other at 50


def test_a_group_is_scored_under_the_same_components_throughout() -> None:
    together = scores_together(many(2), BETWEEN, 0)
    scored = torch.isfinite(together.elbo)
    assert bool((scored == scored[0]).all()) and scored[0].nonzero()[:, 0].tolist() == [2, 3]
    assert between(many(1), BETWEEN[:2], 3, 0, None).shape == (3, 2)


def test_classes_that_do_not_compete_leave_the_others_their_share() -> None:
    proba = class_probabilities(KNOWN, X, 0, None, (0, 1, 2, 3))
    assert proba.argmax(1).tolist() == [0, 3, 2]
    torch.testing.assert_close(proba.sum(1), torch.ones(3))
    assert class_probabilities(KNOWN, X, 0, 1, (0, 2)).tolist() == [[0.0, 1.0]] * 3  # 0 is unknown to component 1
    with pytest.raises(BadInput, match=r"^component is 0, which knows \[0, 1\]; .* that compete, \[2, 3\]$"):
        class_probabilities(KNOWN, X, 0, 0, (2, 3))


def test_each_example_is_answered_by_the_component_that_it_is_routed_to() -> None:
    def code(component: object) -> object:
        assert isinstance(component, Codes)
        return component.code

    assert by_components(KNOWN, X, 0, None, code, (1,)).tolist() == [[0.0], [0.0], [-1.0]]  # type: ignore[arg-type]
    assert by_components(KNOWN, X, 0, 0, code, (1,)).tolist() == [[0.0], [10.0], [9.0]]  # type: ignore[arg-type]


def test_what_is_drawn_is_of_the_label_that_is_told() -> None:
    generator = torch.Generator().manual_seed(0)
    examples, labels = drawn(KNOWN, 400, None, None, generator)
    assert torch.equal(labels, (examples[:, 0] / 5 + examples[:, 1]).long())
    assert abs(float((labels >= 2).float().mean()) - 0.75) < 0.1  # three quarters of the examples were component 1's
    examples, labels = drawn(KNOWN, 5, None, 3, generator)
    assert examples.tolist() == [[10.0, 1.0]] * 5 and labels.tolist() == [3] * 5
    with pytest.raises(BadInput, match=r"^label is 2; component 0 knows \[0, 1\]$"):
        drawn(KNOWN, 5, 0, 2, generator)


@pytest.mark.parametrize("component", [None, 1, (0, 1)])
def test_a_line_begins_and_ends_at_what_was_given(component: int | tuple[int, int] | None) -> None:
    assert between(KNOWN, X[:2], 3, 0, component).tolist() == [[0.0, 0.0], [5.0, 0.5], [10.0, 1.0]]


@pytest.mark.parametrize("component", [2, -1, (0, 2), (0, 1, 1), "all"])
def test_a_line_lies_between_components_that_are_there(component: object) -> None:
    with pytest.raises(BadInput, match=r"^component is .*; allowed are 0 to 1, and a tuple of two of these$"):
        between(KNOWN, X[:2], 3, 0, component)  # type: ignore[arg-type]


def test_an_ability_that_is_missing_is_named_with_the_verb() -> None:
    with pytest.raises(BadInput, match=r"^encode\(\) needs components with codes; a Point has none: take .* 'vae'"):
        codes_of(Point(0.0), "encode")
    with pytest.raises(BadInput, match=r"^translate\(\) needs components that learn pairs; a CodedPoint does not$"):
        pairs_of(point(0), "translate")


def test_draws_for_routing_are_the_same_each_time_and_only_of_codes() -> None:
    one, other = routing_noise(5, point(0)), routing_noise(5, point(1))
    assert one is not None and other is not None and torch.equal(one, other) and one.shape == (5, 1)
    assert routing_noise(0, point(0)) is routing_noise(5, Point(0.0)) is None


def test_scores_are_known_by_their_shapes_and_types() -> None:
    scores = scores_under(KNOWN, X, 0)
    assert are_scores_of(scores, 3, KNOWN.components)
    assert not are_scores_of(scores, 2, KNOWN.components)
    assert not are_scores_of(scores.of([0]), 3, KNOWN.components)
    assert not are_scores_of(type(scores)(scores.elbo.double(), scores.class_log_proba), 3, KNOWN.components)
    assert not are_scores_of("scores", 3, KNOWN.components)
