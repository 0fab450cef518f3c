"""Learner: what all methods that learn tasks one after another share, the growing mixture and its rivals."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from growmix.checkpoints import persistence
from growmix.components.component import Component
from growmix.components.construction import make_blueprint, require_density
from growmix.components.density import no_labels
from growmix.components.nets import Blueprint, is_ours
from growmix.components.translation import Translation, TranslationObjective
from growmix.data.labels import Names, check_names_of
from growmix.data.task import Shape, TaskData, check_task, label_positions, like_given
from growmix.errors import BadInput, shown
from growmix.learning.gating import Decision
from growmix.learning.model import Model
from growmix.learning.routing import Router, route_examples, route_group
from growmix.settings import Settings
from growmix.storage.random_state import set_state, state_from
from growmix.storage.typed import check_range, record_from
from growmix.system.ambient import torch_as_it_comes
from growmix.system.memory import require_room, require_training
from growmix.system.paths import check_path
from growmix.training.loop import Budget, Callback, TrainingLog, fit, make_fabric, place_of, seeded
from growmix.training.objectives import TaskObjective

Memory = TypeVar("Memory")


@dataclass(frozen=True)
class Part:
    """What one component learnt of a task: how many of its examples, and the component's version afterwards."""

    component: int
    examples: int
    version: int


