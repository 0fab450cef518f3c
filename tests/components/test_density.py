"""The ex-post density recovers what it was fitted to, also where there is hardly anything to fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.components.density import MAX_FIT, MIN_PER_GAUSSIAN, RIDGE, LatentDensity, no_labels, prior_codes


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def known_codes(n: int = 3_000) -> tuple[Tensor, Tensor]:
    """Two Gaussians of known mean and covariance, one per class."""
    noise = torch.randn(n, 2, generator=stream())
    owner = torch.arange(n) % 2
    factors = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.3, 0.0], [0.0, 2.0]]])
    means = torch.tensor([[-4.0, 0.0], [5.0, 1.0]])
    return means[owner] + (factors[owner] @ noise[:, :, None])[:, :, 0], owner


def test_the_means_and_covariances_of_each_class_are_recovered() -> None:
    codes, owner = known_codes()
    density = LatentDensity.fit(codes, owner, gaussians=1, seed=0)
    assert density.owner.tolist() == [0, 1]
    torch.testing.assert_close(density.mean, torch.tensor([[-4.0, 0.0], [5.0, 1.0]]), rtol=0, atol=0.25)
    covariance = density.scale @ density.scale.mT
    expected = torch.tensor([[[1.0, 0.8], [0.8, 1.0]], [[0.09, 0.0], [0.0, 4.0]]])
    torch.testing.assert_close(covariance, expected, rtol=0.1, atol=0.1)


def test_a_mixture_within_a_class_is_found_with_its_weights() -> None:
    centres = torch.tensor([[-5.0, 0.0], [5.0, 0.0], [0.0, 8.0]])
    which = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 2_000, replacement=True, generator=stream())
    codes = centres[which] + 0.5 * torch.randn(2_000, 2, generator=stream(1))
    density = LatentDensity.fit(codes, no_labels(2_000), gaussians=3, seed=0)
    order = torch.cdist(centres, density.mean).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    torch.testing.assert_close(density.mean[order], centres, rtol=0, atol=0.15)
    torch.testing.assert_close(density.weight[order], torch.tensor([0.5, 0.3, 0.2]), rtol=0, atol=0.04)


@pytest.mark.parametrize("gaussians", [1, 5])
def test_samples_have_the_moments_of_the_codes_of_the_class_asked_for(gaussians: int) -> None:
    codes, owner = known_codes()
    density = LatentDensity.fit(codes, owner, gaussians, seed=0)
    for label in (0, 1):
        drawn = density.sample(torch.full((20_000,), label), stream(2))
        own = codes[owner == label]
        torch.testing.assert_close(drawn.mean(0), own.mean(0), rtol=0, atol=0.1)
        torch.testing.assert_close(drawn.T.cov(), own.T.cov(), rtol=0.1, atol=0.1)


def test_every_row_gets_its_own_class() -> None:
    codes, owner = known_codes()
    density = LatentDensity.fit(codes, owner, 3, seed=0)
    positions = torch.tensor([1, 0, 0, 1, 1, 0] * 50)
    assert torch.equal(density.sample(positions, stream(3))[:, 0] > 0, positions == 1)


def test_a_class_without_codes_and_no_class_draw_from_everything() -> None:
    codes, owner = known_codes()
    density = LatentDensity.fit(codes, owner, 1, seed=0)
    for position in (7, -1):
        share = (density.sample(torch.full((4_000,), position), stream(3))[:, 0] > 0).float().mean()
        assert float(share) == pytest.approx(0.5, abs=0.04)


def test_a_class_with_one_code_is_drawn_from_around_it() -> None:
    codes, owner = known_codes(100)
    codes, owner = torch.cat([codes, torch.tensor([[40.0, -3.0]])]), torch.cat([owner, torch.tensor([2])])
    density = LatentDensity.fit(codes, owner, 5, seed=0)
    drawn = density.sample(torch.full((500,), 2), stream(4))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([40.0, -3.0]), rtol=0, atol=0.01)
    assert float(drawn.std(0).max()) == pytest.approx(RIDGE**0.5, rel=0.2)


@given(st.sampled_from(["alike", "line", "unused", "few", "huge", "tiny"]), st.integers(1, 300), st.integers(1, 6))
def test_codes_without_spread_still_give_a_density_to_draw_from(kind: str, n: int, latent: int) -> None:
    codes = torch.randn(n, latent, generator=stream(n))
    if kind == "alike":
        codes[:] = codes[0].clone()
    elif kind == "line":
        codes[:] = codes[:, :1].clone()
    elif kind == "unused":
        codes[:, -1] = 0.0
    elif kind == "few":
        codes = codes[:latent]
    else:
        codes *= 1e3 if kind == "huge" else 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        density = LatentDensity.fit(codes, no_labels(len(codes)), 3, seed=0)
        drawn = density.sample(no_labels(50), stream())
    assert bool(torch.isfinite(drawn).all())
    assert bool((density.scale.diagonal(dim1=-2, dim2=-1) > 0).all())
    assert torch.equal(density.scale, density.scale.tril())
    assert float(density.weight.sum()) == pytest.approx(1.0, abs=1e-5)


def test_nobody_is_warned_that_em_was_stopped() -> None:
    codes = torch.randn(400, 6, generator=stream())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(LatentDensity.fit(codes, no_labels(len(codes)), 8, seed=0).weight) == 8


def test_small_classes_get_few_gaussians() -> None:
    for count in (1, 2, 6):
        for codes in (count * MIN_PER_GAUSSIAN, (count + 1) * MIN_PER_GAUSSIAN - 1):
            owner = (torch.arange(codes + MIN_PER_GAUSSIAN - 1) >= codes).long()  # and a second, smaller class
            density = LatentDensity.fit(torch.randn(len(owner), 2, generator=stream()), owner, 6, seed=0)
            assert density.owner.tolist() == [0] * count + [1]
            torch.testing.assert_close(density.weight[:-1].sum(), torch.tensor(1.0))


def test_no_class_gets_more_gaussians_than_asked_for() -> None:
    codes = torch.randn(MAX_FIT + 500, 2, generator=stream())
    assert len(LatentDensity.fit(codes, no_labels(len(codes)), 3, seed=0).weight) == 3


def test_the_same_seed_fits_the_same_density_and_leaves_global_streams_alone() -> None:
    codes, owner = known_codes(7_000)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    first, second = (LatentDensity.fit(codes, owner, 4, seed=3) for _ in range(2))
    for name in ("weight", "mean", "scale", "owner"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    positions = torch.arange(9_000) % 2  # more than one chunk
    assert torch.equal(first.sample(positions, stream(5)), second.sample(positions, stream(5)))
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])


def test_prior_codes_are_standard_normal() -> None:
    codes = prior_codes(50_000, 3, stream())
    torch.testing.assert_close(codes.mean(0), torch.zeros(3), rtol=0, atol=0.02)
    torch.testing.assert_close(codes.T.cov(), torch.eye(3), rtol=0, atol=0.03)
