"""Measures a component on data: its risk, and the discrepancy of two samples in the same loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.components.pieces import in_pieces
from growmix.data.task import UNLABELLED, TaskData, as_float
from growmix.errors import BadInput
from growmix.learning.answers import codes_of
from growmix.streams import Stream
from growmix.theory.discrepancy import FEWEST, Discrepancy, Method, Search, discrepancy
from growmix.theory.hypotheses import MLP
from growmix.theory.losses import Loss, Squared, ZeroOne

PIECE = 1_024
"""Examples that a component sees at a time."""


def check_stream(stream: Stream) -> None:
    """See whether the risk of every task of a stream can be measured.

    Raises
    ------
    BadInput
        A task has too few test examples, or pairs of images.
    """
    for task in stream:
        if task.test.target is not None:
            raise BadInput(f"task {task.name!r} has pairs of images, of which the theory says nothing")
        labels = None if task.test.y is None else int((task.test.y != UNLABELLED).sum())
        if len(task.test) < FEWEST or (labels is not None and labels < FEWEST):
            count = f"{len(task.test)} test examples" if not labels else f"{labels} labelled test examples"
            raise BadInput(f"task {task.name!r} has {count}; at least {FEWEST} are needed to measure a risk")


def loss_for(component: Component) -> Loss:
    """Choose what a component's risk is measured in: wrong classes, or where it has none, squared error per number."""
    return ZeroOne(max(2, len(component.classes))) if component.classes else Squared()


@torch.no_grad()
def risks(component: Component, data: TaskData) -> Tensor | None:
    """Loss of a component on each example: a wrong class, or the squared error per number; shape ``(n,)``.

    ``None`` where a classifier has fewer than 50 examples with a class that it learnt.
    """
    if not component.classes:
        coder = codes_of(component, "theory")
        gaps = [
            (in_pieces(component, coder.reconstruct, x) - as_float(x)).square().flatten(1).mean(1)
            for x in data.x.split(PIECE)
        ]
        return torch.cat(gaps).double()
    kept = _labelled(data, component.classes)
    if kept is None:
        return None
    answers = in_pieces(component, lambda x: component(x)[1].argmax(1), kept[0])
    return (answers != kept[1]).double()


def estimates(
    before: TaskData, after: TaskData, loss: Loss, classes: Sequence[int], search: Search
) -> dict[Method, Discrepancy | None]:
    """Estimate the discrepancy of two samples by every method.

    Plug-in classifiers see the labelled examples alone. The adversary's classifiers answer with two of the classes
    alone: these are members of the class of hypotheses too, and better ones are found among them (digits 4 and 5 and
    what a component of six digits generates of them: 0.32 with two classes, 0.23 with six, means of three seeds).

    Parameters
    ----------
    before, after
        Two generations of a task.
    loss
        What the component's risk is measured in.
    classes
        Labels that the component knows, in its order.
    search
        How hypotheses are sought.
    """
    two = loss if loss.reconstructs else ZeroOne()
    found: dict[Method, Discrepancy | None] = {"adversarial": discrepancy(before.x, after.x, MLP(), two, search=search)}
    if loss.reconstructs:
        found["plug-in"] = discrepancy(before.x, after.x, MLP(), loss, method="plug-in", search=search)
        return found
    a, b = (_labelled(data, classes) for data in (before, after))
    found["plug-in"] = None
    if a is not None and b is not None:
        found["plug-in"] = discrepancy(a[0], b[0], MLP(), loss, method="plug-in", targets=(a[1], b[1]), search=search)
    return found


def _labelled(data: TaskData, classes: Sequence[int]) -> tuple[Tensor, Tensor] | None:
    """Examples with a label among these, and its position; ``None`` if they are too few."""
    if data.y is None:
        return None
    positions = torch.full_like(data.y, UNLABELLED)
    for place, label in enumerate(classes):
        positions[data.y == label] = place
    kept = positions >= 0
    return (data.x[kept], positions[kept]) if int(kept.sum()) >= FEWEST else None
