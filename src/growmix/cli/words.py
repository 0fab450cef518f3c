"""What the program says: every line as a terminal may get it, whoever chose the names in it.

A reader that went away and an encoding that lacks a character end nothing, see :mod:`growmix.report.console`.
"""

from __future__ import annotations

from growmix.report import console


def say(text: object) -> None:
    """Print text on the standard output."""
    console.say(console.make_console(), str(text))


def complain(reason: object) -> None:
    """Print why the program ends, as one line on the output for errors."""
    console.say(console.make_console(stderr=True), f"growmix: {' '.join(str(reason).split())}")
