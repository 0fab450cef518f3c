"""What a study reads of a finished run is checked, and what it does not use is passed over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growmix import experiment
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint
from growmix.studies.metrics import Metrics, read_metrics

Make = Callable[..., dict[str, Any]]


def test_what_a_run_writes_is_what_a_study_reads(tmp_path: Path) -> None:
    values = {"stream": "split-digits", "max_steps": 1, "hidden": 8, "student_epochs": 1, "student_examples": 4}
    values |= {"train_examples": 8, "test_examples": 8, "out": tmp_path}
    written = experiment.run(RunConfig.of({**values, "likelihood_draws": 0, "frechet_examples": 0}))
    found = read_metrics(tmp_path)
    assert found == Metrics.of(written)
    assert list(found.tasks) == written["tasks"] and found.components == written["components"]
    assert found.average.figure("grouped") == written["average"]["grouped"]
    assert list(found.reconstruction.figure("psnr")) == written["reconstruction"]["psnr"]
    assert found.student is not None and found.student.parameters == written["student"]["parameters"]
    assert list(found.last_accuracies) == written["accuracy"]["task_agnostic"][-1]
    assert found.novelties == [min(decision["novelty"]) for decision in written["decisions"][1:]]


def test_what_no_study_uses_is_passed_over(metrics: Make) -> None:
    assert Metrics.of(metrics(frechet=7, log_likelihood="none")) == Metrics.of(metrics())


def test_without_labels_there_is_no_accuracy_for_any_task(metrics: Make) -> None:
    assert Metrics.of(metrics(accuracy={"task_agnostic": None})).last_accuracies == (None, None)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"tasks": None}, "tasks"),
        ({"components": "2"}, "components"),
        ({"components": True}, "components"),
        ({"average": {"task_agnostic": "0.9"}}, "average.task_agnostic"),
        ({"decisions": [{"task": "a"}]}, "decisions"),
        ({"reconstruction": {"mse": [1.0], "ssim": 5, "psnr": []}}, "reconstruction.ssim"),
        ({"parameters": {"mixture": 1.5, "per_component": [], "shared": 0}}, "parameters.mixture"),
        ({"seconds": [1, 2]}, "seconds"),
        ({"student": {"parameters": 3}}, "student"),
        ({"examples_per_second": None}, "examples_per_second"),
    ],
)
def test_metrics_of_another_type_are_refused_with_their_place(
    tmp_path: Path, metrics: Make, changes: dict[str, Any], where: str
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(metrics(**changes)))
    with pytest.raises(BadCheckpoint, match=rf"metrics.json does not hold the metrics of a run \(.*\$\.{where}"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("name", ["tasks", "average", "accuracy", "parameters", "seconds", "student"])
def test_a_block_that_is_missing_is_named(tmp_path: Path, metrics: Make, name: str) -> None:
    found = metrics()
    del found[name]
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    with pytest.raises(BadCheckpoint, match=f"`{name}`"):
        read_metrics(tmp_path)
