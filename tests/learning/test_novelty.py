"""The measures as pure functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from growmix import GrowingMixture
from growmix.errors import BadInput
from growmix.learning.novelty import (
    MEASURES,
    NoveltyMeasure,
    checked,
    ks_distance,
    ks_distances,
    ks_noise,
    mean_gap,
    standardised_mean_difference,
)
from growmix.learning.references import ReferenceStatistics

# quarters, so that ties within and between samples are common
quarters = st.integers(-40, 40).map(lambda i: i / 4)
samples = st.lists(st.one_of(quarters, st.floats(-1e3, 1e3, width=32)), min_size=1, max_size=60)


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


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


@pytest.mark.parametrize("member", ["distance", "noise"])
@pytest.mark.parametrize("value", [None, "far", math.nan, -1.0], ids=str)
def test_a_measure_that_returns_no_number_is_refused_by_its_name_and_member(member: str, value: Any) -> None:
    measure = MEASURES["ks"]
    assert checked(measure, member, 0.25) == 0.25
    with pytest.raises(BadInput, match=rf"measure 'ks' returned .* from {member}\(\); allowed is a number"):
        checked(measure, member, value)


def test_learning_refuses_such_a_measure_and_changes_nothing() -> None:
    class Wrong(NoveltyMeasure):
        name = "wrong"
        default_threshold = 0.5

        def distance(self, new: Any, reference: Any) -> Any:
            return None

        def noise(self, n: int, m: int, scores: int) -> float:
            return 0.0

    x = np.random.default_rng(0).random((40, 3))
    mixture = GrowingMixture("mlp", novelty=Wrong(), hidden=4, latent=2, epochs=1, device="cpu")
    mixture.learn(x)
    with pytest.raises(BadInput, match=r"'wrong' returned None from distance\(\)"):
        mixture.learn(x)
    assert len(mixture.history) == 1
