"""Changes of images follow from the numbers handed in alone, keep the shape, and move pixels or shift their values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.components.augmentation import (
    Augmentation,
    dealt,
    flipped,
    jittered,
    shifted,
    turned,
    turns_of,
    uniform,
    whole,
)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(4, 9), st.integers(0, 99))
def test_quarter_turns_are_those_of_rot90(side: int, seed: int) -> None:
    x, quarters = images(6, 2, side, side, seed=seed), torch.tensor([0, 1, 2, 3, 1, 3])
    for image, turn, result in zip(x, quarters.tolist(), turned(x, quarters), strict=True):
        assert torch.equal(result, image.rot90(turn, (1, 2)))


def test_images_of_unequal_sides_are_turned_upside_down() -> None:
    x = images(2, 3, 4, 7)
    result = turned(x, torch.tensor([0, 2]))
    assert torch.equal(result[0], x[0])
    assert torch.equal(result[1], x[1].flip(1, 2))
    assert [turns_of((3, 4, 7)), turns_of((1, 5, 5))] == [2, 4]


@given(st.integers(4, 8), st.integers(4, 8), st.data())
def test_what_comes_in_at_the_edge_is_the_mirror_image(height: int, width: int, data: st.DataObject) -> None:
    down = data.draw(st.lists(st.integers(1 - height, height - 1), min_size=3, max_size=3))
    right = data.draw(st.lists(st.integers(1 - width, width - 1), min_size=3, max_size=3))
    x = images(3, 2, height, width)
    result = shifted(x, torch.tensor(down), torch.tensor(right))
    for image, r, c, moved in zip(x.numpy(), down, right, result.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (height, height), (width, width)), mode="reflect")
        expected = padded[:, height + r : 2 * height + r, width + c : 2 * width + c]
        np.testing.assert_array_equal(moved, expected)


def test_only_chosen_images_are_flipped() -> None:
    x = images(3, 1, 4, 4)
    result = flipped(x, torch.tensor([True, False, True]))
    assert torch.equal(result[1], x[1])
    assert torch.equal(result[[0, 2]], x[[0, 2]].flip(-1))


def test_jitter_changes_mean_contrast_and_colours_by_the_numbers_given() -> None:
    x = images(2, 3, 5, 5)
    colour = torch.tensor([[0.1, 0.0, -0.1], [0.0, 0.0, 0.0]])
    result = jittered(x, torch.tensor([0.5, 2.0]), torch.tensor([0.2, 0.0]), colour)
    mean = x.mean((1, 2, 3))
    torch.testing.assert_close(result[0, 0], 0.5 * (x[0, 0] - mean[0]) + mean[0] + 0.3)
    torch.testing.assert_close(result[0, 2], 0.5 * (x[0, 2] - mean[0]) + mean[0] + 0.1)
    torch.testing.assert_close(result[1].mean(), mean[1])
    torch.testing.assert_close(result[1].std(), 2.0 * x[1].std())


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 99))
def test_turns_are_dealt_equally_often_whatever_the_batch(n: int, batch: int, seed: int) -> None:
    counts = dealt(normal(batch, seed=seed), n).bincount(minlength=n)
    assert len(counts) == n
    assert int(counts.max() - counts.min()) <= 1


def test_normal_numbers_become_uniform_and_whole_ones_stay_in_range() -> None:
    z = torch.cat([normal(40_000), torch.tensor([-40.0, 40.0])])
    assert float(uniform(z).mean()) == pytest.approx(0.5, abs=0.01)
    assert float(uniform(z).var()) == pytest.approx(1 / 12, abs=0.002)
    counts = whole(z, 9).bincount()
    assert len(counts) == 9
    assert float(counts.min() / counts.max()) > 0.9


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 5, 9), (1, 1, 1)])
@pytest.mark.parametrize("flips", [False, True])
def test_augmentation_keeps_the_shape_and_without_jitter_the_pixels(shape: tuple[int, ...], flips: bool) -> None:
    x, plain = images(16, *shape), Augmentation(flips=flips, jitter=0.0)
    result = plain(x, normal(16, plain.numbers(shape[0])))
    assert result.shape == x.shape
    assert result.dtype == torch.float32
    for before, after in zip(x, result, strict=True):
        assert bool(torch.isin(after, before).all())


def test_jitter_goes_no_further_than_it_says() -> None:
    changes = Augmentation(crop=0.0, jitter=0.3)
    x = images(400, 3, 4, 4)
    result = changes(x, normal(400, changes.numbers(3)))
    assert float((result - x).abs().max()) <= 0.3 * (2.0 + 0.6 + 0.3)
    assert float((result.mean((1, 2, 3)) - x.mean((1, 2, 3))).abs().max()) <= 0.3 * 0.9
    assert not torch.equal(result, x)


def test_equal_numbers_give_equal_images_and_one_image_never_changes_another() -> None:
    changes = Augmentation(flips=True)
    x, noise = images(6, 3, 8, 8), normal(6, changes.numbers(3))
    result = changes(x, noise)
    assert torch.equal(result, changes(x, noise))
    assert not torch.equal(result, changes(x, normal(6, changes.numbers(3), seed=1)))
    torch.testing.assert_close(result[2:4], changes(x[2:4], noise[2:4]))
    before = torch.get_rng_state()
    changes(x, noise)
    assert torch.equal(before, torch.get_rng_state())
