"""A group is split into as many Gaussians as it consists of, and no more."""

from __future__ import annotations

import pytest
import torch

from growmix.components.gaussian.modes import split


def clusters(k: int, n: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = 40.0 * torch.randn(k, size, generator=generator, dtype=torch.float64)
    owner = torch.randint(k, (n,), generator=generator)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return centres[owner] + torch.randn(n, size, generator=generator, dtype=torch.float64) @ mixing, owner


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("size", [2, 20])
def test_clusters_that_lie_apart_are_found(k: int, size: int) -> None:
    x, owner = clusters(k, 600, size, seed=3)
    found = split(x, 5, torch.Generator().manual_seed(0))
    assert len(found.unique()) == k
    pairs = torch.stack([owner, found]).unique(dim=1)
    assert pairs.shape[1] == k  # each cluster has one mode, and each mode one cluster


def test_no_more_modes_than_asked_for_or_than_examples_allow() -> None:
    x, _ = clusters(4, 400, 3, seed=1)
    assert len(split(x, 2, torch.Generator().manual_seed(0)).unique()) == 2
    assert split(x[:15], 5, torch.Generator().manual_seed(0)).tolist() == [0] * 15


def test_examples_that_are_all_alike_are_one_mode() -> None:
    assert split(torch.ones(50, 3, dtype=torch.float64), 5, torch.Generator()).tolist() == [0] * 50


def test_one_generator_gives_one_split() -> None:
    x, _ = clusters(3, 200, 3, seed=1)
    one, other = (split(x, 5, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one, other)
