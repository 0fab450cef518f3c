"""What is chosen is what makes held-out examples the most likely, as if each of them had been looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from growmix.components.gaussian.choosing import SHRINKAGES, candidates, choose, deal
from growmix.components.gaussian.covariance import OneType, Shape, covariances
from growmix.components.gaussian.sums import Sums, sums_of

TYPES: tuple[OneType, ...] = ("tied", "full", "diag")


def two_classes(n: int, seed: int = 0, *, alike: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    y = torch.arange(n) % 2
    x = torch.randn(n, 6, generator=generator, dtype=torch.float64)
    return (x[:, None] @ mixing[torch.zeros_like(y) if alike else y])[:, 0] + y[:, None], y


def halves(x: Tensor, y: Tensor) -> tuple[Sums, Sums]:
    middle = len(x) // 2
    return sums_of(x[:middle], y[:middle], 2, "each"), sums_of(x[middle:], y[middle:], 2, "each")


@pytest.mark.parametrize("one", TYPES)
def test_the_likelihood_that_sums_give_is_the_one_of_every_example(one: OneType) -> None:
    x, y = two_classes(200, alike=False)
    kept, held = halves(x, y)
    shape = Shape(one, 0.1)
    of_each = []
    for g in range(2):
        covariance = covariances(kept, shape)[0 if one == "tied" else g]
        covariance = torch.diag(covariance) if covariance.ndim == 1 else covariance
        own = x[100:][y[100:] == g].numpy()
        of_each.append(multivariate_normal(kept.mean[g].numpy(), covariance.numpy()).logpdf(own))
    choice = choose([(kept, held)], [Shape(one)], (0.1, 0.1))
    assert choice.nats == pytest.approx(np.concatenate(of_each).mean(), abs=1e-9)


def test_types_follow_the_data() -> None:
    same = choose([halves(*two_classes(400, alike=True))], candidates(Shape(), every_type=True), SHRINKAGES)
    other = choose([halves(*two_classes(400, alike=False))], candidates(Shape(), every_type=True), SHRINKAGES)
    assert same.shape.covariance_type == "tied" or same.shape.tying > 0.5
    assert other.shape.covariance_type == "full" and other.shape.tying < 0.2


def test_few_examples_are_shrunk_more_than_many() -> None:
    few, many = (choose([halves(*two_classes(n, alike=True))], [Shape()], SHRINKAGES) for n in (16, 4_000))
    assert few.shape.shrinkage > many.shape.shrinkage


def test_without_held_out_examples_the_strongest_shrinkage_is_taken() -> None:
    kept, held = halves(*two_classes(20, alike=True))
    choice = choose([(kept, Sums.nothing(2, 6, "each"))], [Shape()], (0.0, 0.3))
    assert choice.shape.shrinkage == 0.3
    assert math.isnan(choice.nats)
    assert math.isnan(choose([(kept, held)], [Shape()], (0.2,)).nats)


def test_a_class_of_which_nothing_was_kept_decides_nothing_by_its_mean() -> None:
    x, y = two_classes(200, alike=True)
    y[:100] = 0  # the second class is met among the held-out ones alone
    kept, held = halves(x + 100.0 * y[:, None], y)
    assert choose([(kept, held)], [Shape()], SHRINKAGES).nats > -100.0


def test_folds_are_dealt_by_the_examples_alone() -> None:
    x = torch.randn(5_000, 4, generator=torch.Generator().manual_seed(0))
    folds = deal(x, (0.2,) * 5)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    assert torch.equal(deal(x[order], (0.2,) * 5), folds[order])
    assert torch.equal(torch.cat([deal(x[:7], (0.2,) * 5), deal(x[7:], (0.2,) * 5)]), folds)
    assert folds.bincount().tolist() == pytest.approx([1_000] * 5, abs=150)
