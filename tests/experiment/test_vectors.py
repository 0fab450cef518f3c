"""A run on vectors: it measures, follows its theory, teaches, and goes on after it was killed, like one on images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from growmix import experiment, streams
from growmix.config import RunConfig
from growmix.errors import BadInput
from growmix.streams import Stream, from_arrays
from growmix.training import loop


class Killed(BaseException):
    """Ends a run where a test wants it to end."""


def stream() -> Stream:
    rng = np.random.default_rng(0)
    parts = []
    for first in (0, 2):
        y = np.arange(120) % 2 + first
        x = rng.standard_normal((240, 6)) + 4.0 * np.concatenate([y, y])[:, None] * (np.arange(6) % 2) - 100.0
        parts.append((x[:120], y, x[120:], y))
    return from_arrays(parts)


def config(out: Path) -> RunConfig:
    small = {"hidden": 12, "latent": 2, "epochs": 4, "batch_size": 32, "device": "cpu", "precision": "32-true"}
    of_student = {"student_hidden": 12, "student_latent": 2, "student_examples": 60, "student_epochs": 2}
    chosen = {"gate": "always", "theory": True, "checkpoint_steps": 3, "checkpoint_every": 0.0}
    return RunConfig.of({"stream": "split-digits", "out": out, **small, **of_student, **chosen})


@pytest.mark.slow
def test_a_run_on_vectors_ends_the_same_when_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "load", lambda *_, **__: stream())
    experiment.run(config(tmp_path / "whole"))
    step, steps = loop._Loop._step, 0

    def killed(self: loop._Loop, index: object) -> object:
        nonlocal steps
        steps += 1
        if steps == 20:
            raise Killed
        return step(self, index)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop._Loop, "_step", killed)
        experiment.run(config(tmp_path / "killed"))
    experiment.resume(tmp_path / "killed")
    metrics, again = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "killed"))
    for found in (metrics, again):
        del found["seconds"], found["examples_per_second"]
    assert again == metrics
    assert metrics["reconstruction"]["ssim"] == metrics["reconstruction"]["psnr"] == [None, None]
    assert min(metrics["reconstruction"]["mse"]) > 0
    theory = json.loads((tmp_path / "whole" / "theory.json").read_text())
    assert [len(row) for row in theory["rows"]] == [1, 2]


def test_a_student_that_can_not_learn_vectors_is_refused_before_the_mixture_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "load", lambda *_, **__: stream())
    asked = RunConfig.of({"stream": "split-digits", "out": tmp_path / "run", "student_blueprint": "conv"})
    with pytest.raises(BadInput, match="convolutions are for images"):
        experiment.run(asked)
    assert list(tmp_path.iterdir()) == []
