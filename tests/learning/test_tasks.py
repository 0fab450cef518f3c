"""A task is checked against what was learnt before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from growmix import BadInput
from growmix.data.domain import Domain
from growmix.learning.knowledge import Knowledge
from growmix.learning.tasks import check_callbacks, domain_of, target_of, task_for
from growmix.training.callbacks import Callback
from known_points import DOMAIN, CodedPoint, point, task

X, Y = task(0, 4)
NUMBERED = Knowledge((point(0),), (8,))
NAMED = Knowledge((point(0),), (8,), ("ant", "bee"))
UNLABELLED = Knowledge((CodedPoint(0.0, supervised=False),), (8,))
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_names_get_the_numbers_that_they_have_here() -> None:
    found = task_for((X, ["cat", "bee", None, "bee"]), NAMED, None, None)
    assert found.y is not None and found.y.tolist() == [2, 1, -1, 1]
    assert found.names == ("ant", "bee", "cat")
    first = task_for((X, ["cat", "bee", None, "bee"]), Knowledge(), None, None)
    assert first.y is not None and first.y.tolist() == [0, 1, -1, 1] and first.names == ("cat", "bee")


def test_examples_alone_are_unlabelled_where_components_classify() -> None:
    for known, supervised in ((NUMBERED, None), (Knowledge(), True)):
        found = task_for(X, known, supervised, None)
        assert found.y is not None and found.y.tolist() == [-1] * 4
    for known, supervised in ((UNLABELLED, None), (Knowledge(), None), (Knowledge(), False)):
        assert task_for(X, known, supervised, None).y is None


@pytest.mark.parametrize(
    ("data", "known", "supervised", "said"),
    [
        ((X, ["ant"] * 4), NUMBERED, None, r"^y has names such as 'ant', but the labels learnt are numbers: \[0, 1\]$"),
        ((X, Y), NAMED, None, r"^y has numbers such as 0, but the labels learnt are names: \('ant', 'bee'\)$"),
        ((X, Y), UNLABELLED, None, r"^data has labels, but this mixture is unsupervised"),
        ((X, Y), Knowledge(), False, r"^data has labels, but this mixture is unsupervised"),
        ((IMAGES, 1 - IMAGES), Knowledge(), True, r"^supervised is True, but data are pairs of images"),
        (X[:, :1], NUMBERED, None, r"^x has 4 vectors of 1 numbers, but vectors of 2 numbers were learnt"),
    ],
)
def test_a_task_unlike_what_was_learnt_is_refused(
    data: Any, known: Knowledge, supervised: bool | None, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        task_for(data, known, supervised, None)


def test_all_components_have_the_domain_that_the_first_task_fixed() -> None:
    first = task_for((X + 1.0, Y), Knowledge(), None, None)
    assert domain_of(first, Knowledge()) == Domain((2,), "real", (1.0, 1.5), (1.0, 0.5))
    assert domain_of(first, NUMBERED) == DOMAIN
    assert target_of(first, DOMAIN) is None
    pairs = task_for((IMAGES, 1 - IMAGES.repeat(1, 3, 1, 1)), Knowledge(), None, None)
    assert target_of(pairs, domain_of(pairs, Knowledge())) == Domain((3, 8, 8), "unit")


def test_callbacks_come_in_a_list() -> None:
    given = [Callback()]
    assert check_callbacks(given) is given and check_callbacks(()) == ()
    for wrong in (Callback(), [Callback], [None], None, {Callback()}):
        with pytest.raises(BadInput, match=r"^callbacks is .*; allowed is a list of growmix.training.callbacks"):
            check_callbacks(wrong)
