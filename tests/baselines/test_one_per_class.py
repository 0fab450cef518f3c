"""A method with one component for each class: only the component of a class learns it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growmix.baselines.one_per_class import OnePerClass, shares
from growmix.errors import BadInput
from growmix.settings import Settings

QUICK = Settings(hidden=8, latent=2, epochs=1, batch_size=8)
X = np.random.default_rng(0).random((48, 1, 4, 4))


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.integers(0, 5_000))
def test_steps_are_shared_out_in_proportion_and_none_is_lost(examples: list[int], steps: int) -> None:
    found = shares(steps, examples)
    assert len(found) == len(examples) and min(found) >= 1
    exact = [steps * count / sum(examples) for count in examples]
    assert all(abs(share - wanted) <= 1 for share, wanted in zip(found, exact, strict=True))
    if min(exact) >= 2:
        assert sum(found) == steps


def test_only_the_networks_of_the_classes_of_a_task_learn() -> None:
    classifier = OnePerClass("generative-classifier", QUICK)
    assert classifier.learn((X, np.arange(48) % 2 * 3)).action == "grow"
    before = [[weight.clone() for weight in component.parameters()] for component in classifier.components]
    again = classifier.learn((X[:16], np.full(16, 3)))
    assert (again.action, again.component) == ("reuse", 1)
    mixed = classifier.learn((X, np.repeat([3, 9, 7], 16)))
    assert (mixed.action, mixed.component) == ("grow", 2)
    assert [component.classes for component in classifier.components] == [(0,), (3,), (7,), (9,)]
    same = [
        all(torch.equal(a, b) for a, b in zip(weights, component.parameters(), strict=True))
        for weights, component in zip(before, classifier.components, strict=False)
    ]
    assert same == [True, False]
    assert classifier.versions == (1, 3, 1, 1)


@pytest.mark.parametrize(("y", "without"), [(None, 48), (np.repeat([0, -1], [40, 8]), 8)])
def test_every_example_needs_a_label(y: np.ndarray | None, without: int) -> None:
    classifier = OnePerClass("generative-classifier", QUICK)
    with pytest.raises(BadInput, match=f"{without} of 48 examples without a label"):
        classifier.learn(X if y is None else (X, y))
    assert classifier.history == ()
