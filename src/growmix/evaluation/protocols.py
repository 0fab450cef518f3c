"""Four ways of asking a model for the labels of a test set, and how its answers are compared with the truth.

``task_aware``: the task is given, so its component answers and only its classes compete.
``task_agnostic``: nothing but the example is given, and all classes learnt so far compete.
``selection``: how often the component that is chosen without the task is one that learnt it.
``grouped``: all examples are known to come from one task, but not from which; one component is chosen for all of them,
without any label, and its classes compete. The published figures of the growing mixture use this protocol, but chose
the component with labelled data.

Labels are compared with answers that are already there; no function that routes or predicts is given any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.data.task import UNLABELLED
from growmix.learning.routing import ComponentScores, combine, log_responsibilities, only, route_examples, route_group
from growmix.learning.shortlist import ALL, Lists


@dataclass(frozen=True)
class Answers:
    """What a model says of every example of a test set.

    Attributes
    ----------
    task_aware, task_agnostic, grouped
        Labels, shape ``(n,)``; ``None`` where no class competes.
    route
        The component chosen for each example, shape ``(n,)``.
    """

    task_aware: Tensor | None
    task_agnostic: Tensor | None
    grouped: Tensor | None
    route: Tensor


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers on one test set; ``None`` where a question does not apply."""

    task_aware: float | None
    task_agnostic: float | None
    selection: float | None
    grouped: float | None


def answer(
    scores: ComponentScores,
    log_prior: Tensor,
    component_classes: Sequence[Sequence[int]],
    owners: Sequence[int],
    task_classes: Sequence[int],
    lists: Lists = ALL,
) -> Answers:
    """Answer as a model's ``predict`` and ``route`` do, from scores that were computed before.

    Parameters
    ----------
    scores
        What every component says of every example.
    log_prior
        Log share of every component, shape ``(components,)``.
    component_classes
        Labels that each component knows.
    owners
        Components that learnt the task; none before it was learnt.
    task_classes
        Labels of the task, which compete where the task is given.
    lists
        Which components the model would have scored: where the task is not given, the others do not answer.
    """

    def labels_by(components: Sequence[int], competing: Sequence[int], scores: ComponentScores) -> Tensor | None:
        if not competing:
            return None
        weights = log_responsibilities(scores.elbo[:, list(components)], log_prior[list(components)])
        log_proba = [scores.class_log_proba[k] for k in components]
        proba = combine(weights, log_proba, [component_classes[k] for k in components], competing)
        return torch.tensor(competing)[proba.argmax(1)]

    def known_to(components: Sequence[int]) -> set[int]:
        return {label for k in components for label in component_classes[k]}

    everyone = range(len(component_classes))
    seen = only(scores, lists.each)
    group = (route_group(only(scores, lists.together).elbo, log_prior),)
    return Answers(
        task_aware=labels_by(owners, [label for label in task_classes if label in known_to(owners)], scores),
        task_agnostic=labels_by(everyone, sorted(known_to(everyone)), seen),
        grouped=labels_by(group, sorted(known_to(group)), scores),
        route=route_examples(seen.elbo, log_prior),
    )


def compare(answers: Answers, labels: Tensor | None, owners: Sequence[int]) -> Accuracy:
    """Count right answers: the only place that labels come to, after all answers were given.

    Parameters
    ----------
    answers
        What a model says of a test set.
    labels
        The true labels, -1 where there is none; ``None`` if there are none at all.
    owners
        Components that learnt the task.
    """
    owned = torch.isin(answers.route, torch.tensor(owners, dtype=torch.int64))
    return Accuracy(
        task_aware=_share_right(answers.task_aware, labels),
        task_agnostic=_share_right(answers.task_agnostic, labels),
        selection=float(owned.double().mean()) if owners else None,
        grouped=_share_right(answers.grouped, labels),
    )


def _share_right(answers: Tensor | None, labels: Tensor | None) -> float | None:
    """Share of right answers among the labelled examples; ``None`` if no example is labelled."""
    if answers is None or labels is None:
        return None
    labelled = labels != UNLABELLED
    if not bool(labelled.any()):
        return None
    return float((answers == labels)[labelled].double().mean())
