"""``growmix evaluate`` and ``growmix theory``: what a run that is there knows, and what it forgot."""

from __future__ import annotations

import json
import shlex
from typing import Annotated

from growmix.cli.options import STUDY, AllowImport, Device, Folder, StudyJobs, count, flag
from growmix.cli.running import open_run
from growmix.cli.studying import conduct
from growmix.cli.words import DONE, say
from growmix.errors import BadInput

EVALUATE_HELP = "Measure a run's mixture and student again, on the test sets of its stream."
JSON_HELP = "Print the figures as JSON, under the keys of metrics.json, in place of the table."

THEORY_HELP = """\
Say what a run forgot, and why: theory.json, figures, and a few sentences.

A run made with --theory was followed from its first task on; of another one, what its checkpoint and its data still \
show is measured now."""

SWEEP_HELP = (
    "Learn the stream again with ever fewer components, to see what one more or one fewer would have changed; each run "
    "has a folder in DIR/trade-off, and the same command again goes on where it was left."
)


def evaluate(
    folder: Folder,
    /,
    *,
    device: Device = None,
    json_: Annotated[bool, flag(JSON_HELP, name="json")] = False,
    allow_import: AllowImport = False,
) -> int:
    """Carry out ``growmix evaluate``: measure, and print the figures."""
    open_run(folder, allow_import)

    from growmix import experiment
    from growmix.report.console import make_console
    from growmix.report.table import closing_table

    metrics = experiment.reevaluate(folder, device=device)
    if json_:
        say(json.dumps(metrics, indent=1, allow_nan=False))
        return DONE
    make_console().print(closing_table(metrics))
    if not experiment.RunFolder(folder).is_finished():
        say(f"This run is not finished; growmix resume {shlex.quote(str(folder))} goes on with it.")
    return DONE


def theory(
    folder: Folder,
    /,
    *,
    sweep: Annotated[bool, flag(SWEEP_HELP, STUDY)] = False,
    seeds: Annotated[int, count("How many seeds the sweep has, from 0.", STUDY)] = 1,
    jobs: StudyJobs = 1,
    device: Device = None,
    allow_import: AllowImport = False,
) -> int:
    """Carry out ``growmix theory``: explain the run, and print a few sentences."""
    asked = {"seeds": seeds, "jobs": jobs}
    for option, value in asked.items():
        if value != 1 and not sweep:
            raise BadInput(f"{option} is {value}, which has no effect without --sweep")
    open_run(folder, allow_import)

    from growmix import experiment

    document = experiment.explain(folder, device=device)
    if sweep:
        from growmix.studies.study import Request, command_line
        from growmix.studies.trade_off import TradeOff, with_trade_off

        place = folder / experiment.TRADE_OFF
        study = TradeOff(experiment.RunFolder(folder).config(), len(document["tasks"]), Request(place, seeds, {}))
        asked = {"sweep": True, **asked} | ({"allow_import": True} if allow_import else {})
        line = command_line("theory", [str(folder)], asked)
        if status := conduct(study, place, line, jobs, overwrite=False, allow_import=allow_import):
            return status
        document = with_trade_off(document, folder)
    for sentence in document["statements"]:
        say(f"- {sentence}")
    return DONE
