"""Accuracy against the number of components: the threshold is found from what the runs measured, never by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from growmix.config import RunConfig
from growmix.studies.experiments.experiment import (
    EPOCHS_CIFAR,
    EPOCHS_MNIST,
    PAPER,
    UNMEASURED,
    Experiment,
)
from growmix.studies.runs import Metrics, Outcome, Trial, in_folder
from growmix.studies.study import OWN, Findings, Request, Study, missing, refuse, spread
from growmix.studies.tables import Table

TRIES = 3
"""Runs per wanted number of components and seed."""

NOVELTY = "smd"
"""KS is at most 1 and so can't order tasks that are all very unlike; this can."""

NOTES = (
    "grouped: the component is chosen once for a whole test set, here without labels: the published protocol, but for "
    "the paper's use of labels. task_agnostic: nothing but the example is given.",
    "The first run always grows; the threshold of the others lies between the novelties that the tasks had in a run "
    "before. Novelty looks at no label.",
)


@dataclass(frozen=True)
class Sweep:
    """A stream and what is published for it.

    Attributes
    ----------
    stream
        Its name.
    tasks
        How many it has: the number of components of a run that always grows.
    published
        Accuracy by number of components; the numbers that are tried for.
    """

    stream: str
    tasks: int
    published: Mapping[int, float]

    @property
    def wanted(self) -> tuple[int, ...]:
        """Numbers of components to be had by a threshold."""
        return tuple(count for count in self.published if count < self.tasks)


