"""Ranks of new numbers among known ones: uniform for known data, whatever they are and whatever their mix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from growmix.errors import BadInput
from growmix.learning.ranks import (
    MOST_EXACT,
    Answered,
    critical_gap,
    examples_behind,
    gap_by_chance,
    gap_to_uniform,
    pooled_gap,
    rank_ranges,
    shares_of_references,
)

numbers = st.lists(st.integers(-8, 8).map(lambda i: i / 4) | st.floats(-50, 50, width=32), min_size=1, max_size=40)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def answered(new: Tensor, known: Tensor) -> Answered:
    return Answered(new, known.sort(dim=-1).values, torch.ones(new.shape[-1]))


@given(numbers, numbers)
def test_a_rank_lies_where_a_new_number_falls_among_the_known(new: list[float], known: list[float]) -> None:
    ordered = sorted(known)
    low, high = rank_ranges(torch.tensor([new]).double(), torch.tensor([ordered]).double())
    for each, below, above in zip(new, low[0].tolist(), high[0].tolist(), strict=True):
        assert below == sum(other < each for other in ordered) / (len(ordered) + 1)
        assert above == (sum(other <= each for other in ordered) + 1) / (len(ordered) + 1)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_the_gap_is_that_of_the_distribution_which_is_uniform_within_each_range(n: int, m: int, seed: int) -> None:
    low, high = rank_ranges(normal(2, n, seed=seed), normal(2, m, seed=seed + 100).sort(dim=-1).values)
    weight = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1
    weight /= weight.sum()
    at = torch.cat([low.flatten(), high.flatten()])
    for found, begins, ends in zip(gap_to_uniform(low, high, weight), low, high, strict=True):
        heights = ((at[:, None] - begins) / (ends - begins)).clamp(0, 1) @ weight
        assert float(found) == pytest.approx(float((heights - at).abs().max()), abs=1e-12)


@given(st.integers(1, 200))
def test_ranks_spread_evenly_have_no_gap_but_that_of_chance(n: int) -> None:
    edges = torch.linspace(0, 1, n + 1, dtype=torch.float64)[None]
    assert float(gap_to_uniform(edges[:, :-1], edges[:, 1:], torch.full((n,), 1 / n, dtype=torch.float64))) < 1e-12


def test_one_example_in_the_middle_is_nearer_than_one_at_the_end() -> None:
    known = torch.arange(99.0).double()[None]
    middle, end = (pooled_gap([answered(torch.tensor([[x]]).double(), known)]) for x in (49.0, 500.0))
    assert (middle, end) == (pytest.approx(0.49), pytest.approx(0.99))


@given(st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any), st.integers(5, 60))
def test_known_data_are_known_in_any_mix(times: list[int], m: int) -> None:
    """What is remembered of three unlike kinds, each so many times: the ranks of each are uniform, and so are all."""
    kinds = [normal(3, m, seed=k) * (k + 1) + 100 * k for k in range(3)]
    parts = [answered(kind.repeat(1, copies), kind) for kind, copies in zip(kinds, times, strict=True) if copies]
    assert pooled_gap(parts) <= 1 / (m + 1) + 1e-9
    if len(parts) == 1:  # against what they are all together, it would be far
        assert pooled_gap([answered(parts[0].new, torch.cat(kinds, dim=-1))]) > 0.3


def test_numbers_that_never_vary_are_no_news() -> None:
    assert pooled_gap([answered(torch.zeros(2, 50), torch.zeros(2, 9))]) < 1e-12
    assert pooled_gap([answered(torch.zeros(2, 50), torch.ones(2, 9))]) == pytest.approx(0.9)


@pytest.mark.parametrize("bad", [[], [math.nan], [0.0, math.inf]])
def test_numbers_that_are_none_are_refused(bad: list[float]) -> None:
    for parts in ((bad, [0.0]), ([0.0], bad)):
        new, known = (torch.tensor([part]).double() for part in parts)
        with pytest.raises(BadInput, match=r"new|reference"):
            pooled_gap([Answered(new, known, torch.ones(new.shape[-1]))])


@pytest.mark.parametrize("n", [1, 2, 4, 10, 25, 100, 500])
@pytest.mark.parametrize("level", [0.01, 0.01 / 26])
def test_the_critical_gap_is_scipys(n: int, level: float) -> None:
    assert critical_gap(n, level) == pytest.approx(stats.kstwo.isf(level, n), rel=2e-3)


def test_the_critical_gap_of_many_goes_on_where_the_exact_one_ends() -> None:
    assert critical_gap(MOST_EXACT + 1, 0.01) == pytest.approx(critical_gap(MOST_EXACT, 0.01), rel=0.02)


@pytest.mark.parametrize(("n", "m"), [(4, 100), (10, 30), (60, 40), (200, 10)])
def test_ranks_of_known_data_stay_within_chance_in_99_of_100_cases(n: int, m: int) -> None:
    allowed = gap_by_chance(n, m, 0.01)
    beyond = sum(
        pooled_gap([answered(normal(1, n, seed=2 * i), normal(1, m, seed=2 * i + 1))]) > allowed for i in range(400)
    )
    assert beyond <= 12  # 4 expected; above 12 has a chance of 0.001


def test_pooled_references_are_worth_the_examples_behind_them() -> None:
    assert examples_behind([1.0], [50]) == 50
    assert examples_behind([0.25] * 4, [50] * 4) == 200
    assert examples_behind([0.99, 0.01], [50, 1]) == 50
    assert examples_behind([0.5, 0.5], [1_000, 1]) == 3


@pytest.mark.parametrize("mix", [(0.5, 0.5), (0.9, 0.1), (0.0, 1.0)])
def test_one_class_met_in_two_looks_is_known_in_any_mix_of_them(mix: tuple[float, float]) -> None:
    looks = [normal(3, 400, seed=1), normal(3, 400, seed=2) + torch.tensor([[2.5], [0.0], [0.0]])]
    counts = [round(400 * share) for share in mix]
    fresh = [normal(3, 400, seed=3), normal(3, 400, seed=4) + torch.tensor([[2.5], [0.0], [0.0]])]
    new = torch.cat([look[:, :count] for look, count in zip(fresh, counts, strict=True)], dim=-1)
    shares = shares_of_references(new, looks, [400, 400])
    np.testing.assert_allclose(shares.sum(0), 1.0)
    np.testing.assert_allclose(shares.mean(1), mix, atol=0.05)
    parts = [Answered(new, look.sort(dim=-1).values, share) for look, share in zip(looks, shares, strict=True)]
    assert pooled_gap(parts) < 0.1
    assert pooled_gap([answered(new, torch.cat(looks, dim=-1))]) > 0.15 or mix == (0.5, 0.5)
