"""Studies are laid out before anything runs, and say what is kept where they end early."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from growmix.baselines import METHODS
from growmix.cli.app import execute
from growmix.cli.studying import conduct
from growmix.cli.words import DONE, INTERRUPTED
from growmix.studies import conducting
from growmix.studies.experiments import EXPERIMENTS
from growmix.studies.processes import RunFailed


def test_compare_lists_every_method_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["compare", "--help"]) == DONE
    names = re.search(r"or all: (.*?)\.", " ".join(capsys.readouterr().out.replace("│", " ").split()))
    assert names is not None and names.group(1).split(", ") == list(METHODS)


def test_reproduce_lists_experiments_and_whether_their_data_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mnist").mkdir()
    for part in ("train", "test"):
        (tmp_path / "mnist" / f"{part}.parquet").touch()
    assert execute(["reproduce", "--list", "--data-root", str(tmp_path)]) == DONE
    cells = [[cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines() if "│" in line]
    found = {row[1]: row[4] for row in cells if row[1]}
    assert list(found) == list(EXPERIMENTS)
    assert found["split-mnist"] == "yes" and found["order"] == "no: svhn, cifar10"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, DONE, ""),
        (RunFailed("run er-seed0 failed", 5), 5, "growmix: run er-seed0 failed; runs that finished are kept in there"),
        (KeyboardInterrupt(), INTERRUPTED, "growmix: interrupted; runs that finished are kept in there"),
    ],
)
def test_a_study_that_ends_early_says_what_is_kept(
    error: BaseException | None,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: dict[str, Any] = {}

    def carry_out(study: Any, folder: Path, **more: Any) -> None:
        asked.update(more, study=study, folder=folder)
        if error is not None:
            raise error

    monkeypatch.setattr(conducting, "conduct", carry_out)
    study: Any = object()
    found = conduct(study, Path("there"), "growmix compare x", 2, overwrite=True, allow_import=False)
    assert found == status and capsys.readouterr().err.startswith(said)
    assert (asked["study"], asked["folder"], asked["jobs"]) == (study, Path("there"), 2)
    assert asked["lines"] == ("Command: growmix compare x",) and asked["overwrite"] and not asked["allow_import"]
