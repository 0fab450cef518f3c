"""A whole run on vectors of any numbers: learnt, interrupted, resumed, measured again and explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sklearn.datasets import load_wine

from growmix import experiment, streams
from growmix.config import RunConfig
from growmix.report.reporter import Reporter
from growmix.report.table import closing_table

pytestmark = pytest.mark.slow


class StopInTheThirdTask(Reporter):
    def on_task_start(self, index: int, examples: int) -> None:
        if index == 2:
            raise KeyboardInterrupt


def timeless(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in ("seconds", "examples_per_second")}


def test_a_run_on_vectors_has_all_figures_but_those_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = load_wine(return_X_y=True)
    parts = [(x[rows], y[rows], x[rows], y[rows]) for rows in (y == 0, y == 1)]
    parts.append((x[:60] * 3.0, y[:60], x[:60] * 3.0, y[:60]))
    stream = streams.from_arrays(parts, name="wine")
    monkeypatch.setattr(streams, "load", lambda *_, **__: stream)
    asked = {"stream": "split-digits", "theory": True, "hidden": 16, "latent": 2, "epochs": 5}
    asked |= {"student_epochs": 1, "student_examples": 60, "student_hidden": 16, "likelihood_draws": 2}
    whole = experiment.run(RunConfig.of({**asked, "out": str(tmp_path / "whole")}))
    with pytest.raises(KeyboardInterrupt):
        experiment.run(RunConfig.of({**asked, "out": str(tmp_path / "run")}), reporters=[StopInTheThirdTask()])
    metrics = experiment.resume(tmp_path / "run")
    assert timeless(metrics) == timeless(whole)
    assert metrics["frechet"] is metrics["translation"] is None
    for scores in (metrics, metrics["student"]):
        assert scores["reconstruction"]["ssim"] == scores["reconstruction"]["psnr"] == [None] * 3
        assert all(error > 0 for error in scores["reconstruction"]["mse"])
    assert metrics["log_likelihood"]["bits_per_dim"] == [None] * 3
    assert experiment.reevaluate(tmp_path / "run")["reconstruction"] == metrics["reconstruction"]
    theory = json.loads((tmp_path / "run" / "theory.json").read_text())
    assert theory["followed"] and [len(row) for row in theory["rows"]] == [1, 2, 3]
    console = Console(width=120)
    with console.capture() as capture:
        console.print(closing_table(metrics))
    assert "nats (2 draws" in capture.get()
