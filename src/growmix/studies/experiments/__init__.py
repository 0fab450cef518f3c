"""The paper's experiments by name, which ``growmix reproduce`` can do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from growmix.errors import BadInput, did_you_mean, shown
from growmix.studies.experiments import accuracies, discrepancies, orders, reconstructions, sweeps, translations
from growmix.studies.experiments.experiment import Experiment

_ALL = (
    *reconstructions.EXPERIMENTS[:1],
    *accuracies.EXPERIMENTS,
    *reconstructions.EXPERIMENTS[1:],
    *sweeps.EXPERIMENTS,
    *orders.EXPERIMENTS,
    *translations.EXPERIMENTS,
    *discrepancies.EXPERIMENTS,
)

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({each.name: each for each in _ALL})
"""All experiments by name, in the order of the paper."""


def find(name: str) -> Experiment:
    """Look up the experiment of this name.

    Raises
    ------
    BadInput
        There is no experiment of this name.

    Examples
    --------
    >>> find("split-mnits")
    Traceback (most recent call last):
    growmix.errors.BadInput: unknown experiment 'split-mnits'; did you mean 'split-mnist'? (known: msfir, ...
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    known = ", ".join(EXPERIMENTS)
    raise BadInput(f"unknown experiment {shown(name)}{did_you_mean(name, EXPERIMENTS)} (known: {known})")
