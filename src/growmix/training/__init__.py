"""The one optimisation loop, and what can be told of it, kept of it and minimised by it."""

from growmix.training.loop import Callback, FitInfo, Progress, TrainingLog

__all__ = ["Callback", "FitInfo", "Progress", "TrainingLog"]
