"""MSFIR and CCCOS: how well images of every task are reconstructed after the last one, and at what cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, final

from growmix.studies import cost
from growmix.studies.experiments.experiment import IMAGES, PAPER_IMAGES, SHARING, Experiment
from growmix.studies.metrics import Made, Metrics, Row
from growmix.studies.runs import Outcome
from growmix.studies.study import Findings, Request, Study, Variant, by_task, by_variant, lay_out, mean, spread
from growmix.studies.tables import Table

VARIANTS = (
    Variant("mixture", SHARING[0].title, {**SHARING[0].values, "student": True}),
    *SHARING[1:],
    Variant("vae-per-task", "one VAE per task", {"method": "vae-per-task"}),
    Variant("lgm", "LGM", {"method": "lgm"}),
    Variant("batch-ensemble", "BatchEnsemble", {"method": "batch-ensemble"}),
)

FIGURES = (("mse", "squared error summed over an image", 2), ("ssim", "SSIM", 3), ("psnr", "PSNR in dB", 2))

Published = Mapping[str, Mapping[str, Sequence[float | None]]]
"""Published figures by method and name: a value per task, then the mean."""

MSFIR_PUBLISHED: Published = {
    "one VAE per task": {
        "mse": (22.3, 29.0, 27.4, 27.4, 22.1, 25.64),
        "ssim": (0.90, 0.67, 0.79, 0.81, 0.90, 0.814),
        "psnr": (21.8, 15.7, 20.6, 20.6, 21.8, 20.1),
    },
    "LGM": {"mse": (*[None] * 5, 897.0), "ssim": (*[None] * 5, 0.18), "psnr": (*[None] * 5, 7.2)},
    "BatchEnsemble": {"mse": (*[None] * 5, 197.5), "ssim": (*[None] * 5, 0.67), "psnr": (*[None] * 5, 18.1)},
}

MSFIR_PARAMETERS = (
    "Published parameters of MSFIR: mixture 2.1e8, student 1.4e8, BatchEnsemble 3.6e8, LGM 3.3e8, CURL 2.3e8 "
    "(convolutional networks; what is to be compared is their order)."
)

PROTOCOL = (
    "Ours: each test image is reconstructed, after the last task, by the component that is chosen for it without its "
    "task; the student sees no real image of a past task."
)

MSFIR_PROTOCOL = (
    "Published: the same authors' table of reconstructions, in the order of MSFIRC, one VAE per task, SVHN itself; "
    "the means of LGM and BatchEnsemble are over that order's tasks, that of one VAE per task is of the five shown."
)


@final
class Reconstruction(Study):
    """Study of reconstructions on one stream by mixtures, a student, and the paper's rivals."""

    def __init__(
        self, stream: str, published: Published, notes: Sequence[str], values: Mapping[str, Any], request: Request
    ) -> None:
        self.title = f"Reconstruction, {stream}"
        self._published, self._notes = published, (PROTOCOL, *notes, *request.replaced)
        self.planned = lay_out(VARIANTS, {**values, "stream": stream}, request)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Make a table for each figure, and one of the cost."""
        grouped = by_variant(done)
        tasks = tuple(done[0].metrics.tasks)
        tables = [self._table(name, text, digits, tasks, grouped) for name, text, digits in FIGURES]
        numbers = {
            name: {figure: _values(each, figure, _of_model) for figure, _, _ in FIGURES} | dict(cost.numbers(each))
            for name, each in grouped.items()
        }
        taught = [outcome for outcome in grouped["mixture"] if outcome.metrics.student]
        if taught:
            numbers["student"] = {figure: _values(taught, figure, _of_student) for figure, _, _ in FIGURES}
        return Findings((*tables, self._cost(grouped)), {"variants": numbers})

    def _table(
        self, name: str, text: str, digits: int, tasks: tuple[str, ...], grouped: Mapping[str, list[Outcome]]
    ) -> Table:
        rows = []
        for variant in VARIANTS:
            outcomes = grouped[variant.name]
            rows.append((variant.title, *cells(outcomes, name, digits, _of_model)))
            if all(outcome.metrics.student for outcome in outcomes):
                rows.append(("its student", *cells(outcomes, name, digits, _of_student)))
        for method, figures in self._published.items():
            values = figures[name]
            rows.append((f"published: {method}", *("-" if v is None else f"{v:,.{digits}f}" for v in values)))
        return Table(
            f"{self.title}: {text}",
            ("method", *tasks, "mean"),
            tuple(rows),
            self._notes if name == FIGURES[0][0] else (),
        )

    def _cost(self, grouped: Mapping[str, list[Outcome]]) -> Table:
        whole = cost.whole_component(grouped["vae-per-task"])
        rows = [(variant.title, *cost.cells(grouped[variant.name], whole)) for variant in VARIANTS]
        sizes = [student.parameters for each in grouped["mixture"] if (student := each.metrics.student)]
        if len(sizes) == len(grouped["mixture"]):
            size = f"{sum(sizes) / len(sizes):,.0f}"
            rows.append(("its student", "1", size, "0", "-", "-", "-"))
        notes = (MSFIR_PARAMETERS,) if self._published else ()
        return Table(f"{self.title}: cost", ("method", *cost.COLUMNS), tuple(rows), notes)


Source = Callable[[Metrics], Made | None]
"""Takes the block of figures from the metrics; ``None`` where the run does not have it."""


def _of_model(metrics: Metrics) -> Made | None:
    return metrics.reconstruction


def _of_student(metrics: Metrics) -> Made | None:
    return None if metrics.student is None else metrics.student.reconstruction


def cells(outcomes: Sequence[Outcome], name: str, digits: int, source: Source) -> tuple[str, ...]:
    """Return a table's cells for one figure: first each task, then the mean of all tasks.

    Parameters
    ----------
    outcomes
        Runs that differ in their seeds alone.
    name
        Name of the figure that is shown.
    digits
        How many decimals are shown.
    source
        Takes the block of figures from the metrics.
    """
    each = by_task(outcomes, lambda metrics: _row(metrics, name, source))
    over_all = spread(outcomes, lambda metrics: mean(_row(metrics, name, source)))
    return tuple(value.text(digits) for value in (*each, over_all))


def _row(metrics: Metrics, name: str, source: Source) -> Row:
    block = source(metrics)
    return (None,) * len(metrics.tasks) if block is None else block.figure(name)


def _values(outcomes: Sequence[Outcome], name: str, source: Source) -> dict[str, Any]:
    whole = spread(outcomes, lambda metrics: mean(_row(metrics, name, source)))
    return {"per_task": [list(_row(each.metrics, name, source)) for each in outcomes], **asdict(whole)}


EXPERIMENTS = (
    Experiment(
        "msfir",
        "five domains without labels: MSE, SSIM, PSNR per task for mixture, student and rivals; parameters",
        ("msfir",),
        {"small": {**IMAGES, "max_steps": 800}, "paper": PAPER_IMAGES},
        lambda values, request: Reconstruction("msfir", MSFIR_PUBLISHED, (MSFIR_PROTOCOL,), values, request),
    ),
    Experiment(
        "cccos",
        "five domains of 64x64 colour images without labels: the same figures",
        ("cccos",),
        # twelve times the pixels of 32x32 gray: fewer steps, of fewer images
        {"small": {**IMAGES, "batch_size": 64, "max_steps": 500}, "paper": PAPER_IMAGES},
        lambda values, request: Reconstruction("cccos", {}, (), values, request),
    ),
)
