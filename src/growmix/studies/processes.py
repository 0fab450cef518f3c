"""Run the trials of a study, each in a process of its own, some at a time.

A child never outlives its study: an interrupt or the end of the study tells it to end, and where the study is killed,
the child sees its standard input end (see :mod:`growmix.studies.child`). Either way it keeps what it has learnt.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from growmix.errors import GrowmixError
from growmix.studies.metrics import read_metrics
from growmix.studies.runs import Outcome, Trial, standing

PROGRAM = (sys.executable, "-m", "growmix.studies.child")
"""The program of a run: this same growmix, with the words of a command line after it."""

POLL = 0.1
"""Seconds between two looks at the processes."""


class RunFailed(GrowmixError, RuntimeError):
    """A run of a study ended without a result.

    Parameters
    ----------
    reason
        What the run said last.
    status
        Exit status of its process.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


def threads(jobs: int) -> int | None:
    """Return how many threads each of so many processes at a time may use; ``None`` leaves it to the process.

    Examples
    --------
    >>> threads(1) is None, threads(10_000)
    (True, 1)
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return None if jobs == 1 else max(1, cores // jobs)


def run_trials(
    trials: Sequence[Trial], *, jobs: int = 1, overwrite: bool = False, allow_import: bool = False
) -> Generator[Outcome, None, None]:
    """Run trials, some at a time, and give each outcome as it comes: first those that were finished before.

    Parameters
    ----------
    trials
        What is run; :func:`growmix.studies.runs.check` has looked at it.
    jobs
        How many processes run at a time; more than one share the cores.
    overwrite
        Whether what is in the folders of the trials may be replaced.
    allow_import
        Whether the user allowed what :func:`growmix.components.importing.allow_import` does; no configuration can.

    Raises
    ------
    BadInput
        A folder holds another run.
    BadCheckpoint
        What a finished run measured can't be read.
    RunFailed
        A run ended without a result. The others that ran are ended; those that finished are kept.

    Notes
    -----
    Closing the iterator, or an interrupt, ends the processes as a cluster would: each keeps what it has learnt.
    """
    waiting = []
    for trial in trials:
        found = standing(trial.config, overwrite=overwrite)
        if found == "finished":
            yield Outcome(trial, read_metrics(trial.config.folder), None)
        else:
            waiting.append((trial, found == "unfinished"))
    with tempfile.TemporaryDirectory(prefix="growmix-") as scratch:
        running: list[_Process] = []
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    trial, unfinished = waiting.pop(0)
                    words = _resumed(trial) if unfinished else _begun(trial, Path(scratch))
                    allow = ["--allow-import"] if allow_import else []
                    running.append(_Process.start(trial, [*words, *allow], Path(scratch), threads(jobs)))
                ended = [process for process in running if process.popen.poll() is not None]
                for process in ended:
                    running.remove(process)
                    yield process.outcome()
                if not ended:
                    time.sleep(POLL)
        finally:
            _end(running)


def _resumed(trial: Trial) -> list[str]:
    return ["resume", str(trial.config.folder)]


def _begun(trial: Trial, scratch: Path) -> list[str]:
    """Write the configuration of a trial to a file, and return the words that run it."""
    file = scratch / f"{trial.label}.yaml"
    trial.config.write(file)
    # whether anything may be overwritten was asked before
    return ["run", "--config", str(file), "--out", str(trial.config.folder), "--overwrite"]


@dataclass(frozen=True, eq=False)
class _Process:
    """A run under way.

    Attributes
    ----------
    trial
        Run that the process carries out.
    popen
        Process of the run, whose standard input stays open as long as this process lives.
    errors
        File of what it says on the standard error output.
    began
        When it was started, by the clock that only rises.
    """

    trial: Trial
    popen: subprocess.Popen[bytes]
    errors: IO[bytes]
    began: float

    @classmethod
    def start(cls, trial: Trial, words: Sequence[str], scratch: Path, cores: int | None) -> _Process:
        errors = (scratch / f"{trial.label}.errors").open("w+b")
        popen = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ if cores is None else {**os.environ, "OMP_NUM_THREADS": str(cores)},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends its children once
        )
        return cls(trial, popen, errors, time.perf_counter())

    def outcome(self) -> Outcome:
        """Return what came of the run, after its end.

        Raises
        ------
        RunFailed
            The run has no result.
        """
        seconds = time.perf_counter() - self.began
        status = self.popen.returncode
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        self.close()
        if status == 0:
            return Outcome(self.trial, read_metrics(self.trial.config.folder), seconds)
        said = lines[-1].removeprefix("growmix: ") if lines else "it said nothing"
        reason = f"killed by signal {-status}" if status < 0 else said
        raise RunFailed(f"run {self.trial.label} failed: {reason}", max(status, 1))

    def close(self) -> None:
        """Close the files that belong to a process that has ended."""
        self.errors.close()
        if self.popen.stdin is not None:
            self.popen.stdin.close()


def _end(running: Sequence[_Process]) -> None:
    """Tell processes to keep what they have learnt and to end; a second interrupt kills them."""
    try:
        for process in running:
            process.popen.send_signal(signal.SIGTERM)
        for process in running:
            process.popen.wait()
    except KeyboardInterrupt:
        for process in running:
            process.popen.kill()
            process.popen.wait()
        raise
    finally:
        for process in running:
            process.close()
