"""A table as data, which can be written as Markdown, shown on a terminal, and kept as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group
from rich.table import Table as TerminalTable
from rich.text import Text

from growmix.errors import BadInput
from growmix.report.words import printable


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names the rows.

    Attributes
    ----------
    title
        Title, which says what the table shows.
    columns
        Names of the columns.
    rows
        Rows, each with one text for every column.
    notes
        Lines below the table, such as protocols and where figures were published.

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
        """Write the table as Markdown, with a heading."""
        marks = ("---", *("---:" for _ in self.columns[1:]))
        lines = [_line(cells) for cells in (self.columns, marks, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, "", *_paragraphs(self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON can hold it."""
        return asdict(self)


def as_document(title: str, lines: Sequence[str], tables: Sequence[Table]) -> str:
    """Write a Markdown document: first lines on what was done, then the tables."""
    text = "\n".join([f"## {title}", "", *_paragraphs(lines), *(table.markdown() for table in tables)])
    return printable(text)  # names and paths may hold what no file in UTF-8 can


def show(console: Console, tables: Sequence[Table]) -> None:
    """Print tables; where there is no terminal, as wide as they are."""
    for table in tables:
        width = max(console.width, _width(table))
        wide = console if console.is_terminal else Console(file=console.file, width=width, markup=False, emoji=False)
        wide.print(_rendered(table))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _paragraphs(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in (line, "")]


def _width(table: Table) -> int:
    cells = zip(table.columns, *table.rows, strict=True)
    return max(sum(3 + max(map(len, column)) for column in cells) + 1, *map(len, table.notes), len(table.title))


def _rendered(table: Table) -> Group:
    shown = TerminalTable(title=Text(printable(table.title)), title_justify="left")
    for i, name in enumerate(table.columns):
        shown.add_column(Text(printable(name)), justify="right" if i else "left")
    for row in table.rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    return Group(shown, *(Text(printable(note)) for note in table.notes))
