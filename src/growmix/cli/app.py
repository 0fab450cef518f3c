"""The command line: options in, a run out; every mistake of the user's ends in one line and exit status 2."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import sys
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypedDict

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    Group,
    Parameter,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from growmix import __version__
from growmix.config import RUNS, RunConfig, checked_values, read_values, value_kinds, without_none
from growmix.errors import BadInput, GrowmixError, NonFiniteLoss, shown
from growmix.report.words import printable
from growmix.settings import Settings, is_import_path
from growmix.system.interrupts import STATUS as INTERRUPTED
from growmix.system.interrupts import interrupt_when_asked_to_end
from growmix.system.paths import check_path

# What computes is imported where it is used: `growmix --help` should not wait for it.
if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from growmix.data.task import TaskData
    from growmix.learning.learner import Learner
    from growmix.report.reporter import Reporter
    from growmix.streams import Stream
    from growmix.studies.study import Study
    from growmix.system.interrupts import Interrupts

DONE, FAILED, WRONG_INPUT = 0, 1, 2

GROUPS = {
    "Run": (
        "method", "tasks", "data_root", "out", "seed", "label_space", "replace", "train_examples", "test_examples",
        "label_fraction",
        "student", "likelihood_draws", "likelihood_examples", "frechet_examples", "theory", "checkpoint_every",
        "checkpoint_steps",
    ),
    "Component": (
        "blueprint", "hidden", "depth", "width", "latent", "likelihood", "variance", "supervised",
        "classification_weight", "sharing", "adapter_rank",
    ),
    "Novelty and gate": (
        "novelty", "threshold", "novelty_examples", "holdout", "gate", "alpha", "temperature",
    ),
    "Replay and routing": ("replay_ratio", "sampling", "density_components", "routing_draws"),
    "Training": (
        "epochs", "max_steps", "batch_size", "learning_rate", "schedule", "adam_beta1", "weight_decay",
        "gradient_clip", "patience",
    ),
    "Student": (
        "student_hidden", "student_latent", "student_examples", "student_epochs", "student_classification_weight",
        "student_temperature",
    ),
    "Baselines": ("buffer_size", "ewc_strength", "si_strength"),
    "Device": ("device", "devices", "strategy", "precision"),
}  # fmt: skip
"""Options as the help shows them; a setting that is in none of these stands in a group of its own at the end."""

EPILOGUE = """\
Exit status: 0 done; 2 something that you gave is wrong, one line on stderr says what; \
130 interrupted, what was learnt is kept and "growmix resume" goes on; 1 training failed."""


def described(record: type) -> dict[str, str]:
    """What the Attributes section of a record's docstring says of each attribute.

    Examples
    --------
    >>> described(RunConfig)["student"]
    'Whether a mixture teaches a student at the end.'
    """
    section = (inspect.getdoc(record) or "").partition("Attributes\n----------\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^(\w+).*\n((?:    .*\n?)+)", section, flags=re.MULTILINE)
    plain = {name: re.sub(r":\w+:`~?([^`]+)`", r"\1", text) for name, text in entries}
    return {name: " ".join(text.replace("``", '"').split()) for name, text in plain.items()}


def _as_given(kind: Any, tokens: Sequence[Any]) -> Any:
    """The text of an option; config checks and converts it, as it does for YAML."""
    return tokens[0].value


def _option(name: str, kind: Any, text: str, group: Group) -> Any:
    default = getattr(Settings(), name) if hasattr(Settings, name) else getattr(RunConfig(stream="any"), name)
    wanted = without_none(kind)
    told = text if default in (None, ()) else f"{text} [default: {default}]"
    if wanted is bool:
        return Annotated[bool, Parameter(help=told, group=group)]
    if typing.get_origin(wanted) is tuple:
        wanted = str
    numeric = wanted in (int, float)  # a negative number is refused by its own check, not taken for an option
    return Annotated[
        wanted,
        Parameter(help=told, group=group, converter=_as_given, allow_leading_hyphen=numeric, n_tokens=1),
    ]


def _options(*, without: Collection[str]) -> dict[str, Any]:
    """Every key of a configuration but these, as an option with its help."""
    helps = described(RunConfig) | described(Settings)
    kinds = {name: kind for name, kind in value_kinds().items() if name not in without}
    placed = {name: title for title, names in GROUPS.items() for name in names}
    titles = [*GROUPS, "Other settings"]
    groups = {title: Group(title, sort_key=rank) for rank, title in enumerate(titles)}
    order = sorted(kinds, key=lambda name: titles.index(placed.get(name, titles[-1])))
    return {name: _option(name, kinds[name], helps[name], groups[placed.get(name, titles[-1])]) for name in order}


if TYPE_CHECKING:
    Options: TypeAlias = dict[str, Any]
    StudyOptions: TypeAlias = dict[str, Any]
else:
    # hold what was given, and nothing else
    Options = TypedDict("Options", _options(without=["stream"]), total=False)
    StudyOptions = TypedDict("StudyOptions", _options(without=["stream", "seed", "method"]), total=False)


app = App(
    name="growmix",
    help="Lifelong learning with growing mixtures of generative models.",
    help_epilogue=EPILOGUE,
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
)


def _path(kind: Any, tokens: Sequence[Any]) -> Path:
    return check_path(tokens[0].value, (tokens[0].keyword or "DIR").lstrip("-").replace("-", "_"))


def _whole(kind: Any, tokens: Sequence[Any]) -> int:
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{shown(tokens[0].value)}; allowed is a whole number") from None


ConfigFile = Parameter(group=Group("Run", sort_key=0), converter=_path, n_tokens=1)
InStudy = Parameter(group=Group("Study", sort_key=0))
ConfigInStudy = Parameter(group=Group("Study", sort_key=0), converter=_path, n_tokens=1)
CountInStudy = Parameter(group=Group("Study", sort_key=0), converter=_whole, n_tokens=1, allow_leading_hyphen=True)
FlagInStudy = Parameter(group=Group("Study", sort_key=0), negative=(), show_default=False)
Overwrite = Parameter(group=Group("Run", sort_key=0), negative=(), show_default=False)
AsJson = Parameter(name="json", negative=(), show_default=False)
AllowImport = Parameter(
    group=Group("Run", sort_key=0),
    negative=(),
    show_default=False,
    help="Import the blueprint of your own that is named by its import path, such as my_nets:blueprint; this runs "
    "the code of that module.",
)
Whole = Parameter(converter=_whole, n_tokens=1, allow_leading_hyphen=True)
Folder = Annotated[Path, Parameter(name="DIR", help="Folder of a run, what --out was.", converter=_path, n_tokens=1)]
Place = Annotated[Path | None, Parameter(converter=_path, n_tokens=1)]


@app.command
def run(
    stream: str | None = None,
    /,
    *,
    config: Annotated[Path | None, ConfigFile] = None,
    overwrite: Annotated[bool, Overwrite] = False,
    allow_import: Annotated[bool, AllowImport] = False,
    options: Annotated[Options, Parameter(name="*")] = {},  # noqa: B006 (never changed; cyclopts wants a mapping)
) -> int:
    """Learn a stream task by task, evaluate, distil a student, and write it all to a folder.

    Writes config.yaml, metrics.json, events.jsonl and checkpoint/ (with the student in checkpoint/student/).

    Parameters
    ----------
    stream
        Name of the stream, such as split-digits; "growmix streams" lists them.
    config
        YAML file with any of these options as keys (underscores for hyphens); options on the command line count more.
    overwrite
        Replace an earlier run in the same folder.
    """
    values = read_values(config) if config else {}
    given = {**options} if stream is None else {"stream": stream, **options}
    asked = RunConfig.of(values | checked_values(given))
    _allow(asked.settings.blueprint, allow_import)

    from growmix import experiment

    with _interruptible(asked.folder, allow_import) as (reporters, interrupts):
        experiment.run(asked, overwrite=overwrite, reporters=reporters, interrupts=interrupts)
    return DONE


@app.command
def resume(folder: Folder, /, *, device: str | None = None, allow_import: Annotated[bool, AllowImport] = False) -> int:
    """Go on with a run that was interrupted or killed, from its last checkpoint to its end.

    It ends as if it had never been interrupted. A finished run stays as it is.

    Parameters
    ----------
    device
        Where to compute (auto, cpu, cuda, mps); by default where the run did.
    """
    from growmix import experiment

    finished = experiment.RunFolder(folder).is_finished()
    _allow_of(folder, allow_import)
    with _interruptible(folder, allow_import, begun=True) as (reporters, interrupts):
        experiment.resume(folder, device=device, reporters=reporters, interrupts=interrupts)
    if finished:
        print(f"{folder}: this run is finished; nothing is left to do")
    return DONE


def _allow(blueprint: str | None, allowed: bool) -> None:
    """Import a blueprint of the user's own, if the user allowed it; built-in ones need nothing."""
    if allowed and is_import_path(blueprint):
        from growmix.components.importing import allow_import

        allow_import(str(blueprint))