@dataclass(frozen=True)
class HistoryEntry:
    """One call of ``learn``: its decision, what each component had of it, and the log of its training."""

    decision: Decision
    parts: tuple[Part, ...]
    log: TrainingLog


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
    """

    method: str
    """Its name, such as ``mixture``."""

    def __init__(self, blueprint: str | Blueprint | None, settings: Settings, memory: Memory) -> None:
        if isinstance(blueprint, str):
            settings = settings.replace(blueprint=blueprint)
        self.settings = settings
        own = blueprint if blueprint is not None and not isinstance(blueprint, str) else None
        if own is not None and (isinstance(own, type) or not isinstance(own, Blueprint)):
            raise BadInput(f"blueprint is a {type(own).__name__}; allowed are 'mlp', 'conv' or a Blueprint")
        self.blueprint: Blueprint = own or make_blueprint(settings)
        self._components: list[Component] = []
        self._history: list[HistoryEntry] = []
        self._memory = memory
        self._cached_router: Router | None = None
        self._cached_fabric: Fabric | None = None
        self._sampling = torch.Generator().manual_seed(settings.seed)

    # What it is ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        learnt = f"tasks={len(self._history)}, components={len(self._components)}, classes={len(self._labels)}"
        return f"{type(self).__name__}({self.blueprint.name!r}, {learnt})"

    @property
    def components(self) -> tuple[Component, ...]:
        """The components, in the order in which they were added."""
        return tuple(self._components)

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """One per learnt task, in order."""
        return tuple(self._history)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One per learnt task, in order."""
        return tuple(entry.decision for entry in self._history)

    @property
    def training_logs(self) -> tuple[TrainingLog, ...]:
        """One per learnt task, in order."""
        return tuple(entry.log for entry in self._history)

    @property
    def examples(self) -> int:
        """Real examples learnt, over all tasks."""
        return sum(part.examples for entry in self._history for part in entry.parts)

    @property
    def versions(self) -> tuple[int, ...]:
        """How often every component was trained."""
        return self.versions_at(len(self._history))

    @property
    def supervised(self) -> bool | None:
        """Whether its components classify; ``None`` while the first task is still to say."""
        return self._components[0].supervised if self._components else self.settings.supervised

    @property
    def shared_parameters(self) -> int:
        """Numbers that the components share; those of a component itself are not among them."""
        return 0

    @property
    def log_prior(self) -> Tensor:
        """Log share of every component among the examples learnt."""
        return self.log_prior_at(len(self._history))

    @torch_as_it_comes()
    def log_prior_at(self, tasks: int) -> Tensor:
        """The log-prior as it was after so many tasks, over the components that there were."""
        self._learnt()
        if not 1 <= tasks <= len(self._history):
            raise BadInput(f"tasks is {tasks}; allowed are 1 to {len(self._history)}, the tasks learnt")
        parts = [part for entry in self._history[:tasks] for part in entry.parts]
        counts = torch.zeros(1 + max(part.component for part in parts))
        for part in parts:
            counts[part.component] += part.examples
        return (counts / counts.sum()).log()

    def versions_at(self, tasks: int) -> tuple[int, ...]:
        """The versions of the components as they were after so many tasks."""
        versions = {part.component: part.version for entry in self._history[:tasks] for part in entry.parts}
        return tuple(versions[k] for k in range(len(versions)))

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
            Something is wrong with ``data`` or ``callbacks``, or there is too little memory; or another task was
            learnt meanwhile, by a callback or another thread.
        NonFiniteLoss
            Training failed.

        Notes
        -----
        Whatever is raised, the model stays as it was: work is done on new components or on copies.
        """
        check_callbacks(callbacks)
        known = self._history
        with torch_as_it_comes():
            task = self._check_task(data)
            require_room(task.nbytes, f"a copy of the {len(task)} images to train on")
            require_density(self.settings)
            with seeded(self._seed(len(self._history))) as generator:
                learnt = self._learn(task, generator, callbacks)
        self._commit(learnt, task.names or self._names, known)
        return learnt.decision

    @torch_as_it_comes()
    def check_networks(self, shape: Shape, *, supervised: bool, target_shape: Shape | None = None) -> None:
        """See, before there are data, that a new component can be made and trained.

        Parameters
        ----------
        shape
            Of the images.
        supervised
            Whether they have labels.
        target_shape
            Of the images that these are translated to, if they are.

        Raises
        ------
        BadInput
            The blueprint's networks do not fit such images, there is too little memory, or the device is not there.
        """
        require_density(self.settings)
        # seeded: a user's own networks draw weights, and so does what stands on a foundation, wherever it is made
        with seeded(0), torch.device("meta") if is_ours(self.blueprint) else nullcontext():
            component = self._new_component(shape, supervised=supervised, target_shape=target_shape)
        # asked first, a fabric would start the other processes of several devices
        device = self._cached_fabric.device if self._cached_fabric else place_of(self.settings)
        require_training(component.parameters(), shape, device)

    @abstractmethod
    def _learn(self, task: TaskData, generator: torch.Generator, callbacks: Sequence[Callback]) -> Learnt[Memory]:
        """Train on a checked task, changing nothing of this object."""

    @abstractmethod
    def _new_component(self, shape: Shape, *, supervised: bool, target_shape: Shape | None = None) -> Component:
        """An untrained component as this method makes them."""

    @abstractmethod
    def _pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The memory as JSON and tensors."""

    @abstractmethod
    def _unpack(self, saved: persistence.Checkpoint) -> Memory:
        """The memory again, from what :meth:`_pack` gave: ``saved.document["memory"]`` and ``saved.tensors``.

        Components and steps were read before; raises ``ValueError`` where it does not fit them.
        """

    def _successor(self, teacher: Component | None, task: TaskData, classes: Sequence[int]) -> Component:
        """What learns a task: a new component, or a copy of its teacher; with room for the task's classes.

        ``classes`` are those of the whole task, some of which may be held out of ``task``.
        """
        if teacher is not None:
            weights = (teacher.get_parameter(name) for name in teacher.trained)
            require_training(weights, task.shape, self._fabric.device)
            component = copy.deepcopy(teacher)
            component.thaw()
        else:
            supervised = task.y is not None
            if is_ours(self.blueprint):
                self.check_networks(task.shape, supervised=supervised, target_shape=task.target_shape)
            component = self._new_component(task.shape, supervised=supervised, target_shape=task.target_shape)
        count_task(component, task, classes)
        return component.to(self._fabric.device)

    def _check_task(self, data: Any) -> TaskData:
        task = self._numbered(check_task(data, self.domain if self._components else None))
        known = self._components[0].target_shape if self._components else task.target_shape
        if task.target_shape != known:
            raise BadInput(
                f"data has targets of shape {task.target_shape}, but {known} is what was learnt (None: no pairs); "
                "start a new mixture for them"
            )
        if task.target is not None and self.settings.supervised:
            raise BadInput("supervised is True, but data are pairs of images, which are learnt without labels")
        if self.supervised is None or task.target is not None:
            return task
        if task.y is not None and not self.supervised:
            raise BadInput(
                "data has labels, but this mixture is unsupervised; give x alone, or start with supervised=True"
            )
        if task.y is None and self.supervised:
            return replace(task, y=torch.full((len(task),), -1))
        return task

    def _numbered(self, task: TaskData) -> TaskData:
        """The task with the numbers that its labels have here, where they are names."""
        if task.names and self._labels and not self._names:
            raise BadInput(
                f"y has names such as {shown(task.names[0])}, but the labels learnt are numbers: {shown(self._labels)}"
            )
        if task.classes() and self._names and not task.names:
            raise BadInput(
                f"y has numbers such as {task.classes()[0]}, but the labels learnt are names: {shown(self._names)}"
            )
        return task.numbered_after(self._names)

    def _commit(self, learnt: Learnt[Memory], names: Names, known: list[HistoryEntry]) -> None:
        """The only place where a learner changes; ``known`` is what it had learnt when the task came."""
        if self._history is not known:
            raise BadInput("another task was learnt while data was; this call changed nothing: learn one at a time")
        versions = dict(enumerate(self.versions))
        components = list(self._components)
        for k in sorted(learnt.components):
            learnt.components[k].freeze()
            components[k : k + 1] = [learnt.components[k]]
        parts = tuple(Part(k, n, versions.get(k, 0) + 1) for k, n in sorted(learnt.examples.items()))
        history = [*self._history, HistoryEntry(learnt.decision, parts, learnt.log)]
        # one call that runs no Python: not even Ctrl-C can fall between two of these
        vars(self).update(
            _components=components, _history=history, _memory=learnt.memory, _names=names, _cached_router=None
        )

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
        elbo = self.component_scores(x).elbo
        if per == "group":
            return route_group(elbo, self.log_prior)
        return like_given(route_examples(elbo, self.log_prior), x)

    # Keeping ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the model to a folder: safetensors and JSON, no pickle.

        Raises
        ------
        BadInput
            ``path`` is no path, or can't be written.
        """
        memory, tensors = self._pack()
        document = {
            "settings": self.settings.to_dict(),
            "blueprint": self.blueprint.name,
            "history": [asdict(entry) for entry in self._history],
            "sampling": self._sampling.get_state().tolist(),
            "names": list(self._names),
            "memory": memory,
        }
        persistence.save(check_path(path, "path"), self.method, document, self._components, tensors)

    # Machinery -------------------------------------------------------------------------------------------------

    @property
    def _fabric(self) -> Fabric:
        if self._cached_fabric is None:
            self._cached_fabric = make_fabric(self.settings)
            self._place(self._cached_fabric.device)
        return self._cached_fabric

    def _router(self) -> Router:
        if self._cached_router is None:
            self._cached_router = Router(self._learnt())
        return self._cached_router

    @property
    def _draws(self) -> torch.Generator:
        return self._sampling

    def _seed(self, what: int) -> int:
        """Seed of one piece of work: task ``what``, or -1 for the student after so many tasks.

        Derived, not drawn: there is no stream to lose, and a failed or an extra call changes nothing that follows.
        """
        entropy = [self.settings.seed, what + 1, len(self._history)]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def _rebuild(self, saved: persistence.Checkpoint) -> None:
        """Take over the tensors of what was saved, as far as they fit; this object is new."""
        for state in saved.components:
            shape, target = state.outline.shape, state.outline.target_shape
            empty = self._new_component(shape, supervised=state.outline.supervised, target_shape=target)
            self._components.append(state.fill(empty))
        self._history = [_entry_from(entry) for entry in saved.document["history"]]
        _check_history(self._history, self._components)
        self._memory = self._unpack(saved)
        if self._pack()[1].keys() != saved.tensors.keys():
            raise ValueError(f"tensors {sorted(saved.tensors)} are not those that {self.method!r} keeps")

    def _restore(self, saved: persistence.Checkpoint, device: torch.device) -> None:
        """Become what was saved, on a device; this object is new."""
        self._rebuild(saved)
        self._place(device)
        set_state(self._sampling, state_from(saved.document["sampling"]))
        self._names = check_names_of(saved.document.get("names", []), self._labels)

    def _place(self, device: torch.device) -> None:
        """Bring what answers to a device."""
        for component in self._components:
            component.to(device)
        self._cached_router = None


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
        if is_ours(learner.blueprint):
            with persistence.without_memory(path):
                learner._rebuild(outline)

    saved = persistence.load(path, kind, look)
    learner = empty(saved.document)
    place = place_of(learner.settings)  # out here: a device that is not there is no fault of the checkpoint
    with persistence.understanding(path), torch.random.fork_rng(devices=[]):
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


def count_task(component: Component, task: TaskData, classes: Sequence[int]) -> None:
    """Make room for a task's classes, and count its examples, before a component is trained on it.

    ``classes`` are those of the whole task: one of them may have been held out altogether.
    """
    component.add_classes(classes)
    positions = task_positions(task, component)
    component.class_counts += torch.bincount(positions[positions >= 0], minlength=len(component.classes)).to(
        component.class_counts
    )
    component.unlabelled_count += (positions < 0).sum().to(component.unlabelled_count)


def task_positions(task: TaskData, component: Component) -> Tensor:
    """Position of every example's label among the component's classes, -1 where there is none."""
    if task.y is None:
        return no_labels(len(task))
    return label_positions(task.y, component.classes)


def train_component(
    component: Component,
    data: TaskData,
    budget: Budget,
    fabric: Fabric,
    generator: torch.Generator,
    *,
    classification_weight: float,
    index: int,
    callbacks: Sequence[Callback],
    held_out: Callable[[], float] | None = None,
) -> TrainingLog:
    """Train a component, in place, on the data of a task.

    Parameters
    ----------
    component
        New, or a copy of one.
    data
        All that it is trained on.
    budget, fabric, stream, callbacks, held_out
        As for :func:`growmix.training.loop.fit`.
    classification_weight
        Weight of the classification loss.
    index
        Of the component.
    """
    if data.target is not None:
        assert isinstance(component, Translation)  # made for pairs
        objective: nn.Module = TranslationObjective(component)
        tensors = [data.x, data.target]
    else:
        positions = task_positions(data, component)
        objective = TaskObjective(component, classification_weight, unlabelled=bool((positions < 0).any()))
        tensors = [data.x, positions]
    return fit(
        objective,
        tensors,
        component.latent,
        budget,
        fabric,
        generator,
        component=index,
        callbacks=callbacks,
        held_out=held_out,
    )


def _entry_from(document: dict[str, Any]) -> HistoryEntry:
    entry = record_from(document, HistoryEntry)
    persistence.check_log(entry.log)
    check_range("threshold", entry.decision.threshold, 0.0, math.inf)
    return entry


def _check_history(history: Sequence[HistoryEntry], components: Sequence[Component]) -> None:
    """See that steps that were read can have led to these components.

    Raises
    ------
    ValueError
        They can't.
    """
    shapes = {(component.shape, component.target_shape, component.supervised) for component in components}
    if len(shapes) > 1:
        raise ValueError("components of different kinds of images")
    versions: dict[int, int] = {}
    for number, entry in enumerate(history):
        known, learnt = len(versions), [part.component for part in entry.parts]
        for part in entry.parts:
            check_range("examples", part.examples, 1)
            versions[part.component] = versions.get(part.component, 0) + 1
            check_range("version", part.version, versions[part.component], versions[part.component])
        if len(set(learnt)) < len(learnt) or entry.decision.component not in learnt:
            raise ValueError(f"task {number} was learnt by {learnt}, decided was {entry.decision.component}")
        if len(entry.decision.novelty) not in (0, known):
            raise ValueError(f"task {number} has {len(entry.decision.novelty)} novelties to {known} components")
    if sorted(versions) != list(range(len(components))):
        raise ValueError(f"{len(components)} components, but {len(versions)} were trained")
