"""What would come of the runs of an experiment, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growmix.studies.experiments import find
from growmix.studies.experiments.experiment import Scale
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Findings, Request
from growmix.studies.tables import Table

PICTURES = {"mse": [1.0, 3.0], "ssim": [0.5, 0.7], "psnr": [15.0, 25.0]}
PAIRS = {**PICTURES, "when_learnt": {name: [value / 2 for value in values] for name, values in PICTURES.items()}}
FIVE = {name: [values[0]] * 5 for name, values in PICTURES.items()}
STUDENT = {"average": {}, "reconstruction": {**FIVE, "mse": [7.0] * 5}, "parameters": 50}


def of(trial: Trial) -> dict[str, Any]:
    """Metrics that fit any experiment."""
    tasks = {"split-mnist": 5, "permuted-mnist": 10, "split-cifar": 6}.get(trial.config.stream, 2)
    decided = {"task": "t", "action": "grow", "component": 0, "threshold": 0.2}
    measured = [{**decided, "novelty": [float(i)] if i else []} for i in range(tasks)]
    threshold = trial.config.settings.threshold
    five = {"tasks": list("abcde"), "reconstruction": FIVE} if trial.config.stream in ("msfir", "cccos") else {}
    return {
        **five,
        "translation": PAIRS if trial.config.stream == "translation" else None,
        "student": STUDENT if trial.config.student else None,
        "decisions": measured,
        "components": tasks if threshold is None else 1 + sum(i >= threshold for i in range(1, tasks)),
    }


@pytest.fixture
def found(tmp_path: Path, run_of: Callable[..., list[Outcome]]) -> Callable[..., tuple[list[Outcome], Findings]]:
    """Do an experiment with these metrics, in a moment: its outcomes and its findings."""

    def do(name: str, scale: Scale = "small", seeds: int = 1, **given: Any) -> tuple[list[Outcome], Findings]:
        study = find(name).at(scale, Request(tmp_path, seeds, given))
        done = run_of(study, of)
        return done, study.findings(done)

    return do


@pytest.fixture(scope="session")
def column() -> Callable[[Table, str], dict[str, str]]:
    """Take one column of a table, by the name of the row."""

    def take(table: Table, name: str) -> dict[str, str]:
        at = table.columns.index(name)
        return {row[0]: row[at] for row in table.rows}

    return take
