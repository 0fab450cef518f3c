"""``growmix compare`` and ``growmix reproduce``: many runs, and one table of what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from growmix.baselines.catalogue import METHODS
from growmix.cli.options import ALL_OPTIONS, STUDY, AllowImport, StreamName, StudyJobs, StudyOptions, count, flag, path
from growmix.cli.places import in_words, place_of
from growmix.cli.running import allow
from growmix.cli.words import DONE, INTERRUPTED, complain
from growmix.config import RUNS, checked_values, read_values
from growmix.errors import BadInput, shown

if TYPE_CHECKING:
    from growmix.studies.study import Study

COMPARE_HELP = """\
Run several methods on one stream, with an equal budget for each new task, and put them beside each other.

Writes a folder for each run, results.json, table.md and comparison.png, by default to runs/compare-STREAM; the same \
command again goes on where it was left. The student and the likelihood are left out unless their options are given. \
A setting that only some of the methods use is theirs alone."""

REPRODUCE_HELP = """\
Do one of the paper's experiments, and put its figures beside the published ones.

Writes a folder for each run, results.json, table.md and figures, by default to runs/reproduce-NAME-SCALE; the same \
command again goes on where it was left. Options of a run count more than the experiment's own settings."""

METHODS_HELP = f"Names with commas between, or all: {', '.join(METHODS)}."
CONFIG_HELP = "YAML file of a run; seed and method are not used."
SCALE_HELP = "small: the same protocol within 20 minutes on two cores; paper: the published settings."
SEEDS_HELP = "How many seeds, from 0; by default 1 at the small scale, 5 at the paper's."


def compare(
    stream: StreamName = None,
    /,
    *,
    methods: Annotated[str, Parameter(help=METHODS_HELP, group=STUDY)] = "all",
    seeds: Annotated[int, count("How many seeds, from 0.", STUDY)] = 3,
    jobs: StudyJobs = 1,
    config: Annotated[Path | None, path(CONFIG_HELP, STUDY)] = None,
    overwrite: Annotated[bool, flag("Replace earlier runs in the same folder.", STUDY)] = False,
    allow_import: AllowImport = False,
    options: Annotated[StudyOptions, ALL_OPTIONS] = {},  # noqa: B006 (never changed; cyclopts wants a mapping)
) -> int:
    """Carry out ``growmix compare``: run the methods, and write the comparison."""
    read = read_values(config) if config else {}
    values = {name: value for name, value in read.items() if name not in ("seed", "method")}
    given = values | checked_values({**options} if stream is None else {"stream": stream, **options})
    if given.get("stream") is None:
        raise BadInput("stream is missing; allowed is the name of a stream, 'growmix streams' lists them")
    allow(given.get("blueprint"), allow_import)

    from growmix.studies.comparison import Comparison
    from growmix.studies.study import Request, command_line

    name = given.pop("stream")
    asked = {"methods": methods, "seeds": seeds, "jobs": jobs} | ({"config": config} if config else {})
    asked |= {"allow_import": True} if allow_import else {}
    line = command_line("compare", [name], asked | options)
    folder = given.pop("out", None) or RUNS / f"compare-{name}"
    names = tuple(part.strip() for part in methods.split(","))
    study = Comparison(name, names, Request(folder, seeds, given))
    return conduct(study, folder, line, jobs, overwrite=overwrite, allow_import=allow_import)


def reproduce(
    name: Annotated[str | None, Parameter(help="Name of the experiment; --list names them.")] = None,
    /,
    *,
    scale: Annotated[Literal["small", "paper"], Parameter(help=SCALE_HELP, group=STUDY)] = "small",
    list_: Annotated[
        bool, flag("List the experiments, what data they need, and whether that is found.", STUDY, name="list")
    ] = False,
    seeds: Annotated[int | None, count(SEEDS_HELP, STUDY)] = None,
    jobs: StudyJobs = 1,
    overwrite: Annotated[bool, flag("Replace earlier runs in the same folder.", STUDY)] = False,
    allow_import: AllowImport = False,
    options: Annotated[StudyOptions, ALL_OPTIONS] = {},  # noqa: B006 (never changed; cyclopts wants a mapping)
) -> int:
    """Carry out ``growmix reproduce``: run the experiment, and write its tables."""
    given = checked_values(options)
    if list_ and name is not None:
        raise BadInput(f"experiment is {shown(name)}, but --list lists them all; leave one of the two out")
    if list_:
        return _list_experiments(given.get("data_root"))
    allow(given.get("blueprint"), allow_import)

    from growmix.studies.experiments import EXPERIMENTS, find
    from growmix.studies.study import Request, command_line

    if name is None:
        raise BadInput(f"experiment is missing; allowed are {', '.join(EXPERIMENTS)}")
    experiment = find(name)
    asked: dict[str, Any] = {"scale": scale} | ({} if seeds is None else {"seeds": seeds}) | {"jobs": jobs}
    asked |= {"allow_import": True} if allow_import else {}
    line = command_line("reproduce", [name], asked | options)
    folder = given.pop("out", None) or RUNS / f"reproduce-{name}-{scale}"
    study = experiment.at(scale, Request(folder, experiment.seeds[scale] if seeds is None else seeds, given))
    return conduct(study, folder, line, jobs, overwrite=overwrite, allow_import=allow_import)


def conduct(study: Study, folder: Path, line: str, jobs: int, *, overwrite: bool, allow_import: bool) -> int:
    """Carry out a study, and return the exit status.

    Parameters
    ----------
    study
        The study, with its runs laid out.
    folder
        The folder that the study is written to.
    line
        The command line that asked for it, which the results quote.
    jobs
        How many runs are done at a time.
    overwrite
        Whether runs that are there may be replaced.
    allow_import
        Whether runs may import the blueprint that their configuration names.
    """
    from growmix.report.console import make_console
    from growmix.studies.conducting import conduct as carry_out
    from growmix.studies.processes import RunFailed

    kept = f"runs that finished are kept in {folder}, and the same command goes on from there"
    try:
        carry_out(
            study,
            folder,
            lines=(f"Command: {line}",),
            console=make_console(),
            jobs=jobs,
            overwrite=overwrite,
            allow_import=allow_import,
        )
    except RunFailed as error:
        complain(f"{error}; {kept}")
        return error.status
    except KeyboardInterrupt:
        complain(f"interrupted; {kept}")
        return INTERRUPTED
    return DONE


def _list_experiments(data_root: Path | None) -> int:
    from rich.table import Table

    from growmix.report.console import make_console
    from growmix.studies.experiments import EXPERIMENTS

    table = Table("experiment", "what is measured", "data", "found")
    for experiment in EXPERIMENTS.values():
        found = in_words({name: place_of(name, data_root) for name in experiment.data_sets})
        table.add_row(experiment.name, experiment.measures, ", ".join(experiment.data_sets), found)
    make_console().print(table)
    return DONE
