"""One network that learns task after task: what it rehearses and what restrains it makes it one method or another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Tensor, nn

from growmix.baselines.budget import check_images_alone, check_settings, equal_budget
from growmix.baselines.penalties import Penalty, Restrained, Restraint, Unrestrained
from growmix.baselines.rehearsal import Nothing, Rehearsal, together
from growmix.checkpoints.persistence import Checkpoint, prefixed, under
from growmix.components.component import Component
from growmix.components.nets import Blueprint
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.learning.gating import Decision
from growmix.learning.learner import Learner, Learnt, MakeKind
from growmix.settings import Settings
from growmix.training.callbacks import Callback
from growmix.training.trainer import GradientTrainer

SINGLE_EXAMPLES = 500
"""Most examples of a task whose losses a penalty sees one by one; each costs a forward and a backward pass."""


@dataclass(frozen=True, eq=False)
class Past:
    """What a network keeps of past tasks beside its weights."""

    rehearsal: Rehearsal
    penalty: Penalty


@final
class RestrainedTrainer:
    """A trainer that adds a restraint's penalty to whatever objective a component has.

    Parameters
    ----------
    inner
        Trainer that takes the gradient steps.
    restraint
        Restraint that gives the penalty of a batch.
    replayed
        Whether each example is replayed, shape ``(n,)``.
    """

    objective: nn.Module
    noise: int

    def __init__(self, inner: GradientTrainer, restraint: Restraint, replayed: Tensor) -> None:
        self.inner = inner
        self.generator = inner.generator
        self._restraint, self._replayed = restraint, replayed

    def minimise(self, objective: nn.Module, data: Sequence[Tensor], *, noise: int) -> None:
        """Minimise the objective plus the penalty; the objective alone is kept for what comes after."""
        self.objective, self.noise = objective, noise
        self.inner.minimise(Restrained(objective, self._restraint), [*data, self._replayed], noise=noise)


@final
class OneNetwork(Learner[Past]):
    """One component, trained on every task from where the last one left it.

    Parameters
    ----------
    method
        Name of the method, for checkpoints and reports.
    settings
        Settings of the network and its training.
    rehearsal
        What the network trains on beside a new task.
    penalty
        What is added to the loss of a task.
    kind
        Function that returns the kind of the component; by default the kind that the settings name.
    blueprint
        Networks in place of those that the settings name.
    parameters
        The numbers that the rehearsal and the penalty were made with, by name; a checkpoint keeps them.

    Raises
    ------
    BadInput
        The settings ask for what this method does not have, such as patience.

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
        kind: MakeKind | None = None,
        blueprint: str | Blueprint | None = None,
        parameters: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        check_settings(method, settings)
        super().__init__(blueprint, settings, Past(rehearsal or Nothing(), penalty or Unrestrained()), kind)
        self.method = method
        self.parameters = dict(parameters)

    def _learn(self, task: TaskData, generator: torch.Generator, callbacks: Sequence[Callback]) -> Learnt[Past]:
        check_images_alone(self.method, task)
        teacher = self.components[0] if self.components else None
        component = self._successor(teacher, task, task.classes(), generator)
        data, weight = self._lessons(teacher, task, generator)
        restraint = self._memory.penalty.restrain(component, teacher)
        trainer = RestrainedTrainer(
            GradientTrainer(
                budget=equal_budget(self.settings, len(task)).over(len(data)),
                fabric=self._fabric,
                generator=generator,
                component=0,
                callbacks=callbacks,
                follower=restraint,
                draws_globally=self.kind.draws_globally,
            ),
            restraint,
            replayed=torch.arange(len(data)) >= len(task),
        )
        component.fit(data, weight, trainer)
        past = Past(
            self._memory.rehearsal.after(task, generator),
            restraint.keep(_single_losses(trainer, component, task, generator)),
        )
        decision = Decision("grow" if teacher is None else "reuse", 0, (), 0.0)
        return Learnt(decision, {0: component}, {0: len(task)}, past, trainer.inner.log)

    def _lessons(
        self, teacher: Component | None, task: TaskData, generator: torch.Generator
    ) -> tuple[TaskData, Tensor]:
        """Return all that is trained on, the task's examples first, and how many examples each stands for."""
        recalled = None if teacher is None else self._memory.rehearsal.recall(task, teacher, self.examples, generator)
        if recalled is None:
            return task, torch.ones(len(task))
        old = torch.full((len(recalled),), self.examples / len(recalled))
        return together([task, recalled]), torch.cat([torch.ones(len(task)), old])

    def _new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        return self.kind.make(domain, supervised=supervised, target=target, generator=generator)

    def _pack(self, memory: Past) -> tuple[dict[str, Any], dict[str, Tensor]]:
        rehearsal, penalty = memory.rehearsal.pack(), memory.penalty.pack()
        kept = {"parameters": self.parameters} if self.parameters else {}
        return kept, prefixed("rehearsal.", rehearsal) | prefixed("penalty.", penalty)

    def _unpack(self, saved: Checkpoint) -> Past:
        component = self.components[0] if self.components else None
        weights = {} if component is None else {name: component.get_parameter(name) for name in component.trained}
        return Past(
            self._memory.rehearsal.unpack(under("rehearsal.", saved.tensors), component),
            self._memory.penalty.unpack(under("penalty.", saved.tensors), weights),
        )


def _single_losses(
    trainer: RestrainedTrainer, component: Component, task: TaskData, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield the losses of some of a task's examples, one by one, as they are asked for."""
    chosen = torch.randperm(len(task), generator=generator)[:SINGLE_EXAMPLES]
    images, positions = task.images(chosen), component.positions_of(task[chosen])
    for x, position in zip(images.split(1), positions.split(1), strict=True):
        noise = torch.randn(1, trainer.noise, generator=generator, dtype=torch.float32)
        yield trainer.objective(*(part.to(component.device) for part in (x, position, noise)))
