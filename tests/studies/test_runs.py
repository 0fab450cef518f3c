"""What can't be run is found before the first run starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadInput, DataUnavailable
from growmix.studies.runs import Trial, check, standing

Make = Callable[..., Trial]


def test_a_folder_in_which_a_run_was_killed_before_it_began_is_open(trial: Make) -> None:
    folder = trial("joint").config.folder
    folder.mkdir(parents=True)
    (folder / "events.jsonl").touch()
    assert standing(trial("joint").config) == "open"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": "abacus"}, "abacus"),
        ({"tasks": ("digits",)}, "tasks"),
        ({"method": "dgr", "label_fraction": 0.0}, "labels"),
        ({"method": "dgr", "supervised": False}, "labels"),
    ],
)
def test_what_can_not_be_run_shows_before_the_first_run(trial: Make, values: dict[str, Any], message: str) -> None:
    wrong = trial(**{"method": "joint", **values})
    with pytest.raises(BadInput, match=message):
        check([trial("lgm"), wrong])
    assert not wrong.config.folder.parent.exists()


def test_missing_data_show_before_the_first_run(trial: Make, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="mnist"):
        check([trial("joint"), trial("lgm", stream="split-mnist", data_root=tmp_path)])
