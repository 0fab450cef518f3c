"""One writer for each folder, and a dead one is in nobody's way."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from growmix import BadInput
from growmix.system import locking
from growmix.system.locking import LOCK, hold, refuse_second, taking_turns


def killed_while_holding(folder: Path) -> int:
    """Number of a process that took the lock and ended without a word."""
    child = os.fork()
    if child == 0:
        with hold(folder):
            os._exit(0)
    os.waitpid(child, 0)
    return child


def test_the_lock_of_a_process_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    dead = killed_while_holding(tmp_path)
    assert (tmp_path / LOCK).exists(), "it was killed"
    refuse_second(tmp_path)
    with hold(tmp_path) as notice:
        assert notice is not None and f"process {dead} on host" in notice and "taken over" in notice
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()
    with hold(tmp_path) as notice:
        assert notice is None


def test_a_second_writer_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with hold(tmp_path):
        said = (tmp_path / LOCK).read_bytes()
        for second in (lambda: refuse_second(tmp_path), lambda: hold(tmp_path).__enter__()):
            with pytest.raises(BadInput, match=rf"process {os.getpid()} on host .* is writing; wait for its end"):
                second()
        assert (tmp_path / LOCK).read_bytes() == said


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pid": 1}'])
def test_a_lock_that_says_nothing_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with hold(tmp_path) as notice:
        assert (notice is None) == (content == "")


def test_where_locks_can_not_be_had_a_run_goes_on_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locking, "_seize", refuse)
    refuse_second(tmp_path)
    with hold(tmp_path) as notice:
        assert notice is not None and "Function not implemented" in notice


def test_who_takes_turns_waits_for_another_process(tmp_path: Path) -> None:
    there, here = os.pipe()
    with taking_turns(tmp_path):
        child = os.fork()
        if child == 0:
            os.write(here, b"there")
            with taking_turns(tmp_path):
                os.write(here, b"after" if (tmp_path / "file").exists() else b"amidst")
            os._exit(0)
        assert os.read(there, 5) == b"there"
        time.sleep(0.1)  # for one that does not wait to come first
        (tmp_path / "file").touch()
    assert os.read(there, 10) == b"after"
    os.waitpid(child, 0)
    os.close(there)
    os.close(here)


def test_who_takes_turns_leaves_nothing_behind_and_may_do_so_twice(tmp_path: Path) -> None:
    for _ in range(2):
        with taking_turns(tmp_path), pytest.raises(KeyError), taking_turns(tmp_path / ".."):
            raise KeyError
    assert list(tmp_path.iterdir()) == []
