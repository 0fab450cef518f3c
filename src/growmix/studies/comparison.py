"""``growmix compare`` puts methods beside each other on one stream, with an equal budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import final

from growmix.errors import BadInput, shown
from growmix.studies.metrics import Metrics
from growmix.studies.runs import Outcome
from growmix.studies.spread import Spread
from growmix.studies.study import Findings, Request, Study, Variant, by_variant, lay_out, mean, spread
from growmix.studies.tables import Table

ALL = "all"

PUBLISHED = {
    "split-mnist": {
        "fine-tuning": "0.199",
        "ewc": "0.206",
        "dgr": "0.904",
        "generative-classifier": "0.938",
        "pec": "0.92 (one pass)",
        "joint": "0.982",
        "mixture": "0.9921 (grouped)",
    }
}
"""Published accuracies by stream and method, to be read beside ``task_agnostic`` unless the protocol is named."""

PUBLISHED_NOTES = {
    "split-mnist": (
        "published: van de Ven et al. 2021 and what they compare with, class-incremental, to be read beside "
        "task_agnostic (BI-R, which growmix does not have: 0.944). pec's is Zajac et al. 2024, in batches of one. The "
        "growing mixture's is Ye and Bors 2025, who chose the component once for a whole task: read it beside grouped."
    )
}

PROTOCOLS = (
    "Mean ± standard error over the seeds, '-' where it does not apply. task_agnostic: nothing but the example is "
    "given; task_aware: its task is given; grouped: one component for a whole test set, chosen without labels. "
    "forgetting: of task_agnostic. mse: squared error summed over an image, mean of the tasks. parameters: of the "
    "whole model at the end. examples seen: in training, repetitions and replay included."
)

AVERAGES = ("task_agnostic", "task_aware", "grouped", "forgetting")


@final
class Comparison(Study):
    """Study of several methods on one stream, each with every seed.

    Parameters
    ----------
    stream
        Name of the stream.
    methods
        Names of methods, or ``all`` alone.
    request
        Folder, number of seeds, and the keys that all runs have in common.

    Raises
    ------
    BadInput
        There is no method, an unknown one, or one twice; or a key is given that a comparison sets itself.
    """

    def __init__(self, stream: str, methods: Sequence[str], request: Request) -> None:
        from growmix.baselines import METHODS

        names = tuple(METHODS) if tuple(methods) == (ALL,) else tuple(methods)
        _check_names(names, tuple(METHODS))
        self.title = f"Methods on {stream}"
        self._stream = stream
        self._titles = {name: METHODS[name].title for name in names}
        variants = [Variant(name, METHODS[name].title, {"method": name}) for name in names]
        # neither a student is compared, nor what only the density of a mixture is measured by
        values = {"stream": stream, "student": False, "likelihood_draws": 0, "frechet_examples": 0}
        self.planned = lay_out(variants, values, request)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Make one table and one figure of all methods."""
        from growmix.report import figures

        grouped = {name: each for name in self._titles if (each := by_variant(done).get(name))}
        rows = {name: figures_of(outcomes) for name, outcomes in grouped.items()}
        bars = [
            (self._titles[name], _pair(row["task_agnostic"]), _pair(row["task_aware"])) for name, row in rows.items()
        ]
        numbers = {name: {figure: asdict(value) for figure, value in row.items()} for name, row in rows.items()}
        return Findings(
            (self._table(rows),), {"methods": numbers}, {"comparison.png": partial(figures.comparison, bars)}
        )

    def _table(self, rows: dict[str, dict[str, Spread]]) -> Table:
        published = PUBLISHED.get(self._stream)
        columns = ("method", *AVERAGES, "mse", "parameters", "train seconds", "examples seen")
        cells = [
            (
                name,
                *(row[each].text(4) for each in AVERAGES),
                row["mse"].text(2),
                row["parameters"].whole(0),
                row["train_seconds"].text(1),
                row["examples_seen"].whole(0),
                *((published.get(name, "-"),) if published else ()),
            )
            for name, row in rows.items()
        ]
        notes = (PROTOCOLS, PUBLISHED_NOTES[self._stream]) if published else (PROTOCOLS,)
        return Table(self.title, columns + (("published",) if published else ()), tuple(cells), notes)


def figures_of(outcomes: Sequence[Outcome]) -> dict[str, Spread]:
    """Return mean and standard error of every figure that is compared, over the seeds of one method."""

    def average(name: str) -> Spread:
        return spread(outcomes, lambda metrics: metrics.average.figure(name))

    def mse(metrics: Metrics) -> float | None:
        return mean(metrics.reconstruction.mse)

    def parameters(metrics: Metrics) -> float:
        return float(metrics.parameters.mixture)

    return {name: average(name) for name in AVERAGES} | {
        "mse": spread(outcomes, mse),
        "parameters": spread(outcomes, parameters),
        "train_seconds": spread(outcomes, lambda metrics: metrics.seconds.train),
        "examples_seen": spread(outcomes, lambda metrics: metrics.examples_seen),
    }


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    allowed = f"allowed are {ALL}, or names with commas between: {', '.join(known)}"
    if not names or "" in names:
        raise BadInput(f"methods is empty, or one of its names is; {allowed}")
    for name in names:
        if name not in known:
            raise BadInput(f"methods has {shown(name)}; {allowed}")
        if list(names).count(name) > 1:
            raise BadInput(f"methods has {name!r} twice; name it once")


def _pair(value: Spread) -> tuple[float | None, float | None]:
    return value.mean, value.error
