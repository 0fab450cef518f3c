"""Elastic weights are springs, one for every past task, as stiff as the task's losses depend on a weight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growmix import streams
from growmix.baselines import load, make_learner
from growmix.baselines.elastic_weights import ElasticWeights, fisher_information
from growmix.settings import Settings
from restrained import NOBODY, Line, cost, restrain, squares


def test_the_fisher_information_of_a_regression_is_the_mean_squared_gradient() -> None:
    w = torch.tensor([1.0, -1.0], requires_grad=True)
    inputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    found = fisher_information({"w": w}, (0.5 * (x @ w - 3.0) ** 2 for x in inputs))["w"]
    by_hand = ((inputs @ w.detach() - 3.0)[:, None] * inputs).square().mean(0)
    torch.testing.assert_close(found, by_hand)


def test_elastic_weights_cost_nothing_before_the_first_task_is_learnt() -> None:
    line = Line(1.0, 2.0)
    springs = restrain(ElasticWeights(1e6), line)
    with torch.no_grad():
        line.w += 5.0
    assert cost(springs) == 0.0


@given(
    st.lists(st.tuples(*[st.floats(-3, 3), st.floats(0, 4), st.floats(-3, 3), st.floats(0, 4)]), min_size=1, max_size=4)
)
def test_elastic_weights_pull_like_one_spring_for_every_task(tasks: list[tuple[float, ...]]) -> None:
    penalty, line = ElasticWeights(10.0), Line(0.0, 0.0)
    for a, f, b, g in tasks:
        with torch.no_grad():
            line.w.copy_(torch.tensor([a, b]))
        penalty = restrain(penalty, line).keep(squares(line, [f, g]))
    with torch.no_grad():
        line.w.copy_(torch.tensor([0.7, -1.3]))
    restrain(penalty, line).loss(torch.zeros(3), NOBODY).backward()
    by_hand = [
        10.0 * sum(f * (at - anchor) for anchor, f in pairs)
        for at, pairs in ((0.7, [(a, f) for a, f, _, _ in tasks]), (-1.3, [(b, g) for _, _, b, g in tasks]))
    ]
    torch.testing.assert_close(line.w.grad, torch.tensor(by_hand), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_elastic_weights_that_were_saved_and_read_go_on_with_the_losses_that_they_would_have_had(
    tmp_path: Path,
) -> None:
    stream = streams.load("split-digits")
    learner = make_learner("ewc", Settings(hidden=32, latent=4, epochs=3))
    for task in stream[:2]:
        learner.learn(task.train)
    learner.save(tmp_path / "saved")
    again = load(tmp_path / "saved", "ewc")
    for each in (learner, again):
        each.learn(stream[2].train)
    assert again.history[-1].log.losses == learner.history[-1].log.losses
