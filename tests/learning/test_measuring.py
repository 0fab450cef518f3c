"""Scores under one component, the novelty that follows from them, and what is remembered."""

from __future__ import annotations

import torch

from growmix.data.task import TaskData
from growmix.learning.measuring import (
    GENERATED,
    held_out_elbo,
    new_record,
    novelty_to,
    samples_of,
    scores_of,
    updated_record,
)
from growmix.learning.novelty import MEASURES
from known_points import CodedPoint, Point, point, task

X = torch.tensor([[1.0, 0.0], [3.0, 1.0]])


def data(k: int) -> TaskData:
    x, y = task(k)
    return TaskData(x, y, support="real")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_only_codes_have_a_rate_and_numbers_of_their_own() -> None:
    assert {name: values.tolist() for name, values in scores_of(Point(0.0), X, 0).items()} == {"elbo": [-1.0, -9.0]}
    coded = {name: values.tolist() for name, values in scores_of(CodedPoint(0.0), X, 0).items()}
    assert coded == {"elbo": [-1.0, -9.0], "rate": [0.0, 0.0], "code0": [1.0, 3.0]}
    assert held_out_elbo(Point(0.0), TaskData(X, support="real"), 0) == -5.0


def test_samples_are_of_the_classes_asked_for_or_of_all() -> None:
    assert samples_of(point(1), (3,), generator()).tolist() == [[10.0, 1.0]] * GENERATED
    every = samples_of(point(1), (), generator())
    assert len(every) == GENERATED and 0.4 < float(every[:, 1].mean()) < 0.6


def test_novelty_is_0_where_data_are_known_and_1_where_no_score_is_shared() -> None:
    components = (point(0), point(1))
    records = [new_record(component, data(k), 8, 0) for k, component in enumerate(components)]
    for k in (0, 1):
        novelty, noise = novelty_to(components, records, data(k).x, MEASURES["ks"], 0, generator())
        assert novelty == ((0.0, 1.0) if k == 0 else (1.0, 0.0))
        assert noise == MEASURES["ks"].noise(8, 8, 3)  # the ELBO, the rate and one code


def test_a_first_record_is_of_what_was_held_out() -> None:
    record = new_record(point(1), data(1)[:6], 24, 0)
    assert (record.examples, record.version) == (24, 1)
    (reference,) = record.references
    assert (reference.count, reference.classes) == (6, (2, 3))
    assert reference.statistics["elbo"].mean == 0.0


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
