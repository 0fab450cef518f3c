"""How a model's knowledge answers for examples: every function takes one :class:`Knowledge` and changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from growmix.components.abilities import Bounded, Codes, Evidence, Pairs, WithoutDensity, most_likely
from growmix.components.component import Component
from growmix.components.density import no_labels
from growmix.components.pieces import in_pieces
from growmix.data.domain import Shape
from growmix.errors import BadInput, shown
from growmix.learning.knowledge import Knowledge
from growmix.learning.replay import generate, replay
from growmix.learning.routing import (
    ComponentScores,
    RawScores,
    Router,
    combine,
    log_responsibilities,
    route_examples,
    total_elbo,
)
from growmix.settings import is_whole
from growmix.system.memory import require_room

_COPIES = 3
"""Times that examples are held while they are made: in pieces, joined for each component, and as the answer."""

_BOUND_DRAWS = 8
_BOUND_SEED = 20_250  # the draws are fixed, so that an example's bound never depends on what is scored beside it


def scores_under(known: Knowledge, x: Tensor, draws: int, components: Sequence[int] | None = None) -> ComponentScores:
    """Return scores and class log-probabilities, as they count, under the components that may answer, or under some.

    Parameters
    ----------
    known
        What a model knows: the components that answer, and their shares.
    x
        Checked examples, shape ``(n, *shape)``.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    components
        Indices of the components that are asked; ``None`` asks those that are worth it: of many, a list for each
        example, where all others have minus infinity.
    """
    if components is None:
        return _listed_scores(known, x, draws, known.listed(x))
    router = Router([known.components[k] for k in components])
    return known.judged(router.scores(x, routing_noise(draws, known.learnt()[0])))


def scores_together(known: Knowledge, x: Tensor, draws: int) -> ComponentScores:
    """Return what :func:`scores_under` does for a group that comes from one task: of many, one list for all of it."""
    return _listed_scores(known, x, draws, known.listed_together(x))


def _listed_scores(known: Knowledge, x: Tensor, draws: int, listed: Tensor | None) -> ComponentScores:
    noise = routing_noise(draws, known.learnt()[0])
    if listed is None:
        return known.judged(known.router.scores(x, noise))
    return known.router.listed_scores(x, listed, noise, known.judged)


def class_probabilities(
    known: Knowledge, x: Tensor, draws: int, component: int | None, competing: Sequence[int]
) -> Tensor:
    """Return the probability of every competing class, shape ``(n, classes)``.

    Parameters
    ----------
    known, x, draws
        What answers, for which examples, and by how many draws, see :func:`scores_under`.
    component
        The only component that is asked; ``None`` asks all.
    competing
        Numbers of the labels that compete.

    Raises
    ------
    BadInput
        The component is not there, or knows none of the classes.
    """
    if component is None:
        scores = _listed_scores(known, x, draws, known.listed(x, competing))
        asked = known.components
        weights = log_responsibilities(scores.elbo, known.log_prior)
    else:
        component = known.index(component)
        asked = (known.components[component],)
        if not set(asked[0].classes).intersection(competing):
            raise BadInput(
                f"component is {component}, which knows {known.all_called(asked[0].classes)}; allowed are those "
                f"that know one of the classes that compete, {known.all_called(competing)}"
            )
        scores = scores_under(known, x, draws, [component])
        weights = torch.zeros_like(scores.elbo)
    return combine(weights, scores.class_log_proba, [c.classes for c in asked], competing)


def bound(known: Knowledge, x: Tensor, scores: ComponentScores) -> Tensor:
    """Return a lower bound of log p(x) under all components, nats, shape ``(n,)``; ``scores`` are those of ``x``.

    Raises
    ------
    BadInput
        The components have no density.
    """
    for component in known.learnt():
        if isinstance(component, WithoutDensity):
            what = "has no density, so score_samples() has no answer, but component_scores() has its scores"
            raise BadInput(component.refusal(what))
    generator = torch.Generator().manual_seed(_BOUND_SEED)
    first, noise = known.learnt()[0], None
    if isinstance(first, Codes):
        half = torch.randn(_BOUND_DRAWS // 2, first.latent, generator=generator, dtype=torch.float32)
        noise = torch.cat([half, -half])

    def tight(k: int, rows: Tensor) -> Tensor:
        component = known.components[k]
        if isinstance(component, Bounded):
            return in_pieces(component, component.bound, x[rows])
        return Router([component]).scores(x[rows], noise).elbo[:, 0]

    return total_elbo(scores.elbo, known.log_prior, tight)


def by_components(
    known: Knowledge,
    x: Tensor,
    draws: int,
    component: int | None,
    answer: Callable[[Component], Callable[[Tensor], Tensor]],
    shape: Shape,
) -> Tensor:
    """Return what the component that answers for each example makes of it, shape ``(n, *shape)``.

    Parameters
    ----------
    known, x, draws
        What answers, for which examples, and by how many draws, see :func:`scores_under`.
    component
        The component that is asked for all; ``None`` routes each example.
    answer
        Returns the method of a component that makes it.
    shape
        Axes of one answer.
    """
    output = torch.empty(len(x), *shape, dtype=torch.float32)
    for k, rows in _shares(known, x, draws, component):
        output[rows] = in_pieces(known.components[k], answer(known.components[k]), x[rows])
    return output


def _shares(known: Knowledge, x: Tensor, draws: int, component: int | None) -> list[tuple[int, Tensor]]:
    """Return which rows each component answers for."""
    if component is not None:
        return [(known.index(component), torch.arange(len(x)))]
    if len(known.components) == 1:
        return [(0, torch.arange(len(x)))]
    route = route_examples(scores_under(known, x, draws).elbo, known.log_prior)
    return [(k, (route == k).nonzero()[:, 0]) for k in route.unique().tolist()]


def drawn(
    known: Knowledge,
    n: int,
    component: int | None,
    label: int | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return ``n`` generated examples and the numbers of their labels.

    Parameters
    ----------
    known
        What a model knows: the components that generate, and their shares.
    n
        Number of examples to generate.
    component
        The only component that generates; ``None``: all, in proportion to the examples that they learnt.
    label
        Number of the class asked for; ``None``: all classes.
    generator
        CPU generator for all that is drawn.
    """
    chances = _chances(known, component, label)
    which = torch.multinomial(chances, n, replacement=True, generator=generator)
    examples, labels = torch.empty(n, *known.components[0].shape, dtype=torch.float32), no_labels(n)
    for k in which.unique().tolist():
        rows = (which == k).nonzero()[:, 0]
        source = known.components[k]
        if label is None:
            part = replay(source, len(rows), generator)
        else:
            positions = torch.full((len(rows),), source.classes.index(label))
            part = generate(source, positions, generator)
        examples[rows] = part.x
        labels[rows] = labels[rows] if part.y is None else part.y
    return examples, labels


