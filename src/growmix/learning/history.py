"""What a learner has learnt, task by task: decisions, shares of components, training logs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from growmix.checkpoints.persistence import check_log
from growmix.components.abilities import Pairs, Together
from growmix.components.component import Component
from growmix.learning.gating import Decision
from growmix.learning.judging import PRESET, ScoreWeights, sources_of
from growmix.storage.typed import check_range, record_from
from growmix.training.callbacks import TrainingLog


@dataclass(frozen=True)
class Part:
    """What one component learnt of a task: how many of its examples, and the component's version afterwards."""

    component: int
    examples: int
    version: int


@dataclass(frozen=True)
class HistoryEntry:
    """One call of ``learn``.

    Attributes
    ----------
    decision
        Which component learnt the task, and why.
    parts
        What each component learnt of it.
    log
        Steps, losses and seconds of the training.
    weights
        What scores are weighed by from then on, where components judge by several.
    """

    decision: Decision
    parts: tuple[Part, ...]
    log: TrainingLog
    weights: ScoreWeights = PRESET


def versions_after(history: Sequence[HistoryEntry]) -> tuple[int, ...]:
    """Return how often each component was trained in these tasks."""
    versions = {part.component: part.version for entry in history for part in entry.parts}
    return tuple(versions[k] for k in range(len(versions)))


def answer_versions(history: Sequence[HistoryEntry], components: Sequence[Component]) -> tuple[int, ...]:
    """Return how often what each component answers had changed after these tasks.

    For most kinds that is how often it was trained. Components whose answers rest on one another change with every
    task, see :class:`growmix.components.abilities.Together`.
    """
    if not any(isinstance(component, Together) for component in components):
        return versions_after(history)
    added: dict[int, int] = {}
    for t, entry in enumerate(history):
        for part in entry.parts:
            added.setdefault(part.component, t)
    return tuple(len(history) - added[k] for k in range(len(added)))


def last_trained(history: Sequence[HistoryEntry]) -> tuple[int, ...]:
    """Return with which task, from 0, each component was trained last."""
    tasks = {part.component: t for t, entry in enumerate(history) for part in entry.parts}
    return tuple(tasks[k] for k in range(len(tasks)))


def examples_after(history: Sequence[HistoryEntry]) -> tuple[int, ...]:
    """Return how many real examples each component learnt in these tasks."""
    examples: dict[int, int] = {}
    for part in (part for entry in history for part in entry.parts):
        examples[part.component] = examples.get(part.component, 0) + part.examples
    return tuple(examples[k] for k in range(len(examples)))


def entry_from(document: dict[str, Any]) -> HistoryEntry:
    """Make an entry of what a checkpoint says of one task.

    Raises
    ------
    ValueError
        A value is missing, or is of the wrong type or out of its range.
    """
    entry = record_from(document, HistoryEntry)
    check_log(entry.log)
    check_range("threshold", entry.decision.threshold, 0.0, math.inf)
    for share in entry.decision.shares:
        check_range("share", share, 0.0, 1.0)
    return entry


def check_history(history: Sequence[HistoryEntry], components: Sequence[Component]) -> None:
    """Check that a history read from a checkpoint can have led to these components.

    Raises
    ------
    ValueError
        The history and the components contradict each other.
    """
    kinds = {(component.domain, component.supervised, isinstance(component, Pairs)) for component in components}
    if len(kinds) > 1:
        raise ValueError("components of different kinds of examples")
    versions: dict[int, int] = {}
    sources = len(sources_of(components)) if components else 0
    for number, entry in enumerate(history):
        entry.weights.check(sources)
        known, learnt = len(versions), [part.component for part in entry.parts]
        for part in entry.parts:
            check_range("examples", part.examples, 1)
            versions[part.component] = versions.get(part.component, 0) + 1
            check_range("version", part.version, versions[part.component], versions[part.component])
        if len(set(learnt)) < len(learnt) or entry.decision.component not in learnt:
            raise ValueError(f"task {number} was learnt by {learnt}, decided was {entry.decision.component}")
        if len(entry.decision.novelty) not in (0, known):
            raise ValueError(f"task {number} has {len(entry.decision.novelty)} novelties to {known} components")
        if len(entry.decision.shares) not in (0, known):
            raise ValueError(f"task {number} has {len(entry.decision.shares)} shares of {known} components")
    if sorted(versions) != list(range(len(components))):
        raise ValueError(f"{len(components)} components, but {len(versions)} were trained")
