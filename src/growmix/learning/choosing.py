"""Chooses what scores are weighed by, without test data and without keeping an example: only counts are kept.

Held-out examples of a task are there while it is learnt. How many of them each candidate would have answered rightly is
counted then, and added to what was counted before; so a choice rests on real examples of all tasks. They met only the
components of their time. What newer components take from older ones is seen on samples of these: generated examples are
smoother than real ones, and resemble their own generator most, so that only the change counts, from right before the
newer components came to wrong with them. The preset stays unless a candidate is better by more than chance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.components.judging import CLASS_RULES, ClassRule
from growmix.data.task import UNLABELLED, TaskData
from growmix.learning.judging import ScoreWeights, preset_of
from growmix.learning.knowledge import Knowledge
from growmix.learning.replay import replay
from growmix.learning.routing import ComponentScores
from growmix.storage.typed import check_range

FEWEST = 200
"""Held-out examples, of all tasks together, that a choice needs: with fewer, chance would choose."""

SAMPLES = 1_000
"""Samples of all older components together, on which is seen what newer components take from them."""

SURE = 2.0
"""Standard errors by which a candidate must be better than the preset: chance alone would reach them once in forty."""

FACTORS = (0.5, 0.71, 1.0, 1.41, 2.0, 4.0, 16.0)
"""Multiples of a weight's preset among the candidates; with the last, what stays at its preset hardly counts."""

UNKNOWN_SCALE = tuple(2.0**power for power in range(-2, 9))
"""Candidates for the weight of a score of no known unit, whose preset is 0."""


@final
@dataclass(frozen=True)
class Tally:
    """What was counted on held-out examples of all tasks, when each was learnt: numbers, no data.

    Attributes
    ----------
    examples
        How many held-out examples of each component were counted.
    right
        How many of them all each candidate answered rightly, in the order of :func:`candidates`.
    differing
        How many of them either the candidate or the preset, but not both, answered rightly.
    """

    examples: tuple[int, ...] = ()
    right: tuple[int, ...] = ()
    differing: tuple[int, ...] = ()

    def plus(self, component: int, right: Tensor, components: int) -> Tally:
        """Return the tally with the held-out examples of one more task, which a component learnt.

        Parameters
        ----------
        component
            Index of the component.
        right
            Which examples each candidate answered rightly, shape ``(candidates, n)``.
        components
            How many components there are; of those that are new to the tally nothing was counted.
        """
        examples = [*self.examples, *[0] * (components - len(self.examples))]
        examples[component] += right.shape[1]
        differs = right != right[0]
        return Tally(tuple(examples), _added(self.right, right.sum(1)), _added(self.differing, differs.sum(1)))

    def check(self, components: Sequence[Component], learnt: Sequence[int]) -> None:
        """See that this can have been counted of these components, which learnt so many examples each.

        Raises
        ------
        ValueError
            There are other numbers of components or candidates, or a count is out of its range.
        """
        if not self.right and not self.examples:
            return
        check_range("counted components", len(self.examples), len(components), len(components))
        choices = len(candidates(components))
        for count, most in zip(self.examples, learnt, strict=True):
            check_range("counted examples", count, 0, most)
        for counts in (self.right, self.differing):
            check_range("candidates", len(counts), choices, choices)
            for count in counts:
                check_range("counted answers", count, 0, sum(self.examples))


def _added(counts: tuple[int, ...], more: Tensor) -> tuple[int, ...]:
    """Return counts with more counted to each; none so far are zeros."""
    return tuple((torch.tensor(counts or 0) + more).tolist())


NOTHING_COUNTED = Tally()


@final
@dataclass(frozen=True)
class Choice:
    """What was chosen after a task, and what it rests on.

    Attributes
    ----------
    weights
        What scores are weighed by from now on.
    tally
        What was counted so far.
    note
        Why nothing was chosen, in words; empty where something was.
    """

    weights: ScoreWeights
    tally: Tally
    note: str = ""


