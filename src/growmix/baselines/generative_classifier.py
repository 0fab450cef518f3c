"""A generative classifier, which has one network per class and uses Bayes' rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

from growmix.baselines.budget import check_images_alone, check_settings, equal_budget
from growmix.checkpoints.persistence import Checkpoint
from growmix.components.component import Component
from growmix.components.nets import Blueprint
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, TaskData
from growmix.errors import BadInput
from growmix.learning.gating import Decision
from growmix.learning.learner import Learner, Learnt
from growmix.learning.replay import join, replay, replay_size
from growmix.settings import Settings
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, TrainingLog
from growmix.training.trainer import GradientTrainer


@final
class GenerativeClassifier(Learner[None]):
    """One variational autoencoder per class; p(y|x) is proportional to p(y) p(x|y).

    The steps of a task's budget are shared out among its classes. A class that is met again updates its network, on
    its own replay too. Images are scored at the posterior mean, where the paper takes 10,000 importance samples.

    Parameters
    ----------
    settings
        Settings of all networks.
    blueprint
        Networks in place of those that the settings name.

    Raises
    ------
    BadInput
        The settings ask for what this method does not have, such as patience.

    References
    ----------
    van de Ven, Li, Tolias 2021, Class-incremental learning with generative classifiers.

    Examples
    --------
    >>> dark = np.random.default_rng(0).random((60, 1, 8, 8)) * 0.3
    >>> classifier = GenerativeClassifier(Settings(hidden=16, latent=2, epochs=30))
    >>> decision = classifier.learn((np.concatenate([dark, 1 - dark]), np.arange(120) // 60))
    >>> len(classifier.components), classifier.predict(dark[:3])
    (2, array([0, 0, 0]))
    """

    method = "generative-classifier"

    def __init__(self, settings: Settings, blueprint: str | Blueprint | None = None) -> None:
        check_settings(self.method, settings)
        super().__init__(blueprint, settings, None)

    def _learn(self, task: TaskData, generator: torch.Generator, callbacks: Sequence[Callback]) -> Learnt[None]:
        check_images_alone(self.method, task)
        own = _split_by_class(task)
        budget = equal_budget(self.settings, len(task))
        assert budget.steps is not None  # a budget of settings counts them
        places = self._places(list(own))
        components: dict[int, Component] = {}
        logs = []
        for (label, data), steps in zip(own.items(), shares(budget.steps, [len(d) for d in own.values()]), strict=True):
            k = places[label]
            components[k], log = self._train(k, data, replace(budget, steps=steps), generator, callbacks)
            logs.append(log)
        added = [k for k in places.values() if k >= len(self.components)]
        decision = Decision("grow", min(added), (), 0.0) if added else Decision("reuse", min(places.values()), (), 0.0)
        examples = {places[label]: len(data) for label, data in own.items()}
        return Learnt(decision, components, examples, None, _summed(logs))

    def _places(self, labels: Sequence[int]) -> dict[int, int]:
        """Return the index of each class's component; new ones come after those that there are."""
        known = [component.classes[0] for component in self.components]
        everything = [*known, *(label for label in labels if label not in known)]
        return {label: everything.index(label) for label in labels}

    def _train(
        self, index: int, data: TaskData, budget: Budget, generator: torch.Generator, callbacks: Sequence[Callback]
    ) -> tuple[Component, TrainingLog]:
        """Train the network of one class on its part of a task."""
        teacher = self.components[index] if index < len(self.components) else None
        component = self._successor(teacher, data, data.classes(), generator)
        learnt, replayed = 0, None
        if teacher is not None:
            learnt = int(teacher.class_counts.sum())
            size = replay_size(len(data), learnt, self.settings.replay_ratio)
            replayed = replay(teacher, size, generator) if size else None
        train = data if replayed is None else join(data, replayed)
        weight = torch.ones(len(train), dtype=torch.float32)
        weight[len(data) :] = learnt / max(1, len(train) - len(data))
        trainer = GradientTrainer(
            budget=budget.over(len(train)),
            fabric=self._fabric,
            generator=generator,
            component=index,
            callbacks=callbacks,
            draws_globally=self.kind.draws_globally,
        )
        component.fit(train, weight, trainer)
        return component, trainer.log

    def _new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        return self.kind.make(domain, supervised=supervised, target=target, generator=generator)

    def _pack(self, memory: None) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {}, {}

    def _unpack(self, saved: Checkpoint) -> None:
        return None


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


def _split_by_class(task: TaskData) -> dict[int, TaskData]:
    """Split the examples of a task by class.

    Raises
    ------
    BadInput
        One of the examples has no label.
    """
    unlabelled = len(task) if task.y is None else int((task.y == UNLABELLED).sum())
    if task.y is None or unlabelled:
        raise BadInput(
            f"data has {unlabelled} of {len(task)} examples without a label; the method 'generative-classifier' "
            "needs one for each, since every class has a network of its own"
        )
    return {label: task[task.y == label] for label in task.classes()}


def _summed(logs: Sequence[TrainingLog]) -> TrainingLog:
    """Make one log of several trainings, one after the other."""
    return TrainingLog(
        epochs=sum(log.epochs for log in logs),
        steps=sum(log.steps for log in logs),
        examples=sum(log.examples for log in logs),
        seconds=sum(log.seconds for log in logs),
        losses=tuple(loss for log in logs for loss in log.losses),
    )
