"""What is measured, as pure functions.

``continual`` and ``images`` work on numbers and images and know nothing of mixtures; ``likelihood`` asks components,
``frechet`` trains a classifier of its own. The last two are imported by their modules' names.
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
