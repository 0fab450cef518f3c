"""What the program says, and the status that it ends with: every line as a terminal may get it.

A reader that went away and an encoding that lacks a character end nothing, see :mod:`growmix.report.console`.
"""

from __future__ import annotations

from growmix.report import console
from growmix.system.interrupts import STATUS as INTERRUPTED

DONE, FAILED, WRONG_INPUT = 0, 1, 2
"""Exit statuses of the program, beside that of an interrupted one."""

__all__ = ["DONE", "FAILED", "INTERRUPTED", "WRONG_INPUT", "complain", "say"]


def say(text: object) -> None:
    """Print text on the standard output."""
    console.say(console.make_console(), str(text))


def complain(reason: object) -> None:
    """Print why the program ends, as one line on the output for errors."""
    console.say(console.make_console(stderr=True), f"growmix: {' '.join(str(reason).split())}")
