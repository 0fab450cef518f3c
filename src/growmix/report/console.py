"""Printing that ends no run: a reader that went away, and characters that the output can't show, are put up with.

What runs is worth more than what is said of it. Text that comes from a stranger's file, or from a path, can't command a
terminal, and is never taken for markup.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import IO, Literal, TextIO, cast, final

from rich.console import Console

from growmix.report.words import printable

PLAIN_WIDTH = 120
"""Columns where there is no terminal to ask; the closing table needs about 110."""

NEAREST = str.maketrans({"±": "+-"})
"""What is written for a character of our tables that an encoding lacks; any other becomes a question mark."""


def make_console(*, stderr: bool = False) -> Console:
    """Return a console as wide as its terminal, or wide enough for the closing table where there is none.

    Parameters
    ----------
    stderr
        Whether it writes to the standard error output.
    """
    output = PatientOutput("stderr" if stderr else "stdout")
    width = None if output.isatty() else PLAIN_WIDTH
    # names of data may have brackets and colons
    return Console(file=cast("IO[str]", output), width=width, markup=False, emoji=False)


def say(console: Console, text: str) -> None:
    """Print text as it is, line by line; what a terminal must not get becomes a question mark."""
    console.print(printable(text), highlight=False, markup=False, emoji=False, soft_wrap=True)


@final
class PatientOutput(io.TextIOBase):
    """The standard output, or that for errors, for writing that never fails.

    Where it can't be written (a pipe that was closed, a terminal that is gone, a disk that is full), all that follows
    goes nowhere. Characters that its encoding lacks are written as the nearest that it has.

    Parameters
    ----------
    name
        Which output it is; what stands there when something is written counts.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name
        self._gone = False

    @property
    def _output(self) -> TextIO | None:
        """The output itself; ``None`` where the process was started without it, or it is gone."""
        return None if self._gone else getattr(sys, self._name)

    @property
    def encoding(self) -> str:  # type: ignore[override] # of a file that is open
        """Name of the encoding, which decides how tables are drawn."""
        return getattr(self._output, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        """Return the number that the system has given to the output."""
        if self._output is None:
            raise io.UnsupportedOperation("fileno")
        return self._output.fileno()

    def isatty(self) -> bool:
        """Tell whether somebody sees what is written at once."""
        with suppress(ValueError):  # it is closed
            return self._output is not None and self._output.isatty()
        return False

    def writable(self) -> bool:
        """Return true: anything can be written, even where it goes nowhere."""
        return True

    def write(self, text: str) -> int:
        """Write text as far as the output can take it."""
        output = self._output
        if output is not None:
            try:
                output.write(encodable(text, self.encoding))
            except (OSError, ValueError):
                self._give_up(output)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, if there is anybody."""
        output = self._output
        if output is not None:
            try:
                output.flush()
            except (OSError, ValueError):
                self._give_up(output)

    def _give_up(self, output: TextIO) -> None:
        """Write no more; what the output still holds goes nowhere too, or Python would complain at its end."""
        self._gone = True
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, output.fileno())
            os.close(nowhere)


def encodable(text: str, encoding: str) -> str:
    r"""Return text in which every character can be written in an encoding.

    Examples
    --------
    >>> encodable("0.5 ± 0.1 für \ud800", "ascii")
    '0.5 +- 0.1 f?r ?'
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(NEAREST).encode(encoding, "replace").decode(encoding)
    return text
