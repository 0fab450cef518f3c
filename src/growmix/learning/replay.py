"""Generated, labelled data: what a component still knows of the tasks it learnt."""

from __future__ import annotations

import torch
from torch import Tensor

from growmix.components.abilities import Pairs
from growmix.components.component import Component
from growmix.components.density import no_labels
from growmix.data.task import UNLABELLED, TaskData
from growmix.system.memory import require_room

MIN_REPLAY = 2_000
"""Replayed examples at least (or as many as were learnt): a tiny task must not be all that a component sees."""


def replay_size(new: int, learnt: int, ratio: float) -> int:
    """How many examples to replay beside ``new`` real ones for a component that learnt ``learnt`` before.

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
    """``n`` generated images with the labels asked for, in the proportions that were learnt.

    Parameters
    ----------
    component
        What generates; it is not changed.
    n
        Number of examples.
    generator
        CPU random stream.

    Returns
    -------
    TaskData
        ``float32`` images; global labels, -1 in the proportion that was learnt without any; pairs of a translation.
    """
    _require_room(component, n)
    if isinstance(component, Pairs):
        source, target = component.draw_pairs(n, generator)
        return TaskData(source.cpu(), None, target.cpu())
    if component.classes:
        counts = torch.cat([component.class_counts, component.unlabelled_count[None]]).cpu()
        positions = torch.multinomial(counts, n, replacement=True, generator=generator)
        positions[positions == len(component.classes)] = UNLABELLED
    else:
        positions = no_labels(n)
    return generate(component, positions, generator)


@torch.no_grad()
def generate(component: Component, positions: Tensor, generator: torch.Generator) -> TaskData:
    """One generated image for each class position (-1: no class), with its global label."""
    _require_room(component, len(positions))
    drawn = component.draw(positions, generator).cpu()
    return TaskData(drawn, to_labels(positions, component.classes))


def _require_room(component: Component, n: int) -> None:
    size = component.domain.size + (component.target.size if isinstance(component, Pairs) else 0)
    # twice: all the pieces, and all of them as one
    require_room(2 * 4 * n * size, f"{n} generated examples of shape {component.shape}")


def to_labels(positions: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Global labels of class positions; -1 stays -1."""
    table = torch.tensor([*classes, UNLABELLED], dtype=torch.int64)
    return table[positions]


def join(real: TaskData, generated: TaskData) -> TaskData:
    """Both together, in the types that the real images have."""

    def both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
        if first is None or second is None:
            return None
        return torch.cat([first, as_bytes(second) if first.dtype == torch.uint8 != second.dtype else second])

    images = both(real.x, generated.x)
    assert images is not None
    return TaskData(images, both(real.y, generated.y), both(real.target, generated.target))


def as_bytes(x: Tensor) -> Tensor:
    """Images in [0, 1] as bytes, rounded: a quarter of the memory."""
    return (x * 255.0).round_().to(torch.uint8)
