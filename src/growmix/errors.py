"""growmix's own exceptions: everything that a caller can be expected to handle; and how they quote a value."""

from __future__ import annotations

_LONGEST = 100
"""Characters of a value that a message quotes."""

LONGEST_REASON = 500
"""Of another error that it quotes: what a stranger's file says may be in it, megabytes of it."""


class GrowmixError(Exception):
    """Base of all errors that growmix raises on purpose."""


class BadInput(GrowmixError, ValueError):
    """Something that the user handed over is wrong; the message says what, and what is allowed."""


class DataUnavailable(GrowmixError, FileNotFoundError):
    """A data set can't be had; the message names every place where it was looked for."""


class NotLearnt(GrowmixError, RuntimeError):
    """A mixture was asked for an answer before it learnt anything."""


class NonFiniteLoss(GrowmixError, ArithmeticError):
    """The training loss became NaN or infinite, or training diverged; the mixture is as it was before the call."""


class BadCheckpoint(GrowmixError, ValueError):
    """A file of a checkpoint is missing, broken or of another version; the message names it."""


def one_line(error: BaseException) -> str:
    r"""Type and message of an exception in one line; a long one without its middle: a worker's ends with what it is.

    Examples
    --------
    >>> one_line(OSError("no\n  disk")), len(one_line(OSError("x" * 9_999)))
    ('OSError: no disk', 500)
    """
    line = " ".join(f"{type(error).__name__}: {error}".split())
    half = (LONGEST_REASON - 5) // 2
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 5 - half]} ... {line[-half:]}"


def shown(value: object, longest: int = _LONGEST) -> str:
    """A value as messages quote it: in one line, and cut where it is long.

    Examples
    --------
    >>> shown("mlp"), len(shown(list(range(1_000))))
    ("'mlp'", 100)
    """
    try:
        text = repr(value)
    except Exception:  # a foreign object's own code runs here, and Python itself writes no number of 5,000 digits
        text = f"a {type(value).__name__}"
    return shortened(text, longest)


def shortened(text: str, most: int = _LONGEST) -> str:
    r"""Text in one line, cut where it is longer than so many characters.

    Examples
    --------
    >>> shortened("too\\n long", 6)
    'too...'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
