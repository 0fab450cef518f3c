"""All methods take as many steps on a task as a new component of the mixture does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from growmix.baselines import make_learner
from growmix.baselines.budget import check_images_alone, check_settings, equal_budget
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.settings import Settings

QUICK = Settings(hidden=8, latent=2, epochs=1, batch_size=10)


@pytest.mark.parametrize("name", ["joint", "generative-classifier"])
def test_a_method_takes_the_steps_of_a_new_component_of_the_mixture(name: str) -> None:
    task = (np.random.default_rng(0).random((60, 1, 4, 4)), np.arange(60) % 2)
    steps = []
    for learner in (make_learner("mixture", QUICK), make_learner(name, QUICK)):
        learner.learn(task)
        steps.append(learner.history[0].log.steps)
    assert steps[0] == steps[1] == equal_budget(QUICK, 60).steps


def test_a_method_that_holds_nothing_out_takes_no_step_more_for_it() -> None:
    for holdout, steps in ((0.5, 50), (0.1, 90)):
        assert equal_budget(QUICK.replace(holdout=holdout), 1_000).steps == steps


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (QUICK.replace(sharing="trunk"), "sharing is 'trunk'; allowed for the method 'er' is none"),
        (QUICK.replace(patience=3), "patience is 3; allowed for the method 'er' is nothing"),
    ],
)
def test_what_would_make_budgets_unequal_is_refused(settings: Settings, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        check_settings("er", settings)
    check_settings("er", QUICK)


def test_pairs_are_for_the_mixture_alone() -> None:
    x = torch.zeros(4, 1, 2, 2)
    with pytest.raises(BadInput, match="pairs of images, which the method 'er' can't learn; 'mixture' can"):
        check_images_alone("er", TaskData(x, target=x))
    check_images_alone("er", TaskData(x))
