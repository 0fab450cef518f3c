"""Image to image: how near translations are to their targets, when each task was learnt and after the last one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

from msgspec import to_builtins

from growmix.studies import cost
from growmix.studies.experiments.experiment import EPOCHS_UNSUPERVISED, PAPER, SHARING, UNMEASURED, Experiment
from growmix.studies.experiments.reconstructions import FIGURES, cells
from growmix.studies.metrics import Made, Metrics
from growmix.studies.runs import Outcome
from growmix.studies.study import Findings, Request, Study, by_variant, lay_out
from growmix.studies.tables import Table

NOTES = (
    "Of a source's translation against its target, on test pairs; after the last task each source is translated by the "
    "component that is chosen for it from the source alone.",
    "The paper's paired sets are aerial photographs to maps, CMP facades, and edges to shoes; the first and the last "
    "are not among ours, and it gives pictures, no numbers that these could be put beside.",
)


@final
class TranslationStudy(Study):
    """Study of paired tasks one after another, with each kind of sharing."""

    def __init__(self, values: Mapping[str, Any], request: Request) -> None:
        self.title = "Translation"
        self._notes = (*NOTES, *request.replaced)
        self.planned = lay_out(SHARING, {**values, "stream": "translation"}, request)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Make a table for each figure, one of the cost, and show the pictures of the first run."""
        from growmix.experiment import TRANSLATION

        grouped = by_variant(done)
        tasks = tuple(done[0].metrics.tasks)
        tables = [
            Table(
                f"{self.title}: {text}",
                ("sharing", *tasks, "mean"),
                _rows(grouped, name, digits),
                self._notes if name == FIGURES[0][0] else (),
            )
            for name, text, digits in FIGURES
        ]
        whole = cost.whole_component(grouped[SHARING[0].name])
        costs = tuple((each.title, *cost.cells(grouped[each.name], whole)) for each in SHARING)
        tables.append(Table(f"{self.title}: cost", ("sharing", *cost.COLUMNS), costs))
        picture = grouped[SHARING[0].name][0].trial.config.folder / TRANSLATION
        figures = {TRANSLATION: partial(_copy, picture)} if picture.is_file() else {}
        numbers = {
            name: [to_builtins(outcome.metrics.translation) for outcome in each] for name, each in grouped.items()
        }
        return Findings(tuple(tables), {"translation": numbers}, figures)


def _rows(grouped: Mapping[str, list[Outcome]], name: str, digits: int) -> tuple[tuple[str, ...], ...]:
    rows = []
    for sharing in SHARING:
        outcomes = grouped[sharing.name]
        for moment, block in (("when learnt", _when_learnt), ("after the last task", _at_last)):
            rows.append((f"{sharing.title}, {moment}", *cells(outcomes, name, digits, block)))
    return tuple(rows)


def _when_learnt(metrics: Metrics) -> Made | None:
    return None if metrics.translation is None else metrics.translation.when_learnt


def _at_last(metrics: Metrics) -> Made | None:
    return metrics.translation


def _copy(source: Path, file: Path) -> None:
    shutil.copyfile(source, file)


EXPERIMENTS = (
    Experiment(
        "translation",
        "three sets of paired images: MSE, SSIM, PSNR of the translations, when learnt and after the last task",
        ("translation",),
        {
            # with 500 facades to learn from, every further step after the first hundreds makes translations worse
            "small": {**UNMEASURED, "blueprint": "conv", "batch_size": 64, "max_steps": 1_000, "patience": 10}
            | {"train_examples": 10_000},
            "paper": {**PAPER, "epochs": EPOCHS_UNSUPERVISED},
        },
        TranslationStudy,
    ),
)
