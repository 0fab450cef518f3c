"""A run's folder: the names of its files, what may be overwritten, and how it is written.

The adversaries are a slip of the user, who names a folder of other things, a process that was killed halfway, and a
stranger who made the folder: nothing is read or written through a link, and nothing waits for a pipe.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growmix.config import CONFIG as CONFIG  # named with the other files of a run
from growmix.config import RunConfig, config_in
from growmix.errors import BadCheckpoint, BadInput
from growmix.report import theory_names
from growmix.report.events import read_events
from growmix.storage.checkpoint_files import FILE_BROWSER_FILES, foreign_in, remove_folder
from growmix.storage.durable import make_folders, write_whole
from growmix.storage.untrusted import name_kind, read_json
from growmix.system import locking
from growmix.system.paths import check_path, writing_to

METRICS = "metrics.json"
EVENTS = "events.jsonl"
CHECKPOINT = "checkpoint"
STUDENT = "student"
"""Folder inside the checkpoint: saving a mixture removes it, since its student is of an older mixture."""
PROGRESS = "progress"
EVALUATION = "evaluation"
"""Folder inside the progress: what was measured, in how many seconds. Beside it lie the snapshots of a training."""
SAMPLES = "samples.png"
TRADE_OFF = "trade-off"
"""Folder of the sweep that explains the run."""

INTERPOLATION = "interpolation.png"
TRANSLATION = "translation.png"

FOLDERS = (CHECKPOINT, PROGRESS, TRADE_OFF)
FILES = (CONFIG, METRICS, EVENTS, locking.LOCK, SAMPLES, INTERPOLATION, TRANSLATION, *theory_names.ALL)
"""All names that a run reads or writes in its folder; it writes nowhere else."""

MOST_METRICS = 64 * 2**20
"""Largest size in bytes of a ``metrics.json`` that is read."""


@dataclass(frozen=True)
class RunFolder:
    """Folder of one run, which knows what is in it and how it is written.

    Parameters
    ----------
    path
        Where the folder is, or will be.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", check_path(self.path, "folder"))

    def check(self, overwrite: bool) -> None:
        """Check that a run can be written here; nothing is written.

        Parameters
        ----------
        overwrite
            Whether a run that is here may be replaced.

        Raises
        ------
        BadInput
            The folder can't be written, holds a run that may not be replaced, or holds something else.
        """
        self.check_kinds()
        self._check_own()
        if self.holds_run() and not overwrite:
            again = " (growmix resume goes on with one that was interrupted)" if (self.path / CONFIG).exists() else ""
            raise BadInput(
                f"out is {str(self.path)!r}, which holds a run already; choose another --out, or say --overwrite{again}"
            )
        nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} is a file; choose another --out")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} can't be written; choose another --out")

    def holds_run(self) -> bool:
        """Tell whether a run was begun here: it has a log, and either something in it or a configuration beside it.

        An empty log alone is what a process leaves that was killed while it opened the folder.
        """
        log = self.path / EVENTS
        return log.is_file() and (log.stat().st_size > 0 or (self.path / CONFIG).exists())

    def _check_own(self) -> None:
        """Check that all that a new run would remove belongs to a run; a trade-off is not looked into."""
        held = [name for name in (*FILES, *FOLDERS) if name != locking.LOCK and (self.path / name).exists()]
        foreign: str | Path | None = None
        if EVENTS in held and not _is_log(self.path / EVENTS):
            foreign = EVENTS
        elif not self.holds_run():
            foreign = next((name for name in held if name != EVENTS), None)
        else:
            found = (foreign_in(self.path / name) for name in (CHECKPOINT, PROGRESS))
            foreign = next((place.relative_to(self.path) for place in found if place is not None), None)
        if foreign is not None:
            raise BadInput(f"out is {str(self.path)!r}, whose {foreign} is not from a run; choose another --out")

    def check_kinds(self) -> None:
        """Check that whatever has one of a run's names is a plain file or folder of this folder's own.

        Somebody else may have made the folder. What is written through a link would go elsewhere, and who reads from a
        pipe waits for ever.

        Raises
        ------
        BadInput
            Something here is a link, a pipe or a device, or a file where a folder is needed.
        """
        places = {self.path / name: stat.S_ISREG for name in FILES} | {
            self.path / name: stat.S_ISDIR for name in FOLDERS
        }
        for place, is_kind in places.items():
            _check_kind(place, is_kind)
        for place in (self.path / PROGRESS).glob("*"):
            if place.name not in FILE_BROWSER_FILES:
                _check_kind(place, stat.S_ISDIR)
        for place in (self.path / TRADE_OFF).glob("*"):
            _check_kind(place, lambda mode: stat.S_ISDIR(mode) or stat.S_ISREG(mode))

    @contextmanager
    def held(self) -> Iterator[str | None]:
        """Make the folder and be the one process that writes to it; gives what the user should know about the lock."""
        with writing_to(self.path):
            make_folders(self.path)
        self.check_kinds()
        with locking.hold(self.path) as notice:
            yield notice

    def open(self, config: RunConfig) -> None:
        """Clear the folder of an earlier run, and write the configuration of a new one."""
        with writing_to(self.path):
            # the configuration goes first, so that nobody resumes a run of which only a part is left
            for name in (CONFIG, METRICS, SAMPLES, INTERPOLATION, TRANSLATION, *theory_names.ALL):
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.path / TRADE_OFF, ignore_errors=True)
            remove_folder(self.path / CHECKPOINT)
            remove_folder(self.path / PROGRESS)
            # the log stays until the end: should the process be killed, it tells that the rest belongs to a run
            (self.path / EVENTS).write_bytes(b"")
            config.write(self.path / CONFIG)

    def clear(self) -> None:
        """Remove what only an unfinished run needs; it stays behind where a process is killed at its very end."""
        if (self.path / PROGRESS).exists() or (self.path / locking.LOCK).exists():
            with self.held():
                remove_folder(self.path / PROGRESS)

    def forget_theory(self) -> None:
        """Remove what the theory said about a run that now goes on, because it holds for a part of it only."""
        with writing_to(self.path):
            for name in theory_names.ALL:
                (self.path / name).unlink(missing_ok=True)

    def config(self) -> RunConfig:
        """Read what the run was asked to do.

        Raises
        ------
        BadInput
            There is no run here, or its configuration is wrong.
        """
        self.check_kinds()
        return config_in(self.path)

    def is_finished(self) -> bool:
        """Tell whether the run came to its end; an interrupted one leaves metrics too, of the tasks that it learnt."""
        self.check_kinds()
        if not (self.path / METRICS).is_file():
            return False
        events = self._events()
        return bool(events) and events[-1]["event"] == "run_finished"

    def has_learnt(self) -> bool:
        """Tell from the log whether the run has learnt and kept a task."""
        self.check_kinds()
        return any(event["event"] == "task_finished" for event in self._events())

    def _events(self) -> list[dict[str, Any]]:
        return read_events(self.path / EVENTS) if (self.path / EVENTS).is_file() else []

    def metrics(self) -> dict[str, Any]:
        """Read what the run measured.

        Raises
        ------
        BadCheckpoint
            The file can't be read, or holds no metrics.
        """
        metrics = read_json(self.path / METRICS, MOST_METRICS)
        if not isinstance(metrics, dict):
            raise BadCheckpoint(f"{self.path / METRICS} holds no metrics")
        return metrics

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json``, whole or not at all."""
        with writing_to(self.path):
            write_whole(self.path / METRICS, (json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())


def _is_log(file: Path) -> bool:
    """Tell whether a file is a run's log: lines of events, or nothing yet; the first line may be torn."""
    line = b'{"event": '
    with file.open("rb") as stream:
        begin = stream.read(len(line))
    return line.startswith(begin)


def _check_kind(place: Path, is_kind: Callable[[int], bool]) -> None:
    try:
        mode = os.lstat(place).st_mode
    except OSError:  # nothing is there
        return
    if not is_kind(mode):
        raise BadInput(f"{place} is {name_kind(mode)}; a run's folder holds files and folders of its own only")
