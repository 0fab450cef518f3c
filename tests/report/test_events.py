"""The log of a run is read as what came of it, whatever was told twice or torn."""

from __future__ import annotations

import json
from pathlib import Path

from growmix.report.events import read_events


def test_of_what_was_told_twice_beginnings_stay_and_ends_are_the_last(tmp_path: Path) -> None:
    lines = [
        {"event": "task_started", "index": 0, "time": 1},
        {"event": "training_started", "component": 0, "time": 2},
        {"event": "epoch", "epoch": 1, "time": 3},
        {"event": "epoch", "epoch": 2, "time": 4},
        {"event": "resumed", "time": 5},
        {"event": "task_started", "index": 0, "time": 6},
        {"event": "training_started", "component": 0, "time": 7},
        {"event": "epoch", "epoch": 2, "time": 8},
        {"event": "task_started", "index": 1, "time": 9},
        {"event": "training_started", "component": 0, "time": 10},
        {"event": "epoch", "epoch": 1, "time": 11},
    ]
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [event["time"] for event in read_events(tmp_path / "log")] == [1, 2, 3, 8, 5, 9, 10, 11]
