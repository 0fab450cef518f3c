"""Which component answers for an example: from scores to responsibilities, batched over components.

Labels never come near it: a route is a function of examples and weights alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias, final

import torch
from torch import Tensor

from growmix.components.abilities import Cheap, Evidence, SampledElbo
from growmix.components.component import Component
from growmix.components.pieces import ROWS, in_pieces
from growmix.data.task import as_float
from growmix.learning.batching import Group, fitting, groups_of
from growmix.learning.shortlist import pairs_by_component

NEGLIGIBLE = 20.0
"""Nats behind the best component from which on one is left out of the sum: it would add less than a part in 10^8."""


@dataclass(frozen=True, eq=False)
class RawScores:
    """What a component that judges by several scores says of every example, before anything is weighed.

    Attributes
    ----------
    scores
        Score of every class from every source, shape ``(n, classes, sources)``, with one column of classes where there
        are none.
    class_log_proba
        Log-probabilities of the classes by the component's classifier, shape ``(n, classes)``.
    """

    scores: Tensor
    class_log_proba: Tensor


@dataclass(frozen=True, eq=False)
class ComponentScores:
    """What every component says of every example.

    Attributes
    ----------
    elbo
        Score of each example under each component, nats, shape ``(n, components)``.
    class_log_proba
        Log-probabilities log p(y|x) of each component over its own classes, shape ``(n, classes)``.
    evidence
        What both were made of, for each component; empty where components have one score alone.
    """

    elbo: Tensor
    class_log_proba: tuple[Tensor, ...]
    evidence: tuple[RawScores, ...] = ()

    def of(self, indices: Sequence[int]) -> ComponentScores:
        """Return the scores under some of the components."""
        return ComponentScores(
            self.elbo[:, list(indices)],
            tuple(self.class_log_proba[k] for k in indices),
            tuple(self.evidence[k] for k in indices) if self.evidence else (),
        )

    @classmethod
    def beside(cls, parts: Sequence[ComponentScores]) -> ComponentScores:
        """Put scores of the same examples under different components side by side."""
        return cls(
            torch.cat([part.elbo for part in parts], dim=1),
            tuple(log_proba for part in parts for log_proba in part.class_log_proba),
            tuple(evidence for part in parts for evidence in part.evidence),
        )


def only(scores: ComponentScores, listed: Tensor | None) -> ComponentScores:
    """Return scores as if only the listed components had been scored; all others have minus infinity.

    Parameters
    ----------
    scores
        Scores of all components.
    listed
        Which components are listed for each example, shape ``(n, listed)``, -1 in place of none; ``None`` lists all.

    Examples
    --------
    >>> only(ComponentScores(torch.tensor([[1.0, 2.0, 3.0]]), ()), torch.tensor([[2, 0, -1]])).elbo
    tensor([[1., -inf, 3.]])
    """
    return scores if listed is None else replace(scores, elbo=masked(scores.elbo, listed))


def masked(scores: Tensor, listed: Tensor | None) -> Tensor:
    """Return scores ``(n, components)`` with minus infinity for all but the listed components, see :func:`only`."""
    if listed is None:
        return scores
    n, components = scores.shape
    unscored = torch.ones(n, components + 1, dtype=torch.bool)  # the last column is that of nobody
    unscored.scatter_(1, listed.remainder(components + 1), False)
    return scores.masked_fill(unscored[:, :-1], -torch.inf)


def log_responsibilities(elbo: Tensor, log_prior: Tensor) -> Tensor:
    """Return the log-posterior of the components, log p(k|x), by Bayes' rule; ``(n, k)`` and ``(k,)`` to ``(n, k)``.

    Examples
    --------
    >>> log_responsibilities(torch.tensor([[0.0, 0.0]]), torch.tensor([0.25, 0.75]).log()).exp()
    tensor([[0.2500, 0.7500]])
    """
    return (elbo + log_prior).log_softmax(1)


def route_examples(elbo: Tensor, log_prior: Tensor) -> Tensor:
    """Return the component with the largest posterior for each example; ``(n, k)`` to ``(n,)``."""
    return (elbo + log_prior).argmax(1)


def route_group(elbo: Tensor, log_prior: Tensor) -> int:
    """Return one component for a group that is known to come from one task: the largest mean posterior score.

    The log-prior counts once for the group, so it fades as the group grows: the mean bound is per example.
    """
    return int((elbo.double().mean(0) + log_prior / len(elbo)).argmax())


def total_elbo(rough: Tensor, log_prior: Tensor, tight: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Return a lower bound of log p(x) under all components, nats, shape ``(n,)``.

    A component that is far behind the best is left out of the sum, which keeps it a bound.

    Parameters
    ----------
    rough
        Scores that say which components are far behind, shape ``(n, components)``.
    log_prior
        Log share of each component, shape ``(components,)``.
    tight
        Returns the bounds that are summed: from a component's index and the rows it is near for, ``(m,)``, to shape
        ``(m,)``.

    Examples
    --------
    >>> total_elbo(torch.tensor([[0.0, -50.0]]), torch.zeros(2), lambda k, rows: torch.tensor([3.0]))
    tensor([3.])
    """
    joint = rough + log_prior
    near = joint >= joint.max(1, keepdim=True).values - NEGLIGIBLE
    terms = torch.full_like(rough, -torch.inf)
    for k in range(rough.shape[1]):
        rows = near[:, k].nonzero()[:, 0]
        if len(rows):
            terms[rows, k] = tight(k, rows)
    return (terms + log_prior).logsumexp(1)


