"""``growmix run`` and ``growmix resume``: a run from its beginning, or from where it was interrupted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from growmix.cli.options import ALL_OPTIONS, RUN, AllowImport, Device, Folder, Options, StreamName, flag, path
from growmix.cli.words import DONE, say
from growmix.config import RunConfig, checked_values, read_values, require_run
from growmix.settings import is_import_path

# What computes is imported where it is used: `growmix --help` should not wait for it.
if TYPE_CHECKING:
    from growmix.report.reporter import Reporter
    from growmix.system.interrupts import Interrupts

RUN_HELP = """\
Learn a stream task by task, evaluate, distil a student, and write it all to a folder.

Writes config.yaml, metrics.json, events.jsonl and checkpoint/ (with the student in checkpoint/student/)."""

RESUME_HELP = """\
Go on with a run that was interrupted or killed, from its last checkpoint to its end.

It ends as if it had never been interrupted. A finished run stays as it is."""

CONFIG_HELP = "YAML file with any of these options as keys; options on the command line count more."


def run(
    stream: StreamName = None,
    /,
    *,
    config: Annotated[Path | None, path(CONFIG_HELP, RUN)] = None,
    overwrite: Annotated[bool, flag("Replace an earlier run in the same folder.", RUN)] = False,
    allow_import: AllowImport = False,
    options: Annotated[Options, ALL_OPTIONS] = {},  # noqa: B006 (never changed; cyclopts wants a mapping)
) -> int:
    """Carry out ``growmix run``: check what was asked for, then learn the stream."""
    values = read_values(config) if config else {}
    given = {**options} if stream is None else {"stream": stream, **options}
    asked = RunConfig.of(values | checked_values(given))
    allow(asked.settings.blueprint, allow_import)

    from growmix import experiment

    with _interruptible(asked.folder, allow_import) as (reporters, interrupts):
        experiment.run(asked, overwrite=overwrite, reporters=reporters, interrupts=interrupts)
    return DONE


def resume(folder: Folder, /, *, device: Device = None, allow_import: AllowImport = False) -> int:
    """Carry out ``growmix resume``: go on with the run in a folder."""
    open_run(folder, allow_import)

    from growmix import experiment

    finished = experiment.RunFolder(folder).is_finished()
    with _interruptible(folder, allow_import, begun=True) as (reporters, interrupts):
        experiment.resume(folder, device=device, reporters=reporters, interrupts=interrupts)
    if finished:
        say(f"{folder}: this run is finished; nothing is left to do")
    return DONE


def allow(blueprint: str | None, allowed: bool) -> None:
    """Import a blueprint of the user's own, if the user allowed it; built-in ones need nothing."""
    if allowed and is_import_path(blueprint):
        from growmix.components.importing import allow_import

        allow_import(str(blueprint))


def open_run(folder: Path, allowed: bool) -> None:
    """See that there is a run, before anything large is imported, and import its blueprint if the user allowed it."""
    require_run(folder)
    if allowed:
        from growmix import experiment

        allow(experiment.RunFolder(folder).config().settings.blueprint, allowed)


@contextmanager
def _interruptible(
    folder: Path, allow_import: bool, *, begun: bool = False
) -> Iterator[tuple[list[Reporter], Interrupts]]:
    """Give who watches a run and what interrupts it; after an interrupt, say how to go on."""
    from growmix.report.console import make_console
    from growmix.report.progress import progress_reporter
    from growmix.report.reporter import Beginning
    from growmix.report.table import ClosingTable
    from growmix.system.interrupts import Interrupts

    console, beginning = make_console(), Beginning(begun)
    try:
        with Interrupts().handled() as interrupts:
            yield [beginning, progress_reporter(console), ClosingTable(console, folder)], interrupts
    except KeyboardInterrupt:
        words = ["growmix", "resume", str(folder)] + (["--allow-import"] if allow_import else [])
        how = f"; {shlex.join(words)} goes on from there" if beginning.seen else ""
        raise KeyboardInterrupt(f"interrupted{how}") from None
