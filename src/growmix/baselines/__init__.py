"""The methods that a growing mixture is compared with, behind the same verbs."""

from growmix.baselines.catalogue import METHODS, MIXTURES, Method, load, make_learner

__all__ = ["METHODS", "MIXTURES", "Method", "load", "make_learner"]
