"""Study: a question, the runs that answer it, and how their outcomes are put together."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from growmix.config import RunConfig, checked_values, idle_keys
from growmix.errors import BadInput
from growmix.settings import require_whole
from growmix.studies.metrics import Metrics
from growmix.studies.runs import Outcome, Trial, in_folder
from growmix.studies.spread import Spread
from growmix.studies.tables import Table

OWN = ("stream", "seed", "out")
"""Keys of a run that a study sets itself."""

MOST_SEEDS = 1_000
"""Most seeds of a study: every run is laid out before the first begins, and ten are what people publish."""


@dataclass(frozen=True)
class Request:
    """What the user asks of a study.

    Attributes
    ----------
    folder
        Where the study is written to.
    seeds
        How many seeds there are, from 0.
    given
        Keys of a run and their values, which count more than those of the study.
    """

    folder: Path
    seeds: int
    given: Mapping[str, Any]

    def __post_init__(self) -> None:
        require_whole(self.seeds, "seeds", 1, MOST_SEEDS)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Lines for a table, one for each data set that another one replaces.

        Examples
        --------
        >>> Request(Path("x"), 1, {"replace": ("svhn=mnist_m",)}).replaced
        ('svhn is replaced by mnist_m: its figures are not those of svhn.',)
        """
        pairs = (text.split("=", 1) for text in self.given.get("replace", ()) if "=" in text)
        return tuple(f"{old} is replaced by {new}: its figures are not those of {old}." for old, new in pairs)


@dataclass(frozen=True)
class Variant:
    """One of the things that a study compares.

    Attributes
    ----------
    name
        Name for folders.
    title
        Title for tables.
    values
        Keys of a run that make the variant what it is.
    """

    name: str
    title: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Findings:
    """What came of a study, for people and for programs.

    Attributes
    ----------
    tables
        Tables for people.
    numbers
        Numbers for programs, ready for JSON.
    figures
        Functions that draw a figure to a file, by the name of the file.
    """

    tables: tuple[Table, ...]
    numbers: Mapping[str, Any]
    figures: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


class Study(ABC):
    """Interface of a study: a question and the runs that answer it.

    Attributes
    ----------
    title
        Title for people.
    planned
        Runs that are wanted whatever the others find.
    """

    title: str
    planned: tuple[Trial, ...] = ()

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        """Configurations of the first runs, which have the budget of all."""
        return tuple(trial.config for trial in self.trials(()))

    def trials(self, done: Sequence[Outcome]) -> Sequence[Trial]:
        """Return the runs that are still wanted after these outcomes; none when the study is over."""
        return missing(self.planned, done)

    @abstractmethod
    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Put the outcomes of all runs together."""


def lay_out(variants: Sequence[Variant], values: Mapping[str, Any], request: Request) -> tuple[Trial, ...]:
    """Lay out one trial for each variant and seed, seed by seed, so that an early end leaves whole comparisons.

    Parameters
    ----------
    variants
        Variants that the study compares.
    values
        Keys of a run that all variants have in common.
    request
        What the user asks; the keys that are given there count more than ``values``.

    Raises
    ------
    BadInput
        A key that the study sets itself is given, or a value is wrong.
    """
    # a student changes nothing of what a variant is
    fixed = {*OWN, *(name for variant in variants for name in variant.values)} - {"student"}
    refuse(fixed.intersection(request.given), "the study sets it itself")
    refuse_idle([{**values, **variant.values} for variant in variants], request)
    laid_out = [(variant.name, lay_out_one({**values, **variant.values}, request)) for variant in variants]
    return tuple(
        in_folder(name, configs[seed], request.folder) for seed in range(request.seeds) for name, configs in laid_out
    )


def lay_out_one(values: Mapping[str, Any], request: Request) -> tuple[RunConfig, ...]:
    """Lay out one configuration for each seed.

    Raises
    ------
    BadInput
        A key that every study sets itself is given, or a value is wrong.
    """
    refuse(set(OWN).intersection(request.given), "the study sets it itself")
    return tuple(RunConfig.fitting({**values, **request.given, "seed": seed}) for seed in range(request.seeds))


def refuse_idle(variants: Sequence[Mapping[str, Any]], request: Request) -> None:
    """Refuse keys that were given but would have no effect in any run; those that only some runs use are theirs alone.

    Raises
    ------
    BadInput
        A given key has no effect.
    """
    reasons = [idle_keys(checked_values({**values, **request.given})) for values in variants]
    for name in request.given:
        if all(name in each for each in reasons):
            raise BadInput(reasons[0][name])


def refuse(names: set[str], reason: str) -> None:
    """Refuse keys of a run that a study can't take from the user.

    Raises
    ------
    BadInput
        There is at least one such key.
    """
    for name in sorted(names):
        raise BadInput(f"{name} is given, but {reason}; leave --{name.replace('_', '-')} out")


def by_variant(done: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Group outcomes by variant, in the order in which they were first seen, each group sorted by seed."""
    grouped: dict[str, list[Outcome]] = {}
    for outcome in done:
        grouped.setdefault(outcome.trial.variant, []).append(outcome)
    return {name: sorted(each, key=lambda outcome: outcome.trial.config.seed) for name, each in grouped.items()}


def spread(outcomes: Sequence[Outcome], figure: Callable[[Metrics], float | None]) -> Spread:
    """Return mean and standard error of a figure over the seeds."""
    return Spread.of([figure(outcome.metrics) for outcome in outcomes])


def by_task(outcomes: Sequence[Outcome], row: Callable[[Metrics], Sequence[float | None]]) -> list[Spread]:
    """Return mean and standard error over the seeds for each task; ``row`` takes a value per task from the metrics."""
    return [Spread.of(column) for column in zip(*(row(outcome.metrics) for outcome in outcomes), strict=True)]


def missing(wanted: Sequence[Trial], done: Sequence[Outcome]) -> tuple[Trial, ...]:
    """Return the trials that have no outcome yet."""
    labels = {outcome.trial.label for outcome in done}
    return tuple(trial for trial in wanted if trial.label not in labels)


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean over the tasks; ``None`` if one of them has no figure."""
    return Spread.of(values).mean


def command_line(command: str, words: Sequence[str], options: dict[str, Any]) -> str:
    """Return what was typed as one line that can be typed again.

    Examples
    --------
    >>> command_line("compare", ["split-mnist"], {"seeds": 3, "replace": ("a=b",), "student": False})
    'growmix compare split-mnist --seeds 3 --replace a=b --no-student'
    """
    parts = ["growmix", command, *words]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{option}" if value else f"--no-{option}")
        else:
            parts += [f"--{option}", ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(parts)
