"""``python -m growmix.studies.child``: the command line as a child, which does not outlive the study that started it.

The study holds the other end of this process's standard input and never writes to it. The system closes it when the
study ends, however it ends: the child then ends itself as if it had been told to, and keeps what it has learnt.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading
from contextlib import suppress

_INPUT = 0
"""What a system calls the standard input."""


def end_with_parent() -> None:
    """Wait for the end of the standard input, then tell this process to end."""
    with suppress(OSError):  # an input that can't be read has ended too
        while os.read(_INPUT, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, name="growmix-parent", daemon=True).start()
    runpy.run_module("growmix", run_name="__main__")
