"""Convolutional networks fit images of any size, and start as the identity where they have no reason to differ."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from growmix.components.construction import make_blueprint, make_kind
from growmix.components.convolution import ChannelsLast, Conv, Residual, Signed
from growmix.components.kinds import VAEKind
from growmix.components.nets import Blueprint, check_blueprint, initialised, make_network
from growmix.data.domain import Domain, Shape
from growmix.errors import BadInput
from growmix.settings import Settings
from growmix.training.budget import Budget

# sides after each halving
SIZES: list[tuple[Shape, list[tuple[int, int]]]] = [
    ((1, 8, 8), [(4, 4)]),
    ((1, 28, 28), [(14, 14), (7, 7)]),
    ((3, 32, 32), [(16, 16), (8, 8)]),
    ((3, 64, 64), [(32, 32), (16, 16), (8, 8)]),
    ((2, 33, 17), [(17, 9), (9, 5)]),
    ((3, 200, 96), [(100, 48), (50, 24), (25, 12), (13, 6)]),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("shape", "sizes"), SIZES, ids=str)
def test_images_are_halved_to_at_most_eight_and_come_back_at_their_exact_size(
    shape: Shape, sizes: list[tuple[int, int]]
) -> None:
    conv = Conv(width=8)
    found = []
    x = torch.rand(2, *shape)
    encoder: Any = conv.encoder(shape)
    for layer in encoder:
        x = layer(x)
        if isinstance(layer, Residual):
            found.append(tuple(x.shape[2:]))
    assert found == sizes
    assert x.shape == (2, 3 * sizes[-1][0] * sizes[-1][1]) and check_blueprint(conv, 5, shape) == x.shape[1]
    assert conv.decoder(5, shape)(torch.randn(2, 5)).shape == (2, *shape)
    assert isinstance(conv, Blueprint)


@pytest.mark.slow
@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40))
def test_convolutions_fit_images_of_any_size_and_number_of_channels(channels: int, height: int, width: int) -> None:
    shape = (channels, height, width)
    features = check_blueprint(Conv(width=1), 2, shape)
    assert Conv(width=1).encoder(shape)(torch.rand(1, *shape)).shape == (1, features)
    assert Conv(width=1).decoder(2, shape)(torch.zeros(1, 2)).shape == (1, *shape)


def test_every_width_scales_with_the_one_that_is_given() -> None:
    for width in (32, 64):
        encoder: Any = Conv(width).encoder((1, 100, 100))
        channels = [layer.out_channels for layer in encoder if isinstance(layer, nn.Conv2d)]
        assert channels == [width, 3 * width // 2, 2 * width, 2 * width, 3 * width // 8]
        decoder: Any = Conv(width).decoder(5, (1, 100, 100))
        channels = [layer.out_channels for layer in decoder if isinstance(layer, nn.Conv2d)]
        assert channels == [2 * width, 2 * width, 3 * width // 2, width, width // 2, 1]


def test_a_component_of_two_digits_has_212_thousand_weights() -> None:
    component = VAEKind(Conv()).autoencoder(Domain((1, 28, 28)), supervised=True, generator=generator())
    component.add_classes([0, 1], generator())
    assert sum(weight.numel() for weight in component.parameters()) == 212_355


def test_a_new_block_adds_nothing_and_learns_all_the_same() -> None:
    block, x = initialised(lambda: Residual(4), generator()), torch.randn(2, 4, 6, 5)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert all(weight.grad is not None for weight in block.parameters())
    last = block.get_submodule("last")
    assert all(bool(weight.grad.any()) for weight in last.parameters() if weight.grad is not None)


def test_first_weights_of_a_whole_network_follow_from_the_generator_alone() -> None:
    def made() -> nn.Module:
        return make_network(Conv(4), lambda: Conv(4).encoder((1, 8, 8)), generator())

    torch.manual_seed(1)
    first = made()
    torch.manual_seed(2)
    again = made()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    blocks = [block for block in first.modules() if isinstance(block, Residual)]
    assert blocks and not any(weight.any() for block in blocks for weight in block.last.parameters())


def test_nothing_in_the_networks_differs_between_training_and_use() -> None:
    x = torch.rand(4, 1, 8, 8)
    encoder = Conv(width=2).encoder((1, 8, 8))
    assert torch.equal(encoder.train()(x), encoder.eval()(x))
    assert list(encoder.buffers()) == []


def test_what_is_read_is_signed_and_laid_out_with_the_channels_last() -> None:
    x = torch.rand(2, 3, 4, 5)
    kept = x.clone()
    read = ChannelsLast()(Signed()(x))
    assert torch.equal(read, 2 * x - 1) and torch.equal(x, kept)
    assert read.is_contiguous(memory_format=torch.channels_last)


def test_many_networks_run_as_one_batched_call() -> None:
    networks: list[nn.Module] = [Conv(2).decoder(3, (3, 9, 12)) for _ in range(3)]
    codes = torch.randn(2, 3)
    weights = stack_module_state(networks)
    with torch.no_grad():
        outputs = vmap(lambda state: functional_call(networks[0], state, (codes,)))(weights)
        for output, network in zip(outputs, networks, strict=True):
            torch.testing.assert_close(output, network(codes), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", ["a", 0, 10**6])
def test_the_width_is_a_whole_number(width: Any) -> None:
    with pytest.raises(BadInput, match=f"width is {width!r}; allowed is a whole number from 1 to "):
        Conv(width)


@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3, 4)])
def test_what_is_no_image_is_refused_with_what_takes_it(shape: Shape) -> None:
    with pytest.raises(BadInput, match=r"convolutions are for images .* take 'mlp'"):
        check_blueprint(Conv(), 3, shape)


def test_a_component_is_trained_by_the_recipe_of_its_blueprint_and_the_settings_win() -> None:
    kind = make_kind(Settings(blueprint="conv"), make_blueprint(Settings(blueprint="conv")))
    assert isinstance(kind, VAEKind)
    assert kind.recipes == (Conv().recipe,) and kind.options.classification_weight == 15.0
    component = kind.autoencoder(Domain((1, 8, 8)), supervised=False, generator=generator())
    budget = Budget.of(Settings(), 12_000).by(component.recipe, 12_000)
    assert (budget.epochs, budget.batch_size, budget.schedule, budget.matrices_only) == (30, 128, "cosine", True)
    given = Settings(blueprint="conv", epochs=3, schedule="constant", adam_beta1=0.5, classification_weight=2.0)
    budget = Budget.of(given, 12_000).by(component.recipe, 12_000)
    assert (budget.epochs, budget.schedule, budget.beta1) == (3, "constant", 0.5)
    again = make_kind(given, make_blueprint(given))
    assert isinstance(again, VAEKind) and again.options.classification_weight == 2.0
