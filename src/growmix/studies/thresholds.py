"""Runs with ever fewer components, whose thresholds are found from what runs measured, never by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from growmix.config import RunConfig
from growmix.studies.runs import Outcome, Trial, in_folder
from growmix.studies.study import OWN, Request, missing, refuse, refuse_idle

TRIES = 3
"""Most runs for each wanted number of components and seed, where nothing else is said."""

NOVELTY = "smd"
"""Measure of novelty of every run; KS is at most 1 and so can't order tasks that are all very unlike."""


@dataclass(frozen=True)
class ThresholdSearch:
    """Search for runs that lead to given numbers of components.

    Attributes
    ----------
    values
        Keys that all runs have in common.
    wanted
        Numbers of components, below that of a run that always grows.
    request
        Seeds, folder, and the keys that count more than the values.
    tries
        Most runs for each wanted number and seed.
    """

    values: Mapping[str, Any]
    wanted: tuple[int, ...]
    request: Request
    tries: int = TRIES

    def __post_init__(self) -> None:
        refuse({*OWN, "method", "gate", "threshold"} & set(self.request.given), "the sweep sets it itself")
        refuse_idle([{"novelty": NOVELTY, **self.values, "gate": "threshold"}], self.request)

    @property
    def first(self) -> tuple[Trial, ...]:
        """One run for each seed that always grows."""
        return tuple(self.trial("always", seed, {"gate": "always"}) for seed in range(self.request.seeds))

    def trials(self, done: Sequence[Outcome]) -> Sequence[Trial]:
        """Return first the runs that always grow; then one more try for each number of components that no run has."""
        if still := missing(self.first, done):
            return still
        return [
            trial
            for seed in range(self.request.seeds)
            for wanted in self.wanted
            if (trial := self._next_try(wanted, of_seed(done, seed), seed))
        ]

    def trial(self, variant: str, seed: int, gate: Mapping[str, Any]) -> Trial:
        """Lay out a run with this gate."""
        config = RunConfig.fitting({"novelty": NOVELTY, **self.values, **self.request.given, **gate, "seed": seed})
        return in_folder(variant, config, self.request.folder)

    def by_count(self, done: Sequence[Outcome]) -> dict[int, list[Outcome]]:
        """Return one run per seed for each number of components, the first by name; most components first."""
        groups: dict[int, dict[int, Outcome]] = {}
        for outcome in sorted(done, key=lambda each: each.trial.label):
            groups.setdefault(outcome.metrics.components, {}).setdefault(outcome.trial.config.seed, outcome)
        return {count: list(groups[count].values()) for count in sorted(groups, reverse=True)}

    def not_reached(self, done: Sequence[Outcome]) -> list[str]:
        """Return lines that name the numbers of components to which no threshold has led."""
        lines = []
        for seed in range(self.request.seeds):
            runs = of_seed(done, seed)
            for wanted in self.wanted:
                if all(run.metrics.components != wanted for run in runs):
                    tried = tries_for(wanted, runs)
                    came = ", ".join(str(run.metrics.components) for run in tried)
                    lines.append(
                        f"Seed {seed}: {wanted} components were not reached; thresholds tried: {len(tried)}, "
                        f"which gave {came}."
                    )
        return lines

    def _next_try(self, wanted: int, runs: Sequence[Outcome], seed: int) -> Trial | None:
        if any(run.metrics.components == wanted for run in runs):
            return None
        tries = tries_for(wanted, runs)
        if len(tries) >= self.tries:
            return None
        threshold = next_threshold(wanted, tries[-1:] or runs[:1], tries)
        return self.trial(f"want{wanted}-try{len(tries) + 1}", seed, {"gate": "threshold", "threshold": threshold})


def threshold_for(wanted: int, measured: Sequence[float]) -> float:
    """Return the threshold with which tasks of these novelties grow to so many components, the first included.

    It lies halfway between the largest novelty that must reuse and the smallest that must grow.

    Examples
    --------
    >>> threshold_for(4, [1.0, 4.0, 3.0, 2.0])
    1.5
    >>> threshold_for(1, [1.0, 4.0])
    8.0
    """
    ranked = sorted(measured)
    reuse = len(ranked) + 1 - wanted
    must_reuse = ranked[reuse - 1]
    must_grow = ranked[reuse] if reuse < len(ranked) else math.inf
    return 2 * must_reuse if must_grow == math.inf else (must_reuse + must_grow) / 2


def next_threshold(wanted: int, last: Sequence[Outcome], tries: Sequence[Outcome]) -> float:
    """Return the threshold to try next: what the last novelties say, kept between those that gave too many and too few.

    Parameters
    ----------
    wanted
        Number of components that is wanted.
    last
        Run whose novelties count, alone in a list: the last try, or the run that always grows.
    tries
        Runs that were tried for this number, none of which came to it.
    """
    threshold = threshold_for(wanted, last[0].metrics.novelties)
    known = [(threshold_of(run) or 0.0, run.metrics.components) for run in tries]
    low = max((value for value, count in known if count > wanted), default=0.0)
    high = min((value for value, count in known if count < wanted), default=math.inf)
    if low < threshold < high:
        return threshold
    return (low + high) / 2 if low < high < math.inf else 2 * low


def tries_for(wanted: int, runs: Sequence[Outcome]) -> list[Outcome]:
    """Return the runs that were made to come to this number, in order."""
    made = [run for run in runs if run.trial.variant.startswith(f"want{wanted}-")]
    return sorted(made, key=lambda run: run.trial.variant)


def threshold_of(outcome: Outcome) -> float | None:
    """Return the threshold of a run; ``None`` for one that always grows."""
    return outcome.trial.config.settings.threshold


def of_seed(done: Sequence[Outcome], seed: int) -> list[Outcome]:
    """Return the outcomes of one seed, in order."""
    return [outcome for outcome in done if outcome.trial.config.seed == seed]