@final
class ThresholdSweep(Study):
    """Runs with ever fewer components on one stream."""

    def __init__(self, sweep: Sweep, values: Mapping[str, Any], request: Request) -> None:
        self.title = f"Components and accuracy, {sweep.stream}"
        self._sweep, self._request = sweep, request
        self._values = {**values, "stream": sweep.stream, "novelty": NOVELTY, "method": "mixture"}
        refuse({*OWN, "method", "gate", "threshold"} & set(request.given), "the sweep sets it itself")
        measure = f"Measure of novelty: {self.configs[0].settings.novelty}."
        self._notes = (*NOTES, measure, *request.replaced)

    def trials(self, done: Sequence[Outcome]) -> Sequence[Trial]:
        """First the runs that always grow; then, for each number of components that no run has, one more try."""
        first = [self._trial("always", seed, {"gate": "always"}) for seed in range(self._request.seeds)]
        if still := missing(first, done):
            return still
        return [
            trial
            for seed in range(self._request.seeds)
            for wanted in self._sweep.wanted
            if (trial := self._next_try(wanted, _of_seed(done, seed), seed))
        ]

    def _next_try(self, wanted: int, runs: Sequence[Outcome], seed: int) -> Trial | None:
        if any(run.metrics["components"] == wanted for run in runs):
            return None
        tries = tries_for(wanted, runs)
        if len(tries) >= TRIES:
            return None
        threshold = next_threshold(wanted, tries[-1:] or runs[:1], tries)
        return self._trial(f"want{wanted}-try{len(tries) + 1}", seed, {"gate": "threshold", "threshold": threshold})

    def _trial(self, variant: str, seed: int, gate: Mapping[str, Any]) -> Trial:
        config = RunConfig.of({**self._values, **self._request.given, **gate, "seed": seed})
        return in_folder(variant, config, self._request.folder)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """A row for each number of components that runs came to, and a figure."""
        from growmix.report import figures

        groups = self._by_count(done)
        rows = tuple(self._row(count, outcomes) for count, outcomes in groups.items())
        columns = (
            "components",
            "runs",
            "threshold",
            "grouped",
            "task_agnostic",
            "task_aware",
            "parameters",
            "published",
        )
        points = [_point(count, outcomes) for count, outcomes in groups.items()]
        notes = (*self._notes, *self._not_reached(done))
        draw = partial(figures.sweep, points, dict(self._sweep.published))
        return Findings((Table(self.title, columns, rows, notes),), {"sweep": points}, {"sweep.png": draw})

    def _by_count(self, done: Sequence[Outcome]) -> dict[int, list[Outcome]]:
        """One run per seed for each number of components: the first that came to it; most components first."""
        groups: dict[int, dict[int, Outcome]] = {}
        for outcome in done:
            groups.setdefault(outcome.metrics["components"], {}).setdefault(outcome.trial.config.seed, outcome)
        return {count: list(groups[count].values()) for count in sorted(groups, reverse=True)}

    def _row(self, count: int, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
        thresholds = [threshold_of(outcome) for outcome in outcomes]
        published = self._sweep.published.get(count)
        return (
            str(count),
            str(len(outcomes)),
            ", ".join("always" if value is None else f"{value:.4g}" for value in thresholds),
            *(_average(outcomes, name).text(4) for name in ("grouped", "task_agnostic", "task_aware")),
            f"{_parameters(outcomes):,.0f}",
            "-" if published is None else f"{published:.4f}",
        )

    def _not_reached(self, done: Sequence[Outcome]) -> list[str]:
        """Lines on the numbers of components that no threshold tried has led to."""
        lines = []
        for seed in range(self._request.seeds):
            runs = _of_seed(done, seed)
            for wanted in self._sweep.wanted:
                if all(run.metrics["components"] != wanted for run in runs):
                    came = ", ".join(str(run.metrics["components"]) for run in tries_for(wanted, runs))
                    lines.append(f"Seed {seed}: {wanted} components were not had; {TRIES} thresholds gave {came}.")
        return lines


def novelties(metrics: Metrics) -> list[float]:
    """Of every task but the first to the nearest component there was, as the run measured it."""
    nearest = []
    for decision in metrics["decisions"][1:]:
        nearest.append(min(math.inf if value is None else value for value in decision["novelty"]))
    return nearest


def threshold_for(wanted: int, measured: Sequence[float]) -> float:
    """Threshold with which tasks of these novelties grow to so many components, the first task's included.

    Halfway between the largest novelty that must reuse and the smallest that must grow.

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
    """What to try next: what the last run's novelties say, kept between the thresholds that gave too many and too few.

    Parameters
    ----------
    wanted
        Number of components.
    last
        The run whose novelties count: the last try, or the run that always grows.
    tries
        Runs that were tried for this number; none came to it.
    """
    threshold = threshold_for(wanted, novelties(last[0].metrics))
    known = [(threshold_of(run) or 0.0, run.metrics["components"]) for run in tries]
    low = max((value for value, count in known if count > wanted), default=0.0)
    high = min((value for value, count in known if count < wanted), default=math.inf)
    if low < threshold < high:
        return threshold
    return (low + high) / 2 if low < high < math.inf else 2 * low


def tries_for(wanted: int, runs: Sequence[Outcome]) -> list[Outcome]:
    """Those runs that were made to come to this number, in order."""
    made = [run for run in runs if run.trial.variant.startswith(f"want{wanted}-")]
    return sorted(made, key=lambda run: run.trial.variant)


def threshold_of(outcome: Outcome) -> float | None:
    """What was tried; ``None`` for a run that always grows."""
    return outcome.trial.config.settings.threshold


def _of_seed(done: Sequence[Outcome], seed: int) -> list[Outcome]:
    return [outcome for outcome in done if outcome.trial.config.seed == seed]


def _average(outcomes: Sequence[Outcome], name: str) -> Any:
    return spread(outcomes, lambda metrics: metrics["average"][name])


def _parameters(outcomes: Sequence[Outcome]) -> float:
    return spread(outcomes, lambda metrics: float(metrics["parameters"]["mixture"])).mean or 0.0


def _point(count: int, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One point of the curve, for JSON and for the figure."""
    thresholds = [threshold_of(outcome) for outcome in outcomes]
    known = [value for value in thresholds if value is not None]
    return {
        "components": count,
        "threshold": sum(known) / len(known) if known else 0.0,
        "grouped": _average(outcomes, "grouped").mean,
        "grouped_error": _average(outcomes, "grouped").error,
        "task_agnostic": _average(outcomes, "task_agnostic").mean,
        "task_agnostic_error": _average(outcomes, "task_agnostic").error,
        "parameters": _parameters(outcomes),
    }


def _experiment(sweep: Sweep, small: Mapping[str, Any], epochs: int) -> Experiment:
    counts = ", ".join(map(str, sweep.published))
    return Experiment(
        sweep.stream,
        f"accuracy with {counts} components, by threshold",
        (sweep.stream,),
        {"small": {**UNMEASURED, **small}, "paper": {**PAPER, "epochs": epochs}},
        partial(ThresholdSweep, sweep),
    )


EXPERIMENTS = (
    _experiment(Sweep("split-mnist", 5, {5: 0.9921, 4: 0.9677, 3: 0.9137}), {"max_steps": 3_000}, EPOCHS_MNIST),
    _experiment(
        Sweep("permuted-mnist", 10, {10: 0.9646, 8: 0.9525, 7: 0.8878}),
        {"max_steps": 1_500},
        EPOCHS_MNIST,
    ),
    _experiment(
        Sweep("split-cifar", 6, {6: 0.7640, 5: 0.6570}),
        {"blueprint": "conv", "batch_size": 128, "max_steps": 1_200},
        EPOCHS_CIFAR,
    ),
)
