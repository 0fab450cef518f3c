"""Which part of a task is held out of training, to calibrate novelty."""

from __future__ import annotations

import torch
from torch import Tensor

from growmix.data.task import UNLABELLED, TaskData

MAX_HELD_OUT = 1_000
"""Most examples that are held out."""

MIN_HELD_OUT = 50
"""Held-out examples that calibrated novelty wants at least; never more than a quarter of the task."""


def held_out_size(examples: int, share: float) -> int:
    """Return how many of a task's examples are held out of training.

    Examples
    --------
    >>> held_out_size(12_000, 0.1), held_out_size(60_000, 0.1), held_out_size(40, 0.1)
    (1000, 1000, 10)
    """
    return min(MAX_HELD_OUT, max(round(share * examples), min(MIN_HELD_OUT, examples // 4), 1))


def hold_out(task: TaskData, share: float, generator: torch.Generator) -> tuple[TaskData, TaskData]:
    """Return the held-out part of a task and the rest, in random order.

    Parameters
    ----------
    task
        The whole task.
    share
        Which share of it is held out, within the limits above.
    generator
        Generator on the CPU for the order.
    """
    size = held_out_size(len(task), share)
    order = torch.randperm(len(task), generator=generator)
    if task.y is not None:
        order = _with_every_class_late(order, task.y, size)
    return task[order[:size]], task[order[size:]]


def _with_every_class_late(order: Tensor, labels: Tensor, size: int) -> Tensor:
    """Return the order, changed only if the first ``size`` would hold out all examples of a class."""
    # what comes forward for an example that goes to the end may be the last one of its own class
    for _ in range(len(labels.unique())):
        lost = sorted(set(labels[order[:size]].tolist()) - set(labels[order[size:]].tolist()) - {UNLABELLED})
        if not lost:
            break
        keep = torch.tensor([int((labels[order] == label).nonzero()[0]) for label in lost])
        late = torch.zeros(len(order), dtype=torch.bool)
        late[keep] = True
        order = torch.cat([order[~late], order[late]])
    return order
