"""Learning what was held out, once it has calibrated novelty: for components that only add to what they keep."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch

from growmix.components.abilities import Additive, Together
from growmix.components.component import Component
from growmix.data.task import TaskData
from growmix.learning.knowledge import Knowledge
from growmix.learning.measuring import moved_record
from growmix.learning.records import Record


def absorb(
    component: Component,
    held: TaskData,
    known: Knowledge,
    records: Sequence[Record],
    index: int,
    examples: int,
    draws: int,
    generator: torch.Generator,
) -> tuple[Record, ...]:
    """Learn what was held out of a task, in place, and return what is remembered of all components after it.

    Where the answers of components rest on one another, those of all have moved with the task; so have the statistics
    that are remembered of each, as estimated from samples.

    Parameters
    ----------
    component
        The component that has learnt the rest of the task.
    held
        The part that was held out.
    known
        What was known before the task.
    records
        What is remembered of each component, that of the task among it.
    index
        Place of the component among all, from 0.
    examples
        How many examples the task has.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    generator
        Generator on the CPU for whatever is drawn.
    """
    if not isinstance(component, Additive):
        raise TypeError(f"a {type(component).__name__} does not learn by adding")
    before = list(known.after(index, deepcopy(component), examples).components)
    component.count(held)
    component.absorb(held, generator)
    if not isinstance(component, Together):
        return tuple(records)
    for k, other in enumerate(known.components):
        if k != index:
            before[k] = other  # as it answered when its record was made
    after = known.after(index, component, examples).components
    return tuple(
        moved_record(record, old, new, draws, generator)
        for record, old, new in zip(records, before, after, strict=True)
    )
