"""Begins runs, and goes on with runs that were interrupted."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from growmix import baselines
from growmix.checkpoints.folders import exists, read_document
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput, shortened, shown
from growmix.experiment.course import Course, settings_but_device
from growmix.experiment.folder import CHECKPOINT, CONFIG, EVALUATION, PROGRESS, RunFolder
from growmix.experiment.measurements import asked_of
from growmix.experiment.observing import RunObserver, observers_for
from growmix.experiment.planning import check_method, check_networks, load_stream
from growmix.report.reporter import Reporter
from growmix.system import locking
from growmix.system.ambient import torch_as_it_comes
from growmix.system.interrupts import Interrupts
from growmix.system.paths import check_path
from growmix.training.fabric import make_fabric


@torch_as_it_comes()
def run(
    config: RunConfig,
    *,
    overwrite: bool = False,
    reporters: Sequence[Reporter] = (),
    interrupts: Interrupts | None = None,
    observers: Sequence[RunObserver] = (),
) -> dict[str, Any]:
    """Learn a stream and write the run's folder.

    Parameters
    ----------
    config
        What the run is asked to do.
    overwrite
        Whether an earlier run in the same folder may be replaced.
    reporters
        Who is told of the run as it goes.
    interrupts
        Handler of the command line; without it an interrupt does what it does in any Python program.
    observers
        What else follows the run, beside the theory where ``config`` asks for it.

    Returns
    -------
    dict
        The content of ``metrics.json``.

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
            return _run(replace(config, out=Path(elsewhere)), overwrite, (), interrupts, observers)
    return _run(config, overwrite, reporters, interrupts, observers)


def _run(
    config: RunConfig,
    overwrite: bool,
    reporters: Sequence[Reporter],
    interrupts: Interrupts,
    observers: Sequence[RunObserver],
) -> dict[str, Any]:
    folder = RunFolder(config.folder)
    learner = baselines.make_learner(config.method, config.settings, **config.parameters)
    stream = load_stream(config)
    check_method(config, stream)
    check_networks(learner, stream)
    with folder.held() as notice:
        folder.check(overwrite)  # again: nobody else can have begun a run since
        folder.open(config)
        followed = (*observers_for(config, stream), *observers)
        course = Course(config, stream, learner, folder, reporters, interrupts, followed)
        course.keep_measurements()
        return course.go(notices=[notice])


@torch_as_it_comes()
def resume(
    folder: Path,
    *,
    device: str | None = None,
    reporters: Sequence[Reporter] = (),
    interrupts: Interrupts | None = None,
    observers: Sequence[RunObserver] = (),
) -> dict[str, Any]:
    """Go on with a run that was interrupted or killed, from its last checkpoint to its end.

    On the same machine, with the same versions, it ends with the weights and the metrics of a run that was never
    interrupted, times apart.

    Parameters
    ----------
    folder
        The folder of the run.
    device
        The device to compute on, if not that of the run; the task that was interrupted then begins again.
    reporters
        Who is told of the run as it goes.
    interrupts
        Handler of the command line, as for :func:`run`.
    observers
        What else followed the run: the same as were handed to :func:`run`.

    Returns
    -------
    dict
        The content of ``metrics.json``; for a finished run it is only read.

    Raises
    ------
    BadInput
        The folder holds no run, another process is writing to it, or its settings or data are not those it was begun
        with.
    BadCheckpoint
        What the run left can't be read.
    DataUnavailable
        The data are not there any more.
    KeyboardInterrupt, GrowmixError
        The run was cut short again; what was learnt is kept.
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
            return _resume(replace(config, out=Path(elsewhere)), folder, (), interrupts, observers)
    return _resume(config, folder, reporters, interrupts, observers)


def _resume(
    config: RunConfig,
    source: Path,
    reporters: Sequence[Reporter],
    interrupts: Interrupts,
    observers: Sequence[RunObserver],
) -> dict[str, Any]:
    folder = RunFolder(config.folder)
    evaluation = source / PROGRESS / EVALUATION
    with folder.held() as notice:
        folder.forget_theory()
        if exists(source / CHECKPOINT):
            # on the run's device now: it may have been saved on another one, from which the run was resumed
            learner = baselines.load(source / CHECKPOINT, config.method, config.settings.device)
        else:
            learner = baselines.make_learner(config.method, config.settings, **config.parameters)
        began = read_document(evaluation).get("asked") if exists(evaluation) else {}
        _check_unchanged(asked_of(config), began)
        _check_unchanged(
            settings_but_device(baselines.make_learner(config.method, config.settings, **config.parameters)),
            settings_but_device(learner),
        )
        stream = load_stream(config)
        check_method(config, stream)
        followed = (*observers_for(config, stream), *observers)
        course = Course(config, stream, learner, folder, reporters, interrupts, followed)
        resumed, lost = course.take_up(source)
        return course.go(resumed, [notice, lost])


def _check_unchanged(asked: Mapping[str, Any], began: Any) -> None:
    """See that a run goes on with what it was begun with; options that it was not begun with are not compared."""
    if not isinstance(began, dict):
        raise BadCheckpoint(f"{PROGRESS}/{EVALUATION} does not tell what the run was asked to do")
    for name, known in began.items():
        if asked.get(name) != known:
            raise BadInput(
                f"{shortened(str(name))} is {shown(asked.get(name))} in {CONFIG}, but the run was begun with "
                f"{shown(known)}; put that back to go on, or start another run"
            )
