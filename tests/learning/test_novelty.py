"""The measures as pure functions, and what a component remembers of its scores."""

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
from growmix.learning.novelty import (
    MEASURES,
    ks_distance,
    ks_distances,
    ks_noise,
    mean_gap,
    standardised_mean_difference,
)
from growmix.learning.references import MAX_QUANTILES, ReferenceStatistics, after_update

# quarters, so that ties within and between samples are common
quarters = st.integers(-40, 40).map(lambda i: i / 4)
samples = st.lists(st.one_of(quarters, st.floats(-1e3, 1e3, width=32)), min_size=1, max_size=60)


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def updated(known: ReferenceStatistics, before: Tensor, after: Tensor) -> ReferenceStatistics:
    return after_update({"elbo": known}, {"elbo": before}, {"elbo": after})["elbo"]


def gap(new: Tensor, known: Tensor) -> float:
    return mean_gap({"elbo": new}, {"elbo": ReferenceStatistics.of(known)})


def normal(n: int, seed: int) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # scipy's p-value, which nobody asked for
@given(samples, samples)
def test_ks_is_scipys(new: list[float], reference: list[float]) -> None:
    expected = stats.ks_2samp(new, reference, method="asymp").statistic
    assert ks_distance(tensor(new), tensor(reference)) == pytest.approx(expected, abs=1e-12)


@given(samples, samples)
def test_ks_is_symmetric_within_0_and_1_and_0_on_itself(a: list[float], b: list[float]) -> None:
    found = ks_distance(tensor(a), tensor(b))
    assert 0.0 <= found <= 1.0
    assert found == ks_distance(tensor(b), tensor(a))
    assert ks_distance(tensor(a), tensor(a[::-1])) == 0.0
    assert ks_distance(tensor(a), tensor(a + a)) == 0.0


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_many_distances_at_once_are_each_as_alone(rows: int, n: int, m: int, seed: int) -> None:
    new, reference = normal(rows * n, seed).view(rows, n), normal(rows * m, seed + 100).view(rows, m)
    assert ks_distances(new, reference).tolist() == [ks_distance(a, b) for a, b in zip(new, reference, strict=True)]


@given(samples, samples, st.sampled_from([0.125, 8.0]))
def test_ks_has_no_unit(a: list[float], b: list[float], unit: float) -> None:
    assert ks_distance(unit * tensor(a), unit * tensor(b)) == ks_distance(tensor(a), tensor(b))


@given(samples, samples, samples)
def test_ks_satisfies_the_triangle_inequality(a: list[float], b: list[float], c: list[float]) -> None:
    direct = ks_distance(tensor(a), tensor(c))
    assert direct <= ks_distance(tensor(a), tensor(b)) + ks_distance(tensor(b), tensor(c)) + 1e-12


@pytest.mark.parametrize("bad", [[], [math.nan], [0.0, math.inf]])
def test_ks_refuses_samples_that_are_none(bad: list[float]) -> None:
    with pytest.raises(BadInput, match="new"):
        ks_distance(tensor(bad), tensor([0.0]))
    with pytest.raises(BadInput, match="reference"):
        ks_distance(tensor([0.0]), tensor(bad))


@pytest.mark.parametrize(("n", "m"), [(200, 300), (1_000, 1_000)])
def test_the_noise_is_scipys_critical_value_at_one_per_cent(n: int, m: int) -> None:
    assert stats.kstwobign.sf(ks_noise(n, m) * math.sqrt(n * m / (n + m))) == pytest.approx(0.01, abs=2e-4)


@given(st.floats(-1e3, 1e3), st.floats(0.01, 1e3), st.floats(-1e3, 1e3), st.floats(0.01, 1e3))
def test_the_standardised_difference_is_symmetric_and_has_no_unit(a: float, va: float, b: float, vb: float) -> None:
    found = standardised_mean_difference(a, va, b, vb)
    assert found == standardised_mean_difference(b, vb, a, va)
    assert found == pytest.approx(abs(a - b) / math.sqrt((va + vb) / 2))
    assert standardised_mean_difference(4 * a, 16 * va, 4 * b, 16 * vb) == pytest.approx(found)
    assert standardised_mean_difference(a, va, a, va) == 0.0