def _allow_of(folder: Path, allowed: bool) -> None:
    """The same, for the blueprint of a run that is there."""
    if allowed:
        from growmix import experiment

        _allow(experiment.RunFolder(folder).config().settings.blueprint, allowed)


@contextmanager
def _interruptible(
    folder: Path, allow_import: bool, *, begun: bool = False
) -> Iterator[tuple[list[Reporter], Interrupts]]:
    """Who watches a run, and what interrupts it; an interrupt says how to go on."""
    from growmix.report.progress import progress_reporter
    from growmix.report.reporter import Beginning
    from growmix.report.table import ClosingTable, make_console
    from growmix.system.interrupts import Interrupts

    console, beginning = make_console(), Beginning(begun)
    try:
        with Interrupts().handled() as interrupts:
            yield [beginning, progress_reporter(console), ClosingTable(console, folder)], interrupts
    except KeyboardInterrupt:
        command = f"growmix resume {shlex.quote(str(folder))}{' --allow-import' * allow_import}"
        how = f"; {command} goes on from there" * beginning.seen
        raise KeyboardInterrupt(f"interrupted{how}") from None


@app.command
def compare(
    stream: str | None = None,
    /,
    *,
    methods: Annotated[str, InStudy] = "all",
    seeds: Annotated[int, CountInStudy] = 3,
    jobs: Annotated[int, CountInStudy] = 1,
    config: Annotated[Path | None, ConfigInStudy] = None,
    overwrite: Annotated[bool, FlagInStudy] = False,
    allow_import: Annotated[bool, AllowImport] = False,
    options: Annotated[StudyOptions, Parameter(name="*")] = {},  # noqa: B006 (never changed; cyclopts wants a mapping)
) -> int:
    """Run several methods on one stream, with an equal budget for each new task, and put them beside each other.

    Writes a run's folder for each method and seed, results.json, table.md and comparison.png, by default to
    runs/compare-STREAM. The same command again goes on where it was left. Without --student, --likelihood-draws or
    --frechet-examples, what these switch is left out.

    Parameters
    ----------
    stream
        Name of the stream, such as split-digits; "growmix streams" lists them.
    methods
        Names with commas between, or all: mixture, fine-tuning, joint, vae-per-task, generative-classifier, lgm, dgr,
        batch-ensemble, limix, er, ewc, si.
    seeds
        How many seeds, from 0.
    jobs
        Runs at a time; they share the cores.
    config
        YAML file with any options of a run as keys; its seed and method are not used. Options on the command line
        count more.
    overwrite
        Replace earlier runs in the same folder, even those of this comparison.
    """
    values = {name: value for name, value in (read_values(config) if config else {}).items() if name in _STUDY_KEYS}
    given = values | checked_values({**options} if stream is None else {"stream": stream, **options})
    if given.get("stream") is None:
        raise BadInput("stream is missing; allowed is the name of a stream, 'growmix streams' lists them")

    _allow(given.get("blueprint"), allow_import)

    from growmix.studies.comparison import Comparison
    from growmix.studies.study import Request, command_line

    name = given.pop("stream")
    asked = {"methods": methods, "seeds": seeds, "jobs": jobs} | ({"config": config} if config else {})
    asked |= {"allow_import": True} if allow_import else {}
    line = command_line("compare", [name], asked | options)
    folder = given.pop("out", None) or RUNS / f"compare-{name}"
    names = tuple(part.strip() for part in methods.split(","))
    study = Comparison(name, names, Request(folder, seeds, given))
    return _conduct(study, folder, line, jobs, overwrite=overwrite, allow_import=allow_import)


