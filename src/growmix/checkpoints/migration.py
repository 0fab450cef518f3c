"""Documents of older checkpoints become what this version writes, by one pure function from each schema to the next.

A new schema needs a new number, a function that makes the older document into it, and a test of that function. Nothing
of an older schema was ever released, so there is no step yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Document = dict[str, Any]

SCHEMA = 5
"""The number of the schema that this version writes."""

STEPS: Mapping[int, Callable[[Document], Document]] = MappingProxyType({})
"""For each older schema that can be read, the function that makes its document into one of the next schema."""


def can_be_read(schema: int) -> bool:
    """Tell whether this version reads documents of a schema, its own or an older one.

    Examples
    --------
    >>> can_be_read(SCHEMA), can_be_read(SCHEMA + 1)
    (True, False)
    """
    return schema == SCHEMA or schema in STEPS


def migrated(document: Document) -> Document:
    """Return a document of any readable schema as this version writes it; the one that is given stays as it is.

    Examples
    --------
    >>> migrated({"schema": SCHEMA, "kind": "student"}) == {"schema": SCHEMA, "kind": "student"}
    True
    """
    while document["schema"] != SCHEMA:
        document = STEPS[document["schema"]](document)
    return document
