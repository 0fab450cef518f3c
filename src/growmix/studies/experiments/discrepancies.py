"""How far MNIST is from other sets: estimates of the discrepancy distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, final

from growmix.config import RunConfig
from growmix.studies.experiments.experiment import Experiment, Scale
from growmix.studies.runs import Outcome
from growmix.studies.spread import Spread
from growmix.studies.study import Findings, Request, Study, lay_out_one, refuse_idle
from growmix.studies.tables import Table

if TYPE_CHECKING:
    from growmix.streams import Stream
    from growmix.theory import Search

FIRST = "mnist"

SMALL = (
    "mnist@rotate30",
    "mnist@rotate90",
    "mnist@rotate180",
    "mnist_m",
    "emnist_letters",
    "fashion_mnist",
    "fashion_mnist@invert",
)
PAPER = (*SMALL, "svhn", "cifar10")

ITSELF = "mnist, other images"

VALUES: Mapping[Scale, Mapping[str, Any]] = {
    "small": {
        "tasks": (FIRST, *SMALL),
        "train_examples": 2_000,
        "test_examples": 2_000,
        "max_steps": 120,
        "batch_size": 128,
    },
    "paper": {
        "tasks": (FIRST, *PAPER),
        "train_examples": 10_000,
        "test_examples": 10_000,
        "max_steps": 1_000,
        "batch_size": 256,
    },
}
"""Steps and batches are those of the search for hypotheses; the paper gives none."""

RESTARTS, RATE = 2, 0.02

NOTES = (
    "plug-in: h, an autoencoder, is trained on MNIST and h' on both sets; the difference between how much they "
    "disagree (squared error per pixel) on images of one set and of the other that they were not trained on. "
    "adversarial: two classifiers are trained to make the difference of their disagreements large. The distance is a "
    "supremum: both are estimates from below. The first row is what chance gives.",
    "Hypotheses: networks with one hidden layer of 32 units. Published as a figure without numbers: MNIST is nearer to "
    "rotated MNIST than to Fashion-MNIST.",
)


@final
class DiscrepancyStudy(Study):
    """Study of one set against each other one, which trains in this process and needs no runs."""

    def __init__(self, values: Mapping[str, Any], request: Request) -> None:
        from growmix import experiment

        self.title = "Discrepancy distance from MNIST"
        self._notes = (*NOTES, *request.replaced)
        refuse_idle([values], request)
        self._configs = lay_out_one({**values, "stream": "domains"}, request)
        experiment.load_stream(self._configs[0])  # what is wrong with the data shows here, and is so with every seed

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        """Configurations of the study, one for each seed."""
        return self._configs

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Estimate the distance to each set by either method."""
        from growmix import experiment
        from growmix.report import theory_figures

        seeds = [estimates(experiment.load_stream(config), search_of(config)) for config in self.configs]
        spreads = {
            name: {method: Spread.of([each[name][method] for each in seeds]) for method in seeds[0][name]}
            for name in seeds[0]
        }
        rows = tuple((name, *(value.text(4) for value in each.values())) for name, each in spreads.items())
        columns = ("set", *(f"{method} ({loss})" for method, loss in _losses()))
        numbers = {name: {method: asdict(value) for method, value in each.items()} for name, each in spreads.items()}
        draw = partial(theory_figures.discrepancies, numbers)
        tables = (Table(self.title, columns, rows, self._notes),)
        return Findings(tables, {"discrepancy": numbers}, {"discrepancy.png": draw})


def search_of(config: RunConfig) -> Search:
    """Return how hypotheses are sought: in the steps and batches of a run."""
    from growmix.theory import Search

    settings = config.settings
    default = Search()
    steps, batch = settings.max_steps or default.steps, settings.batch_size or default.batch
    return Search(steps=steps, batch=batch, restarts=RESTARTS, learning_rates=(RATE,), seed=config.seed)


def estimates(stream: Stream, search: Search) -> dict[str, dict[str, float]]:
    """Estimate by each method how far the first task's test images are from other images of it, and from each task."""
    from growmix.theory import MLP, discrepancy
    from growmix.theory.account import BETWEEN

    first = stream[0]
    others = {ITSELF: first.train.x} | {task.name: task.test.x for task in stream[1:]}
    return {
        name: {
            method: discrepancy(first.test.x, x, MLP(), loss, method=method, search=search).estimate
            for method, loss in BETWEEN.items()
        }
        for name, x in others.items()
    }


def _losses() -> list[tuple[str, str]]:
    from growmix.theory.account import BETWEEN

    return [(method, loss.name) for method, loss in BETWEEN.items()]


EXPERIMENTS = (
    Experiment(
        "discrepancy",
        "estimates of the discrepancy distance from MNIST to other sets",
        ("domains",),
        VALUES,
        DiscrepancyStudy,
    ),
)
