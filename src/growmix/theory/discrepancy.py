"""Discrepancy distance between two sets of images, by the plug-in estimate with autoencoders as hypotheses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from growmix.data import TaskData, as_float
from growmix.mixture import GrowingMixture
from growmix.settings import Settings

Hypothesis: TypeAlias = Callable[[Tensor], Tensor]
"""From images to images of the same shape."""

PIECE = 2_048
"""Images compared at a time."""


def autoencoder(images: Tensor, settings: Settings) -> Hypothesis:
    """A hypothesis trained on images alone: what one component reconstructs.

    Parameters
    ----------
    images
        Shape ``(n, channels, height, width)``, bytes or in [0, 1].
    settings
        Of the component and its training.
    """
    mixture = GrowingMixture(None, settings.but(supervised=False, gate="always", sharing="none"))
    mixture.learn(TaskData(images))
    return mixture.reconstruct


def disagreement(h: Hypothesis, other: Hypothesis, images: Tensor) -> float:
    """Mean squared difference between two hypotheses, summed over an image: the risk of one against the other.

    Examples
    --------
    >>> import torch
    >>> disagreement(lambda x: x, lambda x: x + 1.0, torch.zeros(3, 1, 2, 2))
    4.0
    """
    total = sum(float((h(piece) - other(piece)).double().square().sum()) for piece in as_float(images).split(PIECE))
    return total / len(images)


def plug_in_discrepancy(h: Hypothesis, other: Hypothesis, a: Tensor, b: Tensor) -> float:
    r"""Estimate the discrepancy distance of two distributions from two hypotheses.

    .. math:: |E_A L(h, h') - E_B L(h, h')|

    Parameters
    ----------
    h, other
        Trained on A, and on A and B together.
    a, b
        Images of each that neither was trained on.

    Returns
    -------
    float
        The distance is the largest such value over all pairs of hypotheses: this is an estimate from below, and zero
        for equal distributions but for chance.

    References
    ----------
    Mansour, Mohri, Rostamizadeh (2009), Domain adaptation: learning bounds and algorithms; the choice of hypotheses is
    that of Ye and Bors (2025), supplement, appendix F.

    Examples
    --------
    >>> import torch
    >>> a, b = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    >>> plug_in_discrepancy(lambda x: x, lambda x: 2 * x, a, b)
    4.0
    """
    return abs(disagreement(h, other, a) - disagreement(h, other, b))
