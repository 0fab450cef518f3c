"""The denoiser's network takes images of any size, knows noise and class, and says nothing at first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from growmix.components.unet import UNet, folding, make_unet
from growmix.data.domain import Shape

SHAPES: list[Shape] = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 9, 11), (3, 17, 31), (4, 1, 1), (1, 50, 53)]


def unet_for(shape: Shape, *, moved: bool) -> UNet:
    generator = torch.Generator().manual_seed(0)
    unet = make_unet(shape, (8, 12, 12), 16, generator)
    if moved:
        with torch.no_grad():
            for weight in unet.parameters():
                weight += 0.2 * torch.randn(weight.shape, generator=generator)
    return unet


def images(shape: Shape, n: int = 3) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_output_has_the_shape_of_the_images_and_is_zero_at_first(shape: Shape) -> None:
    x, log_sigma, code = images(shape), torch.zeros(3), torch.zeros(3, 16)
    assert torch.equal(unet_for(shape, moved=False)(x, log_sigma, code), torch.zeros_like(x))
    output = unet_for(shape, moved=True)(x, log_sigma, code)
    assert output.shape == x.shape and bool((output != 0).all())


def test_noise_and_class_change_the_output() -> None:
    shape = (1, 8, 8)
    unet, x = unet_for(shape, moved=True), images(shape, 1)
    plain = unet(x, torch.zeros(1), torch.zeros(1, 16))
    assert not torch.allclose(unet(x, torch.ones(1), torch.zeros(1, 16)), plain)
    assert not torch.allclose(unet(x, torch.zeros(1), torch.ones(1, 16)), plain)


def test_every_image_is_denoised_for_itself() -> None:
    shape = (3, 17, 31)
    unet, x = unet_for(shape, moved=True), images(shape)
    log_sigma, code = torch.tensor([-1.0, 0.0, 1.0]), torch.eye(3, 16)
    alone = [unet(x[k : k + 1], log_sigma[k : k + 1], code[k : k + 1]) for k in range(3)]
    torch.testing.assert_close(unet(x, log_sigma, code), torch.cat(alone), rtol=1e-3, atol=1e-3)


def test_large_images_are_folded_so_that_the_finest_level_stays_small() -> None:
    assert [folding((1, side, side)) for side in (8, 15, 16, 28, 32, 47, 48, 64)] == [1, 1, 2, 2, 2, 2, 4, 4]
    assert folding((3, 64, 20)) == 2


def test_first_weights_follow_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    one, other = (unet_for((1, 8, 8), moved=False).state_dict() for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_networks_without_memory_have_the_same_outline() -> None:
    with torch.device("meta"):
        outline = unet_for((1, 8, 8), moved=False).state_dict()
    made = unet_for((1, 8, 8), moved=False).state_dict()
    assert {name: t.shape for name, t in outline.items()} == {name: t.shape for name, t in made.items()}
    assert all(t.is_meta for t in outline.values())
