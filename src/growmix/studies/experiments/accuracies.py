"""MSFIRC: classification of six domains with one label space, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, final

from growmix.studies import cost
from growmix.studies.comparison import AVERAGES, PROTOCOLS, figures_of
from growmix.studies.experiments.experiment import EPOCHS_MNIST, PAPER, SHARING, UNMEASURED, Experiment
from growmix.studies.runs import Outcome
from growmix.studies.study import Findings, Request, Study, Variant, by_task, by_variant, lay_out
from growmix.studies.tables import Table

VARIANTS = (
    *SHARING,
    Variant("vae-per-task", "one VAE per task", {"method": "vae-per-task"}),
    Variant("lgm", "LGM", {"method": "lgm"}),
    Variant("batch-ensemble", "BatchEnsemble", {"method": "batch-ensemble"}),
    Variant("fine-tuning", "fine-tuning (lower limit)", {"method": "fine-tuning"}),
    Variant("joint", "joint training (upper limit)", {"method": "joint"}),
)

NOTES = (
    PROTOCOLS,
    "Label space shared: class 3 of MNIST and class 3 of SVHN are one class. The published accuracies are not at hand; "
    "published parameters are those of MSFIR: mixture 2.1e8, BatchEnsemble 3.6e8, LGM 3.3e8.",
)


@final
class DomainAccuracy(Study):
    """Accuracies over domains that share their classes."""

    def __init__(self, values: Mapping[str, Any], request: Request) -> None:
        self.title = "Classification, msfirc"
        self._notes = (*NOTES, *request.replaced)
        self.planned = lay_out(VARIANTS, {**values, "stream": "msfirc"}, request)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Make tables of the averages, of the accuracies per task, and of the cost."""
        grouped = by_variant(done)
        rows = {variant.name: figures_of(grouped[variant.name]) for variant in VARIANTS}
        names = (*AVERAGES, "mse")
        averages = [
            (variant.title, *(rows[variant.name][each].text(2 if each == "mse" else 4) for each in names))
            for variant in VARIANTS
        ]
        whole = cost.whole_component(grouped["vae-per-task"])
        costs = [(variant.title, *cost.cells(grouped[variant.name], whole)) for variant in VARIANTS]
        numbers = {
            variant.name: {each: asdict(rows[variant.name][each]) for each in names}
            | dict(cost.numbers(grouped[variant.name]))
            for variant in VARIANTS
        }
        return Findings(
            (
                Table(f"{self.title}: averages", ("method", *names), tuple(averages), self._notes),
                self._by_task(grouped, tuple(done[0].metrics.tasks)),
                Table(f"{self.title}: cost", ("method", *cost.COLUMNS), tuple(costs)),
            ),
            {"variants": numbers},
        )

    def _by_task(self, grouped: Mapping[str, list[Outcome]], tasks: tuple[str, ...]) -> Table:
        rows = []
        for variant in VARIANTS:
            each = by_task(grouped[variant.name], lambda metrics: metrics.last_accuracies)
            rows.append((variant.title, *(value.text(4) for value in each)))
        return Table(f"{self.title}: task_agnostic by task, after the last", ("method", *tasks), tuple(rows))


EXPERIMENTS = (
    Experiment(
        "msfirc",
        "six domains with labels, one label space: accuracies and parameters",
        ("msfirc",),
        {
            "small": {**UNMEASURED, "batch_size": 128, "max_steps": 600},
            "paper": {**PAPER, "epochs": EPOCHS_MNIST},
        },
        DomainAccuracy,
    ),
)
