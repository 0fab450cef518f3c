"""Translations are shown when each task was learnt and after the last, with the pictures of the first run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from growmix.experiment import TRANSLATION
from growmix.studies.experiments import find
from growmix.studies.experiments.experiment import SHARING
from growmix.studies.runs import Outcome
from growmix.studies.study import Findings, Request
from growmix.studies.tables import Table

Found = Callable[..., tuple[list[Outcome], Findings]]
Column = Callable[[Table, str], dict[str, str]]


def test_translations_are_shown_when_learnt_and_at_last(found: Found, column: Column) -> None:
    mse = found("translation")[1].tables[0]
    assert column(mse, "mean")["growing mixture, when learnt"] == "1.00"
    assert column(mse, "b")["growing mixture, trunk, after the last task"] == "3.00"


def test_the_pictures_of_the_first_run_are_shown_if_there_are_any(found: Found, tmp_path: Path) -> None:
    done, findings = found("translation", seeds=2)
    assert findings.figures == {}
    for outcome in done:
        outcome.trial.config.folder.mkdir(parents=True)
        (outcome.trial.config.folder / TRANSLATION).write_text(outcome.trial.label)
    again = find("translation").at("small", Request(tmp_path, 2, {})).findings(done)
    again.figures[TRANSLATION](tmp_path / "shown.png")
    assert (tmp_path / "shown.png").read_text() == f"{SHARING[0].name}-seed0"
