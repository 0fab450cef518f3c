"""The paper's experiments by name: what ``growmix reproduce`` can do."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from growmix.errors import BadInput
from growmix.studies.experiments import accuracies, discrepancies, orders, reconstructions, sweeps, translations
from growmix.studies.experiments.experiment import Experiment, Scale

__all__ = ["EXPERIMENTS", "Experiment", "Scale", "find"]

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
"""In the order of the paper."""


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises
    ------
    BadInput
        There is none.

    Examples
    --------
    >>> find("split-mnits")
    Traceback (most recent call last):
    growmix.errors.BadInput: experiment is 'split-mnits'; did you mean 'split-mnist'? Allowed are msfir, ...
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    near = difflib.get_close_matches(name, EXPERIMENTS, n=1)
    hint = f"did you mean {near[0]!r}? Allowed" if near else "allowed"
    raise BadInput(f"experiment is {name!r}; {hint} are {', '.join(EXPERIMENTS)}")