def combine(
    log_weights: Tensor,
    class_log_proba: Sequence[Tensor],
    component_classes: Sequence[Sequence[int]],
    classes: Sequence[int],
) -> Tensor:
    """Return class probabilities of the mixture: the sum over components of p(k|x) p(y|x, k).

    Parameters
    ----------
    log_weights
        Log-posterior log p(k|x), shape ``(n, components)``: in logarithms, a component that is far from answering
        still decides among classes that only it knows.
    class_log_proba
        Class log-probabilities of each component, shape ``(n, its classes)``.
    component_classes
        Global labels behind these columns, for each component.
    classes
        Global labels that compete; all others are left out and the rest is normalised.

    Returns
    -------
    Tensor
        Shape ``(n, len(classes))``; rows sum to one, and are uniform where no component knows any of the classes.

    Examples
    --------
    >>> log_proba = [torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()]
    >>> combine(torch.tensor([[0.5, 0.5]]).log(), log_proba, [(0, 1), (2, 3)], (0, 1, 2, 3))
    tensor([[0.4500, 0.0500, 0.2500, 0.2500]])
    """
    column = {label: j for j, label in enumerate(classes)}
    log_joint = log_weights.new_full((len(log_weights), len(classes)), -torch.inf)
    scored = log_weights != -torch.inf  # of many components, few are: a list leaves out the others
    for k in scored.any(0).nonzero()[:, 0].tolist():
        labels = component_classes[k]
        own = [i for i, label in enumerate(labels) if label in column]
        if not own:
            continue
        to = torch.tensor([column[labels[i]] for i in own])
        rows = scored[:, k].nonzero()
        joint = log_weights[rows, k] + class_log_proba[k][rows, own]
        log_joint[rows, to] = torch.logaddexp(log_joint[rows, to], joint)
    known = torch.isfinite(log_joint).any(1, keepdim=True)
    return torch.where(known, log_joint, 0.0).softmax(1)


