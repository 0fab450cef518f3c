"""Learner: what all methods that learn tasks one after another share, the growing mixture and its rivals."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, final

import numpy as np
import torch
from torch import Tensor

from growmix.checkpoints import persistence
from growmix.components.component import Component
from growmix.components.construction import make_blueprint, make_kind, require_density
from growmix.components.kinds import ComponentKind
from growmix.components.nets import Blueprint
from growmix.data.domain import Domain
from growmix.data.labels import Names, check_names_of
from growmix.data.task import TaskData, as_float, check_task, like_given
from growmix.errors import BadInput, shown
from growmix.learning.answers import scores_under
from growmix.learning.gating import Decision
from growmix.learning.history import (
    HistoryEntry,
    Part,
    check_history,
    entry_from,
    examples_after,
    versions_after,
)
from growmix.learning.knowledge import Knowledge
from growmix.learning.model import Model, check_x
from growmix.learning.routing import route_examples, route_group
from growmix.settings import Settings
from growmix.storage.random_state import set_state, state_from
from growmix.system.ambient import torch_as_it_comes
from growmix.system.memory import require_room, require_training
from growmix.system.paths import check_path
from growmix.system.threads import OwnLock
from growmix.training.callbacks import Callback, TrainingLog
from growmix.training.fabric import make_fabric, place_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes seconds to import, and only training needs it

Memory = TypeVar("Memory")

MakeKind: TypeAlias = Callable[[Settings, Blueprint], ComponentKind]
"""Returns what makes the components, from settings and a blueprint."""


@dataclass(frozen=True, eq=False)
class Learnt(Generic[Memory]):
    """What came of one task, before it counts.

    Attributes
    ----------
    decision
        Which component learnt it, and why.
    components
        New or trained anew, by index.
    examples
        Real examples that each of these learnt.
    memory
        What the method keeps beside its components.
    log
        Of the training.
    """

    decision: Decision
    components: Mapping[int, Component]
    examples: Mapping[int, int]
    memory: Memory
    log: TrainingLog


@dataclass(frozen=True, eq=False)
class LearnerState(Generic[Memory]):
    """All that a learner has learnt, at one moment; learning replaces it as a whole.

    Attributes
    ----------
    memory
        What the method keeps beside its components.
    knowledge
        What it answers from.
    history
        One entry for each task learnt, in order.
    """

    memory: Memory
    knowledge: Knowledge = field(default_factory=Knowledge)
    history: tuple[HistoryEntry, ...] = ()


@final
class _Machine:
    """The fabric of one learner, made when it is first asked for; a copy of the learner makes its own."""

    def __init__(self) -> None:
        self.lock = OwnLock()
        self.fabric: Fabric | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Machine, ()


class Learner(Model, Generic[Memory]):
    """Interface of a method that learns one task at a time: the verbs of a model, ``learn``, ``save``, and a history.

    Parameters
    ----------
    blueprint
        ``"mlp"``, ``"conv"`` or a :class:`growmix.components.nets.Blueprint`; by default what the settings say.
    settings
        All parameters, see :class:`growmix.settings.Settings`.
    memory
        What the method keeps beside its components, before the first task.
    kind
        Returns what makes the components, from the settings and the blueprint; by default what the settings name.
    """

    method: str
    """Its name, such as ``mixture``."""

    def __init__(
        self, blueprint: str | Blueprint | None, settings: Settings, memory: Memory, kind: MakeKind | None = None
    ) -> None:
        if isinstance(blueprint, str):
            settings = settings.replace(blueprint=blueprint)
        super().__init__(settings)
        own = blueprint if blueprint is not None and not isinstance(blueprint, str) else None
        if own is not None and (isinstance(own, type) or not isinstance(own, Blueprint)):
            raise BadInput(f"blueprint is a {type(own).__name__}; allowed are 'mlp', 'conv' or a Blueprint")
        self.blueprint: Blueprint = own or make_blueprint(settings)
        self.kind: ComponentKind = (kind or make_kind)(settings, self.blueprint)
        self._state: LearnerState[Memory] = LearnerState(memory)
        self._training_lock = OwnLock()
        self._machine = _Machine()

    # What it is ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        state = self._state
        known = state.knowledge
        learnt = f"tasks={len(state.history)}, components={len(known.components)}, classes={len(known.labels)}"
        return f"{type(self).__name__}({self.blueprint.name!r}, {learnt})"

    @property
    def _knowledge(self) -> Knowledge:
        return self._state.knowledge

    @property
    def _memory(self) -> Memory:
        return self._state.memory

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """One per learnt task, in order."""
        return self._state.history

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One per learnt task, in order."""
        return tuple(entry.decision for entry in self.history)

    @property
    def training_logs(self) -> tuple[TrainingLog, ...]:
        """One per learnt task, in order."""
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
        """Numbers that the components share; those of a component itself are not among them."""
        return 0

    @torch_as_it_comes()
    def log_prior_at(self, tasks: int) -> Tensor:
        """The log-prior as it was after so many tasks, over the components that there were."""
        state = self._state
        state.knowledge.learnt()
        if not 1 <= tasks <= len(state.history):
            raise BadInput(f"tasks is {tasks}; allowed are 1 to {len(state.history)}, the tasks learnt")
        return Knowledge(examples=examples_after(state.history[:tasks])).log_prior

    def versions_at(self, tasks: int) -> tuple[int, ...]:
        """The versions of the components as they were after so many tasks."""
        return versions_after(self.history[:tasks])

    # Learning --------------------------------------------------------------------------------------------------

    def learn(self, data: Any, *, callbacks: Sequence[Callback] = ()) -> Decision:
        """Learn one task.

        Parameters
        ----------
        data
            ``(x, y)`` of arrays, tensors, lists or tables, ``x`` alone, a torch ``Dataset``, a ``DataLoader``, or any
            iterable of batches; see :func:`growmix.data.check_task`. Images are ``(n, channels, height, width)`` in
            [0, 1] (or bytes). Labels are whole numbers, -1 for unlabelled, or strings, ``None`` for unlabelled; one
            kind in all tasks. New labels are welcome at any time. A second array of images makes pairs, for
            translation.
        callbacks
            Told of the training as it goes.

        Returns
        -------
        Decision
            Which component learnt it, and why.

        Raises
        ------
        BadInput
            Something is wrong with ``data`` or ``callbacks``, or there is too little memory; or a callback made this
            learner learn another task meanwhile.
        NonFiniteLoss
            Training failed.

        Notes
        -----
        Whatever is raised, the model stays as it was: work is done on new components or on copies. Of several threads,
        one learns and the others wait; meanwhile every verb answers from what was known before.
        """
        check_callbacks(callbacks)
        with self._training_lock.held:
            state = self._state
            with torch_as_it_comes():
                task = self._check_task(data, state.knowledge)
                require_room(task.nbytes, f"a copy of the {len(task)} images to train on")
                require_density(self.settings)
                generator = torch.Generator().manual_seed(self._seed(len(state.history), state))
                learnt = self._learn(task, generator, callbacks)
            self._commit(learnt, task.names, state)
        return learnt.decision

    @torch_as_it_comes()
    def check_networks(self, domain: Domain, *, supervised: bool, target: Domain | None = None) -> None:
        """Check, before there are data, that a new component can be made and trained.

        Parameters
        ----------
        domain
            Shape and support of the examples.
        supervised
            Whether they have labels.
        target
            Shape and support of the examples that these are translated to, if they are.

        Raises
        ------
        BadInput
            The kind of component does not fit such examples, there is too little memory, or the device is not there.
        """
        require_density(self.settings)
        generator = torch.Generator().manual_seed(0)
        with torch.device("meta") if self.kind.without_memory else nullcontext():
            component = self._new_component(domain, supervised=supervised, target=target, generator=generator)
        # asked first, a fabric would start the other processes of several devices
        fabric = self._machine.fabric
        device = fabric.device if fabric else place_of(self.settings)
        require_training(component.parameters(), domain.shape, device)

    @abstractmethod
    def _learn(self, task: TaskData, generator: torch.Generator, callbacks: Sequence[Callback]) -> Learnt[Memory]:
        """Train on a checked task, changing nothing of this object."""

    @abstractmethod
    def _new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        """Make an untrained component as this method needs it."""

    @abstractmethod
    def _pack(self, memory: Memory) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """A memory of this method as JSON and tensors."""

    @abstractmethod
    def _unpack(self, saved: persistence.Checkpoint) -> Memory:
        """The memory again, from what :meth:`_pack` gave: ``saved.document["memory"]`` and ``saved.tensors``.

        Components and steps were read before; raises ``ValueError`` where it does not fit them.
        """

    def _successor(
        self, teacher: Component | None, task: TaskData, classes: Sequence[int], generator: torch.Generator
    ) -> Component:
        """Return what learns a task: a new component, or a copy of its teacher; with room for the task's classes.

        ``classes`` are those of the whole task, some of which may be held out of ``task``.
        """
        if teacher is not None:
            weights = (teacher.get_parameter(name) for name in teacher.trained)
            require_training(weights, task.shape, self._fabric.device)
            component = copy.deepcopy(teacher)
            component.thaw()
        else:
            domain = self._domain_of(task)
            target = None if task.target is None else Domain(tuple(task.target.shape[1:]), domain.support)
            kind: dict[str, Any] = {"supervised": task.y is not None, "target": target}
            if self.kind.without_memory:
                self.check_networks(domain, **kind)
            component = self._new_component(domain, **kind, generator=generator)
        component.add_classes(classes, generator)
        component.count(task)
        return component.to(self._fabric.device)

    def _domain_of(self, task: TaskData) -> Domain:
        """Return the domain of all components, with the statistics of the first task."""
        known = self._state.knowledge
        if known.components:
            return known.domain()
        return Domain(task.shape, task.support).with_statistics(as_float(task.x))

    def _check_task(self, data: Any, knowledge: Knowledge) -> TaskData:
        first = knowledge.components[0] if knowledge.components else None
        like = knowledge.domain() if first else None
        task = _numbered(check_task(data, like, self.settings.support), knowledge)
        known = knowledge.target_shape if first else task.target_shape
        if task.target_shape != known:
            raise BadInput(
                f"data has targets of shape {task.target_shape}, but {known} is what was learnt (None: no pairs); "
                "start a new mixture for them"
            )
        if task.target is not None and self.settings.supervised:
            raise BadInput("supervised is True, but data are pairs of images, which are learnt without labels")
        supervised = first.supervised if first else self.settings.supervised
        if supervised is None or task.target is not None:
            return task
        if task.y is not None and not supervised:
            raise BadInput(
                "data has labels, but this mixture is unsupervised; give x alone, or start with supervised=True"
            )
        if task.y is None and supervised:
            return replace(task, y=torch.full((len(task),), -1))
        return task

    def _commit(self, learnt: Learnt[Memory], names: Names, before: LearnerState[Memory]) -> None:
        """Replace the state by the next one: the only place where a learner changes; ``before`` is what it was."""
        if self._state.history is not before.history:
            raise BadInput("another task was learnt while data was; this call changed nothing: learn one at a time")
        versions = dict(enumerate(versions_after(before.history)))
        components = dict(enumerate(before.knowledge.components))
        for k, component in learnt.components.items():
            component.freeze()
            components[k] = component
        parts = tuple(Part(k, n, versions.get(k, 0) + 1) for k, n in sorted(learnt.examples.items()))
        history = (*before.history, HistoryEntry(learnt.decision, parts, learnt.log))
        knowledge = Knowledge(
            tuple(components[k] for k in sorted(components)), examples_after(history), names or before.knowledge.names
        )
        # one assignment, the last step: not even Ctrl-C can fall between what belongs together
        self._state = LearnerState(learnt.memory, knowledge, history)

    # Answers ---------------------------------------------------------------------------------------------------

    @torch_as_it_comes()
    def route(self, x: Any, *, per: str = "example") -> Any:
        """Component that answers: the largest bound plus log-prior.

        Parameters
        ----------
        x
            Images; labels are never asked for.
        per
            ``"example"``: one component each; ``"group"``: one for all, which are known to come from one task.

        Returns
        -------
        array or tensor of shape ``(n,)``, or int
            Indices of components.
        """
        if not isinstance(per, str) or per not in ("example", "group"):
            raise BadInput(f"per is {shown(per)}; allowed are 'example' and 'group'")
        known = self._knowledge
        elbo = scores_under(known, check_x(known, x), self.settings.routing_draws).elbo
        if per == "group":
            return route_group(elbo, known.log_prior)
        return like_given(route_examples(elbo, known.log_prior), x)

    # Keeping ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the model to a folder: safetensors and JSON, no pickle.

        Raises
        ------
        BadInput
            ``path`` is no path, or can't be written.
        """
        state = self._state
        memory, tensors = self._pack(state.memory)
        document = {
            "settings": self.settings.to_dict(),
            "blueprint": self.blueprint.name,
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

    def _rebuild(self, saved: persistence.Checkpoint) -> None:
        """Take over the tensors of what was saved, as far as they fit; this object is new."""
        components: list[Component] = []
        generator = torch.Generator()  # whatever is drawn from it is overwritten
        for state in saved.components:
            outline = state.outline
            kind: dict[str, Any] = {"supervised": outline.supervised, "target": outline.target}
            empty = self._new_component(outline.domain, **kind, generator=generator)
            components.append(state.fill(empty, foreign=not self.kind.without_memory))
        history = tuple(entry_from(entry) for entry in saved.document["history"])
        check_history(history, components)
        knowledge = Knowledge(tuple(components), examples_after(history))
        self._state = LearnerState(self._memory, knowledge, history)
        self._state = replace(self._state, memory=self._unpack(saved))
        if self._pack(self._memory)[1].keys() != saved.tensors.keys():
            raise ValueError(f"tensors {sorted(saved.tensors)} are not those that {self.method!r} keeps")

    def _restore(self, saved: persistence.Checkpoint, device: torch.device) -> None:
        """Become what was saved, on a device; this object is new."""
        self._rebuild(saved)
        self._place(device)
        self._sampling = state_from(saved.document["sampling"])
        set_state(torch.Generator(), self._sampling)  # a state that can't be drawn from is refused here
        names = check_names_of(saved.document.get("names", []), self._labels)
        self._state = replace(self._state, knowledge=replace(self._state.knowledge, names=names))

    def _place(self, device: torch.device) -> None:
        """Bring what answers to a device; this is done before it answers, or where several processes begin."""
        knowledge = self._knowledge
        for component in knowledge.components:
            component.to(device)
        self._state = replace(self._state, knowledge=replace(knowledge))  # what was cached is of the old device


L = TypeVar("L", bound=Learner[Any])


@torch_as_it_comes()
def load_learner(path: str | Path, kind: str, make: Callable[[Settings], L], device: str | None) -> L:
    """Read back what :meth:`Learner.save` wrote.

    Parameters
    ----------
    path
        What it was saved to.
    kind
        Name of the method that must have made it.
    make
        Makes the learner, still empty, from its settings.
    device
        Where to put it, if not where it was made.

    Raises
    ------
    BadCheckpoint
        A file is missing, broken or of another method.
    BadInput
        ``path`` is no path, the learner's blueprint is not the one that it was made with, or the device is not there.
    """
    path = check_path(path, "path")

    def empty(document: dict[str, Any]) -> L:
        with persistence.understanding(path):
            settings, name = Settings(**document["settings"]), document["blueprint"]
        learner = make(settings if device is None else settings.replace(device=device))
        if learner.blueprint.name != name:
            raise BadInput(f"blueprint is {learner.blueprint.name!r}, but this {kind} was made with {shown(name)}")
        return learner

    def look(outline: persistence.Checkpoint) -> None:
        learner = empty(outline.document)
        if learner.kind.without_memory:
            with persistence.without_memory(path):
                learner._rebuild(outline)

    saved = persistence.load(path, kind, look)
    learner = empty(saved.document)
    place = place_of(learner.settings)  # out here: a device that is not there is no fault of the checkpoint
    with persistence.understanding(path):
        learner._restore(saved, place)
    return learner


def check_callbacks(callbacks: Any) -> None:
    """Refuse what training could not tell anything.

    Raises
    ------
    BadInput
        It is no list of callbacks.
    """
    if not isinstance(callbacks, (list, tuple)) or not all(isinstance(each, Callback) for each in callbacks):
        raise BadInput(f"callbacks is {shown(callbacks)}; allowed is a list of growmix.training.loop.Callback")


def _numbered(task: TaskData, knowledge: Knowledge) -> TaskData:
    """Return the task with the numbers that its labels have here, where they are names."""
    labels, names = knowledge.labels, knowledge.names
    if task.names and labels and not names:
        raise BadInput(
            f"y has names such as {shown(task.names[0])}, but the labels learnt are numbers: {shown(list(labels))}"
        )
    if task.classes() and names and not task.names:
        raise BadInput(f"y has numbers such as {task.classes()[0]}, but the labels learnt are names: {shown(names)}")
    return task.numbered_after(names)
