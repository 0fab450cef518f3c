"""Learner: what all methods that learn tasks one after another share, the growing mixture and its rivals."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from growmix.checkpoints import persistence
from growmix.components.component import Component
from growmix.components.construction import make_blueprint, make_kind, require_density
from growmix.components.kinds import ComponentKind
from growmix.components.nets import Blueprint
from growmix.data.domain import Domain
from growmix.data.task import TaskData, like_given
from growmix.errors import BadInput, shown
from growmix.learning.answers import scores_together, scores_under
from growmix.learning.gating import Decision
from growmix.learning.history import HistoryEntry, examples_after, versions_after
from growmix.learning.knowledge import Knowledge
from growmix.learning.machine import Machine
from growmix.learning.model import Model, check_x
from growmix.learning.plugins import Plugins
from growmix.learning.routing import route_examples, route_group
from growmix.learning.shortlist import Lists
from growmix.learning.state import LearnerState, Learnt, Lesson, Memory
from growmix.learning.tasks import check_callbacks, domain_of, target_of, task_for
from growmix.settings import Settings
from growmix.system.ambient import SinglePrecision, torch_as_it_comes
from growmix.system.compute_threads import torch_threads
from growmix.system.memory import require_room, require_training
from growmix.system.paths import check_path
from growmix.system.threads import OwnLock
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, Follower, TrainingLog
from growmix.training.fabric import make_fabric, place_of
from growmix.training.trainer import GradientTrainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes seconds to import, and only training needs it

__all__ = ["Learner", "LearnerState", "Learnt", "Lesson", "MakeKind"]

MakeKind: TypeAlias = Callable[[Settings, Blueprint], ComponentKind]
"""Returns what makes the components, from settings and a blueprint."""


class Learner(Model, Generic[Memory]):
    """Interface of a method that learns one task at a time: the verbs of a model, ``learn``, ``save``, and a history.

    Parameters
    ----------
    settings
        All parameters, see :class:`growmix.settings.Settings`.
    memory
        What the method keeps beside its components, before the first task.
    plugins
        Objects of a user's own in place of what the settings name.
    kind
        Returns what makes the components, from the settings and the blueprint; by default what the settings name.

    Attributes
    ----------
    method : str
        Name of the method, such as ``mixture``.
    blueprint : Blueprint
        What makes the networks of a component.
    kind : ComponentKind
        What makes the components, such as variational autoencoders.
    """

    method: str

    def __init__(
        self, settings: Settings, memory: Memory, *, plugins: Plugins | None = None, kind: MakeKind | None = None
    ) -> None:
        super().__init__(settings)
        self.plugins = plugins or Plugins()
        self.blueprint: Blueprint = self.plugins.blueprint or make_blueprint(settings)
        self.kind: ComponentKind = self.plugins.component or (
            kind(settings, self.blueprint) if kind else make_kind(settings, self.blueprint, self.plugins.likelihood)
        )
        self._state: LearnerState[Memory] = LearnerState(memory)
        self._training_lock = OwnLock()
        self._machine = Machine()

    # What a method must say ------------------------------------------------------------------------------------

    @abstractmethod
    def learn(self, data: Any, *, callbacks: Sequence[Callback] = ()) -> Decision:
        """Learn one task, and return what was decided.

        A method does so within :meth:`lesson`, which checks the data and makes the result count as a whole.

        Parameters
        ----------
        data
            ``(x, y)`` of arrays, tensors, lists or tables, ``x`` alone, a torch ``Dataset``, a ``DataLoader``, or any
            iterable of batches; see :func:`growmix.data.check_task`. Images are ``(n, channels, height, width)`` in
            [0, 1] (or bytes), vectors ``(n, numbers)``. Labels are whole numbers, -1 for unlabelled, or strings,
            ``None`` for unlabelled; one kind in all tasks. New labels are welcome at any time. A second array of
            images makes pairs, for translation.
        callbacks
            What is told of the training as it goes.

        Returns
        -------
        Decision
            Which component learnt the task, and why.

        Raises
        ------
        BadInput
            Something is wrong with ``data`` or ``callbacks``, or there is too little memory; or a callback made this
            learner learn another task meanwhile.
        NonFiniteLoss
            The training diverged, to a loss or weights that are not finite.

        Notes
        -----
        Whatever is raised, the model stays as it was: work is done on new components or on copies. Of several threads,
        one learns and the others wait; meanwhile every verb answers from what was known before.
        """

    @abstractmethod
    def new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        """Make an untrained component as this method needs it; parameters as those of ``ComponentKind.make``."""

    @abstractmethod
    def pack(self, memory: Memory) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return a memory of this method as JSON and tensors, for a checkpoint."""

    @abstractmethod
    def unpack(self, saved: persistence.Checkpoint) -> Memory:
        """Return the memory again, from what :meth:`pack` gave: ``saved.document["memory"]`` and ``saved.tensors``.

        Components and history were read before.

        Raises
        ------
        ValueError
            The memory does not fit them.
        """

    @property
    def shared_modules(self) -> tuple[nn.Module, ...]:
        """What components share, apart from themselves."""
        return self.kind.shared_modules

    def with_lists(self, state: LearnerState[Memory]) -> LearnerState[Memory]:
        """Return a state whose knowledge says which components are worth scoring; as it is where all are scored."""
        return state

    def memory_to_build_on(self, saved: persistence.Checkpoint) -> Memory:
        """Return the memory that components are made with before they are filled with what was saved."""
        return self._memory

    # What it is ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        state = self._state
        known = state.knowledge
        learnt = f"tasks={len(state.history)}, components={len(known.components)}, classes={len(known.labels)}"
        parts = [self.blueprint.name if part == "vae" else part for part in self.kind.name.split("+")]
        return f"{type(self).__name__}({'+'.join(parts)!r}, {learnt})"

    @property
    def _knowledge(self) -> Knowledge:
        return self._state.knowledge

    @property
    def _memory(self) -> Memory:
        return self._state.memory

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """One entry for each task learnt, in order."""
        return self._state.history

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One decision for each task learnt, in order."""
        return tuple(entry.decision for entry in self.history)

    @property
    def training_logs(self) -> tuple[TrainingLog, ...]:
        """One training log for each task learnt, in order."""
        return tuple(entry.log for entry in self.history)

    @property
    def versions(self) -> tuple[int, ...]:
        """How often every component was trained."""
        return versions_after(self.history)

    @property
    def supervised(self) -> bool | None:
        """Whether its components classify; ``None`` while the first task is still to say."""
        components = self.components
        return components[0].supervised if components else self.settings.supervised

    @property
    def shared_parameters(self) -> int:
        """How many numbers the components share; those of a component itself are not among them."""
        return sum(part.numel() for module in self.shared_modules for part in module.parameters())

    @torch_as_it_comes()
    def log_prior_at(self, tasks: int) -> Tensor:
        """Return the log-prior as it was after so many tasks, over the components that there were."""
        state = self._state
        state.knowledge.learnt()
        if not 1 <= tasks <= len(state.history):
            raise BadInput(f"tasks is {tasks}; allowed are 1 to {len(state.history)}, the tasks learnt")
        return Knowledge(examples=examples_after(state.history[:tasks])).log_prior

    @torch_as_it_comes()
    def lists_at(self, tasks: int, x: Tensor, cheap: Callable[[int], Tensor]) -> Lists:
        """Return what :meth:`Knowledge.lists` did after so many tasks, if components of then were not trained since."""
        return self._knowledge.then(examples_after(self.history[:tasks])).lists(x, cheap)

    def versions_at(self, tasks: int) -> tuple[int, ...]:
        """Return the versions of the components as they were after so many tasks."""
        return versions_after(self.history[:tasks])

    # Learning --------------------------------------------------------------------------------------------------

    @contextmanager
    def lesson(self, data: Any, callbacks: Sequence[Callback] = ()) -> Iterator[Lesson[Memory]]:
        """Be the boundary of ``learn``: what is set in ``lesson.learnt`` counts when the block ends, or not at all.

        Data, callbacks and memory are checked, other threads that learn wait, and torch is as it comes. Only the last
        step changes this object.

        Parameters
        ----------
        data, callbacks
            What was handed to :meth:`learn`.

        Yields
        ------
        Lesson
            The checked task, and what is needed to learn it.
        """
        check_callbacks(callbacks)
        with self._training_lock.held:
            before = self._state
            with torch_as_it_comes(), torch_threads(None):
                task = task_for(data, before.knowledge, self.settings.supervised, self.settings.support)
                require_room(task.nbytes, f"a copy of the {len(task)} examples to train on")
                require_density(self.settings)
                generator = torch.Generator().manual_seed(self._seed(len(before.history), before))
                lesson = Lesson(task, before, generator, callbacks)
                yield lesson
                if lesson.learnt is None:
                    raise TypeError("learn() of this method did not set lesson.learnt")
                after = self.with_lists(before.after(lesson.learnt, task.names))
            if self._state.history is not before.history:
                raise BadInput("another task was learnt while data was; this call changed nothing: learn one at a time")
            # one assignment, the last step: not even Ctrl-C can fall between what belongs together
            self._state = after

    def grow(self, lesson: Lesson[Memory], task: TaskData, classes: Sequence[int] | None = None) -> Component:
        """Make a new component for a task, or a part of one: with room for its classes, its examples counted.

        Parameters
        ----------
        lesson
            The lesson under way.
        task
            What the component is going to learn.
        classes
            Classes that the component must know; by default those of the task.
        """
        domain = domain_of(task, lesson.before.knowledge)
        kind: dict[str, Any] = {"supervised": task.y is not None, "target": target_of(task, domain)}
        if self.kind.without_memory:
            self.check_networks(domain, **kind)
        with SinglePrecision():
            component = self.new_component(domain, **kind, generator=lesson.generator)
            return self._ready(component, lesson, task, classes)

    def copy(
        self, index: int, lesson: Lesson[Memory], task: TaskData, classes: Sequence[int] | None = None
    ) -> Component:
        """Copy a component that is to learn a task too; parameters as those of :meth:`grow`."""
        teacher = lesson.components[index]
        weights = (teacher.get_parameter(name) for name in teacher.trained)
        require_training(weights, task.shape, self._fabric.device)
        component = deepcopy(teacher)
        component.thaw()
        with SinglePrecision():
            return self._ready(component, lesson, task, classes)

    def _ready(
        self, component: Component, lesson: Lesson[Memory], task: TaskData, classes: Sequence[int] | None
    ) -> Component:
        component.add_classes(task.classes() if classes is None else classes, lesson.generator)
        component.count(task)
        return component.to(self._fabric.device)

    def trainer(
        self,
        index: int,
        lesson: Lesson[Memory],
        budget: Budget,
        held_out: Callable[[], float] | None = None,
        follower: Follower | None = None,
    ) -> GradientTrainer:
        """Return what trains a component by gradient steps, to be handed to ``component.fit``.

        Parameters
        ----------
        index
            Which component is trained, from 0.
        lesson
            The lesson under way.
        budget
            How long and how to train.
        held_out
            Returns the ELBO of held-out data, in nats, that patience waits for.
        follower
            Looks on after every step.
        """
        return GradientTrainer(
            budget=budget,
            fabric=self._fabric,
            generator=lesson.generator,
            component=index,
            callbacks=lesson.callbacks,
            held_out=held_out,
            follower=follower,
            draws_globally=self.kind.draws_globally,
        )

    @torch_as_it_comes()
    def check_networks(self, domain: Domain, *, supervised: bool, target: Domain | None = None) -> None:
        """Check, before there are data, that a new component can be made and trained.

        Parameters
        ----------
        domain
            Shape and support of the examples.
        supervised
            Whether the examples have labels.
        target
            Shape and support of the examples that these are translated to, if they are.

        Raises
        ------
        BadInput
            The kind of component does not fit such examples, there is too little memory, or the device is not there.
        """
        require_density(self.settings)
        generator = torch.Generator().manual_seed(0)
        with SinglePrecision(), torch.device("meta") if self.kind.without_memory else nullcontext():
            component = self.new_component(domain, supervised=supervised, target=target, generator=generator)
        # asked first, a fabric would start the other processes of several devices
        fabric = self._machine.fabric
        device = fabric.device if fabric else place_of(self.settings)
        require_training(component.parameters(), domain.shape, device)

    # Answers ---------------------------------------------------------------------------------------------------

    @torch_as_it_comes()
    def route(self, x: Any, *, per: str = "example") -> Any:
        """Return which component answers: the one with the largest score plus log-prior.

        Parameters
        ----------
        x
            Examples without labels, which are never asked for.
        per
            ``"example"`` routes each example; ``"group"`` routes all together, which are known to come from one task.

        Returns
        -------
        array or tensor of shape ``(n,)``, or int
            Indices of components.
        """
        if not isinstance(per, str) or per not in ("example", "group"):
            raise BadInput(f"per is {shown(per)}; allowed are 'example' and 'group'")
        known = self._knowledge
        checked, draws = check_x(known, x), self.settings.routing_draws
        if per == "group":
            return route_group(scores_together(known, checked, draws).elbo, known.log_prior)
        return like_given(route_examples(scores_under(known, checked, draws).elbo, known.log_prior), x)

    # Keeping ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the model to a folder: safetensors and JSON, no pickle.

        Raises
        ------
        BadInput
            ``path`` is no path, or can't be written.
        """
        state = self._state
        memory, tensors = self.pack(state.memory)
        document = {
            "settings": self.settings.to_dict(),
            "blueprint": self.blueprint.name,
            "plugins": self.plugins.names(),
            "history": [asdict(entry) for entry in state.history],
            "sampling": self._sampling.tolist(),
            "names": list(state.knowledge.names),
            "memory": memory,
        }
        persistence.save(check_path(path, "path"), self.method, document, state.knowledge.components, tensors)

    # Machinery -------------------------------------------------------------------------------------------------

    @property
    def _fabric(self) -> Fabric:
        with self._machine.lock.held:
            if self._machine.fabric is None:
                fabric = make_fabric(self.settings)
                self._place(fabric.device)
                self._machine.fabric = fabric
            return self._machine.fabric

    def _seed(self, what: int, state: LearnerState[Memory]) -> int:
        """Return the seed of one piece of work: task ``what``, or -1 for the student after so many tasks.

        It is derived, not drawn: there is no generator to lose, and a failed or an extra call changes nothing that
        follows.
        """
        entropy = [self.settings.seed, what + 1, len(state.history)]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _place(self, device: torch.device) -> None:
        """Bring what answers to a device; this is done before it answers, or where several processes begin."""
        knowledge = self._knowledge
        for module in (*self.shared_modules, *knowledge.components):
            module.to(device)
        self._state = replace(self._state, knowledge=replace(knowledge))  # what was cached is of the old device