_STUDY_KEYS = set(value_kinds()) - {"seed", "method"}


@app.command
def reproduce(
    name: str | None = None,
    /,
    *,
    scale: Annotated[Literal["small", "paper"], InStudy] = "small",
    list_: Annotated[bool, Parameter(name="list", group=InStudy.group, negative=(), show_default=False)] = False,
    seeds: Annotated[int | None, CountInStudy] = None,
    jobs: Annotated[int, CountInStudy] = 1,
    overwrite: Annotated[bool, FlagInStudy] = False,
    allow_import: Annotated[bool, AllowImport] = False,
    options: Annotated[StudyOptions, Parameter(name="*")] = {},  # noqa: B006 (never changed; cyclopts wants a mapping)
) -> int:
    """Do one of the paper's experiments, and put its figures beside the published ones.

    Writes a folder for each run, results.json, table.md and figures, by default to runs/reproduce-NAME-SCALE. The same
    command again goes on where it was left. The experiment and its scale have settings of their own; options of a run
    count more.

    Parameters
    ----------
    name
        Of the experiment; --list names them.
    scale
        small: the same protocol within 20 minutes on two cores; paper: the published settings.
    list_
        List the experiments, what data they need, and whether that is found.
    seeds
        How many seeds, from 0; by default 1 at the small scale, 5 at the paper's.
    jobs
        Runs at a time; they share the cores.
    overwrite
        Replace earlier runs in the same folder, even those of this experiment.
    """
    given = checked_values(options)
    if list_ and name is not None:
        raise BadInput(f"experiment is {shown(name)}, but --list lists them all; leave one of the two out")
    if list_:
        return _list_experiments(given.get("data_root"))
    _allow(given.get("blueprint"), allow_import)

    from growmix.studies.experiments import EXPERIMENTS, find
    from growmix.studies.study import Request, command_line

    if name is None:
        raise BadInput(f"experiment is missing; allowed are {', '.join(EXPERIMENTS)}")
    experiment = find(name)
    asked = {"scale": scale} | ({} if seeds is None else {"seeds": seeds}) | {"jobs": jobs}
    asked |= {"allow_import": True} if allow_import else {}
    line = command_line("reproduce", [name], asked | options)
    folder = given.pop("out", None) or RUNS / f"reproduce-{name}-{scale}"
    study = experiment.at(scale, Request(folder, experiment.seeds[scale] if seeds is None else seeds, given))
    return _conduct(study, folder, line, jobs, overwrite=overwrite, allow_import=allow_import)


