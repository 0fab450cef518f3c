"""Study: a question, the runs that answer it, and what they say; how one is carried out and written down."""

from __future__ import annotations

import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from growmix.config import RunConfig
from growmix.errors import BadInput
from growmix.report.words import duration, number
from growmix.settings import require_whole
from growmix.studies.runs import Metrics, Outcome, Trial, check, in_folder, relative, run_trials
from growmix.studies.spread import Spread
from growmix.studies.tables import Table, as_document, show

RESULTS = "results.json"
TABLE = "table.md"

OWN = ("stream", "seed", "out")
"""Keys that a study sets itself."""

MOST_SEEDS = 1_000
"""Of a study: every run is laid out before the first begins, and ten are what people publish."""

MOST_JOBS = 1_000
"""Processes at a time."""


@dataclass(frozen=True)
class Request:
    """What a study is asked for.

    Attributes
    ----------
    folder
        Where it is written to.
    seeds
        Seeds 0 to one below this.
    given
        Keys of a run and their values, over those of the study.
    """

    folder: Path
    seeds: int
    given: Mapping[str, Any]

    def __post_init__(self) -> None:
        require_whole(self.seeds, "seeds", 1, MOST_SEEDS)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Lines that tell of data sets taken in place of others.

        Examples
        --------
        >>> Request(Path("x"), 1, {"replace": ("svhn=mnist_m",)}).replaced
        ('svhn is replaced by mnist_m: its figures are not those of svhn.',)
        """
        pairs = (text.split("=", 1) for text in self.given.get("replace", ()) if "=" in text)
        return tuple(f"{old} is replaced by {new}: its figures are not those of {old}." for old, new in pairs)


@dataclass(frozen=True)
class Variant:
    """What a study compares: a name for folders, a title for tables, and the keys of a run that make it."""

    name: str
    title: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Findings:
    """What came of a study.

    Attributes
    ----------
    tables
        For people.
    numbers
        The same for programs, ready for JSON.
    figures
        By file name: what draws it.
    """

    tables: tuple[Table, ...]
    numbers: Mapping[str, Any]
    figures: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


class Study(ABC):
    """Interface: a question and its runs.

    Attributes
    ----------
    title
        For people.
    planned
        Runs that are wanted whatever comes of them.
    """

    title: str
    planned: tuple[Trial, ...] = ()

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        """What it begins with; their budget is the study's."""
        return tuple(trial.config for trial in self.trials(()))

    def trials(self, done: Sequence[Outcome]) -> Sequence[Trial]:
        """Runs that are still wanted, given the outcomes there are; none when the study is over."""
        return missing(self.planned, done)

    @abstractmethod
    def findings(self, done: Sequence[Outcome]) -> Findings:
        """What the outcomes of all runs say."""


def lay_out(variants: Sequence[Variant], values: Mapping[str, Any], request: Request) -> tuple[Trial, ...]:
    """One trial per variant and seed, seed by seed, so that an early end leaves whole comparisons.

    Parameters
    ----------
    variants
        What differs.
    values
        Keys of a run that are the study's own.
    request
        What is given there counts more than ``values``.

    Raises
    ------
    BadInput
        A key that the study sets itself is given, or a value is wrong.
    """
    # whether there is a student is no matter of what a variant is
    fixed = {*OWN, *(name for variant in variants for name in variant.values)} - {"student"}
    refuse(fixed.intersection(request.given), "the study sets it itself")
    laid_out = [(variant.name, lay_out_one({**values, **variant.values}, request)) for variant in variants]
    return tuple(
        in_folder(name, configs[seed], request.folder) for seed in range(request.seeds) for name, configs in laid_out
    )


def lay_out_one(values: Mapping[str, Any], request: Request) -> tuple[RunConfig, ...]:
    """One configuration per seed.

    Raises
    ------
    BadInput
        A key that every study sets itself is given, or a value is wrong.
    """
    refuse(set(OWN).intersection(request.given), "the study sets it itself")
    return tuple(RunConfig.of({**values, **request.given, "seed": seed}) for seed in range(request.seeds))


