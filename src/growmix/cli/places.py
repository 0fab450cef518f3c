"""``growmix streams``: the streams there are, and where their data would come from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from growmix.cli.options import path
from growmix.cli.words import DONE
from growmix.report.words import printable

STREAMS_HELP = "List the streams, what data they need, and whether that is found."
DATA_ROOT_HELP = "Folder of <name>/{train,test}.parquet; by default the environment's GROWMIX_DATA, else the Hub."


def streams(*, data_root: Annotated[Path | None, path(DATA_ROOT_HELP)] = None) -> int:
    """Carry out ``growmix streams``: print a table with a row for each stream."""
    from rich.table import Table

    from growmix.report.console import make_console
    from growmix.streams import available

    table = Table("stream", "what it is", "tasks", "data", "found")
    for entry in available():
        found = in_words({name: place_of(name, data_root) for name in entry.data_sets}) or "as you choose"
        count = str(len(entry.tasks) or "--tasks")
        table.add_row(entry.name, entry.description, count, ", ".join(entry.data_sets) or "any", found)
    make_console().print(table)
    return DONE


def in_words(places: Mapping[str, str]) -> str:
    """Say whether data sets are found: each place once, or the names of those that are missing.

    Examples
    --------
    >>> in_words({"mnist": "yes", "cifar10": "yes"}), in_words({"mnist": "yes", "svhn": "no: not in data"})
    ('yes', 'no: svhn')
    """
    missing = [name for name, place in places.items() if place.startswith("no")]
    return f"no: {', '.join(missing)}" if missing else ", ".join(dict.fromkeys(places.values()))


def place_of(data_set: str, data_root: Path | None) -> str:
    """Say in a few words where a data set would come from; nothing is read or downloaded."""
    from growmix.streams.known import DIGITS, HUB_IDS, data_folder

    if data_set == DIGITS:
        return "with scikit-learn"
    root = data_folder(data_root)
    if root is None:
        hub = "on the Hub" if find_spec("datasets") else "with growmix[hub]"
        return hub if data_set in HUB_IDS else "no: needs --data-root"
    there = all((root / data_set / f"{part}.parquet").is_file() for part in ("train", "test"))
    return "yes" if there else f"no: not in {printable(str(root))}"
