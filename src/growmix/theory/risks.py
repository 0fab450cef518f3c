"""Measures a component on data: its risk, and the discrepancy of two samples in the same loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.components.pieces import ROWS, in_pieces
from growmix.components.scaling import Scaling
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, TaskData, as_float
from growmix.errors import BadInput
from growmix.learning.answers import codes_of
from growmix.streams import Stream
from growmix.theory.discrepancy import FEWEST, Discrepancy, Method, Search, discrepancy
from growmix.theory.hypotheses import MLP
from growmix.theory.losses import Loss, Squared, ZeroOne


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


def bounded(x: Tensor, domain: Domain) -> Tensor:
    """Bring examples into [0, 1], where the losses of the theory are bounded.

    Pixels stay as they are. Other numbers are standardised and go through a sigmoid, so that their order is kept.

    Examples
    --------
    >>> bounded(torch.tensor([[3.0, -900.0]]), Domain((2,), "real", centre=(3.0, 0.0), scale=(1.0, 1.0)))
    tensor([[0.5000, 0.0000]])
    """
    return as_float(x) if domain.support == "unit" else Scaling(domain)(x).sigmoid()


@torch.no_grad()
def risks(component: Component, data: TaskData) -> Tensor | None:
    """Measure the loss of a component on each example, shape ``(n,)``.

    Parameters
    ----------
    component
        The component that answers.
    data
        Examples of a task that it learnt.

    Returns
    -------
    Tensor or None
        1 for a wrong class, else 0; without classes the squared error per number of what is reconstructed, both
        brought into [0, 1]. ``None`` where a classifier has fewer than 50 examples with a class that it learnt.
    """
    if not component.classes:
        coder, gaps = codes_of(component, "theory"), []
        for x in data.x.split(ROWS):
            back = bounded(in_pieces(component, coder.reconstruct, x), component.domain)
            gaps.append((back - bounded(x, component.domain)).square().flatten(1).mean(1))
        return torch.cat(gaps).double()
    kept = _labelled(data, component.classes)
    if kept is None:
        return None
    answers = in_pieces(component, lambda x: component(x)[1].argmax(1), kept[0])
    return (answers != kept[1]).double()


def estimates(
    component: Component, before: TaskData, after: TaskData, search: Search
) -> dict[Method, Discrepancy | None]:
    """Estimate the discrepancy of two generations of a task by every method, in the loss of its component.

    Plug-in classifiers see the labelled examples alone. The adversary's classifiers answer with two of the classes
    alone: these are members of the class of hypotheses too, and better ones are found among them (digits 4 and 5 and
    what a component of six digits generates of them: 0.32 with two classes, 0.23 with six, means of three seeds).

    Parameters
    ----------
    component
        The component that learnt the task.
    before, after
        Two samples: two generations of the task.
    search
        The parameters of the search for hypotheses.
    """
    loss, domain = loss_for(component), component.domain
    two = loss if loss.reconstructs else ZeroOne()
    p, q = bounded(before.x, domain), bounded(after.x, domain)
    found: dict[Method, Discrepancy | None] = {"adversarial": discrepancy(p, q, MLP(), two, search=search)}
    if loss.reconstructs:
        found["plug-in"] = discrepancy(p, q, MLP(), loss, method="plug-in", search=search)
        return found
    a, b = _labelled(before, component.classes), _labelled(after, component.classes)
    found["plug-in"] = None
    if a is not None and b is not None:
        p, q = bounded(a[0], domain), bounded(b[0], domain)
        found["plug-in"] = discrepancy(p, q, MLP(), loss, method="plug-in", targets=(a[1], b[1]), search=search)
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