def refuse(names: set[str], reason: str) -> None:
    """Refuse keys of a run that a study can't take.

    Raises
    ------
    BadInput
        There are any.
    """
    for name in sorted(names):
        raise BadInput(f"{name} is given, but {reason}; leave --{name.replace('_', '-')} out")


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
    """Check, run, and write ``results.json``, ``table.md`` and the figures to a folder.

    Parameters
    ----------
    study
        What to do.
    folder
        Of the study; each run has a folder in it.
    lines
        What was asked for, in words.
    console
        Told of each run that ends, and at the end of the findings.
    jobs
        Runs at a time.
    overwrite
        Whether runs in the folder may be replaced.
    allow_import
        Whether runs may import the blueprint that their configuration names.

    Raises
    ------
    BadInput, DataUnavailable
        Something asked for is wrong; nothing was run.
    RunFailed
        A run failed; those that finished are kept.
    """
    require_whole(jobs, "jobs", 1, MOST_JOBS)
    from growmix.experiment import CONFIG, RunFolder

    RunFolder(folder).check(overwrite=True)  # a study that trains in this process would find out too late
    if (folder / CONFIG).exists():
        raise BadInput(f"out is {str(folder)!r}, which holds a run of its own; choose another --out for the study")
    check(study.trials(()), overwrite=overwrite)
    done: list[Outcome] = []
    while wave := study.trials(done):
        with (
            console.status(f"{len(wave)} runs to go", spinner="line"),
            closing(run_trials(wave, jobs=jobs, overwrite=overwrite, allow_import=allow_import)) as outcomes,
        ):
            for outcome in outcomes:
                done.append(outcome)
                console.print(told(outcome), highlight=False, markup=False)
    findings = study.findings(done)
    told_lines = (*lines, budget(study.configs), made_with())
    write(study.title, told_lines, findings, done, folder)
    show(console, findings.tables)
    for line in (*told_lines, f"Results: {folder}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return findings


def told(outcome: Outcome) -> str:
    """One line about a finished run: what it was, how long it took, and its main figure."""
    average, mse = outcome.metrics["average"], outcome.metrics["reconstruction"]["mse"]
    took = "finished before" if outcome.seconds is None else f"{duration(outcome.seconds)} min"
    if average["task_agnostic"] is not None:
        return f"{outcome.trial.label}: {took}, task_agnostic {number(average['task_agnostic'], 4)}"
    return f"{outcome.trial.label}: {took}, mse {number(mean(mse), 2)}"


def write(title: str, lines: Sequence[str], findings: Findings, done: Sequence[Outcome], folder: Path) -> None:
    """Write what a study found.

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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULTS).write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (folder / TABLE).write_text(as_document(title, lines, findings.tables), encoding="utf-8")
        for name, draw in findings.figures.items():
            draw(folder / name)
    except OSError as error:
        raise BadInput(f"out is {str(folder)!r}, which can't be written: {error.strerror or error}") from error


def digest(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """What ``results.json`` keeps of one run; its folder has it all."""
    metrics = outcome.metrics
    kept = ("tasks", "components", "decisions", "average", "reconstruction", "translation", "parameters", "seconds")
    student = metrics["student"]
    return {
        "variant": outcome.trial.variant,
        "seed": outcome.trial.config.seed,
        "folder": relative(outcome.trial, folder),
        **{name: metrics.get(name) for name in kept},
        "examples_seen": seen(outcome),
        "student": student and {name: student[name] for name in ("average", "reconstruction", "parameters")},
    }


def seen(outcome: Outcome) -> int:
    """Examples that training looked at, repetitions and replay included."""
    per_second, seconds = outcome.metrics["examples_per_second"], outcome.metrics["seconds"]["train"]
    return round(float(per_second * seconds))


def budget(configs: Sequence[RunConfig]) -> str:
    """What the runs were allowed, in words.

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
    """What the study is made with."""
    from growmix.experiment import versions

    return f"Made with: {', '.join(f'{name} {version}' for name, version in versions().items())}."


def by_variant(done: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Outcomes of each variant, in the order in which they were first seen, by seed."""
    grouped: dict[str, list[Outcome]] = {}
    for outcome in done:
        grouped.setdefault(outcome.trial.variant, []).append(outcome)
    return {name: sorted(each, key=lambda outcome: outcome.trial.config.seed) for name, each in grouped.items()}


def spread(outcomes: Sequence[Outcome], figure: Callable[[Metrics], float | None]) -> Spread:
    """A figure of the metrics over the seeds."""
    return Spread.of([figure(outcome.metrics) for outcome in outcomes])


def by_task(outcomes: Sequence[Outcome], row: Callable[[Metrics], Sequence[float | None]]) -> list[Spread]:
    """A figure of each task over the seeds; ``row`` takes one value per task from the metrics."""
    return [Spread.of(column) for column in zip(*(row(outcome.metrics) for outcome in outcomes), strict=True)]


def missing(wanted: Sequence[Trial], done: Sequence[Outcome]) -> tuple[Trial, ...]:
    """Trials without an outcome."""
    labels = {outcome.trial.label for outcome in done}
    return tuple(trial for trial in wanted if trial.label not in labels)


def mean(values: Sequence[float | None]) -> float | None:
    """Over the tasks; ``None`` if one has no figure."""
    return Spread.of(values).mean


def command_line(command: str, words: Sequence[str], options: dict[str, Any]) -> str:
    """What was typed, in one line that can be typed again.

    Examples
    --------
    >>> command_line("compare", ["split-mnist"], {"seeds": 3, "replace": ("a=b",), "student": False})
    'growmix compare split-mnist --seeds 3 --replace a=b --no-student'
    """
    parts = ["growmix", command, *words]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{option}" if value else f"--no-{option}")
        else:
            parts += [f"--{option}", ",".join(value) if isinstance(value, tuple) else str(value)]
    return shlex.join(parts)
