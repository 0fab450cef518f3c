"""What all tests share: one thread, no deadlines, and where the data sets lie."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# Two workers with two threads each slow one another down several times.
torch.set_num_threads(1)

# A first call may compile or load something; a wall-clock limit per example says nothing about growmix. Cases are the
# same each time, or what lands would depend on luck; `pytest --hypothesis-profile=search` looks for ten times as many.
settings.register_profile("growmix", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile("growmix")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of ``<name>/{train,test}.parquet``, or the test is skipped."""
    named = os.environ.get("GROWMIX_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not (folder / "mnist" / "train.parquet").is_file():
        pytest.skip(f"no data sets in {folder}; set GROWMIX_TEST_DATA to a folder of <name>/train.parquet")
    return folder


PATIENCE = 1_800.0
"""Seconds until a test gives up on another process; only a test that fails ever waits so long."""


def _wait_for(happened: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., None]:
    """Wait until something is seen to have happened; fails where the process that should do it ended without."""
    return _wait_for