def _conduct(study: Study, folder: Path, line: str, jobs: int, *, overwrite: bool, allow_import: bool) -> int:
    from growmix.report.table import make_console
    from growmix.studies.conducting import conduct
    from growmix.studies.processes import RunFailed

    kept = f"runs that finished are kept in {folder}, and the same command goes on from there"
    lines = (f"Command: {line}",)
    try:
        conduct(
            study,
            folder,
            lines=lines,
            console=make_console(),
            jobs=jobs,
            overwrite=overwrite,
            allow_import=allow_import,
        )
    except RunFailed as error:
        return _fail(f"{error}; {kept}", error.status)
    except KeyboardInterrupt:
        return _fail(f"interrupted; {kept}", INTERRUPTED)
    return DONE


def _list_experiments(data_root: Path | None) -> int:
    from rich.table import Table

    from growmix.report.table import make_console
    from growmix.studies.experiments import EXPERIMENTS

    table = Table("experiment", "what is measured", "data", "found")
    for experiment in EXPERIMENTS.values():
        found = in_words({name: place_of(name, data_root) for name in experiment.data_sets})
        table.add_row(experiment.name, experiment.measures, ", ".join(experiment.data_sets), found)
    make_console().print(table)
    return DONE


def in_words(places: Mapping[str, str]) -> str:
    """Whether data sets are found: each place once, or the names of those that are missing.

    Examples
    --------
    >>> in_words({"mnist": "yes", "cifar10": "yes"}), in_words({"mnist": "yes", "svhn": "no: not in data"})
    ('yes', 'no: svhn')
    """
    missing = [name for name, place in places.items() if place.startswith("no")]
    return f"no: {', '.join(missing)}" if missing else ", ".join(dict.fromkeys(places.values()))


