"""Carry a study out: check it, run it, and write down and print what it found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from rich.console import Console

from growmix.config import RunConfig
from growmix.errors import BadInput
from growmix.report.console import say
from growmix.report.words import duration, number
from growmix.settings import require_whole
from growmix.studies.processes import run_trials
from growmix.studies.runs import Outcome, check, relative
from growmix.studies.study import Findings, Study, mean
from growmix.studies.tables import as_document, show
from growmix.system.paths import writing_to

RESULTS = "results.json"
TABLE = "table.md"

KEPT = (
    "tasks",
    "components",
    "decisions",
    "average",
    "reconstruction",
    "translation",
    "parameters",
    "seconds",
    "student",
)
"""Blocks of a run's metrics that ``results.json`` repeats."""

MOST_JOBS = 1_000
"""Most processes at a time."""


def conduct(
    study: Study,
    folder: Path,
    *,
    lines: Sequence[str],
    console: Console,
    jobs: int = 1,
    overwrite: bool = False,
    allow_import: bool = False,
) -> Findings:
    """Check and run a study, and write ``results.json``, ``table.md`` and the figures to its folder.

    Parameters
    ----------
    study
        Question and the runs that answer it.
    folder
        Folder of the study; each run has a folder in it.
    lines
        What the user asked for, in words.
    console
        Where each run that ends is reported, and at the end the findings.
    jobs
        How many runs go on at a time.
    overwrite
        Whether runs in the folder may be replaced.
    allow_import
        Whether runs may import the blueprint that their configuration names.

    Raises
    ------
    BadInput, DataUnavailable
        Something asked for is wrong; nothing was run.
    BadCheckpoint
        What a finished run measured can't be read.
    RunFailed
        A run failed; those that finished are kept.
    """
    require_whole(jobs, "jobs", 1, MOST_JOBS)
    _check_folder(folder)
    check(study.trials(()), overwrite=overwrite)
    done: list[Outcome] = []
    while wave := study.trials(done):
        with (
            console.status(f"{len(wave)} runs to go", spinner="line"),
            closing(run_trials(wave, jobs=jobs, overwrite=overwrite, allow_import=allow_import)) as outcomes,
        ):
            for outcome in outcomes:
                done.append(outcome)
                say(console, summary(outcome))
    findings = study.findings(done)
    about = (*lines, budget(study.configs), made_with())
    write(study.title, about, findings, done, folder)
    show(console, findings.tables)
    for line in (*about, f"Results: {folder}"):
        say(console, line)
    return findings


def _check_folder(folder: Path) -> None:
    """Check that a study can be written to a folder; one that trains in this process would find out too late."""
    from growmix.experiment import CONFIG, RunFolder

    RunFolder(folder).check(overwrite=True)
    if (folder / CONFIG).exists():
        raise BadInput(f"out is {str(folder)!r}, which holds a run of its own; choose another --out for the study")


def summary(outcome: Outcome) -> str:
    """Say in one line what a finished run was, how long it took, and what its main figure is."""
    average, mse = outcome.metrics.average, outcome.metrics.reconstruction.mse
    took = "finished before" if outcome.seconds is None else f"{duration(outcome.seconds)} min"
    if average.task_agnostic is not None:
        return f"{outcome.trial.label}: {took}, task_agnostic {number(average.task_agnostic, 4)}"
    return f"{outcome.trial.label}: {took}, mse {number(mean(mse), 2)}"


def write(title: str, lines: Sequence[str], findings: Findings, done: Sequence[Outcome], folder: Path) -> None:
    """Write what a study found to its folder.

    Raises
    ------
    BadInput
        The folder can't be written.
    """
    results = {
        "study": title,
        "about": list(lines),
        **findings.numbers,
        "tables": [table.to_dict() for table in findings.tables],
        "runs": [digest(outcome, folder) for outcome in done],
    }
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULTS).write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (folder / TABLE).write_text(as_document(title, lines, findings.tables), encoding="utf-8")
        for name, draw in findings.figures.items():
            draw(folder / name)


def digest(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Return what ``results.json`` keeps of one run; the folder of the run has everything."""
    metrics = outcome.metrics
    kept: dict[str, Any] = {name: to_builtins(getattr(metrics, name)) for name in KEPT}
    return {
        "variant": outcome.trial.variant,
        "seed": outcome.trial.config.seed,
        "folder": relative(outcome.trial, folder),
        **kept,
        "examples_seen": metrics.examples_seen,
    }


def budget(configs: Sequence[RunConfig]) -> str:
    """Say in words what the runs were allowed.

    Examples
    --------
    >>> budget([RunConfig.of({"stream": "split-digits", "epochs": 3, "max_steps": 100})])
    'Budget of a task: 3 epochs, at most 100 steps, default batch size. Seeds: 0.'
    """
    first, settings = configs[0], configs[0].settings
    parts = [f"{settings.epochs} epochs" if settings.epochs else "40 epochs within 1,500 to 6,000 steps"]
    parts += [f"at most {settings.max_steps:,} steps"] if settings.max_steps else []
    parts += [f"batches of {settings.batch_size}" if settings.batch_size else "default batch size"]
    parts += [f"at most {first.train_examples:,} training examples"] if first.train_examples else []
    parts += [f"at most {first.test_examples:,} test examples"] if first.test_examples else []
    seeds = ", ".join(map(str, sorted({config.seed for config in configs})))
    return f"Budget of a task: {', '.join(parts)}. Seeds: {seeds}."


def made_with() -> str:
    """Say in words which versions the study is made with."""
    from growmix.experiment import versions

    return f"Made with: {', '.join(f'{name} {version}' for name, version in versions().items())}."
