"""What is known at one moment: shares, labels as users call them, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from growmix import BadInput, NotLearnt
from growmix.learning.knowledge import Knowledge, listed
from known_points import DOMAIN, CodedPoint, point

NUMBERED = Knowledge((point(1), point(0)), (6, 2))
NAMED = Knowledge((point(0), point(1)), (4, 4), ("ant", "bee", "cat", "dog"))


def test_labels_ascend_and_shares_are_those_of_the_examples() -> None:
    assert NUMBERED.labels == (0, 1, 2, 3) and NUMBERED.classes().tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(NUMBERED.log_prior.exp(), torch.tensor([0.75, 0.25]))
    assert NUMBERED.domain() == DOMAIN and NUMBERED.target_shape is None


def test_labels_are_called_as_the_user_calls_them() -> None:
    assert NAMED.classes().tolist() == ["ant", "bee", "cat", "dog"]
    assert NAMED.competing(["dog", "ant"]) == [3, 0] and NUMBERED.competing([3, 0]) == [3, 0]
    assert NAMED.label("bee") == NUMBERED.label(np.int8(1)) == 1
    assert NAMED.as_called(torch.tensor([1, -1])).tolist() == ["bee", None]
    assert NAMED.all_called([3, 1]) == "['bee', 'dog']" and NUMBERED.all_called([3, 1]) == "[1, 3]"
    assert NAMED.competing(None) == NUMBERED.competing(None) == [0, 1, 2, 3]


@pytest.mark.parametrize("classes", [["eel"], ["ant", "ant"], [0], ["ant", None]])
def test_classes_that_were_not_learnt_or_come_twice_are_refused(classes: list[Any]) -> None:
    with pytest.raises(BadInput, match=r"^classes is .*; allowed are different labels among \['ant', 'bee'"):
        NAMED.competing(classes)


@pytest.mark.parametrize("label", [4, -1, 1.0, True, "1", None])
def test_a_label_that_was_not_learnt_is_refused(label: Any) -> None:
    with pytest.raises(BadInput, match=r"^label is .*; allowed are \[0, 1, 2, 3\]$"):
        NUMBERED.label(label)


@pytest.mark.parametrize("component", [2, -1, True, "0", None])
def test_a_component_that_is_not_there_is_refused(component: Any) -> None:
    assert NUMBERED.index(np.int64(1)) == 1
    with pytest.raises(BadInput, match=r"^component is .*; allowed are 0 to 1$"):
        NUMBERED.index(component)


def test_who_knows_nothing_or_no_labels_says_so() -> None:
    for ask in (Knowledge().learnt, Knowledge().domain, lambda: Knowledge().index(0), lambda: Knowledge().label(0)):
        with pytest.raises(NotLearnt, match="call learn"):
            ask()
    with pytest.raises(BadInput, match="learnt without labels"):
        Knowledge((CodedPoint(0.0, supervised=False),), (4,)).competing(None)


def test_a_copy_makes_its_own_router() -> None:
    assert NAMED.router is NAMED.router
    other = copy.copy(NAMED)
    assert other.router is not NAMED.router
    assert other.components == NAMED.components and other.names == NAMED.names


def test_several_values_are_given_as_a_list_an_array_or_a_set() -> None:
    assert listed(range(2), "classes") == listed(np.array([0, 1]), "classes") == listed({0, 1}, "classes") == [0, 1]
    for wrong in ([], {}, {0: 1}, "ab", iter([1]), 3, None, np.zeros((2, 2))):
        with pytest.raises(BadInput, match=r"^classes is .*; allowed is a list of one or more$"):
            listed(wrong, "classes")