@final
class Router:
    """Scores examples under many components at once.

    Components of like structure run as one batched call wherever that is faster: on an accelerator, and on a CPU for
    few examples. Any number of threads can ask one router.

    Parameters
    ----------
    components
        Frozen components: once one is trained or added, a new router is made.
    """

    def __init__(self, components: Sequence[Component]) -> None:
        self._components = tuple(components)

    @cached_property
    def _groups(self) -> list[Group]:
        return groups_of(self._components)  # when it is first needed: of a thousand components it takes a while

    @torch.no_grad()
    def scores(self, x: Tensor, noise: Tensor | None = None) -> ComponentScores:
        """Return scores and class log-probabilities of every component, on the CPU, each under its own preset.

        Parameters
        ----------
        x
            Examples, ``uint8`` or ``float32``, shape ``(n, *shape)``.
        noise
            Draws of the code, shape ``(draws, latent)``; by default components are scored at the posterior mean.
        """
        answers = [_Answer.empty(component, len(x), noise) for component in self._components]
        for group in self._groups:
            for start in range(0, len(x), ROWS):
                rows = slice(start, start + ROWS)
                for k, said in zip(group.indices, group.score(x[rows], noise), strict=True):
                    answers[k].take(rows, *said)
        elbo, log_proba = zip(*(answer.judged() for answer in answers), strict=True)
        evidence = tuple(raw for answer in answers for raw in answer.raw())
        same = len(evidence) == len(answers)
        return ComponentScores(torch.stack(elbo, dim=1), log_proba, evidence if same else ())

    @torch.no_grad()
    def listed_scores(
        self, x: Tensor, listed: Tensor, noise: Tensor | None = None, judged: Judged | None = None
    ) -> ComponentScores:
        """Return scores of each example under the components that are listed for it, and of no other pair.

        Scores of all others are minus infinity, and their classes equally likely. There is no evidence beside them.

        Parameters
        ----------
        x, noise
            Examples and draws of the code, as :meth:`scores` takes them.
        listed
            Which components are listed for each example, shape ``(n, listed)``, different ones in each row; -1 in
            place of none.
        judged
            Weighs the evidence of a component; by default each is weighed by its own preset.
        """
        n, elbo, places = len(x), [torch.empty(0)], [torch.empty(0, dtype=torch.int64)]
        equally = {classes: torch.full((n, classes), -math.log(max(1, classes))) for classes in set(self._classes)}
        log_proba = [equally[classes] for classes in self._classes]
        for k, rows, _ in pairs_by_component(listed):
            found = _scored_alone(self._components[k], x if len(rows) == n else x[rows], noise)
            found = judged(found) if judged else found
            elbo.append(found.elbo[:, 0])
            places.append(rows * len(self._components) + k)
            own = found.class_log_proba[0]
            log_proba[k] = own if len(rows) == n else log_proba[k].index_copy(0, rows, own)
        scores = torch.full((n, len(self._components)), -torch.inf)
        scores.view(-1)[torch.cat(places)] = torch.cat(elbo)
        return ComponentScores(scores, tuple(log_proba))

    def cheap_scores(self, x: Tensor, listed: Tensor | None = None) -> Tensor:
        """Return the cheap scores of components that have some, minus infinity where one is not listed.

        Parameters
        ----------
        x
            Examples, ``uint8`` or ``float32``, shape ``(n, *shape)``.
        listed
            Which components are listed for each example, as in :meth:`listed_scores`; ``None`` lists all.

        Returns
        -------
        Tensor
            Scores on the CPU, shape ``(n, components)``.
        """
        scores = torch.full((len(x), len(self._components)), -torch.inf)
        if listed is None:
            for k, component in enumerate(self._components):
                scores[:, k] = cheap_scores_of(component, x)
            return scores
        for k, rows, _ in pairs_by_component(listed):
            scores[rows, k] = cheap_scores_of(self._components[k], x[rows])
        return scores

    @cached_property
    def _classes(self) -> tuple[int, ...]:
        """How many classes each component knows."""
        return tuple(len(component.classes) for component in self._components)


def cheap_scores_of(component: Component, x: Tensor) -> Tensor:
    """Return the cheap score of examples ``(n, *shape)`` under a component that has one, on the CPU, shape ``(n,)``."""
    assert isinstance(component, Cheap)  # whoever asks for a cascade has seen to it
    return in_pieces(component, component.cheap, x)


def _scored_alone(component: Component, x: Tensor, noise: Tensor | None) -> ComponentScores:
    """Return what one component says of some examples."""
    device = component.device
    drawn = None if noise is None else noise.to(device)
    with fitting(len(x), device):
        said = [component(as_float(rows.to(device)), drawn) for rows in x.split(ROWS)]
    scores, log_proba = said[0] if len(said) == 1 else (torch.cat(parts) for parts in zip(*said, strict=True))
    answer = _Answer(component, scores.cpu(), log_proba.cpu())
    elbo, log_proba = answer.judged()
    return ComponentScores(elbo[:, None], (log_proba,), tuple(answer.raw()))


Judged: TypeAlias = Callable[[ComponentScores], ComponentScores]
"""Weighs the evidence of components by what a mixture chose."""


class _Answer:
    """What one component says of all examples, filled piece by piece."""

    def __init__(self, component: Component, scores: Tensor, log_proba: Tensor) -> None:
        self._component, self._scores, self._log_proba = component, scores, log_proba

    @classmethod
    def empty(cls, component: Component, n: int, noise: Tensor | None) -> _Answer:
        """Return room for what a component is going to say of so many examples."""
        draws = noise is not None and isinstance(component, SampledElbo)
        classes = len(component.classes)
        by_source = (max(1, classes), len(component.sources)) if isinstance(component, Evidence) and not draws else ()
        scores = torch.empty(n, *by_source, dtype=torch.float32)
        return cls(component, scores, torch.empty(n, classes, dtype=torch.float32))

    def take(self, rows: slice, scores: Tensor, log_proba: Tensor) -> None:
        """Keep what the component says of some rows."""
        self._scores[rows] = scores.cpu()
        self._log_proba[rows] = log_proba.cpu()

    def judged(self) -> tuple[Tensor, Tensor]:
        """Return one score of each example, and class log-probabilities, by the component's preset."""
        component = self._component
        if self._scores.ndim == 1 or not isinstance(component, Evidence):
            return self._scores, self._log_proba
        return component.by_preset(self._scores, self._log_proba)

    def raw(self) -> list[RawScores]:
        """Return the scores before they were weighed, if the component has several."""
        return [] if self._scores.ndim == 1 else [RawScores(self._scores, self._log_proba)]