@app.command
def evaluate(
    folder: Folder,
    /,
    *,
    device: str | None = None,
    json_: Annotated[bool, AsJson] = False,
    allow_import: Annotated[bool, AllowImport] = False,
) -> int:
    """Measure a run's mixture and student again, on the test sets of its stream.

    Parameters
    ----------
    device
        Where to compute (auto, cpu, cuda, mps); by default where the run did.
    json_
        Print the figures as JSON, under the keys of metrics.json, in place of the table.
    """
    from growmix import experiment
    from growmix.report.table import closing_table, make_console

    _allow_of(folder, allow_import)
    metrics = experiment.reevaluate(folder, device=device)
    if json_:
        print(json.dumps(metrics, indent=1, allow_nan=False))
    else:
        make_console().print(closing_table(metrics))
        if not experiment.RunFolder(folder).is_finished():
            print(f"This run is not finished; growmix resume {shlex.quote(str(folder))} goes on with it.")
    return DONE


@app.command
def theory(
    folder: Folder,
    /,
    *,
    sweep: Annotated[bool, FlagInStudy] = False,
    seeds: Annotated[int, CountInStudy] = 1,
    jobs: Annotated[int, CountInStudy] = 1,
    device: str | None = None,
    allow_import: Annotated[bool, AllowImport] = False,
) -> int:
    """Say what a run forgot, and why: theory.json, figures, and a few sentences.

    A run made with --theory was followed from its first task on; of another one, what its checkpoint and its data still
    show is measured now.

    Parameters
    ----------
    sweep
        Learn the stream again with ever fewer components, to see what one more or one fewer would have changed; each
        run has a folder in DIR/trade-off, and the same command again goes on where it was left.
    seeds
        Seeds of the sweep, from 0.
    jobs
        Runs of the sweep at a time; they share the cores.
    device
        Where to compute (auto, cpu, cuda, mps); by default where the run did.
    """
    from growmix import experiment
    from growmix.report.table import make_console

    _allow_of(folder, allow_import)
    document = experiment.explain(folder, device=device)
    if sweep:
        from growmix.studies.study import Request
        from growmix.studies.trade_off import TradeOff, with_trade_off

        config = experiment.RunFolder(folder).config()
        study = TradeOff(config, len(document["tasks"]), Request(folder / experiment.TRADE_OFF, seeds, {}))
        line = f"growmix theory {folder} --sweep --seeds {seeds} --jobs {jobs}"
        place = folder / experiment.TRADE_OFF
        if status := _conduct(study, place, line, jobs, overwrite=False, allow_import=allow_import):
            return status
        document = with_trade_off(document, folder)
    console = make_console()
    for sentence in document["statements"]:
        console.print(f"- {printable(sentence)}", highlight=False, markup=False)
    return DONE


