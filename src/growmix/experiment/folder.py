"""Where a run lies: the names of its files, and how they are written."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from growmix.checkpoints import persistence
from growmix.config import RunConfig, read_values
from growmix.errors import BadCheckpoint, BadInput
from growmix.report import theory_names
from growmix.report.events import read_events
from growmix.storage.durable import make_folders, write_whole
from growmix.storage.sealing import FILE_BROWSER_FILES, remove_folder
from growmix.storage.untrusted import name_kind, read_json
from growmix.system import locking
from growmix.system.paths import check_path

CONFIG = "config.yaml"
METRICS = "metrics.json"
EVENTS = "events.jsonl"
CHECKPOINT = "checkpoint"
STUDENT = "student"
"""Inside the checkpoint: saving a mixture replaces the folder, and with it a student of what it knew before."""
PROGRESS = "progress"
EVALUATION = "evaluation"
"""Inside the progress: what was measured, and the seconds it took. Beside it lie the snapshots of one training."""
SAMPLES = "samples.png"
TRADE_OFF = "trade-off"
"""Of a sweep that explains the run."""

INTERPOLATION = "interpolation.png"
TRANSLATION = "translation.png"

FOLDERS = (CHECKPOINT, PROGRESS, TRADE_OFF)
FILES = (CONFIG, METRICS, EVENTS, locking.LOCK, SAMPLES, INTERPOLATION, TRANSLATION, *theory_names.ALL)
"""All that is read or written here, and never anywhere else."""

MOST_METRICS = 64 * 2**20
"""Bytes of ``metrics.json``."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run lies: what is in it, and how it is written."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", check_path(self.path, "folder"))

    def check(self, overwrite: bool) -> None:
        """See whether a run can be written here, without writing.

        Raises
        ------
        BadInput
            It can't, or something is there already.
        """
        self.check_kinds()
        self._check_own()
        if (self.path / EVENTS).exists() and not overwrite:
            raise BadInput(
                f"out is {str(self.path)!r}, which holds a run already; choose another --out, or say --overwrite"
                + " (growmix resume goes on with one that was interrupted)" * (self.path / CONFIG).exists()
            )
        nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} is a file; choose another --out")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} can't be written; choose another --out")

    def _check_own(self) -> None:
        """See that all that a new run would remove is a run's; of a trade-off, only that there is a run."""
        held = [name for name in (*FILES, *FOLDERS) if name != locking.LOCK and (self.path / name).exists()]
        foreign: str | Path | None = None
        if held and EVENTS not in held:
            foreign = held[0]
        elif held and not _is_log(self.path / EVENTS):
            foreign = EVENTS
        else:
            found = (persistence.foreign_in(self.path / name) for name in (CHECKPOINT, PROGRESS))
            foreign = next((place.relative_to(self.path) for place in found if place is not None), None)
        if foreign is not None:
            raise BadInput(f"out is {str(self.path)!r}, whose {foreign} is not from a run; choose another --out")

    def check_kinds(self) -> None:
        """See that what has a name of ours is a file or folder of its own.

        Somebody else may have made the folder. What is written through a link would go elsewhere, and who reads from a
        pipe waits for ever.

        Raises
        ------
        BadInput
            It is something else.
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
        """Make the folder, and be the one process that writes to it; gives what the user should know of that."""
        with _writing(self.path):
            make_folders(self.path)
        self.check_kinds()
        with locking.hold(self.path) as notice:
            yield notice

    def open(self, config: RunConfig) -> None:
        """Clear the folder of an earlier run, and write the configuration."""
        with _writing(self.path):
            # first what could be resumed: of the rest there is soon not enough
            for name in (CONFIG, METRICS, SAMPLES, INTERPOLATION, TRANSLATION, *theory_names.ALL):
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.path / TRADE_OFF, ignore_errors=True)
            remove_folder(self.path / CHECKPOINT)
            remove_folder(self.path / PROGRESS)
            # there at every moment: it tells whose the rest is, should the process end
            (self.path / EVENTS).write_bytes(b"")
            config.write(self.path / CONFIG)

    def clear(self) -> None:
        """Remove what only a run under way needs, where its process was killed between its last word and its end."""
        if (self.path / PROGRESS).exists() or (self.path / locking.LOCK).exists():
            with self.held():
                remove_folder(self.path / PROGRESS)

    def forget_theory(self) -> None:
        """Remove what the theory said of a run that now goes on: of the whole run it would be wrong."""
        with _writing(self.path):
            for name in theory_names.ALL:
                (self.path / name).unlink(missing_ok=True)

    def config(self) -> RunConfig:
        """What the run was asked to do.

        Raises
        ------
        BadInput
            There is no run here.
        """
        self.check_kinds()
        if not (self.path / CONFIG).is_file():
            raise BadInput(f"folder {str(self.path)!r} holds no run (no {CONFIG}); give what --out was")
        return replace(RunConfig.of(read_values(self.path / CONFIG)), out=self.path)

    def is_finished(self) -> bool:
        """Whether the run came to its end; an interrupted one leaves metrics too, of the tasks it learnt."""
        self.check_kinds()
        if not (self.path / METRICS).is_file():
            return False
        events = self._events()
        return bool(events) and events[-1]["event"] == "run_finished"

    def has_learnt(self) -> bool:
        """Whether the run kept a task, by what it told."""
        self.check_kinds()
        return any(event["event"] == "task_finished" for event in self._events())

    def _events(self) -> list[dict[str, Any]]:
        return read_events(self.path / EVENTS) if (self.path / EVENTS).is_file() else []

    def metrics(self) -> dict[str, Any]:
        """What the run measured.

        Raises
        ------
        BadCheckpoint
            It can't be read.
        """
        metrics = read_json(self.path / METRICS, MOST_METRICS)
        if not isinstance(metrics, dict):
            raise BadCheckpoint(f"{self.path / METRICS} holds no metrics")
        return metrics

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json`` whole or not at all."""
        with _writing(self.path):
            write_whole(self.path / METRICS, (json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode())


def _is_log(file: Path) -> bool:
    """Whether a file is a run's log: lines of events, or nothing yet; its first may be torn."""
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


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"out is {str(path)!r}, which can't be written: {error.strerror or error}") from error
