from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from growmix.config import RunConfig
from growmix.studies.metrics import Metrics
from growmix.studies.runs import Outcome, Trial, in_folder
from growmix.studies.study import Study


def metrics(**changes: Any) -> dict[str, Any]:
    """As of a finished run of two tasks, each learnt by a component of its own."""
    made: dict[str, Any] = {
        "tasks": ["a", "b"],
        "components": 2,
        "decisions": [
            {"task": "a", "action": "grow", "component": 0, "novelty": [], "threshold": 0.2},
            {"task": "b", "action": "grow", "component": 1, "novelty": [0.9], "threshold": 0.2},
        ],
        "accuracy": {"task_agnostic": [[0.9, None], [0.8, 0.7]]},
        "average": {"task_agnostic": 0.75, "task_aware": 0.9, "grouped": 0.85, "forgetting": 0.1},
        "reconstruction": {"mse": [10.0, 20.0], "ssim": [0.5, 0.7], "psnr": [15.0, 25.0]},
        "reconstruction_over_time": {"mse": [[8.0, None], [10.0, 20.0]]},
        "translation": None,
        "student": None,
        "parameters": {"mixture": 300, "per_component": [200, 100], "shared": 0},
        "seconds": {"train": 2.0, "evaluate": 1.0, "student": None},
        "examples_per_second": 500.0,
        "versions": {"growmix": "1"},
    }
    return made | changes


@pytest.fixture(name="metrics", scope="session")
def metrics_fixture() -> Callable[..., dict[str, Any]]:
    return metrics


Changes = Callable[[Trial], Mapping[str, Any]]
ComeOf = Callable[..., list[Outcome]]


@pytest.fixture
def come_of() -> ComeOf:
    """What would come of trials, each with its own changes to the metrics above."""

    def make(trials: Sequence[Trial], changes: Changes = lambda trial: {}) -> list[Outcome]:
        return [Outcome(trial, Metrics.of(metrics(**changes(trial))), 1.0) for trial in trials]

    return make


@pytest.fixture
def run_of(come_of: ComeOf) -> Callable[..., list[Outcome]]:
    """All outcomes of a study whose runs give these metrics."""

    def make(study: Study, changes: Changes = lambda trial: {}) -> list[Outcome]:
        done: list[Outcome] = []
        while wave := study.trials(done):
            done += come_of(wave, changes)
        return done

    return make


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., Trial]:
    """Makes a trial of a method in a folder of its own."""

    def make(method: str, **values: Any) -> Trial:
        config = RunConfig.of({"stream": "split-digits", "method": method, **values})
        return in_folder(method, config, tmp_path / "study")

    return make
