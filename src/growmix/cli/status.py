"""Exit statuses of the program."""

from __future__ import annotations

from growmix.system.interrupts import STATUS as INTERRUPTED

DONE, FAILED, WRONG_INPUT = 0, 1, 2

__all__ = ["DONE", "FAILED", "INTERRUPTED", "WRONG_INPUT"]
