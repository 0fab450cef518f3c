"""Examples are centred and scaled, and brought back; the density keeps the unit of the data."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from growmix.components.scaling import Scaling
from growmix.data.domain import Domain


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5)], ids=["vectors", "channels"])
def test_scaled_examples_have_mean_0_and_deviation_1_and_come_back(shape: tuple[int, ...]) -> None:
    x: Tensor = torch.randn(200, *shape, generator=torch.Generator().manual_seed(0)) * 7 - 40
    scaling = Scaling(Domain(shape, "real").with_statistics(x))
    scaled = scaling(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(scaled.mean(1), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(scaled.std(1, unbiased=False), torch.ones(3))
    torch.testing.assert_close(scaling.undo(scaling(x)), x, rtol=1e-5, atol=1e-4)


def test_the_volume_is_that_of_every_number_of_an_example() -> None:
    domain = Domain((2, 3), "real", centre=(0.0, 0.0), scale=(2.0, 5.0))
    assert Scaling(domain).log_volume == pytest.approx(3 * (math.log(2.0) + math.log(5.0)))


def test_unit_support_is_left_alone_and_nothing_is_kept() -> None:
    x = torch.rand(4, 1, 2, 2)
    scaling = Scaling(Domain((1, 2, 2)))
    assert scaling(x) is x
    assert scaling.undo(x) is x
    assert scaling.log_volume == 0
    assert scaling.state_dict() == {}


def test_numbers_without_end_from_the_mean_count_as_far_from_it() -> None:
    domain = Domain((2,), "real").with_statistics(torch.tensor([[0.0, 1.0], [1.0, 5.0]]))
    scaled = Scaling(domain)(torch.tensor([[3e38, -3e38]]))
    assert scaled[0].tolist() == pytest.approx([1e12, -1e12])
    assert bool(scaled.square().sum().isfinite())
