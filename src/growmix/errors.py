"""The exceptions that growmix raises on purpose, and how their messages quote a value.

A value may be anything, and the text of another error may come from a stranger's file: a message stays one short line.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 100
"""Most characters of a value that a message quotes."""

LONGEST_REASON = 500
"""Most characters of another error's text that a message quotes; there may be megabytes of a stranger's file in it."""


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
    r"""Put the type and the message of an exception in one line; a long one loses its middle, since the end tells most.

    Examples
    --------
    >>> one_line(OSError("no\n  disk")), len(one_line(OSError("x" * 9_999)))
    ('OSError: no disk', 500)
    """
    line = " ".join(f"{type(error).__name__}: {error}".split())
    half = (LONGEST_REASON - 5) // 2
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 5 - half]} ... {line[-half:]}"


def shown(value: object, longest: int = _LONGEST) -> str:
    """Quote a value as messages do: in one line, and cut where it is long.

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
    r"""Put text in one line, and cut it where it is longer than so many characters.

    Examples
    --------
    >>> shortened("too\\n long", 6)
    'too...'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def nearest(given: object, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a mistyped one; ``None`` where none is like it.

    Examples
    --------
    >>> nearest("split-mnits", ["split-mnist", "msfir"]), nearest(5, ["split-mnist"])
    ('split-mnist', None)
    """
    close = get_close_matches(given, list(known), n=1) if isinstance(given, str) else []
    return close[0] if close and close[0] != given else None


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """Return a question for the end of a message where a known name is like the one that was given, else nothing.

    Examples
    --------
    >>> did_you_mean("split-mnits", ["split-mnist", "msfir"]), did_you_mean("x", ["msfir"])
    ("; did you mean 'split-mnist'?", '')
    """
    near = nearest(given, known)
    return f"; did you mean {near!r}?" if near else ""