def test_two_constants_are_alike_or_infinitely_apart() -> None:
    assert standardised_mean_difference(1.0, 0.0, 1.0, 0.0) == 0.0
    assert standardised_mean_difference(1.0, 0.0, 2.0, 0.0) == math.inf
    zeros = {"elbo": ReferenceStatistics.of(torch.zeros(3))}
    apart = MEASURES["smd"].distance({"elbo": torch.ones(3)}, zeros)
    assert math.isfinite(apart)  # a decision is kept as JSON


@given(samples, samples)
def test_the_papers_measure_is_the_gap_between_means_in_nats(a: list[float], b: list[float]) -> None:
    found = gap(tensor(a), tensor(b))
    assert found == pytest.approx(abs(np.mean(a) - np.mean(b)), abs=1e-9)
    assert found == gap(tensor(b), tensor(a))


def test_means_of_large_scores_keep_their_digits() -> None:
    a = torch.full((3_000,), -12_345.67)  # a sum in single precision would lose them
    statistics = ReferenceStatistics.of(a)
    assert statistics.mean == pytest.approx(float(a[0]), rel=1e-9)
    assert statistics.variance == pytest.approx(0.0, abs=1e-9)
    assert gap(a, a[:1]) == pytest.approx(0.0, abs=1e-6)


@given(st.integers(1, MAX_QUANTILES))
def test_up_to_256_scores_are_kept_as_they_are(n: int) -> None:
    scores = normal(n, seed=n)
    statistics = ReferenceStatistics.of(scores)
    assert statistics.quantiles == tuple(scores.double().sort().values.tolist())
    assert statistics.count == n
    assert statistics.mean == pytest.approx(float(scores.double().numpy().mean()))
    assert statistics.variance == pytest.approx(float(scores.double().numpy().var()))


@given(st.integers(MAX_QUANTILES + 1, 3_000), st.integers(0, 100), st.booleans())
def test_thinning_moves_no_distance_by_more_than_1_in_512(n: int, seed: int, ties: bool) -> None:
    scores, new = normal(n, seed).double(), normal(70, seed + 1_000).double() + 0.3
    if ties:
        scores, new = (4 * scores).round() / 4, (4 * new).round() / 4
    statistics = ReferenceStatistics.of(scores)
    kept = tensor(list(statistics.quantiles))
    assert len(kept) == MAX_QUANTILES
    assert ks_distance(kept, scores) <= 1 / 512 + 1e-12
    assert abs(ks_distance(new, kept) - ks_distance(new, scores)) <= 1 / 512 + 1e-12
    assert statistics.count == n


@pytest.mark.parametrize("generated", [50, 256, 1_000])
@pytest.mark.parametrize("held_out", [2, 50, 1_000])
def test_an_update_that_leaves_the_samples_scores_alone_leaves_the_statistics_alone(
    held_out: int, generated: int
) -> None:
    samples = normal(generated, seed=1) + 3.0
    statistics = ReferenceStatistics.of(normal(held_out, seed=0))
    after = updated(statistics, samples, samples[torch.randperm(generated)])
    np.testing.assert_allclose(after.quantiles, statistics.quantiles, rtol=0, atol=1e-9)
    assert after.count == statistics.count


@given(st.floats(-50, 50))
def test_an_update_that_moves_every_sample_moves_the_reference_as_far(shift: float) -> None:
    samples = normal(200, seed=1).double() + 3.0
    statistics = ReferenceStatistics.of(normal(120, seed=0))
    after = updated(statistics, samples, samples + shift)
    np.testing.assert_allclose(after.quantiles, np.array(statistics.quantiles) + shift, rtol=0, atol=1e-9)
    assert after.mean == pytest.approx(statistics.mean + shift, abs=1e-9)


def test_an_update_is_measured_on_other_populations_without_bias() -> None:
    # the samples need not be like the data: only what the update did to them counts
    statistics = ReferenceStatistics.of(normal(500, seed=0))
    samples = torch.cat([normal(300, seed=1) - 40.0, normal(300, seed=2)])
    assert updated(statistics, samples, samples).mean == pytest.approx(statistics.mean, abs=0.01)


def test_references_keep_no_scores_beyond_256() -> None:
    statistics = ReferenceStatistics.of(normal(5_000, 0))
    again = updated(statistics, normal(5_000, 1), normal(5_000, 2))
    for found in (statistics, again):
        assert len(found.quantiles) == MAX_QUANTILES
        assert list(found.quantiles) == sorted(found.quantiles)


def test_a_reference_needs_scores() -> None:
    with pytest.raises(BadInput, match="scores"):
        ReferenceStatistics.of(torch.zeros(0))
