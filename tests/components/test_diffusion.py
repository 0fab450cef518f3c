"""Noise levels, errors, bound and sampler are what theory says they are, where theory gives the number."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.components.diffusion import (
    Denoise,
    Ends,
    NoiseRange,
    balanced,
    heun,
    likelihood_bound,
    network_target,
    preconditioned,
    score_weights,
    squared_errors,
    stratified,
)

RANGE = NoiseRange(0.1, 5.0)
SHAPE = (1, 5, 6)
NUMBERS = 30
VARIANCE = 0.36
NODES = 16


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MEAN = torch.rand(SHAPE, generator=generator(1)) - 0.5


def best_for_a_gaussian(noised: Tensor, log_sigma: Tensor) -> Tensor:
    """The denoiser of N(MEAN, VARIANCE): no other has a smaller error."""
    variance = (2 * log_sigma).exp().view(-1, 1, 1, 1)
    return MEAN + (noised - MEAN) * VARIANCE / (VARIANCE + variance)


def gaussian(n: int) -> tuple[Tensor, Tensor]:
    """Examples of N(MEAN, VARIANCE), and their log-density."""
    clean = MEAN + math.sqrt(VARIANCE) * torch.randn(n, *SHAPE, generator=generator(2))
    square = (clean - MEAN).square().flatten(1).sum(1)
    return clean, -0.5 * (square / VARIANCE + NUMBERS * math.log(2 * math.pi * VARIANCE))


def ends_of_the_gaussian() -> Ends:
    left = VARIANCE * RANGE.lowest**2 / (VARIANCE + RANGE.lowest**2)
    return Ends(torch.tensor(left), MEAN, torch.tensor(VARIANCE))


def exact_noise() -> Tensor:
    """Noise whose first two moments are exact, which is all that the error of a linear denoiser depends on."""
    return balanced(torch.randn(1, NODES + 1, *SHAPE, generator=generator(3)))


def test_the_bound_of_a_gaussian_with_its_best_denoiser_is_its_log_density() -> None:
    clean, log_density = gaussian(50)
    bound = likelihood_bound(best_for_a_gaussian, clean, exact_noise(), RANGE, ends_of_the_gaussian(), NODES)
    torch.testing.assert_close(bound, log_density, rtol=0, atol=1e-3)


def test_random_noise_estimates_the_bound_without_bias() -> None:
    clean, log_density = gaussian(50)
    noise = torch.randn(400, NODES + 1, *SHAPE, generator=generator(4))
    bound = likelihood_bound(best_for_a_gaussian, clean, noise, RANGE, ends_of_the_gaussian(), NODES)
    # one draw is off by 4 nats, so that the mean of 400 is off by 0.2
    assert float((bound - log_density).abs().mean()) < 0.8


@given(st.floats(0.3, 1.5), st.floats(0.5, 2.0), st.floats(0.3, 3.0))
def test_no_other_denoiser_and_no_other_ends_come_above_the_log_density(gain: float, wide: float, left: float) -> None:
    clean, log_density = gaussian(300)
    best = ends_of_the_gaussian()
    ends = Ends(left * best.decoder_variance, MEAN, wide * best.variance)

    def worse(noised: Tensor, log_sigma: Tensor) -> Tensor:
        return MEAN + gain * (best_for_a_gaussian(noised, log_sigma) - MEAN)

    bound = likelihood_bound(worse, clean, exact_noise(), RANGE, ends, NODES)
    assert float(bound.mean()) <= float(log_density.mean()) + 0.1  # 300 examples know their own mean to 0.1 nats


def test_the_bound_of_two_heaps_is_below_their_log_density_and_near_it() -> None:
    width, within = 0.2, NoiseRange(0.02, 10.0)
    places = torch.tensor([-0.8, 0.6])

    def best(noised: Tensor, log_sigma: Tensor) -> Tensor:
        variance = (2 * log_sigma).exp().view(-1, 1, 1, 1)
        nearness = -0.5 * (noised - places).square() / (variance + width**2)
        each = places + (noised - places) * width**2 / (width**2 + variance)
        return (nearness.softmax(-1) * each).sum(-1, keepdim=True)

    clean = torch.linspace(-1.4, 1.2, 53).view(-1, 1, 1, 1)
    log_density = torch.distributions.Normal(places, width).log_prob(clean).logsumexp(-1).view(-1) - math.log(2)
    left = torch.tensor(width**2 * within.lowest**2 / (width**2 + within.lowest**2))
    ends = Ends(left, places.mean().view(1, 1, 1), torch.tensor(0.49 + width**2))
    shares = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    quantiles = torch.special.ndtri(shares)  # of the standard normal, which they have the mean square of below
    noise = (quantiles / quantiles.square().mean().sqrt()).float().view(-1, 1, 1, 1, 1).expand(-1, 41, 1, 1, 1)
    bound = likelihood_bound(best, clean, noise, within, ends, 40)
    gap = log_density - bound
    assert float(gap.min()) > -1e-3 and float(gap.max()) < 0.02


def test_a_network_that_says_what_it_has_to_finds_the_clean_examples() -> None:
    clean, _ = gaussian(20)
    log_sigma = RANGE.at(torch.rand(20, generator=generator(5)))
    noised = clean + log_sigma.exp().view(-1, 1, 1, 1) * torch.randn(clean.shape, generator=generator(6))
    target = network_target(clean, noised, log_sigma, 0.6)
    output, found = preconditioned(lambda z, s: target, noised, log_sigma, 0.6)
    assert torch.equal(output, target)
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-5)


def test_what_a_network_gets_and_has_to_say_has_variance_one() -> None:
    deviation, seen = 0.6, []
    clean = deviation * torch.randn(4_000, *SHAPE, generator=generator(7))
    log_sigma = RANGE.at(torch.linspace(0, 1, 4_000))
    noised = clean + log_sigma.exp().view(-1, 1, 1, 1) * torch.randn(clean.shape, generator=generator(8))

    def network(z: Tensor, s: Tensor) -> Tensor:
        seen.append(z)
        return torch.zeros_like(z)

    preconditioned(network, noised, log_sigma, deviation)
    assert float(seen[0].std()) == pytest.approx(1.0, abs=0.01)
    assert float(network_target(clean, noised, log_sigma, deviation).std()) == pytest.approx(1.0, abs=0.01)


def test_errors_are_those_of_each_example_at_each_level() -> None:
    clean, _ = gaussian(3)
    noise, log_sigma = torch.randn(4, *SHAPE, generator=generator(9)), RANGE.log_levels(4)
    each = clean[:, None].expand(-1, 4, *SHAPE)
    nothing = squared_errors(lambda z, s: torch.zeros_like(z), each, noise, log_sigma)
    torch.testing.assert_close(nothing, clean.square().flatten(1).sum(1)[:, None].expand(-1, 4))
    unchanged = squared_errors(lambda z, s: z, each, noise, log_sigma)
    expected = (2 * log_sigma).exp() * noise.square().flatten(1).sum(1)
    torch.testing.assert_close(unchanged, expected.expand(3, -1), rtol=1e-4, atol=1e-4)


def test_a_score_with_exponent_one_approximates_the_steps_of_the_bound() -> None:
    levels = RANGE.log_levels(200)
    score = score_weights(levels, 1.0).sum()  # of errors that are 1 everywhere
    exact = 0.5 * (RANGE.lowest**-2 - RANGE.highest**-2)
    assert float(score) == pytest.approx(exact, rel=0.03)
    nodes, weights = RANGE.nodes(NODES)
    assert float(weights @ (-2 * nodes).exp()) == pytest.approx(exact, rel=1e-5)
    assert float(weights.sum()) == pytest.approx(RANGE.width, rel=1e-6)


@given(st.integers(1, 60), st.floats(-9.0, 9.0))
def test_levels_of_a_batch_fall_one_into_each_part(n: int, offset: float) -> None:
    order = torch.randn(n, generator=generator(n))
    shares = stratified(order, torch.tensor(offset))
    within = float(torch.special.ndtr(torch.tensor(offset)))
    torch.testing.assert_close(shares.sort().values, (torch.arange(n) + within) / n, rtol=0, atol=1e-6)
    assert torch.equal(shares.argsort(), order.argsort())


def start_and_end(steps: int) -> tuple[Tensor, Tensor]:
    """What the sampler makes of noise of a Gaussian, and what the exact flow makes of it."""
    start = MEAN + math.sqrt(RANGE.highest**2 + VARIANCE) * torch.randn(8, *SHAPE, generator=generator(10))
    found = heun(best_for_a_gaussian, start, RANGE.log_levels(steps).flip(0))
    shrunk = math.sqrt((RANGE.lowest**2 + VARIANCE) / (RANGE.highest**2 + VARIANCE))
    return found, MEAN + (start - MEAN) * shrunk * VARIANCE / (VARIANCE + RANGE.lowest**2)


def test_the_sampler_follows_the_flow_and_its_error_falls_with_the_square_of_the_steps() -> None:
    errors = [float((found - exact).abs().max()) for found, exact in map(start_and_end, (24, 47, 93))]
    assert errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.15)


def test_the_sampler_asks_twice_a_step_and_once_at_the_end() -> None:
    asked = []

    def counting(denoise: Denoise) -> Denoise:
        def inner(noised: Tensor, log_sigma: Tensor) -> Tensor:
            asked.append(float(log_sigma[0]))
            return denoise(noised, log_sigma)

        return inner

    heun(counting(best_for_a_gaussian), torch.zeros(1, *SHAPE), RANGE.log_levels(5).flip(0))
    assert len(asked) == 2 * 4 + 1
    assert asked[0] == pytest.approx(math.log(RANGE.highest)) and asked[-1] == pytest.approx(math.log(RANGE.lowest))


def test_one_level_lies_in_the_middle() -> None:
    assert float(NoiseRange(0.5, 2.0).log_levels(1).exp()) == pytest.approx(1.0)
