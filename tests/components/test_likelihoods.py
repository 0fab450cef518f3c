"""Likelihoods against scipy.stats, constants included, and the moments of what they draw."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from growmix.components.likelihoods import Bernoulli, Gaussian, make_likelihood
from growmix.data.domain import Domain
from growmix.errors import BadInput

SHAPE = (2, 3, 4)
LEARNT: tuple[Literal["no", "image", "pixel"], ...] = ("no", "image", "pixel")
LINKS: tuple[Literal["sigmoid", "identity"], ...] = ("sigmoid", "identity")


def outputs_and_images(n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(0)
    return 2 * torch.randn(n, *SHAPE, generator=stream), torch.rand(n, *SHAPE, generator=stream)


def test_bernoulli_log_prob_is_scipys_for_binary_pixels() -> None:
    output, x = outputs_and_images()
    binary = x.round()
    expected = stats.bernoulli.logpmf(binary.numpy(), special.expit(output.double().numpy())).sum((1, 2, 3))
    np.testing.assert_allclose(Bernoulli().log_prob(output, binary).numpy(), expected, rtol=1e-5)


def test_bernoulli_log_prob_of_gray_pixels_is_minus_their_cross_entropy() -> None:
    output, x = outputs_and_images()
    p, grey = special.expit(output.double().numpy()), x.double().numpy()
    expected = (special.xlogy(grey, p) + special.xlogy(1 - grey, 1 - p)).sum((1, 2, 3))
    np.testing.assert_allclose(Bernoulli().log_prob(output, x).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_bernoulli_log_prob_stays_finite_where_the_probability_rounds_to_zero(logit: float) -> None:
    wrong = torch.tensor([0.0 if logit > 0 else 1.0]).reshape(1, 1, 1, 1)
    assert Bernoulli().log_prob(torch.full((1, 1, 1, 1), logit), wrong).item() == pytest.approx(-200.0)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("learn", LEARNT)
def test_gaussian_log_prob_is_scipys(
    learn: Literal["no", "image", "pixel"], link: Literal["sigmoid", "identity"]
) -> None:
    output, x = outputs_and_images()
    gaussian = Gaussian(0.3, learn, SHAPE, link)
    if learn != "no":  # as if training had moved it
        with torch.no_grad():
            gaussian.log_variance.add_(torch.randn(gaussian.log_variance.shape, generator=torch.Generator()))
    deviation = gaussian.log_variance.detach().double().numpy().repeat(1, 0)
    mean = output.double().numpy()
    mean = special.expit(mean) if link == "sigmoid" else mean
    expected = stats.norm.logpdf(x.double().numpy(), mean, np.exp(0.5 * deviation)).sum((1, 2, 3))
    np.testing.assert_allclose(gaussian.log_prob(output, x).detach().numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(gaussian.mean(output).numpy(), mean, rtol=1e-5, atol=1e-6)


@given(st.floats(1e-3, 50.0), st.floats(-3, 3), st.floats(0, 1))
def test_gaussian_of_a_given_variance_is_scipys_at_any_variance(variance: float, mean: float, x: float) -> None:
    found = Gaussian(variance, link="identity").log_prob(torch.full((1, 1, 1, 1), mean), torch.full((1, 1, 1, 1), x))
    assert found.item() == pytest.approx(stats.norm.logpdf(x, mean, variance**0.5), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("learn", "numbers"), [("image", 1), ("pixel", 24)])
def test_a_learnt_variance_ends_at_the_mean_squared_error(learn: Literal["image", "pixel"], numbers: int) -> None:
    gaussian = Gaussian(0.5, learn, SHAPE, "identity")
    assert sum(p.numel() for p in gaussian.parameters()) == numbers
    scale = torch.linspace(0.1, 1.0, 24).reshape(SHAPE)
    x = scale * torch.randn(2_000, *SHAPE, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(gaussian.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-gaussian.log_prob(torch.zeros_like(x), x).mean()).backward()
        optimizer.step()
    expected = (x**2).mean(0) if learn == "pixel" else (x**2).mean()
    found = gaussian.log_variance.detach().exp().expand(SHAPE)
    torch.testing.assert_close(found, expected.expand(SHAPE), rtol=0.02, atol=1e-4)


def test_a_pixel_that_never_changes_has_a_bounded_density() -> None:
    gaussian = Gaussian(0.5, "pixel", (1, 1, 1), "identity")
    with torch.no_grad():
        gaussian.log_variance.fill_(-100.0)
    assert gaussian.log_prob(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)).item() < 5.0


@pytest.mark.parametrize("variance", [1e-5, 1e3])
@pytest.mark.parametrize("learn", ["image", "pixel"])
def test_a_learnt_variance_can_move_from_wherever_it_starts(variance: float, learn: Literal["image", "pixel"]) -> None:
    gaussian = Gaussian(variance, learn, SHAPE)
    output, x = outputs_and_images()
    gaussian.log_prob(output, x).sum().backward()
    assert gaussian.log_variance.grad is not None
    assert bool((gaussian.log_variance.grad != 0).all())


def test_bernoulli_samples_are_zeros_and_ones_with_the_right_frequency() -> None:
    output = torch.tensor([-2.0, 0.0, 1.0]).reshape(1, 1, 1, 3).expand(40_000, 1, 1, 3)
    drawn = Bernoulli().sample(output, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), output[0].sigmoid(), rtol=0, atol=0.012)  # five standard errors


@pytest.mark.parametrize("learn", LEARNT)
def test_gaussian_samples_have_the_mean_and_variance_asked_for(learn: Literal["no", "image", "pixel"]) -> None:
    gaussian = Gaussian(0.2, learn, (1, 1, 3))
    if learn == "pixel":
        with torch.no_grad():
            gaussian.log_variance.copy_(torch.tensor([0.1, 0.2, 0.4]).log().reshape(1, 1, 3))
    output = torch.tensor([-2.0, 0.0, 1.0]).reshape(1, 1, 1, 3).expand(40_000, 1, 1, 3)
    drawn = gaussian.sample(output, torch.Generator().manual_seed(0)).detach()
    variance = gaussian.log_variance.detach().exp().expand(1, 1, 3)
    torch.testing.assert_close(drawn.mean(0), output[0].sigmoid(), rtol=0, atol=0.016)
    torch.testing.assert_close(drawn.var(0), variance, rtol=0.04, atol=0)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "gaussian-learnt", "gaussian-pixel"])
def test_every_named_likelihood_is_a_density_in_nats_with_means_in_the_unit_interval(name: str) -> None:
    likelihood = make_likelihood(name, 0.1, Domain(SHAPE))
    output, x = outputs_and_images()
    assert likelihood.log_prob(output, x).shape == (5,)
    assert 0.0 <= float(likelihood.mean(output * 100).min()) <= float(likelihood.mean(output * 100).max()) <= 1.0
    first, second = (likelihood.sample(output, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == output.shape


@pytest.mark.parametrize(
    ("name", "learnable", "shape"),
    [("gaussian", 0, ()), ("gaussian-learnt", 1, ()), ("gaussian-pixel", 24, SHAPE)],
)
def test_names_say_what_is_learnt(name: str, learnable: int, shape: tuple[int, ...]) -> None:
    gaussian = make_likelihood(name, 0.1, Domain(SHAPE))
    assert sum(p.numel() for p in gaussian.parameters()) == learnable
    assert gaussian.state_dict()["log_variance"].shape == shape
    torch.testing.assert_close(gaussian.state_dict()["log_variance"].exp(), torch.full(shape, 0.1))


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_variance_that_is_none_is_refused(variance: float) -> None:
    with pytest.raises(BadInput, match="variance"):
        Gaussian(variance)


def test_a_variance_per_pixel_needs_to_know_the_pixels() -> None:
    with pytest.raises(BadInput, match="shape"):
        Gaussian(0.5, "pixel")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"'poisson'.*bernoulli.*gaussian-pixel"):
        make_likelihood("poisson", 0.5, Domain(SHAPE))
