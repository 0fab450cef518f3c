"""How good a learner's density and its samples are: test log-likelihood, and Frechet distance of generated images.

Both are measured once, after the last task, on a part of each test set; neither reaches what is learnt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from growmix.evaluation.evaluator import owners_of
from growmix.evaluation.frechet import frechet_distance, train_features
from growmix.evaluation.likelihood import Meaning, bits_per_dim, log_likelihood
from growmix.learning.replay import generate, replay
from growmix.system.ambient import torch_as_it_comes

if TYPE_CHECKING:
    from growmix.components.component import Component
    from growmix.learning.learner import Learner
    from growmix.streams import Stream, Task


@torch_as_it_comes()
def likelihood_scores(learner: Learner[Any], stream: Stream, draws: int, examples: int, seed: int) -> dict[str, Any]:
    """Bound the test log-likelihood of each learnt task by importance weighting.

    Parameters
    ----------
    learner
        The learner of the first tasks of ``stream``.
    stream
        Tasks with test sets.
    draws
        How many codes are drawn for each example.
    examples
        How many examples of each test set are measured at most.
    seed
        Seed of the choice of examples and of the draws.

    Returns
    -------
    dict
        Block ``log_likelihood`` of ``metrics.json``: ``nats`` and ``bits_per_dim`` of each task, means over examples
        (no bits where the numbers are not in [0, 1]); ``draws``, and ``examples`` of the largest test set. Of pairs,
        only the source counts.
    """
    meaning: Meaning = "density" if learner.components[0].is_density else "discrete"
    nats, counts = [], []
    for task in stream[: len(learner.history)]:
        x = task.test.images(_some(len(task.test), examples, seed))
        counts.append(len(x))
        nats.append(float(log_likelihood(learner.components, learner.log_prior, x, draws, seed).double().mean()))
    bits: list[float | None] = [None] * len(nats)
    if stream.domain.support == "unit":
        bits = [bits_per_dim(value, math.prod(stream.shape), meaning) for value in nats]
    return {"nats": nats, "bits_per_dim": bits, "draws": draws, "examples": max(counts)}


@torch_as_it_comes()
def frechet_scores(learner: Learner[Any], stream: Stream, examples: int, seed: int) -> dict[str, Any] | None:
    """Measure the Frechet distance between generated and test images, in features that are learnt for it here.

    Parameters
    ----------
    learner
        The learner of the first tasks of ``stream``.
    stream
        Tasks with test sets, and with training sets for the classifier whose features are compared.
    examples
        How many images of each kind are compared at most, for each task.
    seed
        Seed of the classifier, of the choice of images and of the draws.

    Returns
    -------
    dict or None
        Block ``frechet`` of ``metrics.json``. ``distance`` of each task: samples of its classes by the components that
        learnt it; without labels, samples of its component, ``None`` where that learnt other tasks too, and for a test
        set of one image. ``all``: samples of everything against all test sets. ``features``: what the distance is
        measured in. ``None`` altogether where examples are no pictures, and where there are no two classes or tasks to
        learn features from.
    """
    tasks = stream[: len(learner.history)]
    labels = {label for task in tasks for label in task.train.classes()}
    if not stream.domain.is_image or max(len(labels), len(tasks)) < 2 or sum(len(task.test) for task in tasks) < 2:
        return None
    features = train_features([task.train for task in tasks], seed, learner.settings.device)
    generator = torch.Generator().manual_seed(seed)
    real = [features(task.test.images(_some(len(task.test), examples, seed))) for task in tasks]
    distances: list[float | None] = []
    for i, task in enumerate(tasks):
        drawn = _drawn(learner, i, task, len(real[i]), generator) if len(real[i]) > 1 else None
        distances.append(None if drawn is None else frechet_distance(real[i], features(drawn)))
    n = sum(map(len, real))
    return {
        "distance": distances,
        "all": frechet_distance(torch.cat(real), features(_drawn_of_all(learner, n, generator))),
        "features": "a classifier trained by this run on the training images; compare within this run alone",
    }


def _some(n: int, most: int, seed: int) -> Tensor:
    """Choose rows of a test set of n examples, at most so many."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:most]


def _drawn(learner: Learner[Any], i: int, task: Task, n: int, generator: torch.Generator) -> Tensor | None:
    """Draw images ``(n, *shape)`` that stand for task i; ``None`` where they can't be told from other tasks' images."""
    owners = owners_of(learner.history[i])
    kinds = [
        (learner.components[k], learner.components[k].classes.index(label))
        for label in task.classes
        for k in owners
        if label in learner.components[k].classes
    ]
    if kinds:
        return _of_classes(kinds, n, generator)
    exclusive = sum(k in owners_of(step) for step in learner.history for k in owners) == len(owners)
    if len(owners) > 1 or not exclusive:
        return None
    return replay(learner.components[owners[0]], n, generator).x


def _of_classes(kinds: Sequence[tuple[Component, int]], n: int, generator: torch.Generator) -> Tensor:
    """Draw n images, in equal shares from these classes of components."""
    shares = torch.arange(n).tensor_split(len(kinds))
    drawn = [
        generate(component, torch.full((len(share),), position), generator).x
        for (component, position), share in zip(kinds, shares, strict=True)
        if len(share)
    ]
    return torch.cat(drawn)


def _drawn_of_all(learner: Learner[Any], n: int, generator: torch.Generator) -> Tensor:
    """Draw n images from all components, in proportion to the examples that they learnt."""
    which = torch.multinomial(learner.log_prior.exp(), n, replacement=True, generator=generator)
    counts = torch.bincount(which, minlength=len(learner.components)).tolist()
    return torch.cat(
        [
            replay(component, count, generator).x
            for component, count in zip(learner.components, counts, strict=True)
            if count
        ]
    )
