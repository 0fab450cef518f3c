"""A run never outlives the study that started it, however the study ends, and keeps what it has learnt."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadInput
from growmix.report.events import read_events
from growmix.system import locking

pytestmark = pytest.mark.slow

WORDS = (
    "compare split-digits --methods fine-tuning --seeds 1 --hidden 8 --latent 2 --epochs 1000000 --checkpoint-every 0"
)


def events(folder: Path) -> list[str]:
    log = folder / "events.jsonl"
    return [event["event"] for event in read_events(log)] if log.exists() else []


def is_written(folder: Path) -> bool:
    """Whether a process is alive that writes to the folder: the system lets go of its lock when it ends."""
    try:
        locking.refuse_second(folder)
    except BadInput:
        return True
    return False


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGHUP, 130)])
def test_a_run_ends_with_its_study_and_keeps_what_it_has_learnt(
    tmp_path: Path,
    number: signal.Signals,
    status: int,
    forked: Callable[..., Any],
    wait_for: Callable[..., None],
) -> None:
    study = forked(*WORDS.split(), "--out", str(tmp_path / "study"))
    run = tmp_path / "study" / "fine-tuning-seed0"
    wait_for(lambda: "training_started" in events(run), study)
    assert is_written(run)
    study.send_signal(number)
    assert study.wait() == status
    wait_for(lambda: not is_written(run))
    assert events(run)[-1] == "run_cut_short"
    assert (run / "progress" / "task-0" / "0").exists()  # what resume goes on from
