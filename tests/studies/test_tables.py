from __future__ import annotations

import io

import pytest
from rich.console import Console

from growmix.errors import BadInput
from growmix.studies.tables import Table, show


def test_a_row_has_a_cell_for_every_column() -> None:
    with pytest.raises(BadInput, match="2 cells; allowed are 3"):
        Table("t", ("a", "b", "c"), (("1", "2"),))


def test_no_cell_is_cut_where_there_is_no_terminal() -> None:
    wide = Table("t", ("method", *(f"column {i}" for i in range(30))), (("x", *(f"value-{i}" for i in range(30))),))
    out = io.StringIO()
    show(Console(file=out, width=80), [wide])
    (line,) = [line for line in out.getvalue().splitlines() if "value-0" in line]
    assert all(f"value-{i} " in line for i in range(30))


def test_a_bar_in_a_cell_does_not_split_it_in_markdown() -> None:
    assert "| a \\| b |" in Table("t", ("c",), (("a | b",),)).markdown()
