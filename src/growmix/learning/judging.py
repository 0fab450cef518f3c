"""How the scores of components that judge by several become one: by weights that a whole mixture has in common.

A component's raw scores never change; the weights are the mixture's, chosen anew after each task, see
:mod:`growmix.learning.choosing`. Whatever answers for an example goes through :func:`judged`, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch

from growmix.components.abilities import Evidence
from growmix.components.component import Component
from growmix.components.judging import ClassRule, judge
from growmix.learning.routing import ComponentScores
from growmix.storage.typed import check_range

MOST_WEIGHT = 1e18
"""Largest weight that a checkpoint may have: a score times it is still a number in single precision."""


@final
@dataclass(frozen=True)
class ScoreWeights:
    """How much each score of a component counts, and what decides on the class.

    Attributes
    ----------
    values
        A weight for each source of the components, in their order; empty for the components' own.
    class_rule
        What decides on the class: ``classifier``, ``score`` (the largest sum of scores), or ``both`` added up.
    """

    values: tuple[float, ...] = ()
    class_rule: ClassRule = "classifier"

    def check(self, sources: int) -> None:
        """See that these can be the weights of so many sources.

        Raises
        ------
        ValueError
            There is another number of weights, or one is negative or above :data:`MOST_WEIGHT`.
        """
        check_range("score weights", len(self.values), sources, sources)
        for value in self.values:
            check_range("a score weight", value, 0.0, MOST_WEIGHT)


PRESET = ScoreWeights()
"""Leaves scores as they come from the components: under the weights that these have themselves."""


def judged(scores: ComponentScores, weights: ScoreWeights) -> ComponentScores:
    """Return scores as they are under some weights, from the evidence that came with them.

    Parameters
    ----------
    scores
        What every component says of every example; without evidence, they stay as they are.
    weights
        What the evidence is weighed by.
    """
    if not scores.evidence or not weights.values:
        return scores
    values, rule = torch.tensor(weights.values, dtype=torch.float32), weights.class_rule
    found = [judge(each.scores, each.class_log_proba, values, rule) for each in scores.evidence]
    elbo = torch.stack([elbo for elbo, _ in found], dim=1)
    return replace(scores, elbo=elbo, class_log_proba=tuple(log_proba for _, log_proba in found))


def sources_of(components: Sequence[Component]) -> tuple[str, ...]:
    """Return the names of the scores that components judge by; empty where each has one, or they differ."""
    named = {component.sources if isinstance(component, Evidence) else () for component in components}
    return named.pop() if len(named) == 1 else ()


def preset_of(components: Sequence[Component]) -> ScoreWeights:
    """Return the weights that components come with."""
    first = components[0] if sources_of(components) else None
    return ScoreWeights(first.preset, first.preset_rule) if isinstance(first, Evidence) else PRESET
