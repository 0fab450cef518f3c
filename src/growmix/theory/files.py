"""Writes and reads the files that say what the theory says of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from growmix.errors import BadCheckpoint, GrowmixError, one_line
from growmix.report.theory_names import ALL, BETWEEN, BOUNDS, MODELS, THEORY, TRADE_OFF
from growmix.storage.durable import write_whole
from growmix.storage.untrusted import read_json
from growmix.system.paths import writing_to

__all__ = ["ALL", "BETWEEN", "BOUNDS", "MODELS", "THEORY", "TRADE_OFF", "read", "understanding", "write"]

MOST_THEORY = 64 * 2**20
"""Bytes that ``theory.json`` may have at most."""


def write(document: Mapping[str, Any], folder: Path) -> None:
    """Write ``theory.json`` and the figures that it has numbers for.

    Parameters
    ----------
    document
        What :func:`growmix.theory.account.account` returned, with what a sweep found under ``trade_off``.
    folder
        The folder of the run.

    Raises
    ------
    BadInput
        The folder can't be written.
    """
    from growmix.report import theory_figures

    with writing_to(folder):
        write_whole(folder / THEORY, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
    theory_figures.bounds_over_time(document, folder / BOUNDS)
    if len(document["tasks"]) > 1:
        theory_figures.between_tasks(document, folder / BETWEEN)
    swept = document.get("trade_off")
    if swept:
        theory_figures.trade_off(swept["points"], document["unit"], folder / TRADE_OFF)
    risks = {"mixture": [entry["observed"] for entry in document["rows"][-1]]}
    if swept and swept["single"]:
        risks["one component"] = swept["single"]
    if document["student"]:
        risks["student"] = [entry["observed"] for entry in document["student"]]
    if len(risks) > 1:
        theory_figures.models(risks, document["tasks"], document["unit"], folder / MODELS)


@contextmanager
def understanding(file: Path) -> Iterator[None]:
    """Make whatever is raised within a ``BadCheckpoint`` that names a file: what was read from it may be anything."""
    try:
        yield
    except GrowmixError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{file} can't be understood: {one_line(error)}") from error


def read(folder: Path) -> dict[str, Any]:
    """Read back the ``theory.json`` that :func:`write` wrote.

    Parameters
    ----------
    folder
        The folder of the run.

    Raises
    ------
    BadCheckpoint
        The file can't be read, or is not the theory of a run.
    """
    file = folder / THEORY
    document = read_json(file, MOST_THEORY)
    if not isinstance(document, dict) or not {"tasks", "rows", "chains", "statements"} <= set(document):
        raise BadCheckpoint(f"{file} is not the theory of a run")
    statements = document["statements"]
    if not isinstance(statements, list) or not all(isinstance(sentence, str) for sentence in statements):
        raise BadCheckpoint(f"{file} has statements that are no sentences")
    return document
