"""Scores of images against their definitions, for every size of image that growmix takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.evaluation.images import PIXELS, ssim_window
from growmix.metrics import ImageScores, ReconstructionScores, image_scores, psnr, squared_error, ssim

Shape = tuple[int, int, int]
SHAPES: list[Shape] = [
    (1, 8, 8),
    (3, 8, 8),
    (1, 28, 28),
    (3, 32, 32),
    (3, 64, 64),
    (1, 5, 9),
    (1, 2, 2),
    (1, 1, 1),
]


def noise(n: int, shape: Shape, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_like_itself(shape: Shape) -> None:
    x = noise(3, shape)
    scores = image_scores(x, x)
    assert scores.mse.tolist() == [0, 0, 0]
    assert scores.ssim.tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert scores.psnr.tolist() == [math.inf] * 3


@pytest.mark.parametrize("shape", SHAPES)
def test_squared_error_is_summed_over_pixels_and_psnr_is_its_mean_in_decibels(shape: Shape) -> None:
    x, y = noise(4, shape), noise(4, shape, seed=1)
    expected = ((x.double() - y.double()) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(squared_error(x, y).double(), expected, rtol=1e-5, atol=1e-7)
    in_decibels = -10 * (expected / math.prod(shape)).log10()
    torch.testing.assert_close(psnr(x, y).double(), in_decibels, rtol=1e-5, atol=1e-5)


def test_ssim_of_flat_images_is_its_luminance_term() -> None:
    x, y = torch.full((2, 1, 8, 8), 0.25), torch.full((2, 1, 8, 8), 0.75)
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert ssim(x, y).tolist() == pytest.approx([expected] * 2, rel=1e-4)


def test_ssim_uses_the_window_that_it_says() -> None:
    # a single bright pixel is seen as far as the window reaches: half of 11 in large images, half of 7 in 8x8
    for side, reach in ((28, 5), (8, 3)):
        assert ssim_window(side, side) == 2 * reach + 1
        x = torch.zeros(1, 1, side, side)
        near, far = x.clone(), x.clone()
        near[..., 0, reach], far[..., 0, reach + 1] = 1.0, 1.0
        gap = [_ssim_at_corner(x, y) for y in (near, far)]
        assert gap[0] < 1.0
        assert gap[1] == pytest.approx(1.0)


def _ssim_at_corner(x: torch.Tensor, y: torch.Tensor) -> float:
    from torchmetrics.functional.image import structural_similarity_index_measure

    sigma = 1.5 * ssim_window(*x.shape[-2:]) / 11
    _, full = structural_similarity_index_measure(x, y, sigma=sigma, data_range=1.0, return_full_image=True)
    return float(full[0, 0, 0, 0])


def test_more_noise_is_less_alike() -> None:
    x = noise(20, (1, 28, 28))
    change = noise(20, (1, 28, 28), seed=1) - 0.5
    errors = [image_scores((x + s * change).clamp(0, 1), x) for s in (0.05, 0.2, 0.8)]
    assert [e.mse.mean() for e in errors] == sorted(e.mse.mean() for e in errors)
    assert [-e.ssim.mean() for e in errors] == sorted(-e.ssim.mean() for e in errors)
    assert [-e.psnr.mean() for e in errors] == sorted(-e.psnr.mean() for e in errors)


@given(st.integers(1, 12), st.sampled_from(SHAPES[:4]), st.integers(0, 1000))
def test_scores_stay_within_their_bounds_and_do_not_care_which_image_is_the_target(
    n: int, shape: Shape, seed: int
) -> None:
    x, y = noise(n, shape, seed), noise(n, shape, seed + 1)
    there, back = image_scores(x, y), image_scores(y, x)
    assert there.ssim.abs().max() <= 1 + 1e-5
    assert there.mse.max() <= math.prod(shape)
    assert there.psnr.min() >= 0
    for a, b in zip(there, back, strict=True):
        assert a.shape == (n,)
        torch.testing.assert_close(a, b)


def test_an_image_scores_the_same_whatever_batch_it_is_in() -> None:
    shape = (1, 28, 28)
    n = 2 * PIXELS // 784 + 5
    x, y = noise(n, shape), noise(n, shape, 1)
    together = image_scores(x, y)
    for row in (0, n // 2, n - 1):
        alone = image_scores(x[row : row + 1], y[row : row + 1])
        for a, b in zip(together, alone, strict=True):
            assert float(a[row]) == pytest.approx(float(b[0]), rel=1e-5)


def test_reconstruction_scores_are_means_and_nll_has_its_sign() -> None:
    images = ImageScores(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 1.0]), torch.tensor([10.0, 20.0]))
    scores = ReconstructionScores.with_elbo(images, torch.tensor([-80.0, -120.0]))
    assert scores == ReconstructionScores(mse=2.0, ssim=0.75, psnr=15.0, nll=100.0)


def test_images_of_unlike_shape_are_refused() -> None:
    with pytest.raises(BadInput, match=r"\(1, 1, 8, 8\).*\(1, 3, 8, 8\)"):
        ssim(torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(BadInput, match=r"\(n, channels, height, width\)"):
        psnr(torch.zeros(8, 8), torch.zeros(8, 8))


def test_squared_error_takes_any_numbers_of_any_shape() -> None:
    made = torch.tensor([[3.0, -1.0], [250.0, 0.0]])
    assert squared_error(made, torch.zeros(2, 2)).tolist() == [10.0, 62_500.0]
    assert squared_error(made.view(2, 1, 2, 1), torch.zeros(2, 1, 2, 1)).tolist() == [10.0, 62_500.0]
    with pytest.raises(BadInput, match=r"made has shape \(2,\); allowed is \(n, ...\)"):
        squared_error(made[0], made[0])
    with pytest.raises(BadInput, match=r"\(2, 2\) and targets \(2, 1\)"):
        squared_error(made, made[:, :1])
    with pytest.raises(BadInput, match=r"targets is a tensor of torch\.uint8; allowed is a tensor of floats"):
        squared_error(made, made.byte())


X = torch.full((2, 1, 8, 8), 0.5)
NO_IMAGES = {
    "bytes": ((X * 255).byte(), "is a tensor of torch.uint8; allowed is a tensor of floats"),
    "numpy": (X.numpy(), "is a ndarray; allowed is a tensor of floats"),
    "none": (None, "is a NoneType; allowed is a tensor of floats"),
    "not divided": (X * 255, r"has pixels from 127.5 to 127.5; allowed is \[0, 1\]"),
    "below": (X - 0.6, r"has pixels from -0.1 to -0.1; allowed is \[0, 1\]"),
    "no pixel": (X[..., :0], r"has shape \(2, 1, 8, 0\)"),
    "double": (X.double(), "torch.float32 and torch.float64|torch.float64 and torch.float32"),
}


@pytest.mark.parametrize("score", [ssim, psnr, image_scores])
@pytest.mark.parametrize(("given", "said"), NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_has_no_score(score: Callable[[Any, Any], Any], given: Any, said: str) -> None:
    for name, pair in (("images", (given, X)), ("targets", (X, given))):
        with pytest.raises(BadInput, match=said) as caught:
            score(*pair)
        assert name in str(caught.value)


def test_an_image_that_is_not_a_number_has_a_score_that_is_none() -> None:
    spoilt = X.clone()
    spoilt[0, 0, 3, 3] = torch.nan
    assert [values.isnan().tolist() for values in image_scores(spoilt, X)] == [[True, False]] * 3


def test_no_images_have_no_scores() -> None:
    none = torch.zeros(0, 1, 8, 8)
    assert [len(values) for values in image_scores(none, none)] == [0, 0, 0]
