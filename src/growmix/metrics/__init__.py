"""The pure functions of :mod:`growmix.evaluation`, under the path by which they were known first.

Those of ``continual`` and ``images`` work on numbers and tensors and know nothing of mixtures. ``likelihood`` asks
components and ``frechet`` trains a classifier of its own: import these two from :mod:`growmix.evaluation`.
"""

from growmix.evaluation.continual import average_accuracy, backward_transfer, forgetting, forward_transfer
from growmix.evaluation.images import (
    ImageScores,
    PictureScores,
    ReconstructionScores,
    image_scores,
    psnr,
    squared_error,
    ssim,
)

__all__ = [
    "ImageScores",
    "PictureScores",
    "ReconstructionScores",
    "average_accuracy",
    "backward_transfer",
    "forgetting",
    "forward_transfer",
    "image_scores",
    "psnr",
    "squared_error",
    "ssim",
]
