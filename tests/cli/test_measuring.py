"""What is asked of a run that is there is checked before anything is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from growmix import BadInput, experiment
from growmix.cli.app import execute
from growmix.cli.measuring import evaluate, theory
from growmix.cli.words import DONE, WRONG_INPUT


@pytest.mark.parametrize("option", ["seeds", "jobs"])
def test_options_of_a_sweep_are_refused_without_it(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["theory", "nowhere", f"--{option}", "3"]) == WRONG_INPUT
    assert f"{option} is 3, which has no effect without --sweep" in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for command in (evaluate, theory):
        with pytest.raises(BadInput, match="holds no run"):
            command(tmp_path)


def test_figures_are_printed_as_json_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").touch()
    asked: list[Any] = []

    def reevaluate(folder: Path, *, device: str | None) -> dict[str, Any]:
        asked.append((folder, device))
        return {"student": None, "components": 3}

    monkeypatch.setattr(experiment, "reevaluate", reevaluate)
    assert evaluate(tmp_path, device="cpu", json_=True) == DONE
    assert capsys.readouterr().out == '{\n "student": null,\n "components": 3\n}\n'
    assert asked == [(tmp_path, "cpu")]


def test_a_theory_is_told_sentence_by_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").touch()
    monkeypatch.setattr(experiment, "explain", lambda folder, *, device: {"statements": ["One.", "Two."]})
    assert theory(tmp_path) == DONE
    assert capsys.readouterr().out == "- One.\n- Two.\n"
