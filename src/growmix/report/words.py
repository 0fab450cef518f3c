"""Writes numbers, times and text from strangers as people read them."""

from __future__ import annotations


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with so many decimals; a dash where there is none.

    Examples
    --------
    >>> number(0.98765), number(None)
    ('0.988', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def whole(value: float) -> str:
    """Write a whole number with commas between thousands.

    Examples
    --------
    >>> whole(12345.6)
    '12,346'
    """
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Write a time in minutes and seconds.

    Examples
    --------
    >>> duration(75.2), duration(3_725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def printable(text: str) -> str:
    r"""Replace what could command a terminal, since a stranger may have written the text into a file.

    Examples
    --------
    >>> printable("title \x1b]0;mine\x07")
    'title ?]0;mine?'
    """
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
