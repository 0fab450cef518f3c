"""What is seen of examples under one component, and what is remembered of them."""

from __future__ import annotations

import torch
from torch import Tensor

from growmix.data.task import TaskData
from growmix.learning.measuring import (
    GENERATED,
    held_out_elbo,
    new_record,
    samples_of,
    seen_by,
    updated_record,
)
from known_points import CodedPoint, Point, point, task

X = torch.tensor([[1.0, 0.0], [3.0, 1.0]])


def data(k: int) -> TaskData:
    x, y = task(k)
    return TaskData(x, y, support="real")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_only_what_describes_examples_has_numbers_beside_the_score() -> None:
    seen = seen_by(Point(0.0), X, 0)
    assert {name: values.tolist() for name, values in seen.scores.items()} == {"elbo": [-1.0, -9.0]}
    assert seen.labels.tolist() == [-1, -1]
    coded = {name: values.tolist() for name, values in seen_by(CodedPoint(0.0), X, 0).scores.items()}
    assert coded == {"elbo": [-1.0, -9.0], "rate": [0.0, 0.0], "code0": [1.0, 3.0]}
    assert held_out_elbo(Point(0.0), TaskData(X, support="real"), 0) == -5.0


def test_the_class_is_the_one_that_the_component_gives() -> None:
    assert seen_by(Point(0.0, (7, 5)), X, 0).labels.tolist() == [7, 5]


def test_samples_are_of_the_classes_asked_for_or_of_all() -> None:
    assert samples_of(point(1), (3,), generator()).tolist() == [[10.0, 1.0]] * GENERATED
    every = samples_of(point(1), (), generator())
    assert len(every) == GENERATED and 0.4 < float(every[:, 1].mean()) < 0.6


def test_a_first_record_is_of_what_was_held_out() -> None:
    record = new_record(point(1), data(1)[:6], 24, 0)
    assert (record.examples, record.version) == (24, 1)
    (reference,) = record.references
    assert (reference.count, reference.classes) == (6, (2, 3))
    assert reference.statistics["elbo"].mean == 0.0
    assert [(answer.label, answer.count) for answer in reference.answers] == [(2, 3), (3, 3)]
    assert reference.answers[0].quantiles.tolist() == [[0.0] * 3] * 3


def test_classes_are_those_answered_never_those_given() -> None:
    wrong = TaskData(data(1).x, torch.full((8,), 2), support="real")
    (reference,) = new_record(point(1), wrong, 24, 0).references
    assert reference.classes == (2,)
    assert [(answer.label, answer.count) for answer in reference.answers] == [(2, 4), (3, 4)]


def test_without_classes_a_task_has_one_reference() -> None:
    (reference,) = new_record(CodedPoint(10.0, supervised=False), data(1), 24, 0).references
    assert reference.answers == ()


def test_an_update_moves_what_was_remembered_as_samples_moved_and_adds_what_was_measured() -> None:
    teacher, moved = CodedPoint(0.0, (0,)), CodedPoint(2.0, (0, 1))
    old = new_record(teacher, TaskData(X[:1].repeat(4, 1), torch.zeros(4, dtype=torch.int64), support="real"), 8, 0)
    held = TaskData(torch.tensor([[2.0, 1.0]] * 4), torch.ones(4, dtype=torch.int64), support="real")
    record = updated_record(old, teacher, moved, held, 20, 0, generator())
    assert (record.examples, record.version) == (28, 2)
    before, new = record.references
    assert (before.classes, new.classes) == ((0,), (1,))
    # samples lie at 0: their ELBO went from 0 to -4, their code from 0 to -2; the old data's ELBO was -1, their code 1
    assert (before.statistics["elbo"].mean, before.statistics["code0"].mean) == (-5.0, -1.0)
    assert (new.statistics["elbo"].mean, new.count) == (0.0, 4)
    (answer,) = before.answers
    assert (answer.label, answer.quantiles[:, 0].tolist()) == (0, [-5.0, 0.0, -1.0])


def test_an_update_moves_each_class_as_its_own_samples_moved() -> None:
    teacher = point(0)

    class Bent(CodedPoint):
        """Scores examples of the second class ten nats lower than a point does."""

        def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
            elbo, log_proba = super().score(x)
            return elbo - 10.0 * log_proba.argmax(1), log_proba

    bent = Bent(0.0, (0, 1))
    record = updated_record(new_record(teacher, data(0), 8, 0), teacher, bent, data(0), 8, 0, generator())
    first, second = record.references[0].answers
    assert (first.quantiles[0, 0], second.quantiles[0, 0]) == (0.0, -10.0)
