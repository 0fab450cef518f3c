"""Many runs, each a process of its own: checked before the first one starts, taken up again where they were left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from growmix.config import RunConfig, read_values
from growmix.errors import BadInput, GrowmixError
from growmix.settings import Settings

Metrics: TypeAlias = dict[str, Any]
"""What ``metrics.json`` of a run holds."""

PROGRAM = (sys.executable, "-m", "growmix")
"""What a run is a process of: this same growmix."""

POLL = 0.1
"""Seconds between looks at the processes."""


class RunFailed(GrowmixError, RuntimeError):
    """A run of a study ended without a result; ``status`` is the exit status of its process."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Trial:
    """One run of a study.

    Attributes
    ----------
    variant
        What it stands for, equal for all seeds, such as ``ewc`` or ``mixture-adapter``.
    config
        What is run; ``out`` is its folder.
    """

    variant: str
    config: RunConfig

    @property
    def label(self) -> str:
        """Unlike that of any other run of the study.

        Examples
        --------
        >>> Trial("ewc", RunConfig(stream="split-digits")).label
        'ewc-seed0'
        """
        return f"{self.variant}-seed{self.config.seed}"


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes
    ----------
    trial
        What was run.
    metrics
        What came of it.
    seconds
        Wall-clock time of its process; ``None`` if it was finished before.
    """

    trial: Trial
    metrics: Metrics
    seconds: float | None


def in_folder(variant: str, config: RunConfig, folder: Path) -> Trial:
    """A trial that is written to a folder of its own within the study's.

    Examples
    --------
    >>> in_folder("ewc", RunConfig(stream="split-digits"), Path("study")).config.out.as_posix()
    'study/ewc-seed0'
    """
    return Trial(variant, config.changed(out=folder / Trial(variant, config).label))


def check(trials: Sequence[Trial], *, overwrite: bool = False) -> None:
    """See that all trials can be run; nothing is trained or written.

    Raises
    ------
    BadInput
        Something asked for is wrong, or a folder holds another run and may not be overwritten.
    DataUnavailable
        A data set is not to be had; the message names all that are missing.
    """
    standings = [standing(trial.config, overwrite=overwrite) for trial in trials]
    unlike: dict[RunConfig, RunConfig] = {}
    for trial, stands in zip(trials, standings, strict=True):
        if stands != "finished":
            # seeds differ in nothing that can be wrong
            unlike.setdefault(
                trial.config.changed(out=None, settings=trial.config.settings.replace(seed=0)), trial.config
            )
    for _, configs in groupby(unlike.values(), key=_data_of):
        _check_on_one_stream(tuple(configs))


def _data_of(config: RunConfig) -> RunConfig:
    """What chooses the data of a run, but for the seed: all keys that are not reset here."""
    return config.changed(out=None, method="mixture", student=False, settings=Settings())


def _check_on_one_stream(configs: Sequence[RunConfig]) -> None:
    from growmix import baselines, experiment
    from growmix.training.loop import make_fabric

    learners = []
    for config in configs:  # an unknown method shows before data are read
        make_fabric(config.settings)
        learners.append(baselines.make_learner(config.method, config.settings))
    stream = experiment.load_stream(configs[0])
    for config, learner in zip(configs, learners, strict=True):
        experiment.check_method(config, stream)
        experiment.check_networks(learner, stream)


def standing(config: RunConfig, *, overwrite: bool = False) -> Literal["open", "unfinished", "finished"]:
    """How far the run of this configuration has come in its folder.

    Returns
    -------
    str
        ``finished``: its result is there. ``unfinished``: it was begun and ended early. ``open``: nothing is there, or
        something that may be overwritten.

    Raises
    ------
    BadInput
        The folder holds a run of another configuration, or can't be written.
    """
    from growmix.experiment import CONFIG, RunFolder

    folder = RunFolder(config.folder)
    folder.check(overwrite=True)
    if overwrite or not (folder.path / CONFIG).is_file():
        folder.check(overwrite)
        return "open"
    if RunConfig.of(read_values(folder.path / CONFIG)) != config.changed(out=None):
        raise BadInput(
            f"out: {str(folder.path)!r} holds a run of another configuration; choose another --out, or say --overwrite"
        )
    return "finished" if is_finished(folder.path) else "unfinished"


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder came to its end; an interrupted one leaves metrics too, of the tasks it learnt."""
    from growmix.experiment import RunFolder

    return RunFolder(folder).is_finished()


def read_metrics(folder: Path) -> Metrics:
    """What a finished run measured."""
    from growmix.experiment import RunFolder

    return RunFolder(folder).metrics()


def threads(jobs: int) -> int | None:
    """Threads for each of so many processes at a time; ``None`` leaves it to the process.

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
        That have been through :func:`check`.
    jobs
        Processes at a time; more than one share the cores.
    overwrite
        Whether what is in their folders may be replaced.
    allow_import
        Whether the user allowed what :func:`growmix.components.importing.allow_import` does; no configuration can.

    Raises
    ------
    BadInput
        A folder holds another run.
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
                    cores = threads(jobs)
                    process = _Process.start(
                        trial, Path(scratch), cores, unfinished=unfinished, allow_import=allow_import
                    )
                    running.append(process)
                ended = [process for process in running if process.popen.poll() is not None]
                for process in ended:
                    running.remove(process)
                    yield process.outcome()
                if not ended:
                    time.sleep(POLL)
        finally:
            _end(running)


@dataclass(frozen=True, eq=False)
class _Process:
    """A run under way."""

    trial: Trial
    popen: subprocess.Popen[bytes]
    errors: IO[bytes]
    began: float

    @classmethod
    def start(cls, trial: Trial, scratch: Path, cores: int | None, *, unfinished: bool, allow_import: bool) -> _Process:
        file = scratch / f"{trial.label}.yaml"
        trial.config.write(file)
        folder = str(trial.config.folder)
        # whether anything may be overwritten was asked before
        begin = ["run", "--config", str(file), "--out", folder, "--overwrite"]
        errors = (scratch / f"{trial.label}.errors").open("w+b")
        allow = ["--allow-import"] if allow_import else []
        popen = subprocess.Popen(
            [*PROGRAM, *(["resume", folder] if unfinished else begin), *allow],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ if cores is None else {**os.environ, "OMP_NUM_THREADS": str(cores)},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends its children once
        )
        return cls(trial, popen, errors, time.perf_counter())

    def outcome(self) -> Outcome:
        """What came of it, after its end.

        Raises
        ------
        RunFailed
            Nothing did.
        """
        seconds = time.perf_counter() - self.began
        status, folder = self.popen.returncode, self.trial.config.folder
        with self.errors:
            self.errors.seek(0)
            lines = self.errors.read().decode(errors="replace").strip().splitlines()
        if status == 0:
            return Outcome(self.trial, read_metrics(folder), seconds)
        said = lines[-1].removeprefix("growmix: ") if lines else "it said nothing"
        reason = f"killed by signal {-status}" if status < 0 else said
        raise RunFailed(f"run {self.trial.label} failed: {reason}", max(status, 1))


def _end(running: Sequence[_Process]) -> None:
    """Have processes keep what they learnt and end; a second interrupt kills them."""
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
            process.errors.close()


def relative(trial: Trial, folder: Path) -> str:
    """Where a trial is written to, seen from the study's folder."""
    return trial.config.folder.relative_to(folder).as_posix()
