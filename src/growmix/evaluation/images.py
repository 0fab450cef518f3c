"""How near images are to other images, one number per example; torchmetrics does the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from growmix.errors import BadInput

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
"""Gaussian window of Wang et al. 2004, in pixels; smaller images get a smaller one of the same form."""

PIXELS = 50_000
"""Pixel values compared at a time. Measured for SSIM, 10,000 images of 28x28 on one core: 0.9 s; 3.5 s by
2,048 images, because torchmetrics filters five copies of a batch at once and these leave the cache."""


class ImageScores(NamedTuple):
    """Per example, shape ``(n,)`` each: squared error summed over pixels, SSIM, PSNR in dB."""

    mse: Tensor
    ssim: Tensor
    psnr: Tensor


@dataclass(frozen=True)
class PictureScores:
    """How near the images made for one task's test set are to what they should be, means over examples.

    Attributes
    ----------
    mse
        Squared error, summed over the pixels of an image in [0, 1].
    ssim
        Structural similarity, at most 1.
    psnr
        Peak signal-to-noise ratio in dB; infinite if an image is exact.
    """

    mse: float
    ssim: float
    psnr: float

    @classmethod
    def of(cls, images: ImageScores) -> PictureScores:
        """Means of scores per example.

        Examples
        --------
        >>> x = torch.full((2, 1, 4, 4), 0.5)
        >>> PictureScores.of(image_scores(x + 0.5, x)).mse
        4.0
        """
        return cls(*(float(values.double().mean()) for values in images))


@dataclass(frozen=True)
class ReconstructionScores(PictureScores):
    """How well one task's test images come back, means over examples.

    Attributes
    ----------
    nll
        Minus the log-likelihood bound, nats per example.
    """

    nll: float

    @classmethod
    def with_elbo(cls, images: ImageScores, elbo: Tensor) -> ReconstructionScores:
        """Means of scores per example, all of shape ``(n,)``; ``elbo`` in nats.

        Examples
        --------
        >>> x = torch.full((2, 1, 8, 8), 0.5)
        >>> ReconstructionScores.with_elbo(image_scores(x + 0.1, x), torch.tensor([-90.0, -110.0])).nll
        100.0
        """
        of_images = PictureScores.of(images)
        return cls(of_images.mse, of_images.ssim, of_images.psnr, nll=-float(elbo.double().mean()))


def image_scores(images: Tensor, targets: Tensor) -> ImageScores:
    """All three scores of each image; parameters as :func:`ssim`."""
    return ImageScores(squared_error(images, targets), ssim(images, targets), psnr(images, targets))


def squared_error(images: Tensor, targets: Tensor) -> Tensor:
    """Squared error of each image, summed over its pixels; parameters as :func:`ssim`.

    Examples
    --------
    >>> squared_error(torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, 1, 4, 4))
    tensor([4., 4.])
    """
    return _batched(lambda x, y: (x - y).square().flatten(1).sum(1), images, targets)


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, dB against a range of 1; parameters as :func:`ssim`.

    Infinite where an image equals its target.

    Examples
    --------
    >>> psnr(torch.full((2, 1, 4, 4), 0.1), torch.zeros(2, 1, 4, 4)).round()
    tensor([20., 20.])
    """

    def of_batch(x: Tensor, y: Tensor) -> Tensor:
        return peak_signal_noise_ratio(x, y, data_range=1.0, reduction="none", dim=(1, 2, 3))

    return _batched(of_batch, images, targets)


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity of each image to its target.

    The window is the usual Gaussian of 11 pixels and standard deviation 1.5. Where an image is smaller than
    that, the largest odd window that fits is taken, and the deviation shrinks with it: 7 pixels and 0.95 for
    8x8. So figures of such images are comparable only with those of the same size. Borders are mirrored.

    Parameters
    ----------
    images, targets
        ``float`` in [0, 1], equal types and shapes ``(n, channels, height, width)``.

    Returns
    -------
    Tensor
        Shape ``(n,)``, in [-1, 1], mean over pixels and channels.

    Raises
    ------
    BadInput
        The two are of unlike type or shape, or no batches of images.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli 2004, Image quality assessment.

    Examples
    --------
    >>> x = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
    >>> ssim(x, x)
    tensor([1.])
    """

    def of_batch(x: Tensor, y: Tensor) -> Tensor:
        sigma = SSIM_SIGMA * ssim_window(*x.shape[-2:]) / SSIM_WINDOW
        # torchmetrics derives a Gaussian's window from its deviation alone: 2 int(3.5 sigma + 0.5) + 1
        return torch.as_tensor(structural_similarity_index_measure(x, y, sigma=sigma, data_range=1.0, reduction="none"))

    return _batched(of_batch, images, targets)


def ssim_window(height: int, width: int) -> int:
    """Side of the window in pixels: 11, or the largest odd number that fits into the image.

    Examples
    --------
    >>> ssim_window(28, 28), ssim_window(8, 8), ssim_window(5, 30)
    (11, 7, 5)
    """
    side = min(height, width)
    return min(SSIM_WINDOW, side - 1 + side % 2)


def _batched(score: Callable[[Tensor, Tensor], Tensor], images: Tensor, targets: Tensor) -> Tensor:
    _check_images("images", images)
    _check_images("targets", targets)
    if (images.shape, images.dtype) != (targets.shape, targets.dtype):
        raise BadInput(
            f"images have shape {tuple(images.shape)} and targets {tuple(targets.shape)}, of {images.dtype} and "
            f"{targets.dtype}; both must be alike"
        )
    if len(images) == 0:
        return torch.empty(0)
    size = max(1, PIXELS // images[0].numel())
    return torch.cat([score(x, y) for x, y in zip(images.split(size), targets.split(size), strict=True)])


def _check_images(name: str, images: Any) -> None:
    if not isinstance(images, Tensor) or not images.is_floating_point():
        given = f"a tensor of {images.dtype}" if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise BadInput(f"{name} is {given}; allowed is a tensor of floats in [0, 1] (bytes divided by 255)")
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise BadInput(f"{name} has shape {tuple(images.shape)}; allowed is (n, channels, height, width)")
    # NaN is neither below nor above: what a model makes of an image may be NaN, and so are its scores then
    if len(images) and (bool(images.min() < 0) or bool(images.max() > 1)):
        raise BadInput(f"{name} has pixels from {float(images.min()):g} to {float(images.max()):g}; allowed is [0, 1]")
