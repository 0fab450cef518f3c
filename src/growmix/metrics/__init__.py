"""What is measured: pure functions on numbers and images that know nothing of mixtures."""

from growmix.metrics.continual import average_accuracy, backward_transfer, forgetting, forward_transfer
from growmix.metrics.images import (
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
