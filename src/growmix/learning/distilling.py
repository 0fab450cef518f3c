"""How a student learns, from generated data alone, all that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from growmix.components.abilities import Cheap, Pairs, SoftLabels
from growmix.components.component import Component
from growmix.components.construction import NARROWEST, WIDEST, require_density, student_kind
from growmix.components.density import no_labels
from growmix.components.kinds import ComponentKind
from growmix.components.likelihoods import Likelihood
from growmix.data.task import TaskData
from growmix.errors import NotLearnt
from growmix.learning.answers import scores_under
from growmix.learning.knowledge import Knowledge
from growmix.learning.plugins import Plugins
from growmix.learning.replay import example_weights, generate, replay
from growmix.learning.routing import combine, log_responsibilities
from growmix.learning.student import Student
from growmix.learning.tasks import check_callbacks
from growmix.settings import Settings
from growmix.settings.mixture import WITH_DENOISER
from growmix.system.ambient import SinglePrecision
from growmix.system.memory import require_room, require_training
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback
from growmix.training.trainer import GradientTrainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes seconds to import, and only training needs it

FEWEST, MOST = 4_000, 6_000
"""Generated examples per class by default: below, the student sees too few; above, it costs time and gains little."""

MOST_DENOISED = 3_000
"""Most generated examples per class of a denoiser: on a CPU each costs some 30 ms, and as much again to be judged."""

IN_FULL = 2
"""Components that judge a lesson in full where they have a cheap score: all would take longer than to draw it."""

MOST_OF_TEACHER = 0.2
"""Share of the mixture's parameters that a convolutional student has at most, unless its width is set."""


def distill(
    teacher: Knowledge,
    settings: Settings,
    fabric: Fabric,
    seed: int,
    *,
    shared: int = 0,
    likelihood: Likelihood | None = None,
    callbacks: Sequence[Callback] = (),
) -> Student:
    """Train a student on samples of every component.

    Every past task reaches the student as generated examples only. It maximises its own ELBO on them and, when there
    are classes, matches the teacher's soft labels: component posterior times class posterior.

    Parameters
    ----------
    teacher
        What the teacher knows: its components, labels and shares.
    settings
        The settings of the teacher.
    fabric
        Device, precision and strategy of the training.
    seed
        Seed of everything random here.
    shared
        How many numbers the components of the teacher share.
    likelihood
        A likelihood of a user's own, if the teacher has one.
    callbacks
        What is told of the training as it goes.

    Raises
    ------
    NotLearnt
        The teacher knows nothing yet.
    BadInput
        Something is wrong with ``callbacks``, or there is too little memory.

    References
    ----------
    Ye and Bors 2025, Eq. 27.
    """
    check_callbacks(callbacks)
    if not teacher.components:
        raise NotLearnt("nothing was learnt yet, so there is nothing to teach; call learn(data) first")
    settings = sized(settings, teacher, shared, likelihood)
    kind = student_kind(settings, likelihood)
    _require_room(teacher, settings, kind, fabric.device)
    generator = torch.Generator().manual_seed(seed)
    lessons = lessons_of(teacher, settings, generator)
    student = _new_student(teacher, kind, generator)
    student.count(lessons)
    student.to(fabric.device)
    budget = Budget.of(settings.replace(epochs=settings.student_passes, patience=None), len(lessons))
    trainer = GradientTrainer(
        budget, fabric, generator, component=None, callbacks=callbacks, draws_globally=kind.draws_globally
    )
    if isinstance(student, SoftLabels) and lessons.target is None:
        soft = soft_labels(teacher, lessons.x, student.classes, settings.student_temperature, settings.routing_draws)
        student.fit_soft(lessons, soft, trainer)
    else:
        student.fit(lessons, example_weights(len(lessons)), trainer)
    return Student(student, settings, trainer.log, teacher.names, Plugins(likelihood=likelihood))


