"""growmix's own exceptions: everything that a caller can be expected to handle."""

from __future__ import annotations


class GrowmixError(Exception):
    """Base of all errors that growmix raises on purpose."""


class BadInput(GrowmixError, ValueError):
    """Something that the user handed over is wrong; the message says what, and what is allowed."""


class DataUnavailable(GrowmixError, FileNotFoundError):
    """A data set can't be had; the message names every place where it was looked for."""


class NotLearnt(GrowmixError, RuntimeError):
    """A mixture was asked for an answer before it learnt anything."""


class NonFiniteLoss(GrowmixError, ArithmeticError):
    """The training loss became NaN or infinite; the mixture is as it was before the call."""


class BadCheckpoint(GrowmixError, ValueError):
    """A file of a checkpoint is missing, broken or of another version; the message names it."""
