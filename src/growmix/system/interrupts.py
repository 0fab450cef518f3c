"""What Ctrl-C, or being told to end, does to a run on the command line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, final

STATUS = 130
"""The exit status of an interrupted program."""

ACKNOWLEDGED = "growmix: interrupted; what must not be lost is saved first, a second interrupt ends it at once\n"
"""What a user is told who has to wait for the end."""

_ERRORS = 2
"""The number by which a system knows the standard error output."""

SHOW_CURSOR = "\x1b[?25h"
"""What makes a terminal show its cursor again, after progress bars that were not taken away."""


@final
class Interrupts:
    """The first signal ends the run where it can go on from; the second ends the process at once.

    Without :meth:`handled` nobody interrupts: signals do what they do in any Python program.

    Examples
    --------
    >>> interrupts = Interrupts()
    >>> try:
    ...     with interrupts.deferred():
    ...         interrupts.receive()
    ...         print("this is still done")
    ... except KeyboardInterrupt:
    ...     print("and then it ends")
    this is still done
    and then it ends
    """

    def __init__(self) -> None:
        self.asked = False
        self._deferring = False

    @contextmanager
    def handled(self) -> Iterator[Interrupts]:
        """Take SIGINT and SIGTERM for the time; a cluster's time limit counts as an interrupt."""
        # what a shell starts in the background is told to leave Ctrl-C alone
        kinds = [kind for kind in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(kind) is not signal.SIG_IGN]
        before: dict[signal.Signals, Any] = {kind: signal.signal(kind, self.receive) for kind in kinds}
        try:
            yield self
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within, an interrupt is only noted in ``asked``; it is raised by whoever looks there, or at the end."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self.asked:
            raise KeyboardInterrupt

    def receive(self, number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
        """Do what a signal asks for, the first or the second one."""
        if self.asked:
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), SHOW_CURSOR.encode())
            os._exit(STATUS)
        self.asked = True
        if not self._deferring:
            raise KeyboardInterrupt
        with suppress(OSError):  # it may have been closed
            os.write(_ERRORS, ACKNOWLEDGED.encode())  # straight to it: what was interrupted may be printing
