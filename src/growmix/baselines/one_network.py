"""One network that learns task after task: what it rehearses and what restrains it makes it one method or another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor

from growmix.baselines.budget import check_images_alone, check_settings, equal_budget
from growmix.baselines.penalties import Penalty, Restrained, Restraint, Unrestrained
from growmix.baselines.rehearsal import Nothing, Rehearsal, together
from growmix.checkpoints.persistence import Checkpoint, prefixed, under
from growmix.components.component import Component
from growmix.components.construction import whole_component
from growmix.components.nets import Blueprint
from growmix.data.task import Shape, TaskData
from growmix.learning.gating import Decision
from growmix.learning.learner import Learner, Learnt, task_positions
from growmix.learning.model import ex_post_density
from growmix.settings import Settings
from growmix.training.loop import Callback, TrainingLog, fit
from growmix.training.objectives import TaskObjective

SINGLE_EXAMPLES = 500
"""Examples of a task whose losses a penalty may look at one by one; each costs a pass forth and back."""


class Build(Protocol):
    """Makes an untrained component."""

    def __call__(
        self,
        blueprint: Blueprint,
        settings: Settings,
        shape: Shape,
        *,
        supervised: bool,
        target_shape: Shape | None = None,
    ) -> Component:
        """As :func:`growmix.components.construction.whole_component`."""


@dataclass(frozen=True, eq=False)
class Past:
    """What a network keeps of past tasks beside its weights."""

    rehearsal: Rehearsal
    penalty: Penalty


@final
class OneNetwork(Learner[Past]):
    """One component, trained on every task from where the last one left it.

    Parameters
    ----------
    method
        Name, for checkpoints and reports.
    settings
        All parameters.
    rehearsal
        What it trains on beside a new task.
    penalty
        What is added to its loss.
    build
        Makes the component.
    blueprint
        Networks, if not those that the settings name.

    Raises
    ------
    BadInput
        The settings have a patience.

    Examples
    --------
    >>> dark = np.random.default_rng(0).random((60, 1, 8, 8)) * 0.3
    >>> network = OneNetwork("fine-tuning", Settings(hidden=16, latent=2, epochs=3))
    >>> network.learn(dark).action, network.learn(1 - dark).action
    ('grow', 'reuse')
    """

    def __init__(
        self,
        method: str,
        settings: Settings,
        *,
        rehearsal: Rehearsal | None = None,
        penalty: Penalty | None = None,
        build: Build = whole_component,
        blueprint: str | Blueprint | None = None,
    ) -> None:
        check_settings(method, settings)
        super().__init__(blueprint, settings, Past(rehearsal or Nothing(), penalty or Unrestrained()))
        self.method = method
        self._build = build

    def _learn(self, task: TaskData, generator: torch.Generator, callbacks: Sequence[Callback]) -> Learnt[Past]:
        check_images_alone(self.method, task)
        teacher = self.components[0] if self.components else None
        component = self._successor(teacher, task, task.classes())
        data, weight = self._lessons(teacher, task, generator)
        restraint = self._memory.penalty.restrain(component, teacher)
        objective, log = self._train(component, data, len(task), restraint, generator, callbacks)
        positions = task_positions(data, component)
        component.density = ex_post_density(component, data.x, positions, weight, self.settings, generator)
        past = Past(
            self._memory.rehearsal.after(task, generator),
            restraint.keep(_single_losses(objective, component, task, generator)),
        )
        decision = Decision("grow" if teacher is None else "reuse", 0, (), 0.0)
        return Learnt(decision, {0: component}, {0: len(task)}, past, log)

    def _lessons(
        self, teacher: Component | None, task: TaskData, generator: torch.Generator
    ) -> tuple[TaskData, Tensor]:
        """All that is trained on, the task's examples first, and how many examples each stands for."""
        recalled = None if teacher is None else self._memory.rehearsal.recall(task, teacher, self.examples, generator)
        if recalled is None:
            return task, torch.ones(len(task))
        old = torch.full((len(recalled),), self.examples / len(recalled))
        return together([task, recalled]), torch.cat([torch.ones(len(task)), old])

    def _train(
        self,
        component: Component,
        data: TaskData,
        new: int,
        restraint: Restraint,
        generator: torch.Generator,
        callbacks: Sequence[Callback],
    ) -> tuple[TaskObjective, TrainingLog]:
        """Train in place on data of which the first ``new`` are the task's own."""
        positions = task_positions(data, component)
        objective = TaskObjective(
            component, self.settings.classification_weight, unlabelled=bool((positions < 0).any())
        )
        log = fit(
            Restrained(objective, restraint),
            [data.x, positions, torch.arange(len(data)) >= new],
            component.latent,
            equal_budget(self.settings, new).over(len(data)),
            self._fabric,
            generator,
            component=0,
            callbacks=callbacks,
            follower=restraint,
        )
        return objective, log

    def _new_component(self, shape: Shape, *, supervised: bool, target_shape: Shape | None = None) -> Component:
        return self._build(self.blueprint, self.settings, shape, supervised=supervised, target_shape=target_shape)

    def _pack(self, memory: Past) -> tuple[dict[str, Any], dict[str, Tensor]]:
        rehearsal, penalty = memory.rehearsal.pack(), memory.penalty.pack()
        return {}, prefixed("rehearsal.", rehearsal) | prefixed("penalty.", penalty)

    def _unpack(self, saved: Checkpoint) -> Past:
        component = self.components[0] if self.components else None
        weights = {} if component is None else {name: component.get_parameter(name) for name in component.trained}
        return Past(
            self._memory.rehearsal.unpack(under("rehearsal.", saved.tensors), component),
            self._memory.penalty.unpack(under("penalty.", saved.tensors), weights),
        )


def _single_losses(
    objective: TaskObjective, component: Component, task: TaskData, generator: torch.Generator
) -> Iterator[Tensor]:
    """Losses of some of a task's examples, one by one, as they are asked for."""
    device = next(component.parameters()).device
    chosen = torch.randperm(len(task), generator=generator)[:SINGLE_EXAMPLES]
    images, positions = task.images(chosen), task_positions(task[chosen], component)
    for x, position in zip(images.split(1), positions.split(1), strict=True):
        noise = torch.randn(1, component.latent, generator=generator)
        yield objective(x.to(device), position.to(device), noise.to(device))
