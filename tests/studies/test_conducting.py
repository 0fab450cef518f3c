"""What a study prints and writes: foreign names command nothing, and no output ends a study."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from growmix.config import RunConfig
from growmix.errors import BadInput
from growmix.report.console import make_console
from growmix.studies.conducting import conduct, digest, summary
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Findings, Study
from growmix.studies.tables import Table

HOSTILE = "\x1b[31m[red]name[/red]\ud800 ± 0.1"
SEEN = "?[31m[red]name[/red]? ± 0.1"


class Told(Study):
    """A study without runs, whose findings are full of a stranger's names."""

    title = HOSTILE

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        return (RunConfig(stream="split-digits"),)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        return Findings((Table(HOSTILE, ("method", HOSTILE), ((HOSTILE, HOSTILE),), (HOSTILE,)),), {"name": HOSTILE})


def conducted(folder: Path) -> None:
    conduct(Told(), folder, lines=(f"Command: {HOSTILE}",), console=make_console())


def test_names_of_a_stranger_command_neither_a_terminal_nor_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    conducted(tmp_path / "study")
    said = capfd.readouterr().out
    assert said.count(SEEN) == 6  # title, column, two cells, note, command
    assert all(character.isprintable() or character == "\n" for character in said)
    document = (tmp_path / "study" / "table.md").read_text(encoding="utf-8")
    assert document.count(SEEN) == 7 and "\x1b" not in document
    assert json.loads((tmp_path / "study" / "results.json").read_text())["name"] == HOSTILE


@pytest.mark.parametrize("end", ["ascii", "closed"])
def test_an_output_that_can_not_take_it_ends_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    held = io.BytesIO()
    narrow = io.TextIOWrapper(held, encoding="ascii")
    with os.fdopen(writing, "w") as gone, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", narrow if end == "ascii" else gone)
        conducted(tmp_path / "ständig")
    assert (tmp_path / "ständig" / "table.md").is_file()
    assert (b"+- 0.1" in held.getvalue()) == (end == "ascii")


def test_a_folder_that_holds_a_run_is_not_a_studys(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "run_started"}\n')
    RunConfig(stream="split-digits").write(tmp_path / "config.yaml")
    with pytest.raises(BadInput, match="holds a run of its own"):
        conducted(tmp_path)


def test_a_line_tells_of_a_run_by_its_main_figure(
    trial: Callable[..., Trial], come_of: Callable[..., list[Outcome]]
) -> None:
    labelled, unlabelled = come_of(
        [trial("ewc"), trial("lgm")], lambda each: {} if each.variant == "ewc" else {"average": {}}
    )
    assert summary(labelled) == "ewc-seed0: 0:01 min, task_agnostic 0.7500"
    assert summary(unlabelled) == "lgm-seed0: 0:01 min, mse 15.00"


def test_results_repeat_what_a_run_measured(
    tmp_path: Path, trial: Callable[..., Trial], come_of: Callable[..., list[Outcome]]
) -> None:
    (outcome,) = come_of([trial("ewc")])
    kept = json.loads(json.dumps(digest(outcome, outcome.trial.config.folder.parent), allow_nan=False))
    assert (kept["variant"], kept["seed"], kept["folder"], kept["examples_seen"]) == ("ewc", 0, "ewc-seed0", 1_000)
    assert kept["average"]["task_agnostic"] == 0.75 and kept["reconstruction"]["mse"] == [10.0, 20.0]
    assert kept["decisions"][1] == {
        "task": "b", "action": "grow", "component": 1, "novelty": [0.9], "threshold": 0.2
    }  # fmt: skip
    assert kept["student"] is None and kept["seconds"]["train"] == 2.0
