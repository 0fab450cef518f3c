"""Lifelong learning with growing mixtures of generative models."""

from growmix import streams
from growmix.errors import BadCheckpoint, BadInput, DataUnavailable, GrowmixError, NonFiniteLoss, NotLearnt
from growmix.evaluation import Evaluator, evaluate, evaluate_student
from growmix.gating import Decision
from growmix.mixture import GrowingMixture
from growmix.settings import Settings
from growmix.student import Student

__version__ = "0.1.0"

__all__ = [
    "BadCheckpoint",
    "BadInput",
    "DataUnavailable",
    "Decision",
    "Evaluator",
    "GrowingMixture",
    "GrowmixError",
    "NonFiniteLoss",
    "NotLearnt",
    "Settings",
    "Student",
    "evaluate",
    "evaluate_student",
    "streams",
]
