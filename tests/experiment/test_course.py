"""The course of a run: what is told when, what is on disk by then, and what is kept of a run that is cut short."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from growmix import baselines, streams
from growmix.config import RunConfig
from growmix.experiment.course import Course, Teacher, settings_but_device
from growmix.experiment.folder import CHECKPOINT, CONFIG, EVENTS, METRICS, PROGRESS, RunFolder
from growmix.learning.gating import Decision
from growmix.report.reporter import Reporter, RunPlan, TaskResult
from growmix.settings import Settings
from growmix.streams import Stream
from growmix.system.interrupts import Interrupts

QUICK = Settings(hidden=8, latent=2, epochs=1)


class Watching(Reporter):
    """Writes down what it is told, and how many tasks the checkpoint knows at that time."""

    def __init__(self, folder: Path, *, stop: int = -1) -> None:
        self.folder, self.stop = folder, stop
        self.told: list[tuple[Any, ...]] = []

    def saved(self) -> int:
        if not (self.folder / CHECKPOINT).exists():
            return 0
        return len(baselines.load(self.folder / CHECKPOINT, "fine-tuning").history)

    def on_run_start(self, plan: RunPlan) -> None:
        self.told.append(("start", self.saved()))

    def on_notice(self, text: str) -> None:
        self.told.append(("notice", text))

    def on_task_start(self, index: int, examples: int) -> None:
        self.told.append(("task", index, examples))
        if index == self.stop:
            raise KeyboardInterrupt

    def on_decision(self, index: int, decision: Decision) -> None:
        self.told.append(("decision", decision.action, self.saved()))

    def on_task_end(self, result: TaskResult) -> None:
        self.told.append(("end", result.index))

    def on_run_end(self, metrics: Mapping[str, Any] | None) -> None:
        self.told.append(("over", metrics is not None))


@pytest.fixture
def stream() -> Stream:
    x = np.random.default_rng(0).random((4, 50, 1, 4, 4))
    return streams.from_arrays([(x[0], x[1]), (x[2][:40], x[3])])


def course(folder: Path, stream: Stream, *reporters: Reporter, **changes: Any) -> Course:
    config = RunConfig(
        stream="split-digits", method="fine-tuning", settings=QUICK, out=folder, student=False,
        likelihood_draws=0, frechet_examples=0,
    )  # fmt: skip
    learner = baselines.make_learner(config.method, config.settings)
    folder.mkdir()
    RunFolder(folder).open(config)
    return Course(config.changed(**changes), stream, learner, RunFolder(folder), reporters, Interrupts(), ())


def test_a_task_is_saved_before_it_is_told_of_and_measured(tmp_path: Path, stream: Stream) -> None:
    watching = Watching(tmp_path / "run")
    metrics = course(tmp_path / "run", stream, watching).go(notices=[None, "a word"])
    assert watching.told == [
        ("start", 0),
        ("notice", "a word"),
        ("task", 0, 50),
        ("decision", "grow", 1),
        ("end", 0),
        ("task", 1, 40),
        ("decision", "reuse", 2),
        ("end", 1),
        ("over", True),
    ]
    assert json.loads((tmp_path / "run" / METRICS).read_text())["tasks"] == metrics["tasks"] == ["task-1", "task-2"]
    assert {each.name for each in (tmp_path / "run").iterdir()} == {CHECKPOINT, CONFIG, EVENTS, METRICS}


def test_of_a_run_that_is_cut_short_the_tasks_so_far_are_kept_and_everybody_is_told(
    tmp_path: Path, stream: Stream
) -> None:
    class Gone(Reporter):
        def on_run_end(self, metrics: Mapping[str, Any] | None) -> None:
            raise BrokenPipeError

    before, after = (Watching(tmp_path / "run", stop=stop) for stop in (-1, 1))
    with pytest.raises(BrokenPipeError):
        course(tmp_path / "run", stream, before, Gone(), after).go()
    assert before.told[-1] == after.told[-1] == ("over", False)
    assert json.loads((tmp_path / "run" / METRICS).read_text())["tasks"] == ["task-1"]
    assert after.saved() == 1
    assert json.loads((tmp_path / "run" / EVENTS).read_text().splitlines()[-1])["event"] == "run_cut_short"
    assert (tmp_path / "run" / PROGRESS).exists()  # from there it goes on


def test_nothing_is_written_of_a_run_that_ends_before_it_has_learnt(tmp_path: Path, stream: Stream) -> None:
    with pytest.raises(KeyboardInterrupt):
        course(tmp_path / "run", stream, Watching(tmp_path / "run", stop=0)).go()
    assert not (tmp_path / "run" / METRICS).exists() and not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_run_goes_on_with_all_but_its_device() -> None:
    on_cpu, elsewhere = (baselines.make_learner("er", QUICK.replace(device=device)) for device in ("cpu", "auto"))
    assert settings_but_device(on_cpu) == settings_but_device(elsewhere)
    other = baselines.make_learner("er", QUICK.replace(seed=1))
    assert settings_but_device(on_cpu) != settings_but_device(other)


def test_a_mixture_teaches_and_one_network_does_not() -> None:
    assert isinstance(baselines.make_learner("mixture", QUICK), Teacher)
    assert not isinstance(baselines.make_learner("er", QUICK), Teacher)
