"""Networks and densities take only what fits them and can be computed with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from growmix import BadCheckpoint
from growmix.checkpoints.filling import check_density, check_finite, load_state
from growmix.components.density import LatentDensity


def density(**changes: Any) -> LatentDensity:
    """Return a density of codes of length 2 for two classes and what has none, but for what a test changes."""
    fine = LatentDensity(torch.ones(3), torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2), torch.tensor([-1, 0, 1]))
    return replace(fine, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": torch.zeros(3, 1)}, r"mean of a density is torch.float32 of shape \(3, 1\)"),
        ({"owner": torch.zeros(3)}, "owner of a density is torch.float32"),
        ({"weight": torch.tensor([1.0, 0.0, 1.0])}, "weights of 0 or less"),
        ({"owner": torch.tensor([-1, 0, 2])}, r"owners \(-1, 2\) that are no classes"),
        ({"owner": torch.tensor([-2, 0, 1])}, r"owners \(-2, 1\) that are no classes"),
        ({"mean": torch.full((3, 2), torch.nan)}, "mean has numbers that are not finite"),
        ({"weight": torch.ones(0)}, r"weight of a density is torch.float32 of shape \(0,\)"),
        ({"weight": torch.ones(451)}, "a density of 2 classes has 451 Gaussians"),
    ],
)
def test_a_density_that_can_not_be_is_refused_with_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    check_density(density(), latent=2, classes=2)
    with pytest.raises(BadCheckpoint, match=said):
        check_density(density(**changes), latent=2, classes=2)


def test_a_density_without_memory_is_checked_by_its_shapes() -> None:
    outline = {name: getattr(density(), name).to("meta") for name in ("weight", "mean", "scale", "owner")}
    check_density(LatentDensity(**outline), latent=2, classes=2)
    with pytest.raises(BadCheckpoint, match="mean of a density"):
        check_density(LatentDensity(**outline), latent=3, classes=2)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_a_network_takes_all_of_its_tensors() -> None:
    one, other = network(), network()
    load_state(other, one.state_dict(), foreign=False)
    assert all(torch.equal(t, other.state_dict()[name]) for name, t in one.state_dict().items())


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("0.weight", torch.zeros(3, 2, dtype=torch.float64), "0.weight is of torch.float64, needed torch.float32"),
        ("0.weight", torch.zeros(2, 3), "tensors do not fit the networks"),
        ("0.weight", torch.full((3, 2), torch.inf), "0.weight has numbers that are not finite"),
        ("more", torch.zeros(1), "tensors do not fit the networks"),
    ],
)
def test_tensors_of_another_network_are_refused(name: str, tensor: torch.Tensor, said: str) -> None:
    with pytest.raises(BadCheckpoint, match=said):
        load_state(network(), {**network().state_dict(), name: tensor}, foreign=False)


def test_a_users_own_modules_may_hold_infinity_and_change_the_type_of_a_buffer() -> None:
    changed = {**network().state_dict(), "1.running_mean": torch.full((3,), -torch.inf, dtype=torch.float64)}
    with pytest.raises(BadCheckpoint, match=r"1\.running_mean is of torch.float64"):
        load_state(network(), changed, foreign=False)
    own = network()
    load_state(own, changed, foreign=True)
    assert own.state_dict()["1.running_mean"].dtype == torch.float64
    assert torch.equal(own.state_dict()["1.running_mean"], changed["1.running_mean"])


def test_numbers_without_memory_are_not_asked_whether_they_are_finite() -> None:
    check_finite({"a": torch.empty(2, device="meta"), "b": torch.zeros(2)})
    with pytest.raises(BadCheckpoint, match="b has numbers"):
        check_finite({"a": torch.empty(2, device="meta"), "b": torch.tensor([torch.nan])})
