from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch import Tensor

from growmix.errors import BadInput
from growmix.streams import transforms
from growmix.system import memory

images = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 3), st.sampled_from((1, 3)), st.integers(1, 9), st.integers(1, 9)),
).map(torch.from_numpy)


def run(text: str, x: Tensor) -> Tensor:
    return transforms.apply([transforms.parse(each) for each in text.split("@")], x)


def blob(height: int, width: int, top: int, left: int) -> Tensor:
    """A bright square whose place can be followed."""
    x = torch.zeros(1, 1, height, width, dtype=torch.uint8)
    x[..., top : top + 4, left : left + 4] = 255
    return x


def centre(x: Tensor) -> tuple[float, float]:
    weight = x[0, 0].double()
    rows, columns = torch.arange(weight.shape[0]).double(), torch.arange(weight.shape[1]).double()
    return float((weight.sum(1) @ rows) / weight.sum()), float((weight.sum(0) @ columns) / weight.sum())


@given(images)
def test_undoing_twice_gives_the_same_bytes_back(x: Tensor) -> None:
    assert torch.equal(run("invert@invert", x), x)
    assert torch.equal(run("fliplr@fliplr", x), x)
    assert torch.equal(run("rotate180@rotate180", x), x)
    assert torch.equal(run("rotate90@rotate-90", x), x)


@given(images)
def test_four_quarter_turns_are_none(x: Tensor) -> None:
    once = run("rotate90", x)
    assert torch.equal(run("rotate90@rotate90@rotate90", once), x)
    assert torch.equal(run("rotate360", x), x)


@given(images, st.integers(0, 2**32 - 1))
def test_a_permutation_is_a_bijection_of_the_pixels_and_the_same_for_images_and_channels(x: Tensor, seed: int) -> None:
    pixels = x.shape[-1] * x.shape[-2]
    place = torch.arange(pixels).to(torch.uint8).reshape(1, 1, *x.shape[-2:])
    moved = run(f"permute{seed}", place).flatten()
    assert sorted(moved.tolist()) == list(range(pixels))
    assert torch.equal(run(f"permute{seed}", x).flatten(2), x.flatten(2)[:, :, moved.long()])


def test_permutations_of_other_numbers_differ() -> None:
    x = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    assert len({tuple(run(f"permute{n}", x).flatten().tolist()) for n in range(20)}) == 20


def test_permutation_number_1_never_changes() -> None:
    """Published results name permutations by number: these bytes are a promise."""
    x = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3)
    assert run("permute1", x).flatten().tolist() == [8, 2, 6, 7, 1, 0, 4, 3, 5]


@given(images)
def test_every_transform_keeps_bytes_and_the_number_of_images(x: Tensor) -> None:
    for text in ("invert", "rotate90", "rotate30", "fliplr", "permute3", "gray", "rgb", "size5"):
        got = run(text, x)
        assert got.dtype == torch.uint8
        assert len(got) == len(x)
        assert got.is_contiguous()


def test_quarter_turns_go_counter_clockwise_like_pillow() -> None:
    x = torch.arange(6, dtype=torch.uint8).reshape(1, 1, 2, 3)
    turned = np.asarray(Image.fromarray(x[0, 0].numpy()).rotate(90, expand=True))
    assert torch.equal(run("rotate90", x)[0, 0], torch.from_numpy(turned.copy()))


@pytest.mark.parametrize(("height", "width"), [(29, 29), (21, 41)])
@pytest.mark.parametrize("degrees", [1, 30, 89, 135, -60])
def test_other_angles_move_a_blob_to_where_geometry_says(height: int, width: int, degrees: int) -> None:
    x = blob(height, width, height // 2 - 6, width // 2 + 2)
    middle = ((height - 1) / 2, (width - 1) / 2)
    down, right = (a - b for a, b in zip(centre(x), middle, strict=True))
    angle = np.deg2rad(degrees)
    expected = (
        middle[0] + down * np.cos(angle) - right * np.sin(angle),
        middle[1] + down * np.sin(angle) + right * np.cos(angle),
    )
    got = run(f"rotate{degrees}", x)
    assert got.shape == x.shape
    assert centre(got) == pytest.approx(expected, abs=0.05)


def test_gray_is_pillows_luma_to_the_last_bit() -> None:
    random = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(random).convert("L")).copy()
    got = run("gray", torch.from_numpy(random.transpose(2, 0, 1).copy())[None])
    assert torch.equal(got[0, 0], torch.from_numpy(expected))


