"""Limits are where what they bound ends."""

from __future__ import annotations

import pytest
import torch

from growmix.data.task import check_task
from growmix.errors import BadInput
from growmix.learning.holdout import held_out_size
from growmix.settings import Settings
from growmix.settings.limits import COUNTABLE, DEVICES, MIN_EXAMPLES, MOST_LAYERS, MOST_UNITS
from growmix.training.fabric import place_of


def test_the_largest_count_is_the_largest_number_that_a_tensor_holds() -> None:
    assert int(torch.tensor(COUNTABLE)) == COUNTABLE == torch.iinfo(torch.int64).max


def test_the_smallest_task_leaves_one_example_to_hold_out_and_three_to_train_on() -> None:
    assert held_out_size(MIN_EXAMPLES, 0.1) == 1
    x = torch.rand(MIN_EXAMPLES, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert len(check_task(x, None, None)) == MIN_EXAMPLES
    with pytest.raises(BadInput, match=f"{MIN_EXAMPLES - 1} examples"):
        check_task(x[1:], None, None)


@pytest.mark.parametrize(("name", "most"), [("hidden", MOST_UNITS), ("latent", MOST_UNITS), ("depth", MOST_LAYERS)])
def test_a_size_is_allowed_up_to_its_limit(name: str, most: int) -> None:
    assert getattr(Settings(**{name: most}), name) == most
    with pytest.raises(BadInput, match=f"{name} is {most + 1}; allowed is a whole number from 1 to {most:,}"):
        Settings(**{name: most + 1})


def test_no_device_but_those_listed_can_be_asked_for() -> None:
    with pytest.raises(BadInput, match=f"device 'abacus' can't be used here; allowed are {', '.join(DEVICES)}"):
        place_of(Settings(device="abacus"))