def candidates(components: Sequence[Component]) -> tuple[ScoreWeights, ...]:
    """Return the weights among which a mixture of such components chooses: the preset first, then from near to far.

    The first source is the measure of the others: its weight stays. Any other may be left out, by a weight of 0.
    """
    preset = preset_of(components)
    if not preset.values:
        return ()
    grids = [(preset.values[0],), *(_grid(value) for value in preset.values[1:])]
    rules = CLASS_RULES if components[0].supervised else (preset.class_rule,)
    found = [ScoreWeights(values, rule) for values in itertools.product(*grids) for rule in rules]
    return tuple(sorted(found, key=lambda one: _distance(one, preset)))


def _grid(preset: float) -> tuple[float, ...]:
    return (0.0, *UNKNOWN_SCALE) if preset == 0 else (0.0, *(preset * factor for factor in FACTORS))


def _distance(one: ScoreWeights, preset: ScoreWeights) -> float:
    """Return how far weights are from the preset: factors of two, and one for another rule."""
    return float(one.class_rule != preset.class_rule) + sum(map(_factors_of_two, one.values, preset.values))


def _factors_of_two(value: float, preset: float) -> float:
    if value == preset:
        return 0.0
    if value == 0 or preset == 0:
        return 4.0 + abs(math.log2(max(value, preset)))
    return abs(math.log2(value / preset))


def choose(
    known: Knowledge, trained: Mapping[int, int], owner: int, held: TaskData, tally: Tally, generator: torch.Generator
) -> Choice:
    """Choose what scores are weighed by, after a task.

    Parameters
    ----------
    known
        What is known after the task: all components, and their shares.
    trained
        Number of the task with which each component was trained last.
    owner
        The component that learnt the task.
    held
        The held-out part of the task.
    tally
        What was counted with the tasks before.
    generator
        Generator on the CPU for samples of older components.
    """
    choices, places = candidates(known.components), _Places.of(known)
    labels = torch.full((len(held),), UNLABELLED) if held.y is None else held.y
    right = places.right(known.router.scores(held.x), choices, labels, torch.full((len(held),), owner))
    tally = tally.plus(owner, right, len(known.components))
    counted = sum(tally.examples)
    if counted < FEWEST:
        note = (
            f"the weights of the scores are the preset: choosing them takes {FEWEST} held-out examples, so far there "
            f"are {counted}"
        )
        return Choice(preset_of(known.components), tally, note)
    expected, variance = (torch.tensor(counts, dtype=torch.float64) for counts in (tally.right, tally.differing))
    for k, lost in _lost(known, trained, places, choices, generator).items():
        stands_for = tally.examples[k] / lost.shape[1]
        expected -= stands_for * lost.sum(1)
        variance += stands_for**2 * (lost - lost[0]).square().sum(1)
    gained = expected - expected[0]
    sure = gained > SURE * variance.sqrt()
    worth = [round(value, 6) for value in torch.where(sure, gained, 0.0).tolist()]
    return Choice(choices[worth.index(max(worth))], tally)


