"""Runs, begun and taken up again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from growmix import baselines
from growmix.checkpoints import persistence
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput, shortened, shown
from growmix.experiment.course import Course, asked_of, settings_but_device
from growmix.experiment.folder import CHECKPOINT, CONFIG, EVALUATION, PROGRESS, STUDENT, RunFolder
from growmix.experiment.planning import check_method, check_networks, load_stream
from growmix.report.reporter import Reporter
from growmix.system import locking
from growmix.system.ambient import torch_as_it_comes
from growmix.system.interrupts import Interrupts
from growmix.system.paths import check_path
from growmix.training.loop import make_fabric


@torch_as_it_comes()
def run(
    config: RunConfig,
    *,
    overwrite: bool = False,
    reporters: Sequence[Reporter] = (),
    interrupts: Interrupts | None = None,
) -> dict[str, Any]:
    """Learn a stream and write the run's folder.

    Parameters
    ----------
    config
        What to do.
    overwrite
        Whether an earlier run in the same folder may be replaced.
    reporters
        Told of the run as it goes.
    interrupts
        Those of the command line; without them an interrupt does what it does in any Python program.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    BadInput, DataUnavailable
        Something asked for is wrong, or another process is writing to the folder; nothing was trained or written.
    KeyboardInterrupt, GrowmixError
        The run was cut short. What was learnt is kept: the checkpoint and the metrics of the finished tasks.
        :func:`resume` goes on from there.
    """
    RunFolder(config.folder).check_kinds()
    locking.refuse_second(config.folder)
    RunFolder(config.folder).check(overwrite)
    fabric = make_fabric(config.settings)  # a device that is not there shows before data are read
    interrupts = interrupts or Interrupts()
    if fabric.global_rank > 0:
        # every process learns the same mixture; the first one alone writes and reports
        with tempfile.TemporaryDirectory() as elsewhere:
            return _run(replace(config, out=Path(elsewhere)), overwrite, (), interrupts)
    return _run(config, overwrite, reporters, interrupts)


def _run(config: RunConfig, overwrite: bool, reporters: Sequence[Reporter], interrupts: Interrupts) -> dict[str, Any]:
    folder = RunFolder(config.folder)
    learner = baselines.make_learner(config.method, config.settings)
    stream = load_stream(config)
    check_method(config, stream)
    check_networks(learner, stream)
    with folder.held() as notice:
        folder.check(overwrite)  # again: nobody else can have begun a run since
        folder.open(config)
        course = Course(config, stream, learner, folder, reporters, interrupts)
        course.keep_evaluation()
        return course.go(None, [notice])


@torch_as_it_comes()
def resume(
    folder: Path,
    *,
    device: str | None = None,
    reporters: Sequence[Reporter] = (),
    interrupts: Interrupts | None = None,
) -> dict[str, Any]:
    """Go on with a run that was interrupted or killed, from its last checkpoint to its end.

    On the same machine, with the same versions, it ends with the weights and the metrics of a run that was never
    interrupted, times apart.

    Parameters
    ----------
    folder
        Of the run.
    device
        Where to compute, if not where the run did; the task that was interrupted then begins anew.
    reporters
        Told of the run as it goes.
    interrupts
        As for :func:`run`.

    Returns
    -------
    dict
        What ``metrics.json`` holds; of a finished run, it is all that happens.

    Raises
    ------
    BadInput
        There is no run, another process is writing to it, or its settings or data are not those it was begun with.
    BadCheckpoint
        What the run left can't be read.
    DataUnavailable
        The data are not there any more.
    KeyboardInterrupt, GrowmixError
        As for :func:`run`.
    """
    folder = check_path(folder, "folder")
    config = RunFolder(folder).config()
    if RunFolder(folder).is_finished():
        RunFolder(folder).clear()
        return RunFolder(folder).metrics()
    if device is not None:
        config = config.changed(settings=config.settings.replace(device=device))
    fabric = make_fabric(config.settings)
    interrupts = interrupts or Interrupts()
    if fabric.global_rank > 0:
        with tempfile.TemporaryDirectory() as elsewhere:
            return _resume(replace(config, out=Path(elsewhere)), folder, (), interrupts)
    return _resume(config, folder, reporters, interrupts)


def _resume(config: RunConfig, source: Path, reporters: Sequence[Reporter], interrupts: Interrupts) -> dict[str, Any]:
    folder = RunFolder(config.folder)
    evaluation = source / PROGRESS / EVALUATION
    with folder.held() as notice:
        folder.forget_theory()
        for place in (CHECKPOINT, f"{CHECKPOINT}/{STUDENT}"):
            persistence.recover(folder.path / place)
        if persistence.exists(source / CHECKPOINT):
            # where the run computes, not where it did when this was saved: on another device it may have been resumed
            learner = baselines.load(source / CHECKPOINT, config.method, config.settings.device)
        else:
            learner = baselines.make_learner(config.method, config.settings)
        began = persistence.read_document(evaluation).get("asked") if persistence.exists(evaluation) else {}
        _check_unchanged(asked_of(config), began)
        _check_unchanged(
            settings_but_device(baselines.make_learner(config.method, config.settings)), settings_but_device(learner)
        )
        stream = load_stream(config)
        check_method(config, stream)
        course = Course(config, stream, learner, folder, reporters, interrupts)
        left, lost = course.take_up(source)
        return course.go(left, [notice, lost])


def _check_unchanged(asked: Mapping[str, Any], began: Any) -> None:
    """See that a run goes on with what it was begun with; what an older growmix did not know of is not asked for."""
    if not isinstance(began, dict):
        raise BadCheckpoint(f"{PROGRESS}/{EVALUATION} does not tell what the run was asked to do")
    for name, known in began.items():
        if asked.get(name) != known:
            raise BadInput(
                f"{shortened(str(name))} is {shown(asked.get(name))} in {CONFIG}, but the run was begun with "
                f"{shown(known)}; put that back to go on, or start another run"
            )
