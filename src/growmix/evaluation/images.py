"""How near what a model makes is to what it should be, one number for each example; torchmetrics does the arithmetic.

The squared error is defined for examples of any shape. SSIM and PSNR are figures of pictures: pixels in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from growmix.errors import BadInput

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
"""Gaussian window of Wang et al. 2004, in pixels; smaller images get a smaller one of the same form."""

PIXELS = 50_000
"""Numbers compared at a time. Measured for SSIM, 10,000 images of 28x28 on one core: 0.9 s; 3.5 s by
2,048 images, because torchmetrics filters five copies of a batch at once and these leave the cache."""

FIGURES = ("mse", "ssim", "psnr")
"""Names of the figures of :class:`PictureScores`, the first of which is defined for any shape."""


class ImageScores(NamedTuple):
    """Scores of each example, shape ``(n,)`` each; SSIM and PSNR are ``None`` where examples are no pictures.

    ``mse`` is the squared error summed over an example's numbers; ``psnr`` is in dB.
    """

    mse: Tensor
    ssim: Tensor | None
    psnr: Tensor | None


@dataclass(frozen=True)
class PictureScores:
    """How near what was made for one task's test set is to what it should be, means over examples.

    Attributes
    ----------
    mse
        Squared error, summed over the numbers of an example.
    ssim
        Structural similarity, at most 1; ``None`` where examples are no pictures.
    psnr
        Peak signal-to-noise ratio in dB, infinite if an image is exact; ``None`` where examples are no pictures.
    """

    mse: float
    ssim: float | None
    psnr: float | None

    @classmethod
    def of(cls, scores: ImageScores) -> PictureScores:
        """Average scores of single examples.

        Examples
        --------
        >>> x = torch.full((2, 1, 4, 4), 0.5)
        >>> PictureScores.of(image_scores(x + 0.5, x)).mse
        4.0
        """
        return cls(_mean(scores.mse), _mean_if_known(scores.ssim), _mean_if_known(scores.psnr))


@dataclass(frozen=True)
class ReconstructionScores(PictureScores):
    """How well one task's test examples come back, means over examples.

    Attributes
    ----------
    nll
        Minus the log-likelihood bound, nats per example.
    """

    nll: float

    @classmethod
    def with_elbo(cls, scores: ImageScores, elbo: Tensor) -> ReconstructionScores:
        """Average scores of single examples, all of shape ``(n,)``; ``elbo`` is in nats.

        Examples
        --------
        >>> x = torch.full((2, 1, 8, 8), 0.5)
        >>> ReconstructionScores.with_elbo(image_scores(x + 0.1, x), torch.tensor([-90.0, -110.0])).nll
        100.0
        """
        made = PictureScores.of(scores)
        return cls(made.mse, made.ssim, made.psnr, nll=-_mean(elbo))


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _mean_if_known(values: Tensor | None) -> float | None:
    return None if values is None else _mean(values)


def image_scores(images: Tensor, targets: Tensor) -> ImageScores:
    """All three scores of each image; the parameters are those of :func:`ssim`."""
    similarity = ssim(images, targets)  # first: it checks that both are images
    return ImageScores(squared_error(images, targets), similarity, psnr(images, targets))


def squared_error(made: Tensor, targets: Tensor) -> Tensor:
    """Squared error of each example, summed over its numbers, shape ``(n,)``.

    Parameters
    ----------
    made, targets
        Tensors of floats, equal types and shapes ``(n, ...)``.

    Raises
    ------
    BadInput
        The two differ in type or shape, or are no batches of examples.

    Examples
    --------
    >>> squared_error(torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, 1, 4, 4))
    tensor([4., 4.])
    >>> squared_error(torch.tensor([[3.0, -1.0]]), torch.zeros(1, 2))
    tensor([10.])
    """
    for name, given in (("made", made), ("targets", targets)):
        _check_floats(name, given)
        if given.ndim < 2:
            raise BadInput(f"{name} has shape {tuple(given.shape)}; allowed is (n, ...), two axes or more")
    return _batched(lambda x, y: (x - y).square().flatten(1).sum(1), made, targets)


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, dB against a range of 1; the parameters are those of :func:`ssim`.

    Infinite where an image equals its target.

    Examples
    --------
    >>> psnr(torch.full((2, 1, 4, 4), 0.1), torch.zeros(2, 1, 4, 4)).round()
    tensor([20., 20.])
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    def of_batch(x: Tensor, y: Tensor) -> Tensor:
        return peak_signal_noise_ratio(x, y, data_range=1.0, reduction="none", dim=(1, 2, 3))

    _check_images("images", images)
    _check_images("targets", targets)
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
        The two differ in type or shape, or are no batches of images.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli 2004, Image quality assessment.

    Examples
    --------
    >>> x = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
    >>> ssim(x, x)
    tensor([1.])
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    def of_batch(x: Tensor, y: Tensor) -> Tensor:
        sigma = SSIM_SIGMA * ssim_window(*x.shape[-2:]) / SSIM_WINDOW
        # torchmetrics derives a Gaussian's window from its deviation alone: 2 int(3.5 sigma + 0.5) + 1
        return torch.as_tensor(structural_similarity_index_measure(x, y, sigma=sigma, data_range=1.0, reduction="none"))

    _check_images("images", images)
    _check_images("targets", targets)
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


def _batched(score: Callable[[Tensor, Tensor], Tensor], made: Tensor, targets: Tensor) -> Tensor:
    if (made.shape, made.dtype) != (targets.shape, targets.dtype):
        raise BadInput(
            f"images have shape {tuple(made.shape)} and targets {tuple(targets.shape)}, of {made.dtype} and "
            f"{targets.dtype}; both must be alike"
        )
    if len(made) == 0:
        return torch.empty(0)
    size = max(1, PIXELS // made[0].numel())
    return torch.cat([score(x, y) for x, y in zip(made.split(size), targets.split(size), strict=True)])


def _check_floats(name: str, given: Any) -> None:
    if not isinstance(given, Tensor) or not given.is_floating_point():
        what = f"a tensor of {given.dtype}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise BadInput(f"{name} is {what}; allowed is a tensor of floats (bytes divided by 255)")


def _check_images(name: str, images: Any) -> None:
    _check_floats(name, images)
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise BadInput(f"{name} has shape {tuple(images.shape)}; allowed is (n, channels, height, width)")
    # NaN is neither below nor above: what a model makes of an image may be NaN, and so are its scores then
    if len(images) and (bool(images.min() < 0) or bool(images.max() > 1)):
        raise BadInput(f"{name} has pixels from {float(images.min()):g} to {float(images.max()):g}; allowed is [0, 1]")
