"""What a student is taught: how much, of what, with which soft labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from growmix import BadInput, NotLearnt, Settings
from growmix.learning.answers import class_probabilities
from growmix.learning.distilling import FEWEST, MOST, distill, lessons_for, lessons_of, soft_labels
from growmix.learning.knowledge import Knowledge
from known_points import CodedPoint, point

TEACHER = Knowledge((point(0), point(1)), (8, 24))
X = torch.tensor([[0.0, 0.0], [10.0, 1.0], [5.0, 0.5]])
NOTHING: Any = None  # no fabric is asked for before there is something to teach


@pytest.mark.parametrize(
    ("learnt", "classes", "components", "each"),
    [(10, 2, 1, FEWEST), (10_000, 2, 1, 5_000), (10**6, 2, 1, MOST), (10_000, 0, 2, 5_000), (10_000, 1, 2, 5_000)],
)
def test_lessons_are_as_many_as_were_learnt_of_each_within_limits(
    learnt: int, classes: int, components: int, each: int
) -> None:
    groups = max(classes, components)
    assert lessons_for(Settings(), learnt, classes, components) == groups * each
    assert lessons_for(Settings(student_examples=7), learnt, classes, components) == groups * 7


def test_every_class_of_every_component_is_taught_alike() -> None:
    lessons = lessons_of(TEACHER, Settings(student_examples=5), torch.Generator().manual_seed(0))
    assert lessons.y is not None and torch.bincount(lessons.y).tolist() == [5, 5, 5, 5]
    assert torch.equal(lessons.y, (lessons.x[:, 0] / 5 + lessons.x[:, 1]).long())
    unlabelled = Knowledge((CodedPoint(0.0, supervised=False), CodedPoint(1.0, supervised=False)), (8, 24))
    lessons = lessons_of(unlabelled, Settings(student_examples=5), torch.Generator().manual_seed(0))
    assert lessons.x[:, 0].tolist() == [0.0] * 5 + [1.0] * 5 and not lessons.classes()


def test_soft_labels_are_the_teachers_own_at_temperature_1_and_more_even_above() -> None:
    own = soft_labels(TEACHER, X, (0, 1, 2, 3), 1.0, 0)
    torch.testing.assert_close(own, class_probabilities(TEACHER, X, 0, None, (0, 1, 2, 3)))
    hot = soft_labels(TEACHER, X, (0, 1, 2, 3), 50.0, 0)
    torch.testing.assert_close(hot.sum(1), torch.ones(3))
    assert bool((hot.max(1).values < own.max(1).values).all())


def test_soft_labels_have_the_students_columns() -> None:
    own = soft_labels(TEACHER, X, (0, 1, 2, 3), 2.0, 0)
    torch.testing.assert_close(soft_labels(TEACHER, X, (3, 1, 0, 2), 2.0, 0), own[:, [3, 1, 0, 2]])
    assert soft_labels(TEACHER, X, (), 2.0, 0).shape == (3, 0)


def test_nothing_can_be_taught_of_nothing_or_to_no_listener() -> None:
    with pytest.raises(NotLearnt, match="so there is nothing to teach"):
        distill(Knowledge(), Settings(), NOTHING, 0)
    with pytest.raises(BadInput, match="callbacks is"):
        distill(TEACHER, Settings(), NOTHING, 0, callbacks=[print])  # type: ignore[list-item]
