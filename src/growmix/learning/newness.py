"""How new examples are to a mixture: to each of its components, and as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.components.abilities import most_likely
from growmix.components.component import Component
from growmix.data.task import TaskData
from growmix.errors import shown
from growmix.learning.answers import routing_noise
from growmix.learning.knowledge import Knowledge
from growmix.learning.measuring import described, samples_of, seen_by
from growmix.learning.novelty import ComparesWithSamples, Novelty, NoveltyMeasure, PoolsExamples, checked, nearest
from growmix.learning.ranks import Answered, examples_behind, shares_of_references
from growmix.learning.records import Record, known_of
from growmix.learning.references import stacked, statistics_of
from growmix.learning.replay import to_labels
from growmix.learning.routing import ComponentScores, route_examples


@dataclass(frozen=True, eq=False)
class _Examples:
    """New examples, the scores of all components by their own preset, and which component answers in the mixture."""

    x: Tensor
    scores: ComponentScores
    route: Tensor

    def shares(self) -> tuple[float, ...]:
        """Return the share of the examples that every component answers."""
        counts = torch.bincount(self.route, minlength=self.scores.elbo.shape[1])
        return tuple((counts.double() / len(self.route)).tolist())


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
    scores = known.router.scores(x, routing_noise(draws, known.learnt()[0]))
    weighed = known.judged(scores)
    examples = _Examples(x, scores, route_examples(weighed.elbo, known.log_prior))
    shares = examples.shares()
    if isinstance(measure, PoolsExamples):
        value, noise = _pooled(examples, known.components, records, measure)
        values = shared_out(value, shares)
    else:
        values, noise = _one_by_one(examples, known.components, records, measure, draws, generator)
        value = min(values)
    limit = max(threshold, noise)
    return Novelty(values, value, limit, value >= limit, shares)


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
    examples: _Examples, components: Sequence[Component], records: Sequence[Record], measure: PoolsExamples
) -> tuple[float, float]:
    """Return the distance of all examples, each beside what its component and class remember, and what is chance."""
    assert isinstance(measure, NoveltyMeasure)
    names = _common_names(records)
    parts: list[Answered] = []
    counts: list[int] = []
    for k in examples.route.unique().tolist():
        rows = (examples.route == k).nonzero()[:, 0]
        own = described(components[k], examples.x[rows], examples.scores.elbo[rows, k])
        numbers = stacked(own, names)
        labels = to_labels(most_likely(examples.scores.class_log_proba[k][rows]), components[k].classes)
        for label in labels.unique().tolist():
            new, references = numbers[:, labels == label], known_of(records[k], label, names)
            belongs = shares_of_references(new, [known for known, _ in references], [m for _, m in references])
            parts += [Answered(new, known, weight) for (known, _), weight in zip(references, belongs, strict=True)]
            counts += [m for _, m in references]
    n = len(examples.route)
    m = examples_behind([float(part.weight.sum()) / n for part in parts], counts)
    distance = checked(measure, "pooled", measure.pooled(parts))
    return distance, checked(measure, "noise", measure.noise(n, m, len(names)))


def _common_names(records: Sequence[Record]) -> list[str]:
    """Return which numbers every component has, in the order of the first: those of unlike ones can't be pooled."""
    statistics = [reference.statistics for record in records for reference in record.references]
    return [name for name in statistics[0] if all(name in each for each in statistics)]


def _one_by_one(
    examples: _Examples,
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
        found.append(nearest(measure, described(component, examples.x, examples.scores.elbo[:, k]), known))
    best = min(range(len(found)), key=lambda k: found[k][0])
    reference = records[best].references[found[best][1]]
    noise = measure.noise(len(examples.x), reference.count, len(reference.statistics))
    return tuple(distance for distance, _ in found), checked(measure, "noise", noise)
