"""What a component remembers of its scores, and how that is carried over an update."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.errors import BadInput
from growmix.learning.novelty import ks_distance
from growmix.learning.references import MAX_QUANTILES, ReferenceStatistics, after_update


def tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(n: int, seed: int) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


def updated(known: ReferenceStatistics, before: Tensor, after: Tensor) -> ReferenceStatistics:
    return after_update({"elbo": known}, {"elbo": before}, {"elbo": after})["elbo"]


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
