"""The teacher's code holds the codes of replayed examples alone, by the divergence of Gaussians."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from growmix.baselines.consistency import Consistency, gaussian_kl
from growmix.components.construction import vae_kind
from growmix.components.nets import MLP
from growmix.components.vae import VAE
from growmix.data.domain import Domain
from growmix.settings import Settings


def codes(seed: int) -> VAE:
    generator = torch.Generator().manual_seed(seed)
    return vae_kind(Settings(latent=3), MLP(8)).autoencoder(Domain((1, 4, 4)), supervised=False, generator=generator)


def test_consistency_is_zero_while_the_student_is_the_teacher() -> None:
    x, replayed = torch.rand(6, 1, 4, 4), torch.tensor([True, False] * 3)
    assert float(Consistency().restrain(codes(0), codes(0)).loss(x, replayed).detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(Consistency().restrain(codes(0), codes(1)).loss(x, replayed).detach()) > 1e-3


def test_consistency_counts_replayed_images_alone_and_moves_the_student_alone() -> None:
    x, student, teacher = torch.rand(6, 1, 4, 4), codes(0), codes(1)
    restraint = Consistency().restrain(student, teacher)
    assert float(restraint.loss(x, torch.zeros(6, dtype=torch.bool)).detach()) == 0.0
    each = [float(restraint.loss(image[None], torch.ones(1, dtype=torch.bool)).detach()) for image in x]
    loss = restraint.loss(x, torch.tensor([True, True, False, False, False, True]))
    assert float(loss.detach()) == pytest.approx((each[0] + each[1] + each[5]) / 6, rel=1e-4)
    loss.backward()
    assert student.posterior.weight.grad is not None
    assert teacher.posterior.weight.grad is None


def test_consistency_outlives_the_first_task() -> None:
    penalty = Consistency().restrain(codes(0), None).keep(iter(()))
    assert isinstance(penalty, Consistency)
    assert float(Consistency().restrain(codes(0), None).loss(torch.rand(2, 1, 4, 4), torch.ones(2).bool())) == 0.0


numbers = st.lists(st.floats(-2, 2), min_size=3, max_size=3)


@given(numbers, numbers, numbers, numbers)
def test_the_divergence_of_codes_is_that_of_gaussians(
    a: list[float], b: list[float], c: list[float], d: list[float]
) -> None:
    mean, log_variance, to_mean, to_log_variance = (torch.tensor([values]) for values in (a, b, c, d))
    one, other = Normal(mean, (0.5 * log_variance).exp()), Normal(to_mean, (0.5 * to_log_variance).exp())
    found = gaussian_kl(mean, log_variance, to_mean, to_log_variance)
    torch.testing.assert_close(found, kl_divergence(one, other).sum(1), rtol=1e-4, atol=1e-4)
