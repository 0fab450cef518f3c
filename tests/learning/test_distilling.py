"""What a student is taught: how much, of what, with which soft labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from growmix import BadInput, NotLearnt, Settings
from growmix.components.construction import NARROWEST, make_blueprint, make_kind, student_kind
from growmix.data.domain import Domain
from growmix.learning.answers import class_probabilities
from growmix.learning.distilling import (
    FEWEST,
    MOST,
    MOST_DENOISED,
    distill,
    lessons_for,
    lessons_of,
    sized,
    soft_labels,
)
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
    for asked, denoised in ((None, MOST_DENOISED), (7, 7)):
        settings = Settings(component="denoiser", student_examples=asked)
        assert lessons_for(settings, learnt, classes, components) == groups * denoised


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


def teacher_of(components: int) -> tuple[Settings, Knowledge]:
    """Return untrained components of one class each, and the settings that they were made by."""
    settings = Settings(blueprint="conv", width=16)
    kind = make_kind(settings, make_blueprint(settings))
    made = [kind.new(Domain((1, 8, 8)), supervised=True, generator=torch.Generator()) for _ in range(components)]
    for k, component in enumerate(made):
        component.add_classes([k], torch.Generator())
    return settings, Knowledge(tuple(made), (1,) * components)


def size_of(settings: Settings, teacher: Knowledge, width: int) -> int:
    kind = student_kind(settings.replace(student_width=width))
    student = kind.new(teacher.domain(), supervised=True, generator=torch.Generator())
    student.add_classes(teacher.labels, torch.Generator())
    return sum(weight.numel() for weight in student.parameters())


def test_a_convolutional_student_is_as_wide_as_a_fifth_of_its_teacher_allows() -> None:
    settings, teacher = teacher_of(4)
    whole = sum(weight.numel() for component in teacher.components for weight in component.parameters())
    width = sized(settings, teacher, 0, None).student_width
    assert width is not None and NARROWEST < width < settings.width
    assert size_of(settings, teacher, width) <= whole / 5 < size_of(settings, teacher, width + 1)
    wider = sized(settings, teacher, whole, None).student_width
    assert wider is not None and wider > width  # what components share counts
    assert sized(settings, Knowledge(teacher.components[:1], (1,)), 0, None).student_width == NARROWEST


def test_a_width_that_was_set_and_a_fully_connected_student_stay() -> None:
    settings, teacher = teacher_of(1)
    for kept in (settings.replace(student_width=99), settings.replace(student_blueprint="mlp"), Settings()):
        assert sized(kept, teacher, 0, None) == kept
