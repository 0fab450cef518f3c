"""Documents of older checkpoints, brought to what this version writes: one function from each schema to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Document = dict[str, Any]

SCHEMA = 3
"""What this version writes."""


def migrated(document: Document) -> Document:
    """A document of any schema up to this version's, as this version writes it.

    Examples
    --------
    >>> migrated({"schema": 1, "kind": "student", "components": [{"shape": [1, 8, 8]}]})["components"]
    [{'shape': [1, 8, 8], 'target_shape': None}]
    """
    while document["schema"] < SCHEMA:
        document = STEPS[document["schema"]](document)
    return document


def _with_methods(document: Document) -> Document:
    """1 to 2: there was the mixture alone, a task had one component, and no component translated."""
    changed = document | {"schema": 2}
    changed["components"] = [outline | {"target_shape": None} for outline in document["components"]]
    if document["kind"] == "mixture":
        changed["memory"] = {"records": changed.pop("records")}
        changed["steps"] = [_with_parts(step) for step in document["steps"]]
    return changed


def _with_parts(step: Document) -> Document:
    part = {"component": step["decision"]["component"], "examples": step["examples"], "version": step["version"]}
    return {"decision": step["decision"], "parts": [part], "log": step["log"]}


def _with_version(document: Document) -> Document:
    """2 to 3: checksums came, and the version of growmix that wrote it."""
    return document | {"schema": 3, "growmix": None}


STEPS: Mapping[int, Callable[[Document], Document]] = MappingProxyType({1: _with_methods, 2: _with_version})
"""From a schema to the next."""
