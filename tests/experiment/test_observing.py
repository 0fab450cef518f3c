from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from growmix import experiment
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint
from growmix.report.reporter import Reporter
from growmix.settings import Settings

pytestmark = pytest.mark.slow

TINY = Settings(gate="always", hidden=16, latent=2, epochs=1, student_hidden=8, student_epochs=1, student_examples=20)


def config(out: Path, **changes: Any) -> RunConfig:
    usual: dict[str, Any] = {"train_examples": 60, "test_examples": 50, "likelihood_draws": 0, "frechet_examples": 0}
    return RunConfig(stream="split-digits", settings=TINY, out=out, **{**usual, **changes})


class Watcher:
    """Writes down how many components there were after every task, and keeps a tensor."""

    name = "watcher"

    def __init__(self, seen: list[int]) -> None:
        self.seen, self.students, self.ended = seen, 0, False

    def after_task(self, learner: Any) -> None:
        self.seen.append(len(learner.components))

    def after_student(self, student: Any) -> None:
        self.students += 1

    def at_end(self, learner: Any, folder: Path) -> None:
        (folder / "seen.txt").write_text(str(self.seen))

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"seen": self.seen}, {"seen": torch.tensor(self.seen)}

    def restored(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor], tasks: int) -> Watcher:
        if len(document["seen"]) != tasks or tensors["seen"].shape != (tasks,):
            raise ValueError("another number of tasks")
        return Watcher(list(document["seen"]))


class StopIn(Reporter):
    def __init__(self, task: int) -> None:
        self.task = task

    def on_task_start(self, index: int, examples: int) -> None:
        if index == self.task:
            raise KeyboardInterrupt


def test_an_observer_of_a_users_own_sees_every_task_across_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config(tmp_path / "run"), reporters=[StopIn(3)], observers=[Watcher([])])
    with pytest.raises(BadCheckpoint, match=r"followed by the observers \['watcher'\], but given are \[\]"):
        experiment.resume(tmp_path / "run")
    experiment.resume(tmp_path / "run", observers=[Watcher([])])
    assert (tmp_path / "run" / "seen.txt").read_text() == "[1, 2, 3, 4, 5]"


RUN = """
import sys
from pathlib import Path
import growmix.evaluation
heavy = [name for name in ("matplotlib", "sklearn", "torchmetrics") if name in sys.modules]
assert not heavy, heavy
from growmix import experiment
from growmix.config import RunConfig
from growmix.settings import Settings

settings = Settings(hidden=8, latent=2, epochs=1)
config = RunConfig(
    stream="split-digits", settings=settings, out=Path(sys.argv[1]), student=False, train_examples=40,
    test_examples=20, likelihood_draws=0, frechet_examples=0,
)
experiment.run(config)
ours = [name for name in sys.modules if name.startswith(("growmix.theory", "growmix.report.figures"))]
assert not ours, ours
"""


def test_what_nobody_asked_for_is_not_imported(tmp_path: Path) -> None:
    """No theory and no figures by a run, no heavy package by the evaluation; in a process that imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"GROWMIX_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "metrics.json").exists()
