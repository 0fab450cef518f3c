"""Scores of examples under one component, without their labels: what novelty compares and what records are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from growmix.components.abilities import Codes, Pairs
from growmix.components.component import Component
from growmix.components.pieces import in_pieces
from growmix.data.task import TaskData
from growmix.learning.answers import routing_noise
from growmix.learning.novelty import ComparesWithSamples, NoveltyMeasure, checked, nearest
from growmix.learning.records import Record, Reference, remember
from growmix.learning.references import Scores, after_update, name_scores, statistics_of
from growmix.learning.replay import generate, replay
from growmix.learning.routing import Router

GENERATED = 1_000
"""Samples that stand for what a component generates, the paper's number."""


def scores_of(component: Component, x: Tensor, draws: int) -> Scores:
    """Return all label-free scores of examples under a component, shape ``(n,)`` each.

    Parameters
    ----------
    component
        Under which the examples are scored.
    x
        Checked examples, shape ``(n, *shape)``.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    """
    elbo = elbo_of(component, x, draws)
    if not isinstance(component, Codes):
        return {"elbo": elbo}
    return name_scores(elbo, in_pieces(component, component.rate, x), in_pieces(component, component.code, x))


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
    positions = own[torch.randint(len(own), (GENERATED,), generator=generator)]
    return generate(component, positions, generator).x


def novelty_to(
    components: Sequence[Component],
    records: Sequence[Record],
    x: Tensor,
    measure: NoveltyMeasure,
    draws: int,
    generator: torch.Generator,
) -> tuple[tuple[float, ...], float]:
    """Return the novelty of examples to every component, and what may be chance at the nearest of them.

    Parameters
    ----------
    components, records
        The components, and what is remembered of each.
    x
        Checked examples, shape ``(n, *shape)``.
    measure
        Which measure compares them with what is remembered.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    generator
        Generator on the CPU for samples of components, where the measure asks for some.
    """
    found: list[tuple[float, int]] = []
    for component, record in zip(components, records, strict=True):
        if isinstance(measure, ComparesWithSamples):
            own = samples_of(component, (), generator)
            known = [statistics_of(scores_of(component, own, draws))]
        else:
            known = [dict(reference.statistics) for reference in record.references]
        found.append(nearest(measure, scores_of(component, x, draws), known))
    best = min(range(len(found)), key=lambda k: found[k][0])
    reference = records[best].references[found[best][1]]
    noise = checked(measure, "noise", measure.noise(len(x), reference.count, len(reference.statistics)))
    return tuple(distance for distance, _ in found), noise


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
    # samples of the same classes serve all references to these: a component has up to sixteen
    shifts: dict[tuple[int, ...], tuple[Scores, Scores]] = {}
    for reference in old.references:
        if reference.classes not in shifts:
            x = samples_of(teacher, reference.classes, generator)
            shifts[reference.classes] = scores_of(teacher, x, draws), scores_of(component, x, draws)
    moved = tuple(
        replace(reference, statistics=after_update(reference.statistics, *shifts[reference.classes]))
        for reference in old.references
    )
    references = remember(moved, _reference(component, held, draws))
    return Record(old.examples + examples, old.version + 1, references)


def _reference(component: Component, held: TaskData, draws: int) -> Reference:
    return Reference(statistics_of(scores_of(component, held.x, draws)), held.classes())