@app.command
def sample(
    folder: Folder,
    /,
    *,
    component: Annotated[int | None, Whole] = None,
    label: Annotated[int | None, Whole] = None,
    n: Annotated[int, Whole] = 10,
    out: Place = None,
    device: str | None = None,
    allow_import: Annotated[bool, AllowImport] = False,
) -> int:
    """Draw images from a run's mixture: a PNG with one row per component.

    Parameters
    ----------
    component
        From this component alone; by default a row for each.
    label
        Of this class alone, as numbered over the whole stream; rows are then the components that know it.
    n
        Images per row.
    out
        PNG file to write; by default samples.png in DIR.
    device
        Where to compute (auto, cpu, cuda, mps); by default where the run did.
    """
    from growmix import experiment
    from growmix.report.pictures import write_grid

    _check_picture(out)
    _allow_of(folder, allow_import)
    rows = draw(experiment.load_learner(folder, device=device), component, label, n)
    file = out or folder / experiment.SAMPLES
    write_grid(list(rows.values()), file)
    print(f"{file}: {n} images in each row; rows: components {', '.join(map(str, rows))}")
    return DONE


def _check_picture(out: Path | None) -> None:
    """See that a picture can be written there, before anything is computed for it."""
    if out is not None and out.suffix.lower() != ".png":
        raise BadInput(f"out is {shown(str(out))}; allowed is a file whose name ends in .png")
    if out is not None and not out.parent.is_dir():
        raise BadInput(f"out is {shown(str(out))}, but there is no folder {shown(str(out.parent))}; make it first")


def draw(learner: Learner[Any], component: int | None, label: int | None, n: int) -> dict[int, np.ndarray[Any, Any]]:
    """Images ``(n, channels, height, width)`` of each component asked for.

    Raises
    ------
    BadInput
        A component or a label that the mixture does not have, or no image asked for.
    """
    if component is not None:
        return {component: learner.sample(n, component=component, label=label)[0]}
    knowing = [k for k, c in enumerate(learner.components) if label is None or label in c.classes]
    if not knowing and not len(learner.classes_):
        raise BadInput(f"label is {label}, but this mixture learnt without labels; leave --label out")
    if not knowing:
        raise BadInput(f"label is {label}; allowed are {', '.join(map(str, learner.classes_))}")
    return {k: learner.sample(n, component=k, label=label)[0] for k in knowing}


@app.command
def interpolate(
    folder: Folder,
    /,
    *,
    steps: Annotated[int, Whole] = 8,
    out: Place = None,
    device: str | None = None,
    allow_import: Annotated[bool, AllowImport] = False,
) -> int:
    """Draw paths between test images: within each component, and across components that follow each other.

    Parameters
    ----------
    steps
        Images on each path, both ends included.
    out
        PNG file to write; by default interpolation.png in DIR.
    device
        Where to compute (auto, cpu, cuda, mps); by default where the run did.
    """
    from growmix import experiment
    from growmix.report.figures import picture_rows

    _check_picture(out)
    _allow_of(folder, allow_import)
    learner = experiment.load_learner(folder, device=device)
    rows = paths(learner, experiment.load_stream(experiment.RunFolder(folder).config()), steps)
    file = out or folder / experiment.INTERPOLATION
    try:
        picture_rows(rows, file)
    except OSError as error:
        raise BadInput(f"out is {str(file)!r}, which can't be written: {error.strerror or error}") from error
    print(f"{file}: {len(rows)} paths of {steps} images")
    return DONE


def paths(learner: Learner[Any], stream: Stream, steps: int) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """What is shown of a learner's latent spaces: for each path what it is, and its images.

    Raises
    ------
    BadInput
        Fewer than two steps.
    """
    from growmix.evaluation.evaluator import owners_of

    ends: dict[
        int, tuple[str, Tensor, Tensor]
    ] = {}  # of each component: the first task that it learnt, and two unlike test images of that task
    for task, step in zip(stream, learner.history, strict=False):
        for k in owners_of(step):
            ends.setdefault(k, (task.name, *two_unlike(task.test)))
    rows = []
    for k, (name, first, second) in sorted(ends.items()):
        rows.append((f"component {k}\n{name}", learner.interpolate(first, second, steps, component=k).numpy()))
    for k in range(len(ends) - 1):
        path = learner.interpolate(ends[k][1], ends[k + 1][1], steps, component=(k, k + 1))
        rows.append((f"components {k} to {k + 1}", path.numpy()))
    return rows


