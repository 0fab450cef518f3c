"""Numbers of examples under one component, without their labels: what novelty compares and what records are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from growmix.components.abilities import Described, Pairs, Together, most_likely
from growmix.components.component import Component
from growmix.components.pieces import in_pieces
from growmix.data.task import TaskData
from growmix.learning.answers import routing_noise
from growmix.learning.records import ClassReference, Record, Reference, remember
from growmix.learning.references import Scores, after_update, shifted, stacked, statistics_of
from growmix.learning.replay import generate, replay, to_labels
from growmix.learning.routing import Router

GENERATED = 1_000
"""Samples that stand for what a component generates, the paper's number."""

SAMPLES_OF_A_CLASS = 100
"""Samples that stand for each class of a component of many classes when it is updated."""

FEWEST_SAMPLES = 20
"""Samples answered with a class from which on they say how an update moved it; with fewer, all samples do."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a component makes of examples.

    Attributes
    ----------
    scores
        Label-free numbers of every example by name, shape ``(n,)`` each.
    labels
        Global label of the class that the component gives each, -1 where it has no classes, shape ``(n,)``.
    """

    scores: Scores
    labels: Tensor


def seen_by(component: Component, x: Tensor, draws: int) -> Seen:
    """Return what a component makes of examples.

    Parameters
    ----------
    component
        Under which the examples are scored.
    x
        Checked examples, shape ``(n, *shape)``.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    """
    scores = Router([component]).scores(x, routing_noise(draws, component))
    labels = to_labels(most_likely(scores.class_log_proba[0]), component.classes)
    return Seen(described(component, x, scores.elbo[:, 0]), labels)


def described(component: Component, x: Tensor, elbo: Tensor) -> Scores:
    """Return ELBOs ``(n,)`` and what else the component describes the same examples by, under their names."""
    if not isinstance(component, Described):
        return {"elbo": elbo}
    numbers = in_pieces(component, component.describe, x)
    return {"elbo": elbo} | dict(zip(component.numbers, numbers.T, strict=True))


def elbo_of(component: Component, x: Tensor, draws: int) -> Tensor:
    """Return the ELBO of examples under a component as routing sees it, nats, shape ``(n,)``."""
    return Router([component]).scores(x, routing_noise(draws, component)).elbo[:, 0]


def held_out_elbo(component: Component, held: TaskData, draws: int) -> float:
    """Return the mean that patience waits for, nats per example; of pairs, the ELBO of both examples."""
    if isinstance(component, Pairs):
        return component.mean_pair_elbo(held)
    return float(elbo_of(component, held.x, draws).mean())


def samples_of(component: Component, classes: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return samples that stand for what a component generates, of some of its classes or, if empty, of everything."""
    if not classes:
        return replay(component, GENERATED, generator).x
    own = torch.tensor([component.classes.index(label) for label in classes])
    samples = max(GENERATED, SAMPLES_OF_A_CLASS * len(own))
    positions = own[torch.randint(len(own), (samples,), generator=generator)]
    return generate(component, positions, generator).x


def new_record(component: Component, held: TaskData, examples: int, draws: int) -> Record:
    """Return the record of a component that has learnt its first task, of which ``held`` was held out."""
    return Record(examples, 1, (_reference(component, held, draws),))


def updated_record(
    old: Record,
    teacher: Component,
    component: Component,
    held: TaskData,
    examples: int,
    draws: int,
    generator: torch.Generator,
) -> Record:
    """Return the record of an updated component: old tasks' statistics estimated again, this task's measured.

    Parameters
    ----------
    old
        The record before the update.
    teacher, component
        The component before and after the update.
    held
        The part of the new task that was held out.
    examples
        How many examples the new task has.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    generator
        Generator on the CPU for samples of the old tasks.
    """
    moved = moved_record(old, teacher, component, draws, generator)
    references = remember(moved.references, _reference(component, held, draws))
    return Record(old.examples + examples, old.version + 1, references)


def moved_record(record: Record, before: Component, after: Component, draws: int, generator: torch.Generator) -> Record:
    """Return a record whose statistics are estimated again, because its component answers otherwise than before.

    Parameters
    ----------
    record
        The record as it was.
    before, after
        The component as it answered, and as it answers now.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    generator
        Generator on the CPU for samples of what the component learnt.
    """
    # what is tied fits the examples of all components; its own are drawn from what fits them best
    source = before.alone() if isinstance(before, Together) else before
    # samples of the same classes serve all references to these: a component has up to sixteen
    seen: dict[tuple[int, ...], tuple[Seen, Seen]] = {}
    for reference in record.references:
        if reference.classes not in seen:
            x = samples_of(source, reference.classes, generator)
            seen[reference.classes] = seen_by(before, x, draws), seen_by(after, x, draws)
    return replace(record, references=tuple(_moved(each, *seen[each.classes]) for each in record.references))


def _reference(component: Component, held: TaskData, draws: int) -> Reference:
    seen = seen_by(component, held.x, draws)
    numbers = stacked(seen.scores, seen.scores)
    answers = tuple(
        ClassReference.of(label, numbers[:, seen.labels == label])
        for label in seen.labels.unique().tolist()
        if label in component.classes
    )
    return Reference(statistics_of(seen.scores), held.classes(), answers)


def _moved(reference: Reference, before: Seen, after: Seen) -> Reference:
    """Return a reference as an update has moved samples of it, those of a class by samples answered with it."""
    names = list(reference.statistics)
    old, new = stacked(before.scores, names), stacked(after.scores, names)

    def moved(answer: ClassReference) -> ClassReference:
        own = before.labels == answer.label
        if int(own.sum()) < FEWEST_SAMPLES:
            own = torch.ones_like(own)
        quantiles = shifted(answer.quantiles.double(), old[:, own], new[:, own])
        return replace(answer, quantiles=quantiles.float())

    statistics = after_update(reference.statistics, before.scores, after.scores)
    return replace(reference, statistics=statistics, answers=tuple(moved(answer) for answer in reference.answers))
