"""What a mixture remembers of each component: how much it learnt, and a reference for every task that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.learning.novelty import MEASURES, unlikeness
from growmix.learning.references import Statistics, quantiles_of, thinned

MAX_REFERENCES = 16
"""References that a component keeps; beyond that the two most alike are pooled, so memory stays bounded."""

CLASS_QUANTILES = 128
"""Values kept of each number for a class: exact up to this many, then every distance is off by at most 1/256."""

FEW = 10
"""Examples that a class is compared with at least: a rarer one is filled up with what its task was like."""


@dataclass(frozen=True, eq=False)
class ClassReference:
    """What a component remembers of the examples of one task that it answered with one class.

    Attributes
    ----------
    label
        Global label of the class that the component gave, whatever their own was.
    count
        Number of held-out examples behind it.
    quantiles
        The numbers of the task's statistics, in the same order: ascending and thinned to at most 128, single
        precision, shape ``(numbers, quantiles)``.
    """

    label: int
    count: int
    quantiles: Tensor

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassReference):
            return NotImplemented
        same = (self.label, self.count) == (other.label, other.count)
        return same and torch.equal(self.quantiles, other.quantiles)

    @classmethod
    def of(cls, label: int, numbers: Tensor) -> ClassReference:
        """Return the reference of examples with these numbers, shape ``(numbers, n)``.

        Examples
        --------
        >>> ClassReference.of(7, torch.tensor([[3.0, 1.0]])).quantiles.tolist()
        [[1.0, 3.0]]
        """
        return cls(label, numbers.shape[-1], thinned(numbers, CLASS_QUANTILES).float())

    def pooled(self, other: ClassReference) -> ClassReference:
        """Return the reference of both tasks' examples together, estimated from their quantiles."""
        both = thinned(torch.cat([self.quantiles, other.quantiles], dim=-1), CLASS_QUANTILES)
        return ClassReference(self.label, self.count + other.count, both)


@dataclass(frozen=True)
class Reference:
    """What a component remembers of one task.

    Attributes
    ----------
    statistics
        Statistics of the scores of all its held-out examples, by name.
    classes
        Which labels the task had.
    answers
        A reference for each class that the component answered with, ascending; none where it has no classes.
    """

    statistics: Statistics
    classes: tuple[int, ...]
    answers: tuple[ClassReference, ...] = ()

    @property
    def count(self) -> int:
        """Number of held-out examples behind the statistics."""
        return self.statistics["elbo"].count

    def answer(self, label: int) -> ClassReference | None:
        """Return the reference of a class; ``None`` where it was never the answer."""
        return next((answer for answer in self.answers if answer.label == label), None)


@dataclass(frozen=True)
class Record:
    """What the mixture knows of one component.

    Attributes
    ----------
    examples
        How many real examples the component has learnt.
    version
        How often the component was trained.
    references
        What it remembers of the tasks that it learnt.
    """

    examples: int
    version: int
    references: tuple[Reference, ...]


def known_of(record: Record, label: int, names: Sequence[str]) -> list[tuple[Tensor, int]]:
    """Return what a component remembers of a class: for each task that had it, its numbers and how many are behind.

    A class that was the answer for fewer than ten held-out examples of any task is filled up to ten with values that
    are spread evenly over all of the task's; for one that never was, the whole task stands. What is new to a component
    may well be answered with such a class, so it can't be that nothing is known of it.

    Parameters
    ----------
    record
        The record of the component.
    label
        The class that the component gives, -1 where it gives none.
    names
        Which numbers to return, in this order.

    Returns
    -------
    list of tuple
        Numbers ``(names, m)``, ascending, in double precision, and the count of examples that they stand for.
    """
    met = [(reference, answer) for reference in record.references if (answer := reference.answer(label))]
    often = [(reference, answer) for reference, answer in met if answer.count >= FEW]
    if often:
        return [(_rows(reference, answer, names), answer.count) for reference, answer in often]
    if met:
        return [_filled(reference, answer, names) for reference, answer in met]
    return [(quantiles_of(reference.statistics, names), reference.count) for reference in record.references]


def _rows(reference: Reference, answer: ClassReference, names: Sequence[str]) -> Tensor:
    order = list(reference.statistics)
    return answer.quantiles[[order.index(name) for name in names]].double()


def _filled(reference: Reference, answer: ClassReference, names: Sequence[str]) -> tuple[Tensor, int]:
    """Return the numbers of a rare class beside enough of its whole task's, and how many they are."""
    own = _rows(reference, answer, names)
    all_of_it = thinned(quantiles_of(reference.statistics, names), FEW - own.shape[-1])
    known = torch.cat([own, all_of_it], dim=-1).sort(dim=-1).values
    return known, known.shape[-1]


def remember(old: Sequence[Reference], new: Reference) -> tuple[Reference, ...]:
    """Add a reference: it replaces those of the same data, and beyond 16 the two most alike are pooled."""
    kept = [reference for reference in old if not _same_data(reference, new)] + [new]
    while len(kept) > MAX_REFERENCES:
        _, i, j = min(
            (unlikeness(kept[i].statistics, kept[j].statistics), i, j) for i in range(len(kept)) for j in range(i)
        )
        pooled = _pool(kept[i], kept[j])
        kept = [reference for k, reference in enumerate(kept) if k not in (i, j)] + [pooled]
    return tuple(kept)


def _same_data(old: Reference, new: Reference) -> bool:
    """Return whether a newly measured reference makes an old one needless."""
    measure = MEASURES["ks"]
    near = max(measure.default_threshold, measure.noise(old.count, new.count, len(new.statistics)))
    return set(old.classes) <= set(new.classes) and unlikeness(old.statistics, new.statistics) < near


def _pool(a: Reference, b: Reference) -> Reference:
    pooled = {name: known.pooled(b.statistics[name]) for name, known in a.statistics.items()}
    answers = {answer.label: answer for answer in a.answers}
    for answer in b.answers:
        both = answers.get(answer.label)
        answers[answer.label] = both.pooled(answer) if both else answer
    in_order = tuple(answers[label] for label in sorted(answers))
    return Reference(pooled, tuple(sorted({*a.classes, *b.classes})), in_order)
