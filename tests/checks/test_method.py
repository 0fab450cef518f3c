"""The contract suite of methods says which promise a method breaks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from growmix import BadInput
from growmix.checks.method import check_method, history_and_labels_are_those_of_the_tasks, no_verb_takes_labels

NUMBERS = torch.arange(4).numpy()


def learner(**changes: Any) -> Any:
    """Return what stands for a learner of two tasks of 40 examples, but for what a test changes."""
    frozen = nn.Linear(2, 2).requires_grad_(False)
    fine = {"history": (1, 2), "examples": 80, "classes_": NUMBERS, "log_prior": torch.tensor([0.5, 0.5]).log()}
    return SimpleNamespace(**{**fine, "components": (frozen,), **changes})


def test_what_is_no_learner_is_told_so_at_once() -> None:
    with pytest.raises(AssertionError, match=r"^make\(\) must return a Learner; it returned a SimpleNamespace$"):
        check_method(lambda: learner())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"history": (1,)}, "two tasks were learnt; the history has 1 entries"),
        ({"examples": 40}, "80 examples were learnt; examples is 40"),
        ({"classes_": NUMBERS[:2]}, r"the labels 0 to 3 were learnt; classes_ is \[0, 1\]"),
        ({"log_prior": torch.tensor([0.5, 0.25]).log()}, "the components' shares must sum to 1; they sum to 0.75"),
        ({"components": (nn.Linear(2, 2),)}, "components that answer must be frozen"),
    ],
)
def test_what_a_learner_says_of_itself_is_held_against_what_it_learnt(changes: dict[str, Any], said: str) -> None:
    history_and_labels_are_those_of_the_tasks(learner())
    with pytest.raises(AssertionError, match=said):
        history_and_labels_are_those_of_the_tasks(learner(**changes))


def test_a_verb_that_takes_labels_is_found() -> None:
    def refusing(x: Any) -> Any:
        raise BadInput("x has labels")

    verbs = dict.fromkeys(("predict", "predict_proba", "score_samples", "route"), refusing)
    no_verb_takes_labels(learner(**verbs))
    with pytest.raises(AssertionError, match=r"^route\(\) of examples with labels must raise growmix.BadInput"):
        no_verb_takes_labels(learner(**{**verbs, "route": lambda x: NUMBERS}))
