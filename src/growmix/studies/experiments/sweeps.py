"""Accuracy against the number of components of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from growmix.studies.experiments.experiment import (
    EPOCHS_CIFAR,
    EPOCHS_MNIST,
    PAPER,
    UNMEASURED,
    Experiment,
)
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Findings, Request, Study, spread
from growmix.studies.tables import Table
from growmix.studies.thresholds import ThresholdSearch, threshold_of

NOTES = (
    "grouped: the component is chosen once for a whole test set, here without labels: the published protocol, but for "
    "the paper's use of labels. task_agnostic: nothing but the example is given.",
    "The first run always grows; the threshold of the others lies between the novelties that the tasks had in a run "
    "before. Novelty looks at no label.",
)


@dataclass(frozen=True)
class Sweep:
    """A stream and the accuracies that are published for it.

    Attributes
    ----------
    stream
        Name of the stream.
    tasks
        Number of its tasks, which a run that always grows has components for.
    published
        Published accuracy by number of components; these numbers are tried for.
    """

    stream: str
    tasks: int
    published: Mapping[int, float]

    @property
    def wanted(self) -> tuple[int, ...]:
        """Numbers of components that a threshold must lead to."""
        return tuple(count for count in self.published if count < self.tasks)


@final
class ThresholdSweep(Study):
    """Study of runs with ever fewer components on one stream."""

    def __init__(self, sweep: Sweep, values: Mapping[str, Any], request: Request) -> None:
        self.title = f"Components and accuracy, {sweep.stream}"
        self._sweep = sweep
        self._search = ThresholdSearch({**values, "stream": sweep.stream, "method": "mixture"}, sweep.wanted, request)
        measure = f"Measure of novelty: {self.configs[0].settings.novelty}."
        self._notes = (*NOTES, measure, *request.replaced)

    def trials(self, done: Sequence[Outcome]) -> Sequence[Trial]:
        """Return the runs that the search still wants."""
        return self._search.trials(done)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Make a table with a row for each number of components that runs came to, and a figure."""
        from growmix.report import figures

        groups = self._search.by_count(done)
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
        notes = (*self._notes, *self._search.not_reached(done))
        draw = partial(figures.sweep, points, dict(self._sweep.published))
        return Findings((Table(self.title, columns, rows, notes),), {"sweep": points}, {"sweep.png": draw})

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


def _average(outcomes: Sequence[Outcome], name: str) -> Any:
    return spread(outcomes, lambda metrics: metrics.average.figure(name))


def _parameters(outcomes: Sequence[Outcome]) -> float:
    return spread(outcomes, lambda metrics: float(metrics.parameters.mixture)).mean or 0.0


def _point(count: int, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return one point of the curve, for JSON and for the figure."""
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
