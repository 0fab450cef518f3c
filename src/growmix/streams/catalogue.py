"""The table of the named streams: what a stream is made of is data, and a new stream is a new row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from growmix.errors import BadInput, did_you_mean, shown
from growmix.streams.naming import data_set_of

LabelSpace: TypeAlias = Literal["separate", "shared"]
"""Whether each data set has classes of its own ("separate"), or equal numbers are one class ("shared")."""

DOMAINS = "domains"
"""Name of the one stream whose tasks are named by the user."""


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue, which describes a stream.

    Attributes
    ----------
    name
        Name that :func:`growmix.streams.load` takes.
    description
        One line for people that says what the stream is.
    tasks
        Names of the tasks, which say everything about them: data set, classes, transforms. Empty where the user gives
        them.
    label_space
        Label space of the stream unless the user chooses another.
    """

    name: str
    description: str
    tasks: tuple[str, ...]
    label_space: LabelSpace = "separate"

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Data sets that the stream needs, each once, in the order of their use.

        Examples
        --------
        >>> entry("split-letters").data_sets
        ('emnist_letters',)
        >>> entry("translation").data_sets
        ('facades', 'cifar10', 'fashion_mnist')
        """
        return tuple(dict.fromkeys(data_set_of(task) for task in self.tasks))


def _split(data_set: str, classes: int, by: int = 2) -> tuple[str, ...]:
    return tuple(f"{data_set}/{first}-{first + by - 1}" for first in range(0, classes, by))


def _permuted(data_set: str, tasks: int) -> tuple[str, ...]:
    return (data_set, *(f"{data_set}@permute{i}" for i in range(1, tasks)))


def _colour(side: int, *tasks: str) -> tuple[str, ...]:
    """Bring each task to one size and three channels by its own name, so that any data set can replace any other."""
    return tuple(f"{task}@size{side}@rgb" for task in tasks)


_MSFIR = ("mnist", "svhn", "fashion_mnist", "fashion_mnist@invert", "mnist@rotate180")
_AS_IS_FIRST = "the first task keeps its pixels in place, each other one has its own fixed order of them"

_CATALOGUE = (
    Entry("split-digits", "scikit-learn's 8x8 digits, two at a time; no download", _split("digits", 10)),
    Entry("permuted-digits", f"scikit-learn's 8x8 digits; {_AS_IS_FIRST}; no download", _permuted("digits", 5)),
    Entry("split-mnist", "MNIST, two digits at a time", _split("mnist", 10)),
    Entry("permuted-mnist", f"MNIST; {_AS_IS_FIRST}", _permuted("mnist", 10)),
    Entry("split-fashion", "Fashion-MNIST, two classes at a time", _split("fashion_mnist", 10)),
    Entry("split-letters", "EMNIST letters, two at a time", _split("emnist_letters", 26)),
    Entry("split-cifar10", "CIFAR-10, two classes at a time", _split("cifar10", 10)),
    Entry(
        "split-cifar",
        "CIFAR-10, then the first half of CIFAR-100, ten classes at a time",
        ("cifar10", *_split("cifar100", 50, by=10)),
    ),
    Entry(
        "msfir",
        "MNIST, SVHN, Fashion-MNIST, Fashion-MNIST inverted, MNIST upside down; 32x32 in colour",
        _colour(32, *_MSFIR),
    ),
    Entry(
        "msfirc",
        "the five of msfir, then CIFAR-10; ten classes, those of equal number are one",
        _colour(32, *_MSFIR, "cifar10"),
        label_space="shared",
    ),
    Entry("msc", "MNIST, SVHN, CIFAR-10; 32x32 in colour", _colour(32, "mnist", "svhn", "cifar10")),
    Entry("cms", "CIFAR-10, MNIST, SVHN: msc in another order", _colour(32, "cifar10", "mnist", "svhn")),
    Entry(
        "cccos",
        "CelebA, CACD, 3D chairs, Omniglot, a part of ImageNet; 64x64 in colour",
        _colour(64, "celeba", "cacd", "chairs", "omniglot", "imagenet"),
    ),
    Entry(
        "translation",
        "pairs: label map to facade, gray to colour of CIFAR-10, Fashion-MNIST inverted to plain; 32x32",
        # At their own 64x64 the facades would make every task four times as dear.
        (
            "facades.condition@size32:facades@size32",
            "cifar10@gray:cifar10",
            "fashion_mnist@invert:fashion_mnist",
        ),
    ),
    Entry(DOMAINS, "data sets of your choice with transforms, such as mnist,fashion_mnist@invert", ()),
)


def available() -> tuple[Entry, ...]:
    """Return all streams that have a name.

    Examples
    --------
    >>> [each.name for each in available()][:2]
    ['split-digits', 'permuted-digits']
    >>> available()[0].tasks
    ('digits/0-1', 'digits/2-3', 'digits/4-5', 'digits/6-7', 'digits/8-9')
    """
    return _CATALOGUE


def entry(name: str) -> Entry:
    """Look up the stream of this name.

    Raises
    ------
    BadInput
        There is no such stream; the message lists the names that there are.
    """
    rows = {row.name: row for row in _CATALOGUE}
    if isinstance(name, str) and name in rows:
        return rows[name]
    raise BadInput(f"unknown stream {shown(name)}{did_you_mean(name, rows)} (known: {', '.join(rows)})")
