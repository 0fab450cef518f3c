"""The files of the theory: which are written, and what is not read as such."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadCheckpoint, BadInput
from growmix.report import theory_figures
from growmix.theory import files


def entry(observed: float) -> dict[str, Any]:
    return {"observed": observed}


def document(**changes: Any) -> dict[str, Any]:
    """As of a run of two tasks, as far as the choice of figures looks at it."""
    usual = {"tasks": ["a", "b"], "rows": [[entry(0.1)], [entry(0.2), entry(0.3)]], "chains": [], "statements": ["x"]}
    return {**usual, "student": None, "unit": "u", **changes}


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({}, {"bounds_over_time": files.BOUNDS, "between_tasks": files.BETWEEN}),
        ({"tasks": ["a"], "rows": [[entry(0.1)]]}, {"bounds_over_time": files.BOUNDS}),
        (
            {"student": [entry(0.4), entry(0.5)]},
            {"bounds_over_time": files.BOUNDS, "between_tasks": files.BETWEEN, "models": files.MODELS},
        ),
        (
            {"trade_off": {"points": [], "single": None}},
            {"bounds_over_time": files.BOUNDS, "between_tasks": files.BETWEEN, "trade_off": files.TRADE_OFF},
        ),
    ],
)
def test_figures_are_drawn_of_what_there_are_numbers_for(
    changes: dict[str, Any], drawn: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}
    for name in ("bounds_over_time", "between_tasks", "trade_off", "models"):
        monkeypatch.setattr(theory_figures, name, lambda *given, name=name: seen.update({name: given[-1].name}))
    files.write(document(**changes), tmp_path)
    assert seen == drawn
    assert files.read(tmp_path) == document(**changes)


def test_the_risks_of_mixture_student_and_one_component_stand_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []
    for name in ("bounds_over_time", "between_tasks", "trade_off"):
        monkeypatch.setattr(theory_figures, name, lambda *_: None)
    monkeypatch.setattr(theory_figures, "models", lambda risks, *_: compared.append(risks))
    swept = {"points": [1], "single": [0.6, 0.7]}
    files.write(document(student=[entry(0.4), entry(0.5)], trade_off=swept), tmp_path)
    assert compared == [{"mixture": [0.2, 0.3], "one component": [0.6, 0.7], "student": [0.4, 0.5]}]


def test_what_can_not_be_written_or_read_is_named(tmp_path: Path) -> None:
    document = {"tasks": ["a"], "rows": [[]], "chains": [[]], "statements": []}
    with pytest.raises(BadInput, match="can't be written"):
        files.write(document, tmp_path / "missing")
    for text in ("{", "[]", "{}"):
        (tmp_path / files.THEORY).write_text(text)
        with pytest.raises(BadCheckpoint, match=files.THEORY):
            files.read(tmp_path)


@pytest.mark.parametrize("statements", [5, [5], {"a": "b"}])
def test_statements_are_sentences(statements: Any, tmp_path: Path) -> None:
    (tmp_path / files.THEORY).write_text(json.dumps(document(statements=statements)))
    with pytest.raises(BadCheckpoint, match="statements that are no sentences"):
        files.read(tmp_path)
