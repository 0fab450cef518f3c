"""One network that learns task after task: what it rehearses and what restrains it makes it one method or another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Tensor, nn

from growmix.baselines.budget import check_images_alone, check_settings, equal_budget
from growmix.baselines.penalties import Penalty, Restrained, Restraint, Unrestrained
from growmix.baselines.rehearsal import Nothing, Rehearsal, together
from growmix.checkpoints.persistence import Checkpoint, prefixed, under
from growmix.components.abilities import Additive
from growmix.components.component import Component
from growmix.components.nets import Blueprint
from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.learning.gating import Decision
from growmix.learning.learner import Learner, MakeKind
from growmix.learning.plugins import chosen
from growmix.learning.replay import example_weights
from growmix.learning.state import Learnt
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

    Attributes
    ----------
    objectives : list of tuple
        What was minimised, without the penalty, and how many numbers of noise an example needs for it: one of each
        network that a component has.
    """

    def __init__(self, inner: GradientTrainer, restraint: Restraint, replayed: Tensor) -> None:
        self.inner = inner
        self.generator = inner.generator
        self._restraint, self._replayed = restraint, replayed
        self.objectives: list[tuple[nn.Module, int]] = []

    @property
    def patient(self) -> bool:
        """Whether a training ends when what is held out of it gets no better."""
        return self.inner.patient

    def minimise(
        self,
        objective: nn.Module,
        data: Sequence[Tensor],
        *,
        noise: int,
        recipe: Recipe = DEFAULT_RECIPE,
        held_out: Callable[[], float] | None = None,
    ) -> None:
        """Minimise the objective plus the penalty; the objective alone is kept for what comes after."""
        self.objectives.append((objective, noise))
        restrained = Restrained(objective, self._restraint)
        self.inner.minimise(restrained, [*data, self._replayed], noise=noise, recipe=recipe, held_out=held_out)


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
        settings, plugins = chosen(settings, blueprint=blueprint)
        super().__init__(settings, Past(rehearsal or Nothing(), penalty or Unrestrained()), plugins=plugins, kind=kind)
        self.method = method
        self.parameters = dict(parameters)

    def learn(self, data: Any, *, callbacks: Sequence[Callback] = ()) -> Decision:
        """Learn one task, see :meth:`growmix.learning.learner.Learner.learn`."""
        with self.lesson(data, callbacks) as lesson:
            task, generator, memory = lesson.task, lesson.generator, lesson.before.memory
            check_images_alone(self.method, task)
            teacher = lesson.components[0] if lesson.components else None
            component = self.grow(lesson, task) if teacher is None else self.copy(0, lesson, task)
            data, weight = self._lessons(teacher, task, generator)
            restraint = memory.penalty.restrain(component, teacher)
            budget = equal_budget(self.settings, len(task), self.kind.recipes[0]).over(len(data))
            trainer = RestrainedTrainer(
                self.trainer(0, lesson, budget, follower=restraint),
                restraint,
                replayed=torch.arange(len(data)) >= len(task),
            )
            component.fit(data, weight, trainer)
            past = Past(
                memory.rehearsal.after(task, generator),
                restraint.keep(_single_losses(trainer, component, task, generator)),
            )
            decision = Decision("grow" if teacher is None else "reuse", 0, (), 0.0)
            lesson.learnt = Learnt(decision, {0: component}, {0: len(task)}, past, trainer.inner.log)
        return decision

    def _lessons(
        self, teacher: Component | None, task: TaskData, generator: torch.Generator
    ) -> tuple[TaskData, Tensor]:
        """Return all that is trained on, the task's examples first, and how many examples each stands for."""
        recalled = None if teacher is None else self._memory.rehearsal.recall(task, teacher, self.examples, generator)
        if recalled is None:
            return task, example_weights(len(task))
        return together([task, recalled]), example_weights(len(task), len(recalled), self.examples)

    def new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        """Make an untrained component of the method's kind."""
        component = self.kind.new(domain, supervised=supervised, target=target, generator=generator)
        alone = isinstance(self._memory.rehearsal, Nothing) and isinstance(self._memory.penalty, Unrestrained)
        if isinstance(component, Additive) and not alone:
            raise BadInput(
                f"component is a {type(component).__name__}, which adds up what it learns and forgets nothing; the "
                f"method {self.method!r} is about networks: take component 'vae', or method 'mixture'"
            )
        return component

    def pack(self, memory: Past) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the tensors of rehearsal and penalty."""
        rehearsal, penalty = memory.rehearsal.pack(), memory.penalty.pack()
        kept = {"parameters": self.parameters} if self.parameters else {}
        return kept, prefixed("rehearsal.", rehearsal) | prefixed("penalty.", penalty)

    def unpack(self, saved: Checkpoint) -> Past:
        """Return rehearsal and penalty again."""
        component = self.components[0] if self.components else None
        weights = {} if component is None else {name: component.get_parameter(name) for name in component.trained}
        return Past(
            self._memory.rehearsal.unpack(under("rehearsal.", saved.tensors), component),
            self._memory.penalty.unpack(under("penalty.", saved.tensors), weights),
        )


def _single_losses(
    trainer: RestrainedTrainer, component: Component, task: TaskData, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield losses of some of a task's examples, one by one as they are asked for; of several networks, their sum."""
    chosen = torch.randperm(len(task), generator=generator)[:SINGLE_EXAMPLES]
    images, positions = task.images(chosen), component.positions_of(task[chosen])
    for x, position in zip(images.split(1), positions.split(1), strict=True):
        losses = []
        for objective, numbers in trainer.objectives:
            noise = torch.randn(1, numbers, generator=generator, dtype=torch.float32)
            losses.append(objective(*(part.to(component.device) for part in (x, position, noise))))
        yield torch.stack(losses).sum()
