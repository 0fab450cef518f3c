"""The recogniser's network takes images of any size, and begins as the generator says."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from growmix.components.recogniser_net import Residual, ResidualNet
from growmix.data.domain import Shape
from growmix.errors import BadInput


def net(shape: Shape = (3, 8, 8), width: int = 6, seed: int = 0) -> ResidualNet:
    return ResidualNet(shape, width, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 5, 9), (1, 28, 28), (3, 32, 32), (3, 64, 48), (5, 7, 7)])
def test_images_of_any_size_and_channels_become_features(shape: Shape) -> None:
    own = net(shape)
    for batch in (1, 3):
        features = own(torch.rand(batch, *shape))
        assert features.shape == (batch, own.features)
        assert features.dtype == torch.float32
        assert bool(torch.isfinite(features).all())


@pytest.mark.parametrize("shape", [(7,), (1, 3, 8), (1, 8, 2), (8, 8)])
def test_what_can_not_be_turned_is_refused_with_its_shape(shape: Shape) -> None:
    with pytest.raises(BadInput, match=r"examples have shape \(" + str(shape[0])):
        net(shape)


def test_first_weights_follow_from_the_generator_alone() -> None:
    one, two, other = net(), net(), net(seed=1)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
        assert bool(torch.isfinite(value).all())
    assert not torch.equal(one.layers[1][0].weight, other.layers[1][0].weight)
    global_state = torch.get_rng_state()
    net()
    assert torch.equal(global_state, torch.get_rng_state())


def test_normalisation_begins_at_one_and_residual_blocks_add_nothing() -> None:
    own = net()
    for layer in own.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert torch.equal(layer.running_mean, torch.zeros(layer.num_features))
            assert torch.equal(layer.running_var, torch.ones(layer.num_features))
    block = next(layer for layer in own.modules() if isinstance(layer, Residual))
    x = torch.rand(2, block.first[0].in_channels, 4, 4)
    assert torch.equal(block(x), x)


def test_it_can_be_made_without_memory_and_copied() -> None:
    with torch.device("meta"):
        outline = net()
    assert all(weight.is_meta for weight in outline.parameters())
    assert {n: w.shape for n, w in outline.state_dict().items()} == {n: w.shape for n, w in net().state_dict().items()}
    own = net().eval()
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(copy.deepcopy(own)(x), own(x))


def test_in_use_an_image_has_the_features_that_it_has_alone() -> None:
    own = net()
    own(torch.rand(16, 3, 8, 8))
    own.eval()
    x = torch.rand(5, 3, 8, 8)
    torch.testing.assert_close(own(x)[2:3], own(x[2:3]))