def _lost(
    known: Knowledge,
    trained: Mapping[int, int],
    places: _Places,
    choices: Sequence[ScoreWeights],
    generator: torch.Generator,
) -> dict[int, Tensor]:
    """Return which of its samples each component loses to newer ones: 1, or -1 for one gained, ``(candidates, m)``."""
    newest = max(trained.values())
    older = [k for k in range(len(known.components)) if trained[k] < newest][-SAMPLES:]
    if not older:
        return {}
    parts = [replay(known.components[k], max(1, SAMPLES // len(older)), generator) for k in older]
    owners = torch.tensor(older).repeat_interleave(len(parts[0]))
    labels = torch.cat([torch.full((len(part),), UNLABELLED) if part.y is None else part.y for part in parts])
    scores = known.router.scores(torch.cat([part.x for part in parts]))
    times = torch.tensor([trained[k] for k in range(len(known.components))])
    then = times[None, :] <= times[owners][:, None]
    before = places.right(scores, choices, labels, owners, then).double()
    now = places.right(scores, choices, labels, owners).double()
    return {k: (before - now)[:, owners == k] for k in older}


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the classes of all components lie in one table, in which each has as many columns as the largest.

    Attributes
    ----------
    log_prior
        Log share of every component, shape ``(components,)``.
    classes
        Number of the label behind every column, counted among all labels, shape ``(components, columns)``; -1 where
        there is none.
    there
        Whether a component has a score in a column, which is also so in the first one of a component without classes.
    labels
        All labels, in ascending order.
    """

    log_prior: Tensor
    classes: Tensor
    there: Tensor
    labels: tuple[int, ...]

    @classmethod
    def of(cls, known: Knowledge) -> _Places:
        """Lay out the classes of all components."""
        components, labels = known.components, known.labels
        columns = max(1, *(len(component.classes) for component in components))
        classes = torch.full((len(components), columns), -1)
        there = torch.zeros(len(components), columns, dtype=torch.bool)
        for k, component in enumerate(components):
            there[k, : max(1, len(component.classes))] = True
            for j, label in enumerate(component.classes):
                classes[k, j] = labels.index(label)
        return cls(known.log_prior, classes, there, labels)

    def right(
        self,
        scores: ComponentScores,
        choices: Sequence[ScoreWeights],
        labels: Tensor,
        owners: Tensor,
        known: Tensor | None = None,
    ) -> Tensor:
        """Return which examples each candidate answers rightly, shape ``(candidates, n)``.

        An example is answered rightly if its class is, among the classes of all components; where it has none, if the
        component is.

        Parameters
        ----------
        scores
            What every component says of the examples.
        choices
            The candidates for the weights.
        labels
            Labels of the examples, -1 where there is none, shape ``(n,)``.
        owners
            The component that learnt each example, shape ``(n,)``.
        known
            Which components answer for which example, shape ``(n, components)``; by default all do.
        """
        columns = self.there.shape[1]
        evidence = torch.stack([_wide(raw.scores, columns) for raw in scores.evidence], dim=1)
        classifier = torch.stack([_wide(raw.class_log_proba, columns) for raw in scores.evidence], dim=1)
        found = torch.empty(len(choices), len(labels), dtype=torch.bool)
        for values, places in _by_values(choices).items():
            joint = (evidence @ torch.tensor(values, dtype=torch.float32)).masked_fill(~self.there, -torch.inf)
            posterior = joint.logsumexp(2) + self.log_prior
            if known is not None:
                posterior = posterior.masked_fill(~known, -torch.inf)
            of_component = posterior.argmax(1) == owners
            for i in places:
                said = self._classes_said(posterior, joint, classifier, choices[i].class_rule)
                found[i] = torch.where(labels == UNLABELLED, of_component, said == labels)
        return found

    def _classes_said(self, posterior: Tensor, joint: Tensor, classifier: Tensor, rule: ClassRule) -> Tensor:
        """Return the label with the largest sum over components of p(k|x) p(y|x, k), shape ``(n,)``."""
        if not self.labels:
            return torch.full((len(joint),), UNLABELLED)
        if rule == "classifier":
            log_proba = classifier
        else:
            log_proba = (joint if rule == "score" else joint + classifier).log_softmax(2)
        column = self.classes >= 0
        terms = (posterior[:, :, None] + log_proba)[:, column]
        near = (terms - terms.amax(1, keepdim=True)).exp()  # what is too far away to be seen beside it is not the most
        total = torch.zeros(len(terms), len(self.labels)).index_add_(1, self.classes[column], near)
        return torch.tensor(self.labels)[total.argmax(1)]


def _by_values(choices: Sequence[ScoreWeights]) -> dict[tuple[float, ...], list[int]]:
    """Return the places of candidates that differ in nothing but the rule for the class."""
    places: dict[tuple[float, ...], list[int]] = {}
    for i, choice in enumerate(choices):
        places.setdefault(choice.values, []).append(i)
    return places


def _wide(table: Tensor, columns: int) -> Tensor:
    """Return a table ``(n, classes, ...)`` with as many columns of classes as asked for, zeros behind its own."""
    behind = table.new_zeros(len(table), columns - table.shape[1], *table.shape[2:])
    return torch.cat([table, behind], dim=1)
