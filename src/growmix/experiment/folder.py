"""Where a run lies: the names of its files, and how they are written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from growmix import locking
from growmix.config import RunConfig, read_values
from growmix.errors import BadInput
from growmix.report.events import read_events
from growmix.sealing import remove_folder
from growmix.theory import files as theory_files

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


@dataclass(frozen=True)
class RunFolder:
    """Where a run lies: what is in it, and how it is written."""

    path: Path

    def check(self, overwrite: bool) -> None:
        """See whether a run can be written here, without writing.

        Raises
        ------
        BadInput
            It can't, or something is there already.
        """
        held = [name for name in (EVENTS, CONFIG, METRICS, CHECKPOINT) if (self.path / name).exists()]
        if held and not overwrite:
            raise BadInput(
                f"out is {str(self.path)!r}, which holds a run already; choose another --out, or say --overwrite "
                "(growmix resume goes on with one that was interrupted)"
            )
        if held and EVENTS not in held:
            raise BadInput(f"out is {str(self.path)!r}, whose {held[0]} is not from a run; choose another --out")
        nearest = next(place for place in (self.path, *self.path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} is a file; choose another --out")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise BadInput(f"out is {str(self.path)!r}, but {str(nearest)!r} can't be written; choose another --out")

    @contextmanager
    def held(self) -> Iterator[str | None]:
        """Make the folder, and be the one process that writes to it; gives what the user should know of that."""
        with _writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with locking.hold(self.path) as notice:
            yield notice

    def open(self, config: RunConfig) -> None:
        """Clear the folder of an earlier run, and write the configuration."""
        with _writing(self.path):
            for name in (METRICS, SAMPLES, INTERPOLATION, TRANSLATION, *theory_files.ALL, CONFIG, EVENTS):
                (self.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.path / TRADE_OFF, ignore_errors=True)
            remove_folder(self.path / CHECKPOINT)
            remove_folder(self.path / PROGRESS)
            config.write(self.path / CONFIG)

    def config(self) -> RunConfig:
        """What the run was asked to do.

        Raises
        ------
        BadInput
            There is no run here.
        """
        if not (self.path / CONFIG).is_file():
            raise BadInput(f"folder {str(self.path)!r} holds no run (no {CONFIG}); give what --out was")
        return replace(RunConfig.of(read_values(self.path / CONFIG)), out=self.path)

    def is_finished(self) -> bool:
        """Whether the run came to its end; an interrupted one leaves metrics too, of the tasks it learnt."""
        if not ((self.path / METRICS).is_file() and (self.path / EVENTS).is_file()):
            return False
        events = read_events(self.path / EVENTS)
        return bool(events) and events[-1]["event"] == "run_finished"

    def metrics(self) -> dict[str, Any]:
        """What the run measured."""
        metrics: dict[str, Any] = json.loads((self.path / METRICS).read_text(encoding="utf-8"))
        return metrics

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json`` whole or not at all."""
        fresh = self.path / f".{METRICS}.new"
        with _writing(self.path):
            fresh.write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            fresh.replace(self.path / METRICS)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"out is {str(path)!r}, which can't be written: {error.strerror or error}") from error
