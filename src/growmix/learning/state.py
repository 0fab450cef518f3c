"""What a learner has learnt at one moment, what came of one task, and the step from one moment to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from growmix.components.component import Component
from growmix.data.labels import Names
from growmix.data.task import TaskData
from growmix.learning.gating import Decision
from growmix.learning.history import HistoryEntry, Part, examples_after, versions_after
from growmix.learning.judging import PRESET, ScoreWeights, preset_of
from growmix.learning.knowledge import Knowledge
from growmix.training.callbacks import Callback, TrainingLog

Memory = TypeVar("Memory")


@dataclass(frozen=True, eq=False)
class Learnt(Generic[Memory]):
    """What came of one task, before it counts.

    Attributes
    ----------
    decision
        Which component learnt the task, and why.
    components
        The components that are new or were trained again, by index.
    examples
        How many real examples each of these learnt.
    memory
        What the method keeps beside its components from now on.
    log
        Steps, losses and seconds of the training.
    weights
        What scores are weighed by from now on, where components judge by several; by default their own weights.
    """

    decision: Decision
    components: Mapping[int, Component]
    examples: Mapping[int, int]
    memory: Memory
    log: TrainingLog
    weights: ScoreWeights = PRESET


@dataclass(frozen=True, eq=False)
class LearnerState(Generic[Memory]):
    """All that a learner has learnt, at one moment; learning replaces it as a whole.

    Attributes
    ----------
    memory
        What the method keeps beside its components.
    knowledge
        Components, labels and shares that it answers from.
    history
        One entry for each task learnt, in order.
    """

    memory: Memory
    knowledge: Knowledge = field(default_factory=Knowledge)
    history: tuple[HistoryEntry, ...] = ()

    @property
    def components(self) -> tuple[Component, ...]:
        """The components, in the order in which they were added."""
        return self.knowledge.components

    def after(self, learnt: Learnt[Memory], names: Names) -> LearnerState[Memory]:
        """Return the state after a task, in which its components are frozen.

        Parameters
        ----------
        learnt
            What came of the task.
        names
            Names of all labels, where they have names.
        """
        versions = dict(enumerate(versions_after(self.history)))
        components = dict(enumerate(self.components))
        for k, component in learnt.components.items():
            component.freeze()
            components[k] = component
        parts = tuple(Part(k, n, versions.get(k, 0) + 1) for k, n in sorted(learnt.examples.items()))
        in_order = tuple(components[k] for k in sorted(components))
        weights = learnt.weights if learnt.weights.values else preset_of(in_order)
        history = (*self.history, HistoryEntry(learnt.decision, parts, learnt.log, weights))
        knowledge = Knowledge(in_order, examples_after(history), names or self.knowledge.names, weights)
        return LearnerState(learnt.memory, knowledge, history)


@dataclass(eq=False)
class Lesson(Generic[Memory]):
    """One call of ``learn`` under way, see :meth:`growmix.learning.learner.Learner.lesson`.

    Attributes
    ----------
    task
        The checked examples, with the numbers that their labels have in this learner.
    before
        What the learner knew when the task came; it is not changed.
    generator
        Generator on the CPU for all that is drawn while the task is learnt.
    callbacks
        What is told of the training as it goes.
    learnt
        What came of the task: to be set before the lesson ends.
    """

    task: TaskData
    before: LearnerState[Memory]
    generator: torch.Generator
    callbacks: Sequence[Callback]
    learnt: Learnt[Memory] | None = None

    @property
    def components(self) -> tuple[Component, ...]:
        """The components that were there when the task came."""
        return self.before.components
