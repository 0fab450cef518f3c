"""How new examples are to a mixture: to each of its components, and as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.data.task import TaskData
from growmix.errors import shown
from growmix.learning.answers import routing_noise, scores_under
from growmix.learning.knowledge import Knowledge
from growmix.learning.measuring import described, samples_of, seen_by
from growmix.learning.novelty import ComparesWithSamples, Novelty, NoveltyMeasure, PoolsExamples, checked, nearest
from growmix.learning.ranks import Answered, examples_behind, shares_of_references
from growmix.learning.records import Record, known_of
from growmix.learning.references import stacked, statistics_of
from growmix.learning.routing import ComponentScores, route_examples


def novelty_of(
    x: Tensor,
    known: Knowledge,
    records: Sequence[Record],
    measure: NoveltyMeasure,
    threshold: float,
    draws: int,
    generator: torch.Generator,
) -> Novelty:
    """Return how new examples are to the components of a mixture and to the mixture as a whole.

    Parameters
    ----------
    x
        Checked examples, shape ``(n, *shape)``.
    known, records
        What the mixture knows, and what it remembers of each component.
    measure
        Which measure compares the examples with what is remembered.
    threshold
        Novelty from which on examples count as new, if chance does not explain more.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    generator
        Generator on the CPU for samples of components, where the measure asks for some.
    """
    if isinstance(measure, PoolsExamples):
        route = _route(x, known, draws)
        shares = _shares(route, len(records))
        value, noise = _pooled(x, route, known.components, records, measure, draws)
        values = shared_out(value, shares)
    else:
        scores = known.router.scores(x, routing_noise(draws, known.learnt()[0]))
        shares = _shares(route_examples(known.judged(scores).elbo, known.log_prior), len(records))
        values, noise = _one_by_one(x, scores, known.components, records, measure, draws, generator)
        value = min(values)
    limit = max(threshold, noise)
    return Novelty(values, value, limit, value >= limit, shares)


def _route(x: Tensor, known: Knowledge, draws: int) -> Tensor:
    """Return which component answers for each example, shape ``(n,)``."""
    if len(known.learnt()) == 1:
        return torch.zeros(len(x), dtype=torch.int64)
    return route_examples(scores_under(known, x, draws).elbo, known.log_prior)


def _shares(route: Tensor, components: int) -> tuple[float, ...]:
    """Return the share of the examples that every component answers."""
    return tuple((torch.bincount(route, minlength=components).double() / len(route)).tolist())


def shared_out(value: float, shares: Sequence[float]) -> tuple[float, ...]:
    """Return the novelty to every component where there is one number for the mixture: smallest where most answer is.

    The component that answers most examples is the one to update, and has the number of the mixture. Any other has at
    least what it lacks to as many answers.

    Examples
    --------
    >>> shared_out(0.1, (0.2, 0.8))
    (0.75, 0.1)
    """
    most = max(range(len(shares)), key=shares.__getitem__)
    return tuple(value if k == most else max(value, 1.0 - share / shares[most]) for k, share in enumerate(shares))


def unseen_labels(found: Novelty, task: TaskData, known: Knowledge) -> str:
    """Say in words that examples which look known have labels that were never learnt; nothing where that is not so.

    Parameters
    ----------
    found
        The novelty of the task, which no label has a part in.
    task
        The checked task, with the numbers that its labels have in the mixture.
    known
        What the mixture knew when the task came.
    """
    unseen = [label for label in task.classes() if label not in known.labels]
    if found.is_new or not unseen or task.y is None:
        return ""
    count = int(torch.isin(task.y, torch.tensor(unseen)).sum())
    called = [task.names[label] for label in unseen] if task.names else unseen
    return f"{count} of {len(task)} examples have labels never learnt before, {shown(called)}, but look known"


def _pooled(
    x: Tensor,
    route: Tensor,
    components: Sequence[Component],
    records: Sequence[Record],
    measure: PoolsExamples,
    draws: int,
) -> tuple[float, float]:
    """Return the distance of all examples, each beside what its component and class remember, and what is chance."""
    names = _common_names(records)
    parts: list[Answered] = []
    counts: list[int] = []
    for k in route.unique().tolist():
        # by the component alone, as it was when it remembered: the mixture may weigh several scores in another way
        seen = seen_by(components[k], x[route == k], draws)
        numbers = stacked(seen.scores, names)
        for label in seen.labels.unique().tolist():
            new, references = numbers[:, seen.labels == label], known_of(records[k], label, names)
            belongs = shares_of_references(new, [known for known, _ in references], [m for _, m in references])
            parts += [Answered(new, known, weight) for (known, _), weight in zip(references, belongs, strict=True)]
            counts += [m for _, m in references]
    m = examples_behind([float(part.weight.sum()) / len(x) for part in parts], counts)
    distance = checked(measure, "pooled", measure.pooled(parts))
    return distance, checked(measure, "noise", measure.noise(len(x), m, len(names)))


def _common_names(records: Sequence[Record]) -> list[str]:
    """Return which numbers every component has, in the order of the first: those of unlike ones can't be pooled."""
    statistics = [reference.statistics for record in records for reference in record.references]
    return [name for name in statistics[0] if all(name in each for each in statistics)]


def _one_by_one(
    x: Tensor,
    scores: ComponentScores,
    components: Sequence[Component],
    records: Sequence[Record],
    measure: NoveltyMeasure,
    draws: int,
    generator: torch.Generator,
) -> tuple[tuple[float, ...], float]:
    """Return the distance of all examples to each component, and what may be chance at the nearest of them."""
    found: list[tuple[float, int]] = []
    for k, (component, record) in enumerate(zip(components, records, strict=True)):
        if isinstance(measure, ComparesWithSamples):
            own = samples_of(component, (), generator)
            known = [statistics_of(seen_by(component, own, draws).scores)]
        else:
            known = [dict(reference.statistics) for reference in record.references]
        found.append(nearest(measure, described(component, x, scores.elbo[:, k]), known))
    best = min(range(len(found)), key=lambda k: found[k][0])
    reference = records[best].references[found[best][1]]
    noise = measure.noise(len(x), reference.count, len(reference.statistics))
    return tuple(distance for distance, _ in found), checked(measure, "noise", noise)