def two_unlike(test: TaskData) -> tuple[Tensor, Tensor]:
    """The first test image, and the first of another class if there is one; each ``(1, channels, height, width)``."""
    other = 1 if len(test) > 1 else 0
    if test.y is not None and bool((test.y != test.y[0]).any()):
        other = int((test.y != test.y[0]).nonzero()[0])
    images = test[: other + 1].images()
    return images[:1], images[other : other + 1]


@app.command
def streams(*, data_root: Place = None) -> int:
    """List the streams, what data they need, and whether that is found.

    Parameters
    ----------
    data_root
        Folder of <name>/{train,test}.parquet; by default the environment's GROWMIX_DATA, else the Hub.
    """
    from rich.table import Table

    from growmix.report.table import make_console
    from growmix.streams import available

    table = Table("stream", "what it is", "tasks", "data", "found")
    for entry in available():
        places = in_words({name: place_of(name, data_root) for name in entry.data_sets}) or "as you choose"
        count = str(len(entry.tasks) or "--tasks")
        table.add_row(entry.name, entry.description, count, ", ".join(entry.data_sets) or "any", places)
    make_console().print(table)
    return DONE


def place_of(data_set: str, data_root: Path | None) -> str:
    """Where a data set would come from, in a few words; nothing is read or downloaded."""
    from growmix.streams.sources import DIGITS, HUB_IDS, data_folder

    if data_set == DIGITS:
        return "with scikit-learn"
    root = data_folder(data_root)
    if root is None:
        hub = "on the Hub" if find_spec("datasets") else "with growmix[hub]"
        return hub if data_set in HUB_IDS else "no: needs --data-root"
    there = all((root / data_set / f"{part}.parquet").is_file() for part in ("train", "test"))
    return "yes" if there else f"no: not in {root}"


def execute(tokens: Sequence[str] | None = None) -> int:
    """Run one command line.

    Parameters
    ----------
    tokens
        Its words; by default those that the program was started with.

    Returns
    -------
    int
        Exit status.
    """
    try:
        status = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(_in_own_words(error), WRONG_INPUT)
    except NonFiniteLoss as error:
        return _fail(error, FAILED)
    except GrowmixError as error:
        return _fail(error, WRONG_INPUT)
    except OSError as error:  # a path that nobody looked at before, a disk that is full
        return _fail(error, WRONG_INPUT)
    except KeyboardInterrupt as interrupt:
        return _fail(str(interrupt) or "interrupted", INTERRUPTED)
    return status if isinstance(status, int) else DONE  # help and version give nothing back


def main() -> None:
    """Entry point of the program."""
    # being told to end counts as an interrupt, so that a cluster's time limit loses nothing
    interrupt_when_asked_to_end()
    # must be set before torch loads: threads that spin for long while they wait slow a shared machine down many times
    # (measured: 30); ones that sleep at once slow a quiet one down by half; 3,000 turns cost neither
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    sys.exit(execute())


def _fail(reason: object, status: int) -> int:
    print("growmix:", printable(" ".join(str(reason).split())), file=sys.stderr)
    return status


def _in_own_words(error: CycloptsError) -> str:
    """What cyclopts says, and where it says too little, what is allowed."""
    if isinstance(error.__cause__, BadInput):  # of an option that is checked while it is read
        return str(error.__cause__)
    if isinstance(error, UnusedCliTokensError):
        return f"unexpected {' '.join(error.unused_tokens or [])!r}; see {_help_of(error)}"
    if isinstance(error, UnknownOptionError) and "Did you mean" not in str(error):
        return f"{error} {_help_of(error)} lists what is allowed."
    if isinstance(error, RepeatArgumentError):
        return f"{error.token.keyword} is given a second time; allowed is one value for each option"
    if isinstance(error, CoercionError) and error.target_type is bool and error.token is not None:
        return f"{error.token.keyword} is {shown(error.token.value)}; allowed are true and false"
    return str(error)


def _help_of(error: CycloptsError) -> str:
    return " ".join(["growmix", *(error.command_chain or ()), "--help"])
