"""Interrupts: what Ctrl-C, a request to end, or a terminal that is closed does to a run on the command line."""

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

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a process to end: Ctrl-C, a cluster's time limit, a terminal that is closed."""

_HANGUP = getattr(signal, "SIGHUP", None)

_ERRORS = 2
"""The number by which a system knows the standard error output."""

SHOW_CURSOR = "\x1b[?25h"
"""What makes a terminal show its cursor again, after progress bars that were not taken away."""


def interrupt_when_asked_to_end() -> None:
    """Have every signal that asks this process to end do what Ctrl-C does; those that are ignored stay so.

    What a shell starts in the background ignores Ctrl-C, and ``nohup`` ignores a terminal that is closed.
    """
    for kind in ENDING:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, signal.default_int_handler)


@final
class Interrupts:
    """What signals do to a run: the first ends it where it can go on from, the second ends the process at once.

    Outside of :meth:`handled`, signals do what they do in any Python program.

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
        """Take every signal that asks the process to end for an interrupt, unless it is ignored."""
        kinds = [kind for kind in ENDING if signal.getsignal(kind) is not signal.SIG_IGN]
        before: dict[signal.Signals, Any] = {kind: signal.signal(kind, self.receive) for kind in kinds}
        try:
            yield self
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note an interrupt in ``asked`` for the time; whoever looks there raises it, or else the end does."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self.asked:
            raise KeyboardInterrupt

    def receive(self, number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
        """Do what a signal asks for, the first or the second one."""
        if self.asked and number == _HANGUP:
            return  # a terminal that is closed may send it twice, and nobody meant the second one
        if self.asked:
            with suppress(AttributeError, OSError, ValueError):  # there may be no output any more
                if sys.stdout.isatty():
                    os.write(sys.stdout.fileno(), SHOW_CURSOR.encode())
            os._exit(STATUS)
        self.asked = True
        if not self._deferring:
            raise KeyboardInterrupt
        with suppress(OSError):  # it may have been closed
            os.write(_ERRORS, ACKNOWLEDGED.encode())  # straight to it: what was interrupted may be printing