def test_gray_of_a_gray_image_is_itself() -> None:
    x = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    assert torch.equal(run("gray", x), x)


@given(images)
def test_rgb_repeats_gray_and_leaves_colour(x: Tensor) -> None:
    got = run("rgb", x)
    assert got.shape == (len(x), 3, *x.shape[2:])
    assert torch.equal(got, x.expand_as(got))
    assert torch.equal(run("rgb@gray", x), run("gray", x))


def test_neither_gray_nor_colour_is_refused() -> None:
    for text in ("gray", "rgb"):
        with pytest.raises(BadInput, match="images of 2 channels; allowed are 1 and 3"):
            run(text, torch.zeros(1, 2, 3, 3, dtype=torch.uint8))


@pytest.mark.parametrize("size", [1, 7, 28, 32, 56])
def test_size_keeps_flat_images_flat_and_the_mean_brightness(size: int) -> None:
    flat = torch.full((1, 3, 28, 28), 137, dtype=torch.uint8)
    assert torch.equal(run(f"size{size}", flat), torch.full((1, 3, size, size), 137, dtype=torch.uint8))
    noise = torch.randint(0, 256, (1, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert float(run(f"size{size}", noise).float().mean()) == pytest.approx(float(noise.float().mean()), abs=4)


def test_a_fine_checkerboard_becomes_gray_when_halved_not_black() -> None:
    board = ((torch.arange(28)[:, None] + torch.arange(28)) % 2 * 255).to(torch.uint8)[None, None]
    inside = run("size14", board)[..., 2:-2, 2:-2].float()
    assert float((inside - 127.5).abs().max()) < 2


def test_transforms_apply_from_left_to_right() -> None:
    x = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    assert torch.equal(run("fliplr@permute1", x), transforms.permute(transforms.fliplr(x), 1))
    assert not torch.equal(run("fliplr@permute1", x), run("permute1@fliplr", x))


def test_many_images_give_what_each_gives_alone() -> None:
    x = torch.randint(0, 256, (transforms.CHUNK + 3, 3, 5, 4), dtype=torch.uint8)
    for text in ("rotate30", "gray", "size6"):
        assert torch.equal(run(text, x)[-1], run(text, x[-1:])[0])


def test_large_images_are_floats_a_few_at_a_time_and_come_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(0, 256, (7, 3, 20, 16), dtype=torch.uint8)
    whole = [run(text, x) for text in ("rotate30", "size6", "size33")]
    monkeypatch.setattr(transforms, "MOST_FLOATS", 2 * 3 * 20 * 16)
    for text, expected in zip(("rotate30", "size6", "size33"), whole, strict=True):
        assert torch.equal(run(text, x), expected)


def test_memory_is_asked_for_before_larger_images_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 100 * 3 * 28 * 28)
    with pytest.raises(BadInput, match=r"100 images of shape \(3, 256, 256\) needs about"):
        run("size256", torch.zeros(100, 3, 28, 28, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("invertt", "did you mean 'invert'"),
        ("blur", "allowed: invert, rotateN, fliplr, permuteN, gray, rgb, sizeN"),
        ("", "unknown transform ''"),
        ("Invert", "unknown transform"),
        ("invert2", "takes no number"),
        ("rotate", "'rotateN' takes a whole N from -360 to 360"),
        ("rotate1.5", "'1.5'"),
        ("rotate400", "'400'"),
        ("rotate٣", "takes a whole N"),
        ("permute-1", "takes a whole N from 0"),
        ("permute" + "9" * 5000, "takes a whole N"),
        ("size0", "takes a whole N from 1 to 1024"),
        ("size99999", "takes a whole N from 1 to 1024"),
    ],
)
def test_a_wrong_transform_is_named_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        transforms.parse(text)
    assert said in str(caught.value)
