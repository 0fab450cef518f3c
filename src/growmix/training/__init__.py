"""The one optimisation loop, and those who look on: callbacks, keepers of its state, followers of its steps."""

from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, FitInfo, Progress, TrainingLog

__all__ = ["Budget", "Callback", "FitInfo", "Progress", "TrainingLog"]
