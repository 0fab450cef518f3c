"""The named streams, as a table: what a stream is made of is data, and a new one is a new row."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from growmix.errors import BadInput

DOMAINS = "domains"
"""The one stream whose tasks the user names."""


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue.

    Attributes
    ----------
    name
        As :func:`growmix.streams.load` takes it.
    description
        One line for people.
    tasks
        The tasks' names, which say all there is to them: data set, classes, transforms. Empty when the user
        gives them.
    """

    name: str
    description: str
    tasks: tuple[str, ...]

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Data sets that it needs, each once, in the order of their use.

        Examples
        --------
        >>> entry("split-letters").data_sets
        ('emnist_letters',)
        """
        return tuple(dict.fromkeys(task.split("@")[0].split("/")[0] for task in self.tasks))


def _split(data_set: str, classes: int, by: int = 2) -> tuple[str, ...]:
    return tuple(f"{data_set}/{first}-{first + by - 1}" for first in range(0, classes, by))


def _permuted(data_set: str, tasks: int) -> tuple[str, ...]:
    return (data_set, *(f"{data_set}@permute{i}" for i in range(1, tasks)))


_AS_IS_FIRST = "the first task keeps its pixels in place, each other one has its own fixed order of them"

_CATALOGUE = (
    Entry("split-digits", "scikit-learn's 8x8 digits, two at a time; no download", _split("digits", 10)),
    Entry("permuted-digits", f"scikit-learn's 8x8 digits; {_AS_IS_FIRST}; no download", _permuted("digits", 5)),
    Entry("split-mnist", "MNIST, two digits at a time", _split("mnist", 10)),
    Entry("permuted-mnist", f"MNIST; {_AS_IS_FIRST}", _permuted("mnist", 10)),
    Entry("split-fashion", "Fashion-MNIST, two classes at a time", _split("fashion_mnist", 10)),
    Entry("split-letters", "EMNIST letters, two at a time", _split("emnist_letters", 26)),
    Entry("split-cifar10", "CIFAR-10, two classes at a time", _split("cifar10", 10)),
    Entry(DOMAINS, "data sets of your choice with transforms, such as mnist,fashion_mnist@invert", ()),
)


def available() -> tuple[Entry, ...]:
    """All named streams.

    Examples
    --------
    >>> [each.name for each in available()][:2]
    ['split-digits', 'permuted-digits']
    >>> available()[0].tasks
    ('digits/0-1', 'digits/2-3', 'digits/4-5', 'digits/6-7', 'digits/8-9')
    """
    return _CATALOGUE


def entry(name: str) -> Entry:
    """Look a name up.

    Raises
    ------
    BadInput
        If there is none; the message lists the names that there are.
    """
    rows = {row.name: row for row in _CATALOGUE}
    if name in rows:
        return rows[name]
    close = get_close_matches(str(name), rows, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise BadInput(f"unknown stream {name!r}{hint} (known: {', '.join(rows)})")
