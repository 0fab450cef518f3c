"""A run never outlives the study that started it, however the study ends, and keeps what it has learnt."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from growmix.errors import BadInput
from growmix.report.events import read_events
from growmix.system import locking

pytestmark = pytest.mark.slow

WORDS = (
    "compare split-digits --methods fine-tuning --seeds 1 --hidden 8 --latent 2 --epochs 1000000 --checkpoint-every 0"
)


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for another process with all patience: a machine may be slow, but a failure must not wait for ever."""
    end = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def events(folder: Path) -> list[str]:
    return [event["event"] for event in read_events(folder / "events.jsonl")] if folder.exists() else []


def is_written(folder: Path) -> bool:
    """Whether a process is alive that writes to the folder: the system lets go of its lock when it ends."""
    try:
        locking.refuse_second(folder)
    except BadInput:
        return True
    return False


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGHUP, 130)])
def test_a_run_ends_with_its_study_and_keeps_what_it_has_learnt(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    words = [*WORDS.split(), "--out", str(tmp_path / "study")]
    study = subprocess.Popen(
        [sys.executable, "-m", "growmix", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    run = tmp_path / "study" / "fine-tuning-seed0"
    try:
        wait_until(lambda: "training_started" in events(run))
        assert is_written(run)
        study.send_signal(number)
        assert study.wait() == status
        wait_until(lambda: not is_written(run))
    finally:
        study.kill()
        study.wait()
    assert events(run)[-1] == "run_cut_short"
    assert (run / "progress" / "task-0" / "0").exists()  # what resume goes on from
