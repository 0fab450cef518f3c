"""What a mixture remembers of each component: how much it learnt, and a reference for every task that it knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from growmix.components.abilities import Codes
from growmix.components.component import Component
from growmix.learning.history import HistoryEntry, examples_after, versions_after
from growmix.learning.novelty import MEASURES, unlikeness
from growmix.learning.references import MAX_QUANTILES, Statistics, name_scores
from growmix.storage.typed import check_range

MAX_REFERENCES = 16
"""References that a component keeps; beyond that the two most alike are pooled, so memory stays bounded."""


@dataclass(frozen=True)
class Reference:
    """What a component remembers of one task: statistics of its scores, by name, and which labels it had."""

    statistics: Statistics
    classes: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of held-out examples behind the statistics."""
        return self.statistics["elbo"].count


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
    return Reference(pooled, tuple(sorted({*a.classes, *b.classes})))


def check_records(records: Sequence[Record], history: Sequence[HistoryEntry], components: Sequence[Component]) -> None:
    """Check that records read from a checkpoint can be those of these components after this history.

    Raises
    ------
    ValueError
        The records, the history and the components contradict each other.
    """
    if len(records) != len(components):
        raise ValueError(f"{len(components)} components, but {len(records)} records")
    learnt = zip(versions_after(history), examples_after(history), records, strict=True)
    for k, (version, examples, record) in enumerate(learnt):
        if (record.version, record.examples) != (version, examples):
            raise ValueError(f"component {k} learnt {examples} examples, but its record has {record.examples}")
        check_range("references", len(record.references), 1, MAX_REFERENCES)
        for reference in record.references:
            _check_reference(reference, components[k])


def _check_reference(reference: Reference, component: Component) -> None:
    """Check that a reference read from a checkpoint can be one of a component; raises ``ValueError``."""
    if not set(reference.classes) <= set(component.classes):
        raise ValueError(f"a reference has classes {reference.classes}, its component {component.classes}")
    names = {"elbo"}
    if isinstance(component, Codes):
        nothing = torch.zeros(1, dtype=torch.float32)
        names = set(name_scores(nothing, nothing, nothing.expand(1, component.latent)))
    if reference.statistics.keys() != names:
        raise ValueError(f"a reference has statistics of {sorted(reference.statistics)}, needed {sorted(names)}")
    if len({(known.count, len(known.quantiles)) for known in reference.statistics.values()}) > 1:
        raise ValueError("a reference has statistics of unlike examples")
    for known in reference.statistics.values():
        check_range("count", known.count, 1)
        check_range("variance", known.variance, 0.0, math.inf)
        check_range("quantiles", len(known.quantiles), 1, MAX_QUANTILES)
