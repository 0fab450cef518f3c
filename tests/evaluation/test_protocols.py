"""The four ways of asking for a label, worked out by hand for two components and three examples."""

from __future__ import annotations

import torch
from torch import Tensor

from growmix.evaluation.protocols import Answers, answer, compare
from growmix.learning.routing import ComponentScores

CLASSES = ((0, 1), (1, 2))
ELBO = torch.tensor([[0.0, -30.0], [0.0, -30.0], [-30.0, 0.0]])
SAYS = (torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]).log(), torch.tensor([[0.3, 0.7]] * 3).log())
EQUAL = torch.tensor([0.5, 0.5]).log()


def tolist(labels: Tensor | None) -> list[int] | None:
    return None if labels is None else labels.tolist()


def test_each_protocol_asks_its_own_components_and_classes() -> None:
    found = answer(ComponentScores(ELBO, SAYS), EQUAL, CLASSES, owners=[1], task_classes=[1, 2])
    assert tolist(found.task_aware) == [2, 2, 2]  # the second component alone, whose likeliest class is 2
    assert tolist(found.task_agnostic) == [0, 1, 2]  # whichever component explains the example
    assert tolist(found.grouped) == [0, 1, 0]  # the first explains two of three, so it answers for all
    assert found.route.tolist() == [0, 0, 1]


def test_only_classes_of_the_task_compete_where_the_task_is_given() -> None:
    found = answer(ComponentScores(ELBO, SAYS), EQUAL, CLASSES, owners=[1], task_classes=[0, 1])
    assert tolist(found.task_aware) == [1, 1, 1]  # 0 is unknown to the owner, 2 is none of the task's


def test_where_no_class_competes_there_is_no_answer() -> None:
    silent = ComponentScores(ELBO, (torch.zeros(3, 0), torch.zeros(3, 0)))
    found = answer(silent, EQUAL, ((), ()), owners=[0], task_classes=[])
    assert (found.task_aware, found.task_agnostic, found.grouped) == (None, None, None)
    assert found.route.tolist() == [0, 0, 1]
    before = answer(ComponentScores(ELBO, SAYS), EQUAL, CLASSES, owners=[], task_classes=[0])
    assert before.task_aware is None and before.task_agnostic is not None


def test_the_prior_decides_between_components_that_explain_alike() -> None:
    alike = ComponentScores(torch.zeros(3, 2), SAYS)
    for log_prior, chosen in ((torch.tensor([0.6, 0.4]).log(), 0), (torch.tensor([0.4, 0.6]).log(), 1)):
        assert answer(alike, log_prior, CLASSES, [0], [0]).route.tolist() == [chosen] * 3


def test_shares_of_right_answers_are_of_labelled_examples_and_selection_is_of_all() -> None:
    given = Answers(torch.tensor([1, 1, 1]), torch.tensor([0, 1, 2]), None, route=torch.tensor([0, 0, 1]))
    right = compare(given, torch.tensor([0, -1, 1]), owners=[0])
    assert (right.task_aware, right.task_agnostic, right.selection, right.grouped) == (0.5, 0.5, 2 / 3, None)
    for labels in (None, torch.tensor([-1, -1, -1])):
        right = compare(given, labels, owners=[])
        assert (right.task_aware, right.task_agnostic, right.selection, right.grouped) == (None,) * 4
