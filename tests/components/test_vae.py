"""An autoencoder whose exact log-likelihood is known: linear decoder, Gaussian pixels (probabilistic PCA).

The decoder's columns are orthogonal, so the exact posterior has a diagonal covariance and lies in the family of the
encoder. log p(x|z) is quadratic in the noise, so the mean over 2 L points at distance sqrt(L) on the axes (which
have mean zero and covariance one) is its exact expectation: bounds come out in closed form.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from growmix.components.likelihoods import Gaussian
from growmix.components.nets import OwnModules
from growmix.components.vae import LABEL_CODE, VAE, VAEOptions, kl_to_prior
from growmix.data.domain import Domain

LATENT = 2
SHAPE = (1, 4, 6)
PIXELS = 24
VARIANCE = 0.3

LINEAR = OwnModules(
    lambda shape: nn.Flatten(),
    lambda inputs, shape: nn.Sequential(nn.Linear(inputs, math.prod(shape)), nn.Unflatten(1, shape)),
)


def linear_gaussian(*, classes: int = 0) -> VAE:
    """A VAE whose posterior is exact; with classes, their codes move the mean at right angles to the latents."""
    stream = torch.Generator().manual_seed(3)
    likelihood, options = Gaussian(VARIANCE, link="identity"), VAEOptions(latent=LATENT)
    vae = VAE(Domain(SHAPE), LINEAR, likelihood, options, supervised=classes > 0)
    vae.requires_grad_(False)
    columns = torch.linalg.qr(torch.randn(PIXELS, LATENT + LABEL_CODE, generator=stream)).Q
    linear = vae.decoder[0]
    inputs = linear.weight.shape[1]
    linear.weight.copy_((columns * torch.tensor([0.9, 0.4] + [0.5] * LABEL_CODE))[:, :inputs])
    linear.bias.copy_(torch.rand(PIXELS, generator=stream))
    if classes:
        vae.add_classes(range(classes), torch.Generator())
        vae.requires_grad_(False)
        vae.class_counts.copy_(torch.arange(1.0, classes + 1.0))
    w = linear.weight[:, :LATENT]
    precision = 1.0 + (w**2).sum(0) / VARIANCE
    to_mean = w.T / VARIANCE / precision[:, None]
    vae.posterior.weight.copy_(torch.cat([to_mean, torch.zeros_like(to_mean)]))
    vae.posterior.bias.copy_(torch.cat([-to_mean @ linear.bias, -precision.log()]))
    return vae


def disturb(vae: VAE, size: float, seed: int) -> VAE:
    """An encoder that is off by so much."""
    stream = torch.Generator().manual_seed(seed)
    vae.posterior.weight.add_(size * torch.randn(vae.posterior.weight.shape, generator=stream))
    vae.posterior.bias.add_(size * torch.randn(vae.posterior.bias.shape, generator=stream))
    return vae


def images(n: int = 6) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def exact_log_prob(vae: VAE, x: Tensor, shift: Tensor | float = 0.0) -> Tensor:
    """log N(x; b + shift, W W^T + variance I)."""
    weight, bias = (t.double() for t in (vae.decoder[0].weight[:, :LATENT], vae.decoder[0].bias))
    covariance = weight @ weight.T + VARIANCE * torch.eye(PIXELS, dtype=torch.float64)
    density = stats.multivariate_normal((bias + shift).numpy(), covariance.numpy())
    return torch.from_numpy(np.atleast_1d(density.logpdf(x.flatten(1).double().numpy())))


def exact_log_joint(vae: VAE, x: Tensor) -> Tensor:
    """log p(x, y) for every class, shape ``(n, classes)``."""
    shifts = vae.label_code.double() @ vae.decoder[0].weight[:, LATENT:].double().T
    prior = ((vae.class_counts + 1) / (vae.class_counts + 1).sum()).double().log()
    return torch.stack([exact_log_prob(vae, x, shift) for shift in shifts], 1) + prior


def sigma_points() -> Tensor:
    return math.sqrt(LATENT) * torch.cat([torch.eye(LATENT), -torch.eye(LATENT)])


def kl_to_exact_posterior(vae: VAE, x: Tensor) -> Tensor:
    mean, log_variance = vae.posterior(x.flatten(1)).double().chunk(2, 1)
    best, best_log_variance = linear_gaussian().posterior(x.flatten(1)).double().chunk(2, 1)
    found = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(best, (0.5 * best_log_variance).exp()))
    return found.sum(1)


def test_the_elbo_equals_the_exact_log_likelihood_at_the_optimal_posterior() -> None:
    vae = linear_gaussian()
    elbo, _ = vae.score_draws(images(), sigma_points())
    torch.testing.assert_close(elbo.double(), exact_log_prob(vae, images()), rtol=0, atol=1e-4)


@given(st.floats(0.01, 0.5), st.integers(0, 1_000))
def test_any_other_encoder_is_below_it_by_its_divergence_from_the_posterior(size: float, seed: int) -> None:
    vae = disturb(linear_gaussian(), size, seed)
    elbo, _ = vae.score_draws(images(), sigma_points())
    gap = exact_log_prob(vae, images()) - elbo
    torch.testing.assert_close(gap, kl_to_exact_posterior(vae, images()), rtol=1e-3, atol=2e-4)
    assert bool((gap > 0).all())


def test_the_training_bound_has_that_elbo_as_its_mean_over_draws() -> None:
    vae = disturb(linear_gaussian(), 0.1, seed=0)
    one, draws = images(1), 40_000
    noise = torch.randn(draws, LATENT, generator=torch.Generator().manual_seed(5))
    elbos, logits = vae.elbo(one.expand(draws, *SHAPE), torch.full((draws,), -1), noise)
    standard_error = float(elbos.std()) / math.sqrt(draws)
    expected = exact_log_prob(vae, one) - kl_to_exact_posterior(vae, one)
    assert float(elbos.mean()) == pytest.approx(float(expected), abs=4 * standard_error)
    assert standard_error > 0
    assert logits.shape == (draws, 0)


def test_every_draw_of_the_importance_weighted_elbo_is_exact_at_the_optimal_posterior() -> None:
    vae = linear_gaussian()
    noise = torch.randn(1, 6, LATENT, generator=torch.Generator().manual_seed(5))
    found = vae.importance_weighted_elbo(images(), noise)
    torch.testing.assert_close(found.double(), exact_log_prob(vae, images()), rtol=0, atol=1e-4)


def test_the_importance_weighted_elbo_rises_with_the_draws_and_converges_to_the_log_likelihood() -> None:
    vae = disturb(linear_gaussian(), 0.05, seed=1)
    one, repeats = images(1), 400
    noise = torch.randn(256, repeats, LATENT, generator=torch.Generator().manual_seed(5))
    exact = float(exact_log_prob(vae, one))
    x = one.expand(repeats, *SHAPE)
    means = [float(vae.importance_weighted_elbo(x, noise[:draws]).mean()) for draws in (1, 4, 16, 256)]
    elbo = exact - float(kl_to_exact_posterior(vae, one))
    assert elbo < exact - 0.1, "the encoder must be off for this to say anything"
    assert means[0] == pytest.approx(elbo, abs=0.2)
    assert means[0] < means[1] < means[2] < means[3] < exact + 0.01
    assert means[3] == pytest.approx(exact, abs=0.02)


def test_a_supervised_score_is_the_exact_log_joint_of_the_class_it_picks() -> None:
    vae = linear_gaussian(classes=3)
    elbo, log_proba = vae.score_draws(images(), sigma_points())
    joint = exact_log_joint(vae, images())
    picked = joint.gather(1, log_proba.argmax(1, keepdim=True))[:, 0]
    torch.testing.assert_close(elbo.double(), picked, rtol=0, atol=1e-4)
    assert bool((elbo < joint.logsumexp(1)).all())


def test_the_bound_of_an_unlabelled_image_sums_the_class_out_under_the_classifier() -> None:
    vae, x = linear_gaussian(classes=3), images()
    draws = [vae.marginal_elbo(x, point.expand(len(x), -1)) for point in sigma_points()]
    elbo = torch.stack([found for found, _ in draws]).mean(0)
    log_q = draws[0][1].double().log_softmax(1)
    joint = exact_log_joint(vae, x)
    expected = (log_q.exp() * (joint - log_q)).sum(1)
    torch.testing.assert_close(elbo.double(), expected, rtol=0, atol=2e-4)
    gap = joint.logsumexp(1) - elbo
    divergence = (log_q.exp() * (log_q - joint.log_softmax(1))).sum(1)
    torch.testing.assert_close(gap, divergence, rtol=0, atol=2e-4)


def test_the_bound_given_the_class_is_the_exact_conditional() -> None:
    vae, x = linear_gaussian(classes=3), images(3)
    positions = torch.tensor([0, 1, 2])
    elbo = torch.stack([vae.elbo(x, positions, point.expand(3, -1))[0] for point in sigma_points()]).mean(0)
    conditional = (exact_log_joint(vae, x) - vae.class_log_prior().double()).diagonal()
    torch.testing.assert_close(elbo.double(), conditional, rtol=0, atol=1e-4)


def test_a_supervised_importance_weighted_elbo_sums_over_the_classes() -> None:
    vae = linear_gaussian(classes=3)
    noise = torch.randn(1, 6, LATENT, generator=torch.Generator().manual_seed(5))
    found = vae.importance_weighted_elbo(images(), noise)
    torch.testing.assert_close(found.double(), exact_log_joint(vae, images()).logsumexp(1), rtol=0, atol=2e-4)


@given(st.integers(0, 1_000))
def test_the_divergence_to_the_prior_is_torchs(seed: int) -> None:
    mean, log_variance = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(seed))
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_to_prior(mean, log_variance), expected)


def test_class_shares_are_smoothed_by_one_and_sum_to_one() -> None:
    vae = linear_gaussian(classes=3)  # counts 1, 2, 3
    torch.testing.assert_close(vae.class_log_prior().exp(), torch.tensor([2.0, 3.0, 4.0]) / 9.0)


def test_an_image_far_outside_keeps_its_score_finite() -> None:
    vae = linear_gaussian()
    vae.posterior.weight.mul_(1e3)
    assert bool(torch.isfinite(vae.score_draws(images(), sigma_points())[0]).all())
