"""Numbers and foreign text as people read them."""

from __future__ import annotations


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals; a dash where there is none.

    Examples
    --------
    >>> number(0.98765), number(None)
    ('0.988', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def whole(value: float) -> str:
    """A whole number with thousands set apart.

    Examples
    --------
    >>> whole(12345.6)
    '12,346'
    """
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Minutes and seconds.

    Examples
    --------
    >>> duration(75.2), duration(3_725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def printable(text: str) -> str:
    r"""Text as a terminal may get it: what a stranger wrote into a file could command it.

    Examples
    --------
    >>> printable("title \x1b]0;mine\x07")
    'title ?]0;mine?'
    """
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
