"""The methods that a growing mixture is compared with, behind the same verbs."""

from typing import TYPE_CHECKING, Any

from growmix.baselines.catalogue import METHODS, MIXTURES, Method

if TYPE_CHECKING:
    from growmix.baselines.making import load, make_learner

__all__ = ["METHODS", "MIXTURES", "Method", "load", "make_learner"]


def __getattr__(name: str) -> Any:
    """Import what makes learners when it is first asked for: the catalogue alone needs no torch."""
    if name not in ("load", "make_learner"):
        raise AttributeError(f"module 'growmix.baselines' has no attribute {name!r}")
    from growmix.baselines import making

    return getattr(making, name)