def sized(settings: Settings, teacher: Knowledge, shared: int, likelihood: Likelihood | None) -> Settings:
    """Return settings in which the width of a convolutional student is chosen by the size of its teacher.

    Parameters
    ----------
    settings
        The settings of the teacher; a width that they have stays.
    teacher, shared
        What the teacher knows, and how many numbers its components share.
    likelihood
        A likelihood of a user's own, if the teacher has one.
    """
    if settings.student_networks != "conv" or settings.student_width is not None:
        return settings
    most = MOST_OF_TEACHER * (shared + sum(weight.numel() for c in teacher.components for weight in c.parameters()))

    def size(width: int) -> int:
        with torch.device("meta"):
            kind = student_kind(settings.replace(student_width=width), likelihood)
            return sum(weight.numel() for weight in _new_student(teacher, kind, torch.Generator()).parameters())

    fitting = (width for width in range(WIDEST, NARROWEST, -1) if size(width) <= most)
    return settings.replace(student_width=next(fitting, NARROWEST))


def lessons_for(settings: Settings, learnt: int, classes: int, components: int) -> int:
    """Return how many generated examples a student learns from.

    Examples
    --------
    >>> lessons_for(Settings(), learnt=60_000, classes=10, components=5)
    60000
    """
    groups = max(classes, components)
    usual = min(max(learnt // groups, FEWEST), MOST)
    if WITH_DENOISER.holds(settings.component):
        usual = MOST_DENOISED
    return groups * (settings.student_examples or usual)


def lessons_of(teacher: Knowledge, settings: Settings, generator: torch.Generator) -> TaskData:
    """Return generated examples with the labels asked for: as many of every class of every component.

    Pixels are kept as bytes, a quarter of the memory.
    """
    sources = [(c, k) for c in teacher.components for k in range(max(1, len(c.classes)))]
    total = lessons_for(settings, sum(teacher.examples), len(teacher.labels), len(teacher.components))
    each = max(1, total // len(sources))
    first = teacher.components[0]
    values = first.domain.size + (first.target.size if isinstance(first, Pairs) else 0)
    width = 1 if first.domain.support == "unit" else 4
    # twice: part by part, and all as one
    require_room(2 * width * each * len(sources) * values, f"{each * len(sources)} generated examples for the student")
    if isinstance(first, Pairs):
        return _joined([replay(c, each, generator).compact() for c in teacher.components])
    drawn = []
    for component, k in sources:
        positions = torch.full((each,), k) if component.classes else no_labels(each)
        drawn.append(generate(component, positions, generator).compact())
    return _joined(drawn)


def soft_labels(teacher: Knowledge, x: Tensor, classes: Sequence[int], heat: float, draws: int) -> Tensor:
    """Return the teacher's class probabilities at a temperature, shape ``(n, classes)``.

    Of components with a cheap score, the two that lead by it have a say, or as many as the teacher scores in full.

    Parameters
    ----------
    teacher
        What the teacher knows: its components, labels and shares.
    x
        Generated examples, shape ``(n, *shape)``.
    classes
        Labels of the columns.
    heat
        Temperature that log-probabilities are divided by.
    draws
        Draws of the code per example; 0 scores at the posterior mean.
    """
    if not classes:
        return torch.zeros(len(x), 0, dtype=torch.float32)
    if teacher.cascade is None and isinstance(teacher.components[0], Cheap):
        teacher = replace(teacher, cascade=IN_FULL)
    scores = scores_under(teacher, x, draws)
    weights = log_responsibilities(scores.elbo / heat, teacher.log_prior / heat)
    softened = [(log_proba / heat).log_softmax(1) for log_proba in scores.class_log_proba]
    return combine(weights, softened, [c.classes for c in teacher.components], classes)


def _joined(parts: Sequence[TaskData]) -> TaskData:
    x = torch.cat([part.x for part in parts])
    labels = [part.y for part in parts if part.y is not None]
    targets = [part.target for part in parts if part.target is not None]
    y = torch.cat(labels) if labels else no_labels(len(x))
    return replace(parts[0], x=x, y=y, target=torch.cat(targets) if targets else None)


def _require_room(teacher: Knowledge, settings: Settings, kind: ComponentKind, device: torch.device) -> None:
    require_density(settings.replace(latent=settings.student_latent))
    with torch.device("meta"):
        student = _new_student(teacher, kind, torch.Generator())
    require_training(student.parameters(), student.shape, device)


def _new_student(teacher: Knowledge, kind: ComponentKind, generator: torch.Generator) -> Component:
    like = teacher.components[0]
    target = like.target if isinstance(like, Pairs) else None
    with SinglePrecision():
        student = kind.new(like.domain, supervised=len(teacher.labels) > 0, target=target, generator=generator)
        student.add_classes(teacher.labels, generator)
    return student
