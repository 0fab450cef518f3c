"""Checks labels, whole numbers or names, and turns names into the numbers that all components use, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from growmix.data.arrays import as_tensor, kind_of, read
from growmix.errors import BadInput, shown
from growmix.settings import UNLABELLED

Names: TypeAlias = tuple[str, ...]
"""Name of the label 0, 1, 2, ...; empty where labels are numbers."""

LABELS = "labels are integers, with -1 for unlabelled, or strings, with None"
"""What messages say of the labels that are allowed."""


def as_names(y: Any) -> list[str | None] | None:
    """Return labels as a list of names, ``None`` for an example without one; ``None`` if they are no names at all.

    Only ``None`` says that an example has no label: neither the empty string nor NaN does. (What a table calls missing
    is ``None`` when it comes here.) A list of nothing but ``None`` is of examples without one, too.

    Parameters
    ----------
    y
        Sequence or array of labels; strings in any of numpy's types, or objects.

    Raises
    ------
    BadInput
        There are names and something else, an empty name, or an array of names that is not one-dimensional.

    Examples
    --------
    >>> as_names(["cat", None, "dog"]), as_names([None, None]), as_names([0, 1])
    (['cat', None, 'dog'], [None, None], None)
    """
    if isinstance(y, np.ndarray):
        if y.dtype.kind not in "UTO":
            return None
        if y.ndim != 1:
            if y.dtype.kind == "O" and not any(isinstance(name, str) for name in y.flat):
                return None
            raise BadInput(f"y has names in shape {y.shape}; one name for each example is needed")
        y = y.tolist()
    if not isinstance(y, (list, tuple)):
        return None
    kinds = set(map(type, y))
    if kinds != {type(None)} and not any(issubclass(kind, str) for kind in kinds):
        return None
    for name in y:
        if name is not None and not isinstance(name, str):
            given = shown(name) if isinstance(name, (int, float)) else f"a {type(name).__name__}"
            raise BadInput(
                f"y has names and {given} among them; labels are all names (None for unlabelled) or all whole numbers"
            )
        if name == "":
            raise BadInput("y has an empty name; give None for an example without a label")
        if name is not None and "\0" in name:  # numpy leaves it out where a name ends in it
            raise BadInput(f"y has the name {shown(name)}; names are without the character NUL")
    # a member of an enumeration becomes its value, which it equals
    return [None if name is None else str.__str__(name) for name in y]


def number_names(names: Sequence[str | None]) -> tuple[Tensor, Names]:
    """Number names in the order in which they first appear, -1 for ``None``; return the numbers and the names.

    Examples
    --------
    >>> number_names(["dog", "cat", None, "dog"])
    (tensor([ 0,  1, -1,  0]), ('dog', 'cat'))
    """
    place: dict[str, int] = {}
    numbers = [-1 if name is None else place.setdefault(name, len(place)) for name in names]
    return torch.tensor(numbers, dtype=torch.int64), tuple(place)


def check_names(names: Any, argument: str = "names") -> Names:
    """Return the names of the labels 0, 1, 2, ..., as a user or a checkpoint gives them, if they are different.

    Raises
    ------
    BadInput
        The names are not different strings, or one is empty or has the character NUL.

    Examples
    --------
    >>> check_names(["cat", "cat"])
    Traceback (most recent call last):
    growmix.errors.BadInput: names is ['cat', 'cat']; allowed is a list of different names, none empty or with NUL
    """
    whole = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if not whole or len(set(names)) < len(names) or any(not name or "\0" in name for name in names):
        raise BadInput(f"{argument} is {shown(names)}; allowed is a list of different names, none empty or with NUL")
    return tuple(map(str.__str__, names))


def check_names_of(names: Any, labels: Sequence[int]) -> Names:
    """Return the names that a checkpoint has for these labels: one for each, or none at all.

    Raises
    ------
    ValueError
        The names are not different strings, or not as many as the labels.
    """
    if names and list(labels) != list(range(len(names))):
        raise ValueError(f"{len(names)} names do not fit the labels {list(labels)}")
    return check_names(names)


def names_of(numbers: Tensor, names: Names) -> np.ndarray:
    """Return the names of label numbers: an array of strings, or of objects where -1 becomes ``None``.

    Examples
    --------
    >>> names_of(torch.tensor([1, 0]), ("cat", "dog")).tolist()
    ['dog', 'cat']
    >>> names_of(torch.tensor([1, -1]), ("cat", "dog")).tolist()
    ['dog', None]
    """
    found = [None if number < 0 else names[number] for number in numbers.tolist()]
    return np.array(found, dtype=object if None in found else np.str_)


def check_labels(y: Any, n: int) -> tuple[Tensor, Names]:
    """Return labels as ``int64`` of shape ``(n,)``, -1 where unlabelled; and their names, if they were strings.

    Parameters
    ----------
    y
        Whole numbers, -1 for unlabelled; or strings, ``None`` for unlabelled, which all may be.
    n
        How many labels there must be.

    Raises
    ------
    BadInput
        There are not ``n`` labels, they are neither whole numbers nor strings, or one is below -1.

    Examples
    --------
    >>> check_labels([0, -1], 2), check_labels(["cat", None], 2)
    ((tensor([ 0, -1]), ()), (tensor([ 0, -1]), ('cat',)))
    """
    with _reading_labels():
        y = read(y, "y")
    if isinstance(y, np.ndarray) and y.ndim == 1:
        _require_length(y, n)  # before each is looked at: an array may say that it has billions
    named = as_names(y)
    if named is None:
        return check_label_numbers(y, n), ()
    numbers, names = number_names(named)
    return check_label_numbers(numbers, n), names


@contextmanager
def _reading_labels() -> Iterator[None]:
    """Add to a message about an array which labels are allowed."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{error}; {LABELS}") from error


