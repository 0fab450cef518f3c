"""Rules: which values a setting may have, how text spells them, and how a message says so.

The adversary is a typing mistake, in Python, in a file or on the command line.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from growmix.errors import BadInput, nearest, shown
from growmix.settings.limits import COUNTABLE

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_whole(value: object, least: int, most: int = COUNTABLE) -> bool:
    """Say whether a value is a whole number from ``least`` to ``most``, Python's or numpy's but no truth value."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= int(value) <= most


def require_whole(value: Any, name: str, least: int, most: int = COUNTABLE) -> int:
    """Return a whole number as Python's, or refuse it by name.

    Raises
    ------
    BadInput
        The value is no whole number, or lies outside ``least`` to ``most``.

    Examples
    --------
    >>> require_whole(2.0, "n", 1, 5)
    Traceback (most recent call last):
    growmix.errors.BadInput: n is 2.0; allowed is a whole number from 1 to 5
    """
    if not is_whole(value, least, most):
        raise BadInput(f"{name} is {shown(value)}; allowed is {Whole(least, most).words}")
    return int(value)


def is_import_path(name: object) -> bool:
    """Say whether a name has the form ``module:name``; whether there is such a module is not looked at.

    Examples
    --------
    >>> is_import_path("my_nets.images:blueprint"), is_import_path("mlp")
    (True, False)
    """
    return isinstance(name, str) and _IMPORT_PATH.fullmatch(name) is not None


class Rule(ABC):
    """Interface of what values a setting may have.

    A new kind of value is one more class that says what is allowed, and how text spells it where it is no text.
    """

    @property
    @abstractmethod
    def words(self) -> str:
        """What is allowed, as a message says it after "allowed is"."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Say whether a setting may have this value."""

    def read(self, text: str) -> Any:
        """Return the value that a text spells, as files and command lines give it: itself, unless a rule says more.

        Raises
        ------
        ValueError
            The text spells no such value.
        """
        return text

    def kept(self, value: Any, name: str) -> Any:
        """Return the form in which an accepted value of a setting is kept: as it is, unless a rule says more.

        Parameters
        ----------
        value
            The value, which the rule accepts.
        name
            The name of the setting, for messages.

        Raises
        ------
        BadInput
            The value turns out not to be allowed, for a reason that the message gives.
        """
        return value

    def hint(self, value: Any) -> str:
        """Return the end of a message about a refused value, such as the choice that was likely meant."""
        return ""


@final
@dataclass(frozen=True)
class Whole(Rule):
    """Allows whole numbers from ``least`` to ``most``.

    Examples
    --------
    >>> Whole(1).words, Whole(1, 5_000).accepts(5_001), Whole().read("12")
    ('a whole number of 1 or more, below 2**63', False, 12)
    """

    least: int = 0
    most: int = COUNTABLE

    @property
    def words(self) -> str:
        """The range of the number."""
        if self.most == COUNTABLE:
            return f"a whole number of {self.least} or more, below 2**63"
        return f"a whole number from {self.least} to {self.most:,}"

    def accepts(self, value: Any) -> bool:
        """Say whether the value is a whole number in the range."""
        return is_whole(value, self.least, self.most)

    def read(self, text: str) -> int:
        """Return the number that the text spells in decimal digits."""
        return int(text)


@final
@dataclass(frozen=True)
class Number(Rule):
    """Allows finite numbers of which a condition holds, and keeps them as floats.

    Parameters
    ----------
    within
        The condition in words, such as ``above 0``.
    holds
        The condition as a function of the number.

    Examples
    --------
    >>> Number("above 0", lambda x: x > 0).words
    'a finite number above 0'
    """

    within: str
    holds: Callable[[float], bool]

    @property
    def words(self) -> str:
        """The condition, in words."""
        return f"a finite number {self.within}"

    def accepts(self, value: Any) -> bool:
        """Say whether the value is a finite number within the condition."""
        # compared, not asked with isfinite: a whole number may be larger than any float
        number = value.item() if isinstance(value, np.number) else value  # numpy's single precision ends far earlier
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        return is_number and abs(number) <= sys.float_info.max and self.holds(number)

    def read(self, text: str) -> float:
        """Return the number that the text spells."""
        return float(text)

    def kept(self, value: Any, name: str) -> float:
        """Return the number as a float: torch takes no whole number beyond 64 bits where a fraction may be."""
        return float(value)


POSITIVE = Number("above 0", lambda value: value > 0)
NOT_NEGATIVE = Number("of 0 or more", lambda value: value >= 0)


@final
@dataclass(frozen=True)
class OneOf(Rule):
    """Allows a few names.

    Parameters
    ----------
    names
        All names that are allowed.
    own
        What else is allowed, in words, such as an import path.
    is_own
        A function that says whether a value is allowed though it is none of the names.

    Examples
    --------
    >>> OneOf(("ks", "smd")).words, OneOf(("ks", "smd")).hint("kss")
    ('one of ks, smd', '; did you mean ks?')
    """

    names: tuple[str, ...]
    own: str = ""
    is_own: Callable[[Any], bool] = lambda value: False

    @property
    def words(self) -> str:
        """The names, and what is allowed beside them."""
        return f"one of {', '.join(self.names)}" + (f", or {self.own}" if self.own else "")

    def accepts(self, value: Any) -> bool:
        """Say whether the value is one of the names."""
        return isinstance(value, str) and (value in self.names or self.is_own(value))

    def hint(self, value: Any) -> str:
        """Return the name that is nearest to a refused one."""
        near = nearest(value, self.names)
        return f"; did you mean {near}?" if near else ""


@final
@dataclass(frozen=True)
class Truth(Rule):
    """Allows true and false."""

    words = "true or false"

    def accepts(self, value: Any) -> bool:
        """Say whether the value is a truth value of Python's or numpy's."""
        return isinstance(value, (bool, np.bool_))

    def read(self, text: str) -> bool:
        """Return what the words true and false mean, in any case of letters."""
        if text.lower() not in ("true", "false"):
            raise ValueError
        return text.lower() == "true"


@final
@dataclass(frozen=True)
class Text(Rule):
    """Allows text in one line that is not empty."""

    words = "text in one line"

    def accepts(self, value: Any) -> bool:
        """Say whether the value is such text."""
        return isinstance(value, str) and value.isprintable() and bool(value)
