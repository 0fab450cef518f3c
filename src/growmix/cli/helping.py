"""Help that fits a screen: ``--help`` shows the options that most people need, ``--help-all`` every one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from growmix.cli.options import OWN
from growmix.config import keys

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

EVERY = "--help-all"
"""The option that asks for every option."""


def asked(words: Sequence[str]) -> tuple[list[str], Help]:
    """Return the words of a command line as cyclopts knows them, and the help that they ask for.

    Examples
    --------
    >>> asked(["run", "--help-all"])[0]
    ['run', '--help']
    """
    return ["--help" if word == EVERY else word for word in words], Help(every=EVERY in words)


@final
class Help:
    """Draws the panels of a command's help, with every option or with the common ones alone.

    Parameters
    ----------
    every
        Whether to show every option, with all that is to be said of it.
    """

    def __init__(self, *, every: bool) -> None:
        self._every = every

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Draw one panel, unless nothing in it is to be shown."""
        from cyclopts.help import DefaultFormatter

        entries = panel.entries
        if not self._every and panel.title != OWN.name:  # a command's own option may be called like a setting
            entries = [_short(entry) for entry in entries if _is_common(entry)]
        if entries:
            DefaultFormatter()(console, options, panel.copy(entries=entries))

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Draw the line that shows how the command is called."""
        from cyclopts.help import DefaultFormatter

        DefaultFormatter().render_usage(console, options, usage)


def _is_common(entry: HelpEntry) -> bool:
    declared = keys().get(_key(entry))
    return declared.common if declared else entry.names[:1] != ("--allow-import",)


def _key(entry: HelpEntry) -> str:
    """Return the key of the setting that an option names; empty for a command, which may be called like a setting."""
    option = entry.names[0] if entry.names else ""
    return option.removeprefix("--").replace("-", "_") if option.startswith("--") else ""


def _short(entry: HelpEntry) -> HelpEntry:
    """Return the entry of a setting with the first part of its help alone."""
    declared = keys().get(_key(entry))
    if declared is None:
        return entry
    changes: dict[str, Any] = {"description": f"{re.split(r'[;:.]( |$)', declared.help)[0]}."}
    return entry.copy(**changes)