def _chances(known: Knowledge, component: int | None, label: int | None) -> Tensor:
    """Return the chance of every component to be drawn from."""
    chance = known.log_prior.exp()
    if component is not None:
        chance = torch.nn.functional.one_hot(torch.tensor(known.index(component)), len(known.components)).float()
    if label is not None:
        able = [float(label in c.classes) for c in known.components]
        chance = chance * torch.tensor(able, dtype=torch.float32)
        if not bool(chance.any()):
            classes = known.components[0 if component is None else component].classes
            raise BadInput(f"label is {known.called(label)!r}; component {component} knows {known.all_called(classes)}")
    return chance


def between(known: Knowledge, ends: Tensor, steps: int, draws: int, component: int | tuple[int, int] | None) -> Tensor:
    """Return examples ``(steps, *shape)`` on the line between the codes of two examples, see ``interpolate``.

    Raises
    ------
    BadInput
        ``component`` is neither a component nor a tuple of two.
    """
    codes_of(known.learnt()[0], "interpolate")  # told before anything is scored
    if component is None:
        elbo = scores_together(known, ends, draws).elbo
        component = int((elbo + known.log_prior).sum(0).argmax())
    pair = component if isinstance(component, tuple) else (component, component)
    last = len(known.components) - 1
    if len(pair) != 2 or not all(is_whole(k, 0, last) for k in pair):
        raise BadInput(f"component is {shown(component)}; allowed are 0 to {last}, and a tuple of two of these")
    return _path(known.components[pair[0]], known.components[pair[1]], ends, steps)


