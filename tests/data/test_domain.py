"""What a domain says of examples, and how it centres and scales them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growmix.data.domain import Domain, Shape

SHAPES = [(5,), (3, 4, 2), (1, 2, 2)]


@pytest.mark.parametrize(
    ("domain", "size", "is_image"),
    [
        (Domain((1, 28, 28)), 784, True),
        (Domain((3, 8, 8), "real"), 192, False),
        (Domain((64,), "unit"), 64, False),
        (Domain((64,), "real"), 64, False),
    ],
)
def test_only_three_axes_of_pixels_are_an_image(domain: Domain, size: int, is_image: bool) -> None:
    assert (domain.size, domain.is_image) == (size, is_image)


def test_generated_numbers_are_brought_into_the_support() -> None:
    values = torch.tensor([[-1.0, 0.5, 2.0]])
    assert Domain((3,), "unit").project(values).tolist() == [[0.0, 0.5, 1.0]]
    assert torch.equal(Domain((3,), "real").project(values), values)
    infinite = torch.tensor([[float("inf"), -float("inf"), 1.0]])
    assert bool(Domain((3,), "real").project(infinite).isfinite().all())


@given(st.sampled_from(SHAPES), st.integers(0, 100), st.floats(-100, 100), st.floats(0.01, 100))
def test_the_first_task_has_mean_0_and_deviation_1_along_its_first_axis(
    shape: Shape, seed: int, shift: float, spread: float
) -> None:
    x = np.random.default_rng(seed).normal(shift, spread, (50, *shape)).astype(np.float32)
    domain = Domain(shape, "real").with_statistics(torch.from_numpy(x))
    axes = (0, *range(2, 1 + len(shape)))
    np.testing.assert_allclose(domain.centre, x.mean(axes, dtype=float), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(domain.scale, x.std(axes, dtype=float), rtol=1e-6)


def test_unit_numbers_have_no_statistics() -> None:
    x = torch.rand(9, 1, 2, 2)
    domain = Domain((1, 2, 2)).with_statistics(x)
    assert domain == Domain((1, 2, 2))


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 3e38, 1e-40])
def test_what_is_the_same_in_all_examples_is_centred_and_not_scaled(value: float) -> None:
    x = torch.full((1_000, 2), value)
    x[:, 1] = torch.arange(1_000)
    domain = Domain((2,), "real").with_statistics(x)
    assert domain.scale[0] == 1.0
    assert domain.centre[0] == float(x[0, 0])


@pytest.mark.parametrize("low", [-3e38, 0.0, 2.9e38])
def test_statistics_of_huge_and_tiny_numbers_are_finite(low: float) -> None:
    x = torch.tensor([[low, 0.0], [3e38, 1e-45]])
    domain = Domain((2,), "real").with_statistics(x)
    assert np.isfinite([*domain.centre, *domain.scale]).all()
    assert min(torch.tensor(domain.scale, dtype=torch.float32)) > 0


@pytest.mark.parametrize(("centre", "scale"), [(1e300, 1.0), (0.0, 1e-300), (0.0, 1e300), (0.0, 0.0), (np.nan, 1.0)])
def test_statistics_that_single_precision_can_not_hold_are_refused(centre: float, scale: float) -> None:
    Domain((1,), "real", (3e38,), (3e38,)).check(10)
    with pytest.raises(ValueError, match="centres or scales that no data have"):
        Domain((1,), "real", (centre,), (scale,)).check(10)
