"""Classes of hypotheses have the members that they promise, and refuse examples of another shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from growmix.errors import BadInput
from growmix.theory.hypotheses import MLP, Conv, Linear, Trainable, half_planes, thresholds


def test_thresholds_say_1_at_and_above_their_place() -> None:
    x = torch.tensor([[-1.0], [0.0], [2.0]])
    found = thresholds([0.0, 2.0, 9.0])
    assert found.answers(x).tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert found.name == "3 thresholds"


def test_half_planes_have_every_direction_with_every_offset() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    answers = half_planes(2, [0.5, -0.5]).answers(x)  # to the right, then up
    assert answers.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("hypotheses", [Linear(), MLP(5), Conv(3)])
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 9), (2, 8, 8)])
def test_networks_take_any_image_and_give_as_many_outputs_as_were_asked_for(
    hypotheses: Trainable, shape: tuple[int, ...]
) -> None:
    assert hypotheses.network(shape, 6)(torch.zeros(2, *shape)).shape == (2, 6)


@pytest.mark.parametrize("shape", [(16,), (1, 3, 9), (1, 9, 3)])
def test_convolutions_are_for_images_that_are_large_enough(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="hypotheses of convolutions take"):
        Conv().network(shape, 2)


@pytest.mark.parametrize("size", [0, -1, True, 1.5])
def test_networks_have_a_whole_number_of_units(size: Any) -> None:
    for make, name in ((MLP, "hidden"), (Conv, "channels")):
        with pytest.raises(BadInput, match=f"{name} is {size!r}; allowed is a whole number of 1 or more"):
            make(size)


@pytest.mark.parametrize("make", [lambda: thresholds([]), lambda: half_planes(0, [0.0]), lambda: half_planes(3, [])])
def test_a_class_without_members_is_refused(make: object) -> None:
    with pytest.raises(BadInput, match=r"empty|directions is 0"):
        make()  # type: ignore[operator]
