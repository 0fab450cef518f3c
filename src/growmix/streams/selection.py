"""Choose which examples of a task are learnt and tested on, and which labels are learnt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from growmix.errors import BadInput, shown
from growmix.settings import MIN_EXAMPLES, UNLABELLED, is_whole, require_whole

Integers: TypeAlias = npt.NDArray[np.int64]

_LABELS = 1
"""Second seed of the generator that draws labels, so that it is not the one that orders examples."""

_TEST = 2
"""Second seed of the generator that draws test examples."""


@final
@dataclass(frozen=True)
class Selection:
    """Random part of each task's examples, and of each class's training labels.

    Attributes
    ----------
    seed
        Seed of everything that is drawn here, from 0.
    train_examples
        Most training examples of a task; ``None`` takes all.
    test_examples
        Most test examples of a task; ``None`` takes all.
    label_fraction
        Share of each class's training labels that is kept, in [0, 1].

    Raises
    ------
    BadInput
        One of the values is not allowed.

    Examples
    --------
    >>> Selection(0, train_examples=500).notes
    ('at most 500 training examples per task, drawn by seed 0',)
    """

    seed: int = 0
    train_examples: int | None = None
    test_examples: int | None = None
    label_fraction: float = 1.0

    def __post_init__(self) -> None:
        require_whole(self.seed, "seed", 0)
        _check_most("train_examples", self.train_examples, MIN_EXAMPLES)
        _check_most("test_examples", self.test_examples, 1)
        share = self.label_fraction
        # a NaN is neither above nor below anything, so that the comparison refuses it too
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= share <= 1:
            raise BadInput(f"label_fraction is {shown(share)}; allowed is a share from 0 to 1")

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines that say what the selection does to a stream."""
        notes = []
        if self.train_examples is not None:
            notes.append(f"at most {self.train_examples} training examples per task, drawn by seed {self.seed}")
        if self.test_examples is not None:
            notes.append(f"at most {self.test_examples} test examples per task, drawn by seed {self.seed}")
        if self.label_fraction < 1:
            notes.append(
                f"{float(self.label_fraction):.6g} of each class's training labels kept, drawn by seed {self.seed}"
            )
        return tuple(notes)

    def order(self, examples: int) -> Integers:
        """Return a random order of training examples in memory, since files are often sorted by class."""
        return np.random.default_rng(self.seed).permutation(examples)

    def part(self, rows: Integers) -> Integers:
        """Return the rows of a task that are learnt: the first of a random order, whatever their labels."""
        return rows[: self.train_examples]

    def test_part(self, rows: Integers) -> Integers:
        """Return the test rows of a task that are tested on, in the order of the file."""
        if self.test_examples is None or len(rows) <= self.test_examples:
            return rows
        generator = np.random.default_rng((self.seed, _TEST))
        return np.sort(generator.choice(rows, self.test_examples, replace=False))

    def labels(self, y: Integers) -> Integers:
        """Return labels of which only the share of each class that is kept is left; the others become -1.

        Examples
        --------
        >>> kept = Selection(0, label_fraction=0.5).labels(np.array([3, 3, 3, 3, 7, 7, -1]))
        >>> [int((kept == label).sum()) for label in (3, 7, -1)]
        [2, 1, 4]
        """
        generator = np.random.default_rng((self.seed, _LABELS))
        kept = np.full_like(y, UNLABELLED)
        for label in np.unique(y[y != UNLABELLED]):
            rows = generator.permutation(np.flatnonzero(y == label))
            kept[rows[: _share(len(rows), self.label_fraction)]] = label
        return kept


def _check_most(name: str, most: int | None, least: int) -> None:
    if most is not None and not is_whole(most, least):
        raise BadInput(f"{name} is {shown(most)}; allowed is a whole number of {least} or more, or None")


def _share(n: int, fraction: float) -> int:
    """Return the nearest whole number of examples, and at least one where the fraction is above 0."""
    return max(math.ceil(fraction), round(n * fraction))
