"""Reads back what a run has left, and measures it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from growmix import baselines
from growmix.checkpoints import persistence
from growmix.checkpoints.folders import exists, read_folder
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput
from growmix.evaluation import evaluate, evaluate_student
from growmix.experiment.description import describe, quality
from growmix.experiment.folder import CHECKPOINT, EVALUATION, PROGRESS, STUDENT, RunFolder
from growmix.experiment.measurements import check_kind
from growmix.experiment.planning import check_theory, load_stream, teaches, versions
from growmix.learning.learner import Learner
from growmix.learning.student import Student
from growmix.streams import Stream
from growmix.system.ambient import torch_as_it_comes
from growmix.system.paths import check_path

if TYPE_CHECKING:
    from growmix.theory.ledger import RiskLedger


@torch_as_it_comes()
def reevaluate(folder: Path, *, device: str | None = None) -> dict[str, Any]:
    """Measure the model of a run again, and the student if there is one.

    Parameters
    ----------
    folder
        The folder of the run.
    device
        The device to compute on, if not that of the run.

    Returns
    -------
    dict
        What ``metrics.json`` holds, without what only the run itself knows: seconds and speed.

    Raises
    ------
    BadInput
        The folder holds no run.
    BadCheckpoint
        The checkpoint of the run can't be read.
    DataUnavailable
        The data that the run learnt are not there any more.
    """
    folder = check_path(folder, "folder")
    config = RunFolder(folder).config()
    learner = load_learner(folder, device=device)
    stream = load_stream(config)
    learnt = len(learner.decisions)
    taught = _student_of(folder, device)
    student = None if taught is None else evaluate_student(taught, stream, tasks=learnt).to_dict()
    scores = evaluate(learner, stream).to_dict() | quality(config, stream, learner)
    return describe(config, stream, learner, scores, student) | {"versions": versions()}


@torch_as_it_comes()
def explain(folder: Path, *, device: str | None = None) -> dict[str, Any]:
    """Return what the theory says of a run, and write its files and figures.

    What a run wrote that was followed with ``--theory`` is read; otherwise it is measured now, as far as that is still
    possible.

    Parameters
    ----------
    folder
        The folder of the run.
    device
        The device to compute on, if not that of the run.

    Returns
    -------
    dict
        The content of ``theory.json``.

    Raises
    ------
    BadInput
        The folder holds no run, another process is writing to it, its method is no mixture, or its stream has too few
        test data.
    BadCheckpoint
        The checkpoint of the run, or its ``theory.json``, can't be read.
    DataUnavailable
        The data that the run learnt are not there any more.
    """
    from growmix.theory import files

    folder = check_path(folder, "folder")
    config = RunFolder(folder).config()
    with RunFolder(folder).held():
        written = (folder / files.THEORY).is_file()
        document = files.read(folder) if written else _account_of(folder, config, device)
        with files.understanding(folder / files.THEORY):
            files.write(document, folder)
    return document


def _account_of(folder: Path, config: RunConfig, device: str | None) -> dict[str, Any]:
    """Measure what the theory says of a run that did not write it down."""
    from growmix.theory.account import account
    from growmix.theory.ledger import RiskLedger

    stream = load_stream(config)
    check_theory(config, stream)
    learner = load_learner(folder, device=device)
    followed = _ledger_of(folder, stream, len(learner.history))
    ledger = followed or RiskLedger(stream)
    if followed is None:
        ledger.after_the_fact(learner, _student_of(folder, device))
    return account(ledger, learner, stream, followed=followed is not None)


def _ledger_of(folder: Path, stream: Stream, learnt: int) -> RiskLedger | None:
    """Read the ledger of an interrupted run, if there is one that knows all tasks."""
    from growmix.theory.ledger import RiskLedger
    from growmix.theory.observer import NAME

    place = folder / PROGRESS / EVALUATION
    if not exists(place):
        return None

    def ledger(document: dict[str, Any], tensors: dict[str, Tensor]) -> RiskLedger | None:
        check_kind(place, document)
        with persistence.understanding(place):
            kept = document["observers"].get(NAME)
            return kept and RiskLedger.unpack(stream, kept, persistence.under(f"{NAME}.", tensors))

    def look(document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        ledger(document, tensors)

    found = ledger(*read_folder(place, look))
    return None if found is None or len(found.rows) != learnt else found


def _student_of(folder: Path, device: str | None) -> Student | None:
    """Read the student of a run; ``None`` where it taught none."""
    run, place = RunFolder(folder), folder / CHECKPOINT / STUDENT
    if exists(place):
        return load_student(folder, device=device)
    if run.is_finished() and teaches(run.config()):
        raise BadCheckpoint(f"{place} is missing, but the run has taught a student")
    return None


def load_learner(folder: Path, *, device: str | None = None) -> Learner[Any]:
    """Read the model of a run.

    Parameters
    ----------
    folder
        The folder of the run.
    device
        The device to put it on, if not that of the run.

    Raises
    ------
    BadInput
        The folder holds no run, or one that has learnt nothing yet.
    BadCheckpoint
        The checkpoint is missing or can't be read.
    """
    run = RunFolder(folder)
    config = run.config()
    if not exists(run.path / CHECKPOINT):
        if run.has_learnt():
            raise BadCheckpoint(f"{run.path / CHECKPOINT} is missing; without it nothing is left of what was learnt")
        raise BadInput(
            f"folder {str(folder)!r} is of a run that has learnt no task yet; growmix resume goes on with it"
        )
    return baselines.load(run.path / CHECKPOINT, config.method, device)


def load_student(folder: Path, *, device: str | None = None) -> Student:
    """Read the student of a run; the parameters are those of :func:`load_learner`."""
    return Student.load(RunFolder(folder).path / CHECKPOINT / STUDENT, device=device)
