"""Log-likelihood of mixtures whose density is known, and bits per dimension."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from growmix import GrowingMixture
from growmix.components.likelihoods import Gaussian
from growmix.components.nets import OwnModules
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.errors import BadInput
from growmix.evaluation.likelihood import bits_per_dim, log_likelihood

SHAPE, LATENT, VARIANCE = (1, 3, 3), 2, 0.3
LINEAR = OwnModules(
    lambda shape: torch.nn.Flatten(),
    lambda inputs, shape: torch.nn.Sequential(torch.nn.Linear(inputs, 9), torch.nn.Unflatten(1, shape)),
)


def linear(seed: int) -> tuple[VAE, torch.distributions.MultivariateNormal]:
    """A linear-Gaussian VAE and its exact density; its posterior is a broad guess."""
    generator = torch.Generator().manual_seed(seed)
    likelihood, options = Gaussian(VARIANCE, link="identity"), VAEOptions(latent=LATENT)
    vae = VAE(Domain(SHAPE), LINEAR, likelihood, options, supervised=False, generator=generator).eval()
    layer = vae.decoder[0]
    torch.nn.init.normal_(layer.weight, std=0.5, generator=generator)
    torch.nn.init.zeros_(vae.posterior.weight)
    torch.nn.init.zeros_(vae.posterior.bias)
    w = layer.weight.detach()
    density = torch.distributions.MultivariateNormal(layer.bias.detach(), w @ w.T + VARIANCE * torch.eye(9))
    return vae, density


def images(n: int = 40) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
def test_with_many_draws_it_is_the_density_of_the_mixture() -> None:
    (a, p), (b, q) = linear(0), linear(1)
    log_prior = torch.tensor([0.25, 0.75]).log()
    x = images()
    exact = torch.stack([p.log_prob(x.flatten(1)), q.log_prob(x.flatten(1))], 1).add(log_prior).logsumexp(1)
    many = log_likelihood([a, b], log_prior, x, draws=20_000, seed=0)
    torch.testing.assert_close(many, exact, rtol=0, atol=0.1)


def test_a_component_that_is_far_behind_is_not_computed_and_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    (near, _), (far, _) = linear(0), linear(1)
    torch.nn.init.constant_(far.decoder[0].bias, 50.0)
    log_prior = torch.tensor([0.25, 0.75]).log()
    monkeypatch.setattr(far, "importance_weighted_elbo", None)  # asking it would fail
    alone = log_likelihood([near], torch.zeros(1), images(), 10, 0)
    both = log_likelihood([near, far], log_prior, images(), 10, 0)
    torch.testing.assert_close(both, alone + log_prior[0])


def test_more_draws_raise_the_bound_towards_it() -> None:
    vae, density = linear(2)
    x = images()

    def mean_of(draws: int) -> float:
        return float(torch.stack([log_likelihood([vae], torch.zeros(1), x, draws, seed) for seed in range(20)]).mean())

    means = [mean_of(draws) for draws in (1, 10, 200)]
    assert means == sorted(means)
    assert means[-1] < float(density.log_prob(x.flatten(1)).mean()) + 0.1


def test_an_image_gets_the_same_number_whatever_stands_beside_it() -> None:
    vae, _ = linear(3)
    x = images(600)
    together = log_likelihood([vae], torch.zeros(1), x, draws=5, seed=0)
    torch.testing.assert_close(together[550:], log_likelihood([vae], torch.zeros(1), x[550:], draws=5, seed=0))


def test_bytes_and_floats_are_the_same_images() -> None:
    mixture = GrowingMixture("mlp", hidden=8, latent=2, epochs=1)
    x = (images(20) * 255).byte()
    mixture.learn(x.repeat(1, 1, 2, 2))
    args = mixture.components, mixture.log_prior
    big = x.repeat(1, 1, 2, 2)
    torch.testing.assert_close(log_likelihood(*args, big, 3, 0), log_likelihood(*args, big / 255.0, 3, 0))


def test_bits_of_known_densities() -> None:
    assert bits_per_dim(-10 * math.log(2), 10, "discrete") == pytest.approx(1.0)
    assert bits_per_dim(10 * math.log(256), 10, "density") == pytest.approx(0.0)


@pytest.mark.parametrize(("dims", "meaning"), [(0, "discrete"), (3, "bernoulli"), (1.5, "discrete"), (3, [])])
def test_what_has_no_bits_is_refused(dims: int, meaning: str) -> None:
    with pytest.raises(BadInput, match="allowed"):
        bits_per_dim(1.0, dims, meaning)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="nats is None; allowed is a number"):
        bits_per_dim(None, 3, "discrete")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"draws is 1\.5"):
        log_likelihood([linear(0)[0]], torch.zeros(1), images(), 1.5, 0)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="draws is 0"):
        log_likelihood([linear(0)[0]], torch.zeros(1), images(), 0, 0)
    with pytest.raises(BadInput, match="components is empty"):
        log_likelihood([], torch.zeros(0), images(), 1, 0)
