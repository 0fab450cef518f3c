"""Records in checkpoints: numbers of tasks in the document, those of classes as tensors, read back and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from growmix.components.abilities import Described
from growmix.components.component import Component
from growmix.learning.history import HistoryEntry, examples_after, versions_after
from growmix.learning.records import CLASS_QUANTILES, MAX_REFERENCES, ClassReference, Record, Reference
from growmix.learning.references import MAX_QUANTILES, ReferenceStatistics
from growmix.storage.typed import check_range, check_tensor, record_from


@dataclass(frozen=True)
class _SavedAnswer:
    label: int
    count: int


@dataclass(frozen=True)
class _SavedReference:
    statistics: dict[str, ReferenceStatistics]
    classes: tuple[int, ...]
    answers: tuple[_SavedAnswer, ...]


@dataclass(frozen=True)
class _SavedRecord:
    examples: int
    version: int
    references: tuple[_SavedReference, ...]


def pack_records(records: Sequence[Record]) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Return records as JSON has them, and the tensors that belong to them."""
    document: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for k, record in enumerate(records):
        saved = []
        for i, reference in enumerate(record.references):
            answers = tuple(_SavedAnswer(answer.label, answer.count) for answer in reference.answers)
            saved.append(_SavedReference(dict(reference.statistics), reference.classes, answers))
            tensors |= {_name(k, i, answer.label): answer.quantiles for answer in reference.answers}
        document.append(asdict(_SavedRecord(record.examples, record.version, tuple(saved))))
    return document, tensors


def unpack_records(
    document: Any, tensors: Mapping[str, Tensor], history: Sequence[HistoryEntry], components: Sequence[Component]
) -> tuple[Record, ...]:
    """Return the records again, which must be those of these components after this history.

    Parameters
    ----------
    document, tensors
        What :func:`pack_records` returned; the tensors may be without memory.
    history, components
        What the learner has learnt.

    Raises
    ------
    ValueError
        The records, the history and the components contradict each other.
    """
    saved = record_from(document, tuple[_SavedRecord, ...])
    if len(saved) != len(components):
        raise ValueError(f"{len(components)} components, but {len(saved)} records")
    learnt = zip(versions_after(history), examples_after(history), saved, strict=True)
    for k, (version, examples, record) in enumerate(learnt):
        if (record.version, record.examples) != (version, examples):
            raise ValueError(f"component {k} learnt {examples} examples, but its record has {record.examples}")
        check_range("references", len(record.references), 1, MAX_REFERENCES)
        for i, reference in enumerate(record.references):
            _check_reference(reference, components[k])
            for answer in reference.answers:
                _check_answer(answer, reference, components[k], tensors, _name(k, i, answer.label))
    return tuple(
        Record(record.examples, record.version, _references(record, k, tensors)) for k, record in enumerate(saved)
    )


def _name(k: int, i: int, label: int) -> str:
    return f"{k}.{i}.{label}"


def _references(record: _SavedRecord, k: int, tensors: Mapping[str, Tensor]) -> tuple[Reference, ...]:
    return tuple(
        Reference(
            reference.statistics,
            reference.classes,
            tuple(
                ClassReference(answer.label, answer.count, tensors[_name(k, i, answer.label)])
                for answer in reference.answers
            ),
        )
        for i, reference in enumerate(record.references)
    )


def _check_reference(reference: _SavedReference, component: Component) -> None:
    """Check that a reference read from a checkpoint can be one of a component; raises ``ValueError``."""
    if not set(reference.classes) <= set(component.classes):
        raise ValueError(f"a reference has classes {reference.classes}, its component {component.classes}")
    names = {"elbo", *(component.numbers if isinstance(component, Described) else ())}
    if reference.statistics.keys() != names:
        raise ValueError(f"a reference has statistics of {sorted(reference.statistics)}, needed {sorted(names)}")
    if len({(known.count, len(known.quantiles)) for known in reference.statistics.values()}) > 1:
        raise ValueError("a reference has statistics of unlike examples")
    for known in reference.statistics.values():
        check_range("count", known.count, 1)
        check_range("variance", known.variance, 0.0, math.inf)
        check_range("quantiles", len(known.quantiles), 1, min(MAX_QUANTILES, known.count))
        if not all(low <= high for low, high in pairwise(known.quantiles)):
            raise ValueError("a reference has quantiles that are not in order")


def _check_answer(
    answer: _SavedAnswer, reference: _SavedReference, component: Component, tensors: Mapping[str, Tensor], name: str
) -> None:
    """Check that the reference of a class can be one of a component; raises ``ValueError``."""
    labels = [each.label for each in reference.answers]
    if answer.label not in component.classes or labels != sorted(set(labels)):
        raise ValueError(f"a reference has answers {labels}, its component {component.classes}")
    check_range("count", answer.count, 1, reference.statistics["elbo"].count)
    check_tensor(tensors, name, (len(reference.statistics), None), torch.float32)
    quantiles = tensors[name]
    check_range("quantiles", quantiles.shape[1], 1, min(CLASS_QUANTILES, answer.count))
    if not quantiles.is_meta and not bool(torch.isfinite(quantiles).all() & (quantiles.diff(dim=1) >= 0).all()):
        raise ValueError(f"tensor {name!r} has numbers that are not finite, or not in order")
