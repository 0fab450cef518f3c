"""Read what the name of a task says: data set, column, classes, transforms, and for pairs two of these."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, final

from growmix.errors import BadInput, shown

if TYPE_CHECKING:
    from growmix.streams.transforms import Transform

Replace: TypeAlias = Mapping[str, str] | Sequence[str]
"""Data sets to take in place of others, such as ``{"svhn": "mnist_m"}`` or ``["svhn=mnist_m"]``."""

_DATA_SET = r"\w[\w-]*"
_IMAGES = re.compile(rf"({_DATA_SET})(?:\.(\w[\w.-]*))?(?:/([0-9]{{1,9}})(?:-([0-9]{{1,9}}))?)?", flags=re.ASCII)


@final
@dataclass(frozen=True)
class ImageSpec:
    """One kind of images of a task.

    Attributes
    ----------
    text
        The name as the user writes it.
    data_set
        Name of the data set.
    column
        Column of images in the data set's file; ``None`` takes the one that usually holds them.
    classes
        First and last class; ``None`` takes all.
    transforms
        Transforms in the order in which they are applied.
    """

    text: str
    data_set: str
    column: str | None
    classes: tuple[int, int] | None
    transforms: tuple[Transform, ...]

    @property
    def origin(self) -> tuple[str, str | None]:
        """Data set and column, which say what is to be decoded."""
        return self.data_set, self.column

    def replaced(self, replacements: Mapping[str, str]) -> ImageSpec:
        """Return the same images of another data set, where that is asked for."""
        other = replacements.get(self.data_set, self.data_set)
        return dataclasses.replace(self, data_set=other, text=other + self.text[len(self.data_set) :])


@final
@dataclass(frozen=True)
class TaskSpec:
    """What the name of a task says.

    Attributes
    ----------
    source
        Images that the task has.
    target
        Images that they are to be translated to; ``None`` where the task has no pairs.
    """

    source: ImageSpec
    target: ImageSpec | None = None

    @property
    def name(self) -> str:
        """Name of the task as a user writes it."""
        return ":".join(each.text for each in self.images)

    @property
    def images(self) -> tuple[ImageSpec, ...]:
        """The one or two kinds of images that the task has."""
        return (self.source,) if self.target is None else (self.source, self.target)

    def replaced(self, replacements: Mapping[str, str]) -> TaskSpec:
        """Return the same task with other data sets in place of its own.

        Examples
        --------
        >>> parse_task("svhn@gray:svhn").replaced({"svhn": "mnist_m"}).name
        'mnist_m@gray:mnist_m'
        """
        return TaskSpec(*(each.replaced(replacements) for each in self.images))


def parse_task(text: str) -> TaskSpec:
    """Read the name of a task.

    Raises
    ------
    BadInput
        The name is not ``data_set``, ``data_set.column``, ``data_set/3`` or ``data_set/0-4``, then any number of
        ``@transform``; or two of these with a colon between, of one data set and its same classes.

    Examples
    --------
    >>> source = parse_task("mnist/0-4@invert@rotate90").source
    >>> source.data_set, source.classes, [each.text for each in source.transforms]
    ('mnist', (0, 4), ['invert', 'rotate90'])
    >>> [each.column for each in parse_task("facades.condition:facades").images]
    ['condition', None]
    """
    source, *targets = (_parse_images(each, text) for each in text.split(":"))
    if len(targets) > 1:
        raise BadInput(f"task {shown(text)} has {len(targets)} colons; a pair is SOURCE:TARGET, with one")
    for target in targets:
        if (target.data_set, target.classes) != (source.data_set, source.classes):
            raise BadInput(
                f"task {shown(text)} pairs {source.text!r} with {target.text!r}; "
                "both sides of a pair must be the same classes of one data set, such as 'cifar10@gray:cifar10'"
            )
    return TaskSpec(source, *targets)


def data_set_of(text: str) -> str:
    """Return the data set that a task's name begins with; the rest of the name is not looked at.

    Examples
    --------
    >>> data_set_of("facades.condition:facades"), data_set_of("emnist_letters/1-4@invert")
    ('facades', 'emnist_letters')
    """
    begin = re.match(_DATA_SET, text, flags=re.ASCII)
    return begin.group() if begin else text


def parse_replacements(replace: Replace) -> dict[str, str]:
    """Read which data sets stand in for which.

    Raises
    ------
    BadInput
        A text is not ``NAME=OTHER`` with two names of data sets, or a data set is replaced twice or by itself.

    Examples
    --------
    >>> parse_replacements("svhn=mnist_m, celeba=cifar10")
    {'svhn': 'mnist_m', 'celeba': 'cifar10'}
    >>> parse_replacements({"svhn": "mnist_m"})
    {'svhn': 'mnist_m'}
    """
    if isinstance(replace, Mapping):
        texts: Sequence[Any] = [f"{name}={other}" for name, other in replace.items()]
    else:
        texts = replace.split(",") if isinstance(replace, str) else replace
    if not isinstance(texts, (list, tuple)):
        raise BadInput(f"replace is {shown(replace)}; allowed is a mapping, or a list of NAME=OTHER")
    found: dict[str, str] = {}
    for text in texts:
        match = re.fullmatch(rf"\s*({_DATA_SET})\s*=\s*({_DATA_SET})\s*", str(text), flags=re.ASCII)
        if match is None:
            raise BadInput(
                f"replace is {shown(text)}; allowed is NAME=OTHER with two data sets, such as 'svhn=mnist_m'"
            )
        name, other = match.groups()
        if name == other:
            raise BadInput(f"replace is {text!r}; allowed is another data set than {name!r} in its place")
        if found.setdefault(name, other) != other:
            raise BadInput(f"replace is {name}={found[name]} and {name}={other}; allowed is one data set for each")
    return found


def _parse_images(text: str, task: str) -> ImageSpec:
    origin, *texts = text.split("@")
    match = _IMAGES.fullmatch(origin)
    if match is None:
        raise BadInput(
            f"task {shown(task)} is not understood; a task is a data set such as 'mnist', 'mnist/3' or 'mnist/0-4', "
            "then transforms such as '@invert'; a pair is two of these, such as 'cifar10@gray:cifar10'"
        )
    data_set, column, first, last = match.groups()
    classes = None if first is None else (int(first), int(last or first))
    if classes is not None and classes[0] > classes[1]:
        raise BadInput(
            f"task {shown(task)} asks for the classes {first} to {last}; the first must not be above the last"
        )
    from growmix.streams import transforms  # only here: what lists streams should not wait for torch

    try:
        return ImageSpec(text, data_set, column, classes, tuple(transforms.parse(each) for each in texts))
    except BadInput as error:
        raise BadInput(f"task {shown(task)}: {error}") from error
