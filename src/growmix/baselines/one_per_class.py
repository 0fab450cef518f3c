"""One component for each class, which learns its class alone: a generative classifier, and prediction errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Tensor

from growmix.baselines.budget import check_images_alone, check_settings, equal_budget
from growmix.checkpoints.persistence import Checkpoint
from growmix.components.abilities import Additive
from growmix.components.component import Component
from growmix.components.nets import Blueprint
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, TaskData
from growmix.errors import BadInput
from growmix.learning.gating import Decision
from growmix.learning.learner import Learner, MakeKind
from growmix.learning.plugins import chosen
from growmix.learning.replay import example_weights, join, replay, replay_size
from growmix.learning.state import Learnt, Lesson
from growmix.settings import Settings
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, TrainingLog, summed


@final
class OnePerClass(Learner[None]):
    """One component per class; p(y|x) follows from the components' scores by Bayes' rule.

    The steps of a task's budget are shared out among its classes. A class that is met again updates its component, on
    its own replay too where components can generate.

    Parameters
    ----------
    method
        Name of the method, for checkpoints and reports.
    settings
        Settings of all components and their training.
    replays
        Whether a component that is updated rehearses what it generates itself.
    kind
        Function that returns the kind of the components; by default the kind that the settings name.
    blueprint
        Networks in place of those that the settings name.
    parameters
        The numbers that the components are made with beside the settings, by name; a checkpoint keeps them.

    Raises
    ------
    BadInput
        The settings ask for what this method does not have, such as patience.

    References
    ----------
    van de Ven, Li, Tolias 2021, Class-incremental learning with generative classifiers. Examples are scored at the
    posterior mean, where the paper takes 10,000 importance samples.

    Examples
    --------
    >>> dark = np.random.default_rng(0).random((60, 1, 8, 8)) * 0.3
    >>> classifier = OnePerClass("generative-classifier", Settings(hidden=16, latent=2, epochs=30))
    >>> decision = classifier.learn((np.concatenate([dark, 1 - dark]), np.arange(120) // 60))
    >>> len(classifier.components), classifier.predict(dark[:3])
    (2, array([0, 0, 0]))
    """

    def __init__(
        self,
        method: str,
        settings: Settings,
        *,
        replays: bool = True,
        kind: MakeKind | None = None,
        blueprint: str | Blueprint | None = None,
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        check_settings(method, settings)
        settings, plugins = chosen(settings, blueprint=blueprint)
        super().__init__(settings, None, plugins=plugins, kind=kind)
        self.method = method
        self.parameters = dict(parameters)
        self._replays = replays

    def learn(self, data: Any, *, callbacks: Sequence[Callback] = ()) -> Decision:
        """Learn one task, see :meth:`growmix.learning.learner.Learner.learn`."""
        with self.lesson(data, callbacks) as lesson:
            check_images_alone(self.method, lesson.task)
            own = _split_by_class(lesson.task, self.method)
            budget = equal_budget(self.settings, len(lesson.task), self.kind.recipes[0])
            assert budget.steps is not None  # a budget of settings counts them
            places = _places(lesson.components, list(own))
            steps = shares(budget.steps, [len(data) for data in own.values()])
            components: dict[int, Component] = {}
            logs = []
            for (label, examples), count in zip(own.items(), steps, strict=True):
                k = places[label]
                components[k], log = self._train(k, lesson, examples, replace(budget, steps=count))
                logs.append(log)
            decision = _decision(places, len(lesson.components))
            learnt = {places[label]: len(examples) for label, examples in own.items()}
            lesson.learnt = Learnt(decision, components, learnt, None, summed(logs))
        return decision

    def _train(self, index: int, lesson: Lesson[None], data: TaskData, budget: Budget) -> tuple[Component, TrainingLog]:
        """Return the component of one class after its part of a task, and what its training did."""
        train, weight = data, example_weights(len(data))
        if index < len(lesson.components):
            teacher = lesson.components[index]
            component = self.copy(index, lesson, data)
            learnt = int(teacher.class_counts.sum())
            replays = self._replays and not isinstance(teacher, Additive)
            size = replay_size(len(data), learnt, self.settings.replay_ratio) if replays else 0
            if size:
                train = join(data, replay(teacher, size, lesson.generator))
                weight = example_weights(len(data), size, learnt)
        else:
            component = self.grow(lesson, data)
        trainer = self.trainer(index, lesson, budget.over(len(train)))
        component.fit(train, weight, trainer)
        return component, trainer.log

    def new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        """Make an untrained component for one class."""
        return self.kind.new(domain, supervised=supervised, target=target, generator=generator)

    def pack(self, memory: None) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the parameters that components are made with, where there are some, and no tensor."""
        return ({"parameters": self.parameters} if self.parameters else {}), {}

    def unpack(self, saved: Checkpoint) -> None:
        """Return nothing: the components are all that it keeps."""
        return None


def _places(components: Sequence[Component], labels: Sequence[int]) -> dict[int, int]:
    """Return the index of each class's component, new ones behind those that there are."""
    known = [component.classes[0] for component in components]
    everything = [*known, *(label for label in labels if label not in known)]
    return {label: everything.index(label) for label in labels}


def _decision(places: Mapping[int, int], known: int) -> Decision:
    """Return the decision that a task's classes lead to: the first component that was added, or else the first."""
    added = [k for k in places.values() if k >= known]
    if added:
        return Decision("grow", min(added), (), 0.0)
    return Decision("reuse", min(places.values()), (), 0.0)


def shares(steps: int, examples: Sequence[int]) -> list[int]:
    """Share all steps out in proportion to examples, at least one each.

    Examples
    --------
    >>> shares(10, [50, 50, 50]), shares(1, [5, 5])
    ([3, 4, 3], [1, 1])
    """
    total, done, ends = sum(examples), 0, [0]
    for count in examples:
        done += count
        ends.append(round(steps * done / total))
    return [max(1, b - a) for a, b in pairwise(ends)]


def _split_by_class(task: TaskData, method: str) -> dict[int, TaskData]:
    """Split the examples of a task by class.

    Raises
    ------
    BadInput
        One of the examples has no label.
    """
    unlabelled = len(task) if task.y is None else int((task.y == UNLABELLED).sum())
    if task.y is None or unlabelled:
        raise BadInput(
            f"data has {unlabelled} of {len(task)} examples without a label; the method {method!r} "
            "needs one for each, since every class has a network of its own"
        )
    return {label: task[task.y == label] for label in task.classes()}
