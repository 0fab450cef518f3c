"""Lifelong learning with growing mixtures of generative models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from growmix import streams
    from growmix.errors import BadCheckpoint, BadInput, DataUnavailable, GrowmixError, NonFiniteLoss, NotLearnt
    from growmix.evaluation import Evaluator, evaluate, evaluate_student
    from growmix.learning.gating import Decision
    from growmix.learning.mixture import GrowingMixture
    from growmix.learning.novelty import Novelty
    from growmix.learning.student import Student
    from growmix.settings import Settings

__version__ = "0.1.0"

_HOMES = {
    "errors": ("BadCheckpoint", "BadInput", "DataUnavailable", "GrowmixError", "NonFiniteLoss", "NotLearnt"),
    "evaluation": ("Evaluator", "evaluate", "evaluate_student"),
    "learning.gating": ("Decision",),
    "learning.mixture": ("GrowingMixture",),
    "learning.novelty": ("Novelty",),
    "settings": ("Settings",),
    "learning.student": ("Student",),
}

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
    "Novelty",
    "Settings",
    "Student",
    "evaluate",
    "evaluate_student",
    "streams",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: PyTorch takes seconds, and ``--help`` should not."""
    if name == "streams":
        return import_module("growmix.streams")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"growmix.{home}"), name)
    raise AttributeError(f"module 'growmix' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
