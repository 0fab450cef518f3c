"""Densities and classes are those of scikit-learn where its estimator is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import load_wine
from sklearn.decomposition import FactorAnalysis
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import scale
from torch import Tensor

from growmix.components.gaussian.covariance import Gaussians, Shape, covariances, leading_directions
from growmix.components.gaussian.factor_analysis import low_rank
from growmix.components.gaussian.sums import Sums, sums_of
from growmix.errors import NonFiniteLoss

WINE, GROWER = load_wine(return_X_y=True)
WINE = scale(WINE)


def wine() -> tuple[Tensor, Tensor, Sums]:
    x, y = torch.from_numpy(WINE), torch.from_numpy(GROWER).long()
    return x, y, sums_of(x, y, 3, "each")


def posterior(sums: Sums, shape: Shape, x: Tensor) -> np.ndarray:
    joint = Gaussians.of(sums.mean, covariances(sums, shape)).log_prob(x) + (sums.count / sums.count.sum()).log()
    return joint.softmax(1).numpy()


@pytest.mark.parametrize("shrinkage", [None, 0.0, 0.2, 1.0])
def test_tied_is_linear_discriminant_analysis(shrinkage: float | None) -> None:
    x, _, sums = wine()
    known = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(WINE, GROWER)
    ours = posterior(sums, Shape("tied", shrinkage or 0.0, reg_covar=0.0), x)
    np.testing.assert_allclose(ours, known.predict_proba(WINE), atol=1e-6)
    np.testing.assert_allclose(
        covariances(sums, Shape("tied", shrinkage or 0.0, reg_covar=0.0))[0], known.covariance_, atol=1e-9
    )


def test_full_is_quadratic_discriminant_analysis() -> None:
    x, _, sums = wine()
    known = QuadraticDiscriminantAnalysis(store_covariance=True).fit(WINE, GROWER)
    of_theirs = torch.from_numpy(np.stack(known.covariance_))
    # older releases divide by n - 1; the estimator is the same but for that
    factor = (of_theirs / covariances(sums, Shape("full", reg_covar=0.0))).mean((1, 2), keepdim=True)
    for found, count in zip(factor.flatten().tolist(), sums.count.tolist(), strict=True):
        assert found == pytest.approx(1.0, abs=1e-9) or found == pytest.approx(count / (count - 1.0), abs=1e-9)
    same = replace(sums, scatter=sums.scatter * factor)
    torch.testing.assert_close(covariances(same, Shape("full", reg_covar=0.0)), of_theirs, rtol=0, atol=1e-9)
    np.testing.assert_allclose(posterior(same, Shape("full", reg_covar=0.0), x), known.predict_proba(WINE), atol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [("full", "full"), ("diag", "diag")])
def test_the_density_of_one_class_is_that_of_a_gaussian_mixture_of_one(ours: str, theirs: str) -> None:
    x = torch.from_numpy(WINE)
    sums = sums_of(x, torch.zeros(len(x), dtype=torch.int64), 1, "each")
    gaussians = Gaussians.of(sums.mean, covariances(sums, Shape(ours)))  # type: ignore[arg-type]
    known = GaussianMixture(1, covariance_type=theirs).fit(WINE)  # both add 1e-6 to every variance
    np.testing.assert_allclose(gaussians.log_prob(x)[:, 0].numpy(), known.score_samples(WINE), atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_low_rank_is_factor_analysis() -> None:
    steps = 200  # both iterate in the same way, from the same start; the last digits take thousands of steps
    known = FactorAnalysis(3, svd_method="lapack", tol=0.0, max_iter=steps).fit(WINE)
    found = low_rank(torch.from_numpy(np.cov(WINE.T, bias=True)), 3, steps=steps, enough=0.0)
    np.testing.assert_allclose(found.numpy(), known.get_covariance(), atol=1e-9)
    gaussians = Gaussians.of(torch.from_numpy(WINE).mean(0)[None], found[None])
    np.testing.assert_allclose(
        gaussians.log_prob(torch.from_numpy(WINE))[:, 0].numpy(), known.score_samples(WINE), atol=1e-6
    )


def test_low_rank_of_the_whole_size_is_the_covariance() -> None:
    x, _, sums = wine()
    torch.testing.assert_close(
        covariances(sums, Shape("low-rank", rank=x.shape[1])), covariances(sums, Shape("full")), rtol=0, atol=0
    )


@pytest.mark.parametrize("one", ["tied", "full", "diag", "low-rank"])
def test_densities_are_those_of_scipy(one: str) -> None:
    x, _, sums = wine()
    covariance = covariances(sums, Shape(one, 0.1, rank=2))  # type: ignore[arg-type]
    found = Gaussians.of(sums.mean, covariance).log_prob(x)
    for g in range(3):
        own = covariance[0] if one == "tied" else covariance[g]
        own = torch.diag(own) if own.ndim == 1 else own
        known = multivariate_normal(sums.mean[g].numpy(), own.numpy()).logpdf(WINE)
        np.testing.assert_allclose(found[:, g].numpy(), known, atol=1e-8)


@pytest.mark.parametrize("one", ["tied", "full", "diag"])
def test_draws_have_mean_and_covariance(one: str) -> None:
    _, _, sums = wine()
    covariance = covariances(sums, Shape(one, 0.1))  # type: ignore[arg-type]
    gaussians = Gaussians.of(sums.mean, covariance)
    noise = torch.randn(20_000, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = gaussians.sample(torch.full((20_000,), 2), noise)
    own = covariance[0] if one == "tied" else covariance[2]
    own = torch.diag(own) if own.ndim == 1 else own
    torch.testing.assert_close(drawn.mean(0), sums.mean[2], rtol=0, atol=0.05)
    torch.testing.assert_close(drawn.T.cov(), own, rtol=0, atol=0.05)


@pytest.mark.parametrize("one", ["tied", "full", "diag"])
def test_directions_are_those_of_the_largest_variance(one: str) -> None:
    _, _, sums = wine()
    covariance = covariances(sums, Shape(one))  # type: ignore[arg-type]
    whole = leading_directions(covariance, 13)
    matrices = torch.diag_embed(covariance) if covariance.ndim == 2 else covariance
    torch.testing.assert_close(whole @ whole.mT, matrices)
    lengths = whole.norm(dim=1)
    assert bool((lengths.diff(dim=1) <= 1e-12).all())
    torch.testing.assert_close(leading_directions(covariance, 2), whole[:, :, :2])


def test_a_group_of_one_has_the_covariance_of_all() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0], [9.0, 9.0]])
    sums = sums_of(x, torch.tensor([0, 0, 0, 0, 1]), 2, "each")
    full = covariances(sums, Shape("full", reg_covar=0.0))
    torch.testing.assert_close(full[1], sums.scatter.sum(0) / 5.0)


@pytest.mark.parametrize("one", ["tied", "full", "diag"])
def test_a_covariance_that_is_not_positive_is_refused_in_words(one: str) -> None:
    sums = sums_of(torch.ones(5, 3), torch.zeros(5, dtype=torch.int64), 1, "each")
    with pytest.raises(NonFiniteLoss, match="shrinkage above 0, or a larger reg_covar"):
        Gaussians.of(sums.mean, covariances(sums, Shape(one, reg_covar=0.0)))  # type: ignore[arg-type]
