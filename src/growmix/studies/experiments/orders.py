"""MSC against CMS: how the order of tasks changes the accumulated risk, with each kind of sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, final

from growmix.studies.experiments.experiment import IMAGES, PAPER_IMAGES, SHARING, Experiment
from growmix.studies.metrics import Metrics
from growmix.studies.runs import Outcome
from growmix.studies.spread import Spread
from growmix.studies.study import Findings, Request, Study, Variant, by_task, by_variant, lay_out
from growmix.studies.tables import Table

ORDERS = ("msc", "cms")

KINDS = (*SHARING, Variant("batch-ensemble", "BatchEnsemble", {"method": "batch-ensemble"}))

NOTES = (
    "Accumulated target risk after each task: the test MSE, summed over an image, of all tasks learnt so far, added "
    "up; each image by the component chosen for it without its task.",
    "The paper shows this as a figure without numbers: a trunk keeps the first task's knowledge, so that its result "
    "depends on the order.",
)


@final
class OrderStudy(Study):
    """Study of the same three tasks in two orders."""

    def __init__(self, values: Mapping[str, Any], request: Request) -> None:
        self.title = "Order of tasks, msc against cms"
        self._notes = (*NOTES, *request.replaced)
        variants = [
            Variant(f"{order}-{kind.name}", kind.title, {**kind.values, "stream": order})
            for order in ORDERS
            for kind in KINDS
        ]
        self.planned = lay_out(variants, values, request)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Show the risks in a table and in a figure with a panel for each order."""
        from growmix.report import figures

        grouped = by_variant(done)
        curves: dict[str, dict[str, list[float | None]]] = {}
        tables: list[Table] = []
        for order in ORDERS:
            names = tuple(grouped[f"{order}-{KINDS[0].name}"][0].metrics.tasks)
            risks = {kind.title: risks_of(grouped[f"{order}-{kind.name}"], len(names)) for kind in KINDS}
            curves[order.upper()] = {title: [value.mean for value in values] for title, values in risks.items()}
            rows = tuple(
                (
                    kind.title,
                    *(value.text(2) for value in risks[kind.title]),
                    components(grouped[f"{order}-{kind.name}"]),
                )
                for kind in KINDS
            )
            columns = ("sharing", *(f"after {name}" for name in names), "components")
            notes = () if tables else self._notes
            tables.append(Table(f"Accumulated target risk, {order}", columns, rows, notes))
        return Findings(
            tuple(tables), {"accumulated_risk": curves}, {"order.png": partial(figures.order_study, curves)}
        )


def risks_of(outcomes: Sequence[Outcome], tasks: int) -> list[Spread]:
    """Return the accumulated risk after each task, over the seeds."""
    return by_task(outcomes, lambda metrics: [risk_after(metrics, t) for t in range(tasks)])


def risk_after(metrics: Metrics, task: int) -> float | None:
    """Return the sum of the test MSE of all tasks so far; ``None`` if one is not known."""
    row = metrics.reconstruction_over_time.mse[task][: task + 1]
    known = [value for value in row if value is not None]
    return sum(known) if len(known) == len(row) else None


def components(outcomes: Sequence[Outcome]) -> str:
    """Write how many components the mixture of each seed has at the end."""
    return ", ".join(str(outcome.metrics.components) for outcome in outcomes)


EXPERIMENTS = (
    Experiment(
        "order",
        "MNIST, SVHN, CIFAR-10 in two orders: accumulated target risk after each task, with each kind of sharing",
        ORDERS,
        {"small": {**IMAGES, "max_steps": 800}, "paper": PAPER_IMAGES},
        OrderStudy,
    ),
)
