"""The runs of a study: which they are, where they lie, how far each has come, and whether all can be run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

from growmix.config import RunConfig
from growmix.errors import BadInput
from growmix.settings import Settings
from growmix.studies.metrics import Metrics

Standing: TypeAlias = Literal["open", "unfinished", "finished"]
"""How far a run has come: its folder is free, it was begun and ended early, or its result is there."""


@dataclass(frozen=True)
class Trial:
    """One run of a study.

    Attributes
    ----------
    variant
        Name of what the run stands for, equal for all seeds, such as ``ewc`` or ``mixture-adapter``.
    config
        What is run; its ``out`` is the folder of the run.
    """

    variant: str
    config: RunConfig

    @property
    def label(self) -> str:
        """Name that no other run of the study has.

        Examples
        --------
        >>> Trial("ewc", RunConfig(stream="split-digits")).label
        'ewc-seed0'
        """
        return f"{self.variant}-seed{self.config.seed}"


@dataclass(frozen=True)
class Outcome:
    """A finished run and what it measured.

    Attributes
    ----------
    trial
        Run that has ended.
    metrics
        Figures that the run measured.
    seconds
        Wall-clock time of the process in seconds; ``None`` if the run was finished before.
    """

    trial: Trial
    metrics: Metrics
    seconds: float | None


def in_folder(variant: str, config: RunConfig, folder: Path) -> Trial:
    """Return a trial that has a folder of its own within the study's.

    Examples
    --------
    >>> in_folder("ewc", RunConfig(stream="split-digits"), Path("study")).config.out.as_posix()
    'study/ewc-seed0'
    """
    return Trial(variant, config.changed(out=folder / Trial(variant, config).label))


def check(trials: Sequence[Trial], *, overwrite: bool = False) -> None:
    """Check that all trials can be run; nothing is trained or written.

    Parameters
    ----------
    trials
        What is going to be run.
    overwrite
        Whether runs in their folders may be replaced.

    Raises
    ------
    BadInput
        Something asked for is wrong, or a folder holds another run and may not be overwritten.
    DataUnavailable
        A data set can't be had; the message names all that are missing.
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
    """Return what chooses the data of a run, but for the seed: all keys that are not reset here."""
    return config.changed(out=None, method="mixture", student=False, settings=Settings(), parameters={})


def _check_on_one_stream(configs: Sequence[RunConfig]) -> None:
    from growmix import baselines, experiment
    from growmix.training.fabric import make_fabric

    learners = []
    for config in configs:  # an unknown method is found before any data are read
        make_fabric(config.settings)
        learners.append(baselines.make_learner(config.method, config.settings, **config.parameters))
    stream = experiment.load_stream(configs[0])
    for config, learner in zip(configs, learners, strict=True):
        experiment.check_method(config, stream)
        experiment.check_networks(learner, stream)


def standing(config: RunConfig, *, overwrite: bool = False) -> Standing:
    """Tell how far the run of a configuration has come in its folder.

    Parameters
    ----------
    config
        What the run does; its ``out`` is the folder.
    overwrite
        Whether a run in the folder may be replaced; it is "open" then.

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
    if folder.config().changed(out=None) != config.changed(out=None):
        raise BadInput(
            f"out: {str(folder.path)!r} holds a run of another configuration; choose another --out, or say --overwrite"
        )
    return "finished" if folder.is_finished() else "unfinished"


def relative(trial: Trial, folder: Path) -> str:
    """Return where a trial is written to, seen from the study's folder."""
    return trial.config.folder.relative_to(folder).as_posix()
