"""Generated, labelled data: what a component still knows of the tasks it learnt."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from growmix.components.abilities import Pairs
from growmix.components.component import Component
from growmix.components.density import no_labels
from growmix.data.task import UNLABELLED, TaskData, as_bytes
from growmix.system.memory import require_room

MIN_REPLAY = 2_000
"""Replayed examples at least (or as many as were learnt): a tiny task must not be all that a component sees."""


def replay_size(new: int, learnt: int, ratio: float) -> int:
    """Return how many examples to replay beside ``new`` real ones for a component that learnt ``learnt`` before.

    Examples
    --------
    >>> replay_size(12_000, 60_000, 1.0), replay_size(10, 12_000, 1.0), replay_size(10, 300, 1.0)
    (12000, 2000, 300)
    """
    if ratio == 0:
        return 0
    return max(round(ratio * new), min(MIN_REPLAY, learnt))


@torch.no_grad()
def replay(component: Component, n: int, generator: torch.Generator) -> TaskData:
    """Generate ``n`` examples with the labels asked for, in the proportions that were learnt.

    Parameters
    ----------
    component
        The component that generates, which is not changed.
    n
        Number of examples.
    generator
        Generator on the CPU for all that is drawn.

    Returns
    -------
    TaskData
        Examples as ``float32`` with global labels, -1 in the proportion that was learnt without any; pairs where the
        component learnt pairs.
    """
    _require_room(component, n)
    if isinstance(component, Pairs):
        source, target = component.draw_pairs(n, generator)
        return TaskData(source.cpu(), None, target.cpu(), support=component.domain.support)
    if component.classes:
        counts = torch.cat([component.class_counts, component.unlabelled_count[None]]).cpu()
        positions = torch.multinomial(counts, n, replacement=True, generator=generator)
        positions[positions == len(component.classes)] = UNLABELLED
    else:
        positions = no_labels(n)
    return generate(component, positions, generator)


@torch.no_grad()
def generate(component: Component, positions: Tensor, generator: torch.Generator) -> TaskData:
    """Generate one example for each class position (-1: no class), with its global label."""
    _require_room(component, len(positions))
    drawn = component.draw(positions, generator).cpu()
    return TaskData(drawn, to_labels(positions, component.classes), support=component.domain.support)


def _require_room(component: Component, n: int) -> None:
    size = component.domain.size + (component.target.size if isinstance(component, Pairs) else 0)
    # twice: all the pieces, and all of them as one
    require_room(2 * 4 * n * size, f"{n} generated examples of shape {component.shape}")


def example_weights(new: int, replayed: int = 0, learnt: int = 0) -> Tensor:
    """Return how many real examples each example of a training stands for, the new ones first, shape ``(n,)``.

    Replayed examples stand for all that were learnt, or old tasks would fade by half with every update.

    Parameters
    ----------
    new
        How many new examples there are.
    replayed
        How many generated examples come behind them.
    learnt
        How many real examples were learnt before.

    Examples
    --------
    >>> example_weights(2, 3, 30)
    tensor([ 1.,  1., 10., 10., 10.])
    """
    weight = torch.ones(new + replayed, dtype=torch.float32)
    weight[new:] = learnt / max(1, replayed)
    return weight


def to_labels(positions: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Return the global labels of class positions; -1 stays -1."""
    table = torch.tensor([*classes, UNLABELLED], dtype=torch.int64)
    return table[positions]


def join(real: TaskData, generated: TaskData) -> TaskData:
    """Return real and generated examples together, in the types that the real ones have."""
    targets = None
    if real.target is not None and generated.target is not None:
        targets = torch.cat([real.target, like(generated.target, real.target)])
    labels = None if real.y is None or generated.y is None else torch.cat([real.y, generated.y])
    return replace(real, x=torch.cat([real.x, like(generated.x, real.x)]), y=labels, target=targets)


def like(generated: Tensor, real: Tensor) -> Tensor:
    """Return generated examples as bytes where the real ones are: a quarter of the memory."""
    return as_bytes(generated) if real.dtype == torch.uint8 else generated