def check_label_numbers(y: Any, n: int, most: int | None = None) -> Tensor:
    """Return labels that are whole numbers from -1 on, below ``most`` where that is given."""
    with _reading_labels():
        y = read(y, "y")
        labels = as_tensor(y, "y")
    _require_length(labels, n)
    if labels.is_floating_point() or labels.dtype == torch.bool:
        missing = ", NaN among them" if bool(labels.isnan().any()) else ""
        what = f"is of type {y.dtype}" if isinstance(y, (Tensor, np.ndarray)) else f"has {kind_of(labels)}"
        raise BadInput(f"y {what}{missing}; {LABELS}")
    labels = labels.to(torch.int64)
    if int(labels.min()) < UNLABELLED:
        raise BadInput(f"y has the label {int(labels.min())}; labels are 0 or above, or -1 for unlabelled")
    if most is not None and int(labels.max()) >= most:
        raise BadInput(f"y has the label {int(labels.max())}, but there are names for {most} labels, from 0 on")
    return labels


def _require_length(y: Tensor | np.ndarray, n: int) -> None:
    if y.ndim != 1 or y.shape[0] != n:
        raise BadInput(f"y has shape {tuple(y.shape)}, but x has {n} examples; y must have shape ({n},)")


def label_positions(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Return the index of every label in ``classes``; -1 where it is none of them.

    Examples
    --------
    >>> label_positions(torch.tensor([7, 3, -1]), (3, 7))
    tensor([ 1,  0, -1])
    """
    if not classes:
        return torch.full_like(labels, UNLABELLED)
    known = torch.tensor(sorted(classes), dtype=torch.int64, device=labels.device)
    order = torch.tensor(sorted(range(len(classes)), key=lambda i: classes[i]), device=labels.device)
    place = torch.searchsorted(known, labels).clamp_(max=len(classes) - 1)
    return torch.where(known[place] == labels, order[place], UNLABELLED)
