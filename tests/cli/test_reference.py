"""What is generated from the declarations of settings."""

from __future__ import annotations

from pathlib import Path

from growmix.cli import reference
from growmix.config import keys


def test_what_is_generated_from_the_declarations_is_up_to_date() -> None:
    root = Path(__file__).parents[2]
    stale = "run python -m growmix.cli.reference"
    assert (root / reference.PAGE).read_text(encoding="utf-8") == reference.page(), stale
    assert (root / reference.TYPES).read_text(encoding="utf-8") == reference.types(), stale


def test_every_key_of_a_run_has_one_row_in_the_table_of_its_group() -> None:
    tables = reference.page().split("\n## ")[1:]
    for name, declared in keys().items():
        of_group = [table for table in tables if f"\n| `{name}` |" in table]
        assert [table.splitlines()[0] for table in of_group] == [declared.group], name
