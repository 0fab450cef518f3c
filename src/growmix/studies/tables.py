"""A table as data: in Markdown, on a terminal, in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group
from rich.table import Table as TerminalTable
from rich.text import Text

from growmix.errors import BadInput


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names the rows.

    Attributes
    ----------
    title
        What it shows.
    columns
        Names of the columns.
    rows
        A text for each column.
    notes
        Lines below it: protocols, what is published where.

    Examples
    --------
    >>> print(Table("Digits", ("method", "mse"), (("mixture", "21.0"),), ("One seed.",)).markdown())
    ### Digits
    <BLANKLINE>
    | method | mse |
    | --- | ---: |
    | mixture | 21.0 |
    <BLANKLINE>
    One seed.
    <BLANKLINE>
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise BadInput(f"row {row} has {len(row)} cells; allowed are {len(self.columns)}: {self.columns}")

    def markdown(self) -> str:
        """As Markdown, with a heading."""
        marks = ("---", *("---:" for _ in self.columns[1:]))
        lines = [_line(cells) for cells in (self.columns, marks, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, "", *_paragraphs(self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def as_document(title: str, lines: Sequence[str], tables: Sequence[Table]) -> str:
    """A Markdown document: what was done, in lines, then the tables."""
    return "\n".join([f"## {title}", "", *_paragraphs(lines), *(table.markdown() for table in tables)])


def show(console: Console, tables: Sequence[Table]) -> None:
    """Print tables; where there is no terminal, as wide as they are."""
    for table in tables:
        width = max(console.width, _width(table))
        wide = console if console.is_terminal else Console(file=console.file, width=width, markup=False)
        wide.print(_rendered(table))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _paragraphs(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in (line, "")]


def _width(table: Table) -> int:
    cells = zip(table.columns, *table.rows, strict=True)
    return max(sum(3 + max(map(len, column)) for column in cells) + 1, *map(len, table.notes), len(table.title))


def _rendered(table: Table) -> Group:
    shown = TerminalTable(title=table.title, title_justify="left")
    for i, name in enumerate(table.columns):
        shown.add_column(name, justify="right" if i else "left")
    for row in table.rows:
        shown.add_row(*row)
    return Group(shown, *(Text(note) for note in table.notes))