@torch.no_grad()
def _path(first: Component, second: Component, ends: Tensor, steps: int) -> Tensor:
    """Return examples from ``ends[0]`` under one component to ``ends[1]`` under another or the same."""
    coders = codes_of(first, "interpolate"), codes_of(second, "interpolate")
    (start, start_logits), (end, end_logits) = (
        coder.encode(end.to(component.device))
        for component, coder, end in ((first, coders[0], ends[:1]), (second, coders[1], ends[1:]))
    )
    share = torch.linspace(0.0, 1.0, steps, dtype=torch.float32, device=start.device)[:, None]
    codes = (1.0 - share) * start + share * end
    from_first = coders[0].decode(codes, most_likely(start_logits).expand(steps))
    from_second = coders[1].decode(codes, most_likely(end_logits).expand(steps))
    blend = share.view(-1, *[1] * (from_first.ndim - 1))
    return ((1.0 - blend) * from_first + blend * from_second).cpu()


def codes_of(component: Component, verb: str) -> Codes:
    """Return a component as one that has codes; raises ``BadInput`` where it has none, which the verb needs."""
    if not isinstance(component, Codes):
        raise BadInput(
            f"{verb}() needs components with codes; a {type(component).__name__} has none: take a vae, alone or as a "
            "part, such as 'vae' or 'vae+denoiser'"
        )
    return component


def pairs_of(component: Component, verb: str) -> Pairs:
    """Return a component as one that learns pairs; raises ``BadInput`` where it does not, which the verb needs."""
    if not isinstance(component, Pairs):
        raise BadInput(f"{verb}() needs components that learn pairs; a {type(component).__name__} does not")
    return component


def routing_noise(draws: int, component: Component) -> Tensor | None:
    """Return fixed draws of the code for comparing components; ``None`` scores at the posterior mean."""
    if draws == 0 or not isinstance(component, Codes) or isinstance(component, Evidence):
        return None
    require_room(4 * draws * component.latent, f"routing_draws of {draws} codes of length {component.latent}")
    generator = torch.Generator().manual_seed(_BOUND_SEED)
    return torch.randn(draws, component.latent, generator=generator, dtype=torch.float32)


def are_scores_of(scores: Any, n: int, components: Sequence[Component]) -> bool:
    """Return whether that can be what these components say of ``n`` examples."""
    if not isinstance(scores, ComponentScores) or not isinstance(scores.class_log_proba, tuple):
        return False
    if not isinstance(scores.evidence, tuple) or not all(isinstance(each, RawScores) for each in scores.evidence):
        return False
    raw = [part for each in scores.evidence for part in (each.scores, each.class_log_proba)]
    parts = [scores.elbo, *scores.class_log_proba, *raw]
    shapes: list[tuple[int, ...]] = [(n, len(components)), *((n, len(component.classes)) for component in components)]
    for component in components if scores.evidence else ():  # a list leaves none
        if isinstance(component, Evidence):
            classes = len(component.classes)
            shapes += [(n, max(1, classes), len(component.sources)), (n, classes)]
    return len(parts) == len(shapes) and all(
        isinstance(part, Tensor)
        and (part.dtype, part.device.type, part.layout) == (torch.float32, "cpu", torch.strided)
        and part.shape == shape
        for part, shape in zip(parts, shapes, strict=True)
    )


def require_room_for(n: int, shape: Shape, what: str) -> None:
    """Refuse to make more examples of a shape than fit into memory."""
    require_room(_COPIES * 4 * n * math.prod(shape), f"{what} {n} examples of shape {shape}")
