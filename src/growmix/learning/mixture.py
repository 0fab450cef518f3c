"""GrowingMixture: owns the components and what they know, and decides, grows, reuses and replays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from growmix.checkpoints.filling import load_state
from growmix.checkpoints.persistence import Checkpoint
from growmix.components.abilities import Codes, Pairs
from growmix.components.component import Component
from growmix.components.nets import Blueprint
from growmix.components.pieces import in_pieces
from growmix.components.sharing import Foundation
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, TaskData, check_task
from growmix.errors import BadInput, shown
from growmix.learning.answers import routing_noise
from growmix.learning.gating import AlwaysGate, Decision, DirichletGate, Gate, ThresholdGate
from growmix.learning.learner import (
    Learner,
    LearnerState,
    Learnt,
    load_learner,
)
from growmix.learning.novelty import MAX_QUANTILES, MEASURES, ReferenceStatistics, after_update, name_scores, unlikeness
from growmix.learning.replay import generate, join, replay, replay_size
from growmix.learning.routing import Router
from growmix.learning.student import Student, distill
from growmix.settings import Settings
from growmix.storage.typed import check_range, record_from
from growmix.system.ambient import torch_as_it_comes
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, TrainingLog
from growmix.training.trainer import GradientTrainer

MAX_HELD_OUT = 1_000
MIN_HELD_OUT = 50
"""Held-out examples that calibrated novelty wants at least; never more than a quarter of the task."""

MAX_REFERENCES = 16
"""References that a component keeps; beyond that the two most alike are pooled, so memory stays bounded."""

GENERATED = 1_000
"""Samples that stand for what a component generates, the paper's number."""

Scores: TypeAlias = dict[str, Tensor]
"""Label-free scores of images under one component by their names, shape ``(n,)`` each."""


@dataclass(frozen=True)
class Reference:
    """What a component remembers of one task: statistics of its scores, by name, and which labels it had."""

    statistics: Mapping[str, ReferenceStatistics]
    classes: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of held-out examples behind the statistics."""
        return self.statistics["elbo"].count


@dataclass(frozen=True)
class Record:
    """What the mixture knows of one component.

    Attributes
    ----------
    examples
        Real examples it has learnt.
    version
        How often it was trained.
    references
        Of the tasks it learnt.
    """

    examples: int
    version: int
    references: tuple[Reference, ...]


@dataclass(frozen=True, eq=False)
class MixtureMemory:
    """What a mixture keeps beside its components: a record of each, and what they share."""

    records: tuple[Record, ...] = ()
    foundation: Foundation | None = None


@final
class GrowingMixture(Learner[MixtureMemory]):
    """A mixture of generative components that grows as tasks arrive (Ye and Bors, TNNLS 2025).

    Parameters
    ----------
    blueprint
        ``"mlp"``, ``"conv"`` or a :class:`growmix.components.nets.Blueprint`, such as your own modules in
        :class:`growmix.components.nets.OwnModules`.
    settings
        All parameters, see :class:`growmix.settings.Settings`.
    **changes
        Single settings by name.

    Attributes
    ----------
    decisions : tuple of Decision
        One per learnt task, in order.
    components : tuple of Component
    records : tuple of Record
    classes_ : array of int64, or of strings
        All labels learnt.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> dark, bright = rng.random((60, 1, 8, 8)) * 0.3, 1 - rng.random((60, 1, 8, 8)) * 0.3
    >>> mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=30)
    >>> mixture.learn((dark, np.zeros(60, dtype=int))).action
    'grow'
    >>> mixture.learn((bright, np.ones(60, dtype=int))).component
    1
    >>> mixture.route(dark[:3])
    array([0, 0, 0])
    """

    method = "mixture"

    def __init__(
        self, blueprint: str | Blueprint | None = None, settings: Settings | None = None, /, **changes: Any
    ) -> None:
        settings = Settings() if settings is None else settings
        if not isinstance(settings, Settings):
            raise BadInput(f"settings is a {type(settings).__name__}; give a Settings, or single settings by name")
        if blueprint is not None and "blueprint" in changes:
            raise BadInput(f"blueprint is given twice, first and by name ({shown(changes['blueprint'])}); give it once")
        super().__init__(blueprint, settings.replace(**changes), MixtureMemory())

    @property
    def records(self) -> tuple[Record, ...]:
        """What is known of every component."""
        return self._memory.records

    @property
    def shared_parameters(self) -> int:
        """Numbers that the components share; those of a component itself are not among them."""
        foundation = self._memory.foundation
        return 0 if foundation is None else sum(part.numel() for part in foundation.parameters())

    @torch_as_it_comes()
    def novelty(self, data: Any) -> tuple[float, ...]:
        """Novelty of data to every component, in the unit of the measure; the mixture is not changed.

        Takes what ``learn`` takes, and images alone of whatever was learnt.

        Examples
        --------
        >>> len(learnt_example().novelty(np.random.default_rng(0).random((20, 1, 8, 8))))
        2
        """
        state = self._state
        task = check_task(data, state.knowledge.domain(), self.settings.support)
        if task.y is not None or task.target is not None:
            task = self._check_task(task, state.knowledge)
        generator = torch.Generator().manual_seed(self._seed(len(state.history), state))
        return self._novelty(task, state, generator)[0]

    @torch_as_it_comes()
    def distill(self, *, callbacks: Sequence[Callback] = ()) -> Student:
        """Teach one compact network all that the mixture knows, from generated data alone.

        See :func:`growmix.learning.student.distill`.
        """
        with self._training_lock.held:
            return distill(self, self._fabric, self._seed(-1, self._state), callbacks)

    @classmethod
    def load(cls, path: str | Path, *, blueprint: Blueprint | None = None, device: str | None = None) -> GrowingMixture:
        """Read a mixture back; one made of your own modules needs the same ``blueprint``.

        Parameters
        ----------
        path
            What it was saved to.
        blueprint
            Only for a mixture of your own modules.
        device
            Where to put it, if not where it was made.

        Raises
        ------
        BadCheckpoint
            A file is missing, broken or of another kind.
        BadInput
            If ``blueprint`` is not the one that the mixture was made with.
        """
        return load_learner(path, cls.method, lambda settings: cls(blueprint, settings), device)

    def _learn(
        self, task: TaskData, generator: torch.Generator, callbacks: Sequence[Callback]
    ) -> Learnt[MixtureMemory]:
        decision = self._decide(task, generator)
        held, rest = _split(task, self.settings.holdout, generator)
        component, replayed = self._prepare(decision, rest, task.classes(), generator)
        log = self._train(component, rest, replayed, held, decision.component, generator, callbacks)
        foundation = self._memory.foundation
        if foundation is None and self.settings.sharing != "none":
            foundation = Foundation.of(component, self.settings.sharing, self.settings.adapter_rank)
            foundation.carry(component, generator)
        k, record = decision.component, self._record(decision, component, held, len(task), generator)
        memory = MixtureMemory((*self.records[:k], record, *self.records[k + 1 :]), foundation)
        return Learnt(decision, {k: component}, {k: len(task)}, memory, log)

    def _decide(self, task: TaskData, generator: torch.Generator) -> Decision:
        measure = MEASURES[self.settings.novelty]
        threshold = measure.default_threshold if self.settings.threshold is None else self.settings.threshold
        novelty, noise = self._novelty(task, self._state, generator) if self.components else ((), 0.0)
        counts = [record.examples for record in self.records]
        decision = make_gate(self.settings).decide(novelty, counts, max(threshold, noise))
        if noise > threshold:
            note = f"so few examples may differ by {noise:.3f} by chance, more than the threshold of {threshold:g}"
            decision = replace(decision, note=note)
        return decision

    def _novelty(
        self, task: TaskData, state: LearnerState[MixtureMemory], generator: torch.Generator
    ) -> tuple[tuple[float, ...], float]:
        """Return the novelty to every component, and what may be chance at the nearest of them."""
        records = state.memory.records
        measure = MEASURES[self.settings.novelty]
        chosen = torch.randperm(len(task), generator=generator)[: self.settings.novelty_examples]
        nearest: list[tuple[float, int]] = []
        for component, record in zip(state.knowledge.components, records, strict=True):
            statistics = [reference.statistics for reference in record.references]
            own = self._generated(component, (), generator) if measure.needs_samples else None
            generated = None if own is None else self._elbo(component, own)
            nearest.append(measure.nearest(self._scores(component, task.x[chosen]), statistics, generated))
        best = min(range(len(nearest)), key=lambda k: nearest[k][0])
        reference = records[best].references[nearest[best][1]]
        noise = measure.noise(len(chosen), reference.count, len(reference.statistics))
        return tuple(distance for distance, _ in nearest), noise

    def _prepare(
        self, decision: Decision, task: TaskData, classes: tuple[int, ...], generator: torch.Generator
    ) -> tuple[Component, TaskData | None]:
        """The component to train (new, or a copy), and what the old one replays for it."""
        if decision.action == "grow":
            return self._successor(None, task, classes, generator), None
        teacher = self.components[decision.component]
        component = self._successor(teacher, task, classes, generator)
        size = replay_size(len(task), self.records[decision.component].examples, self.settings.replay_ratio)
        return component, replay(teacher, size, generator) if size else None

    def _new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        component = self.kind.make(domain, supervised=supervised, target=target, generator=generator)
        if self._memory.foundation is not None:
            self._memory.foundation.carry(component, generator)
        return component

    def _train(
        self,
        component: Component,
        task: TaskData,
        replayed: TaskData | None,
        held: TaskData,
        index: int,
        generator: torch.Generator,
        callbacks: Sequence[Callback],
    ) -> TrainingLog:
        train = task if replayed is None else join(task, replayed)
        learnt = self.records[index].examples if replayed is not None else 0
        # every replayed image stands for all that were learnt, or old tasks would fade by half with every update
        weight = torch.ones(len(train))
        weight[len(task) :] = learnt / max(1, len(train) - len(task))
        trainer = GradientTrainer(
            budget=Budget.of(self.settings, len(train)),
            fabric=self._fabric,
            generator=generator,
            component=index,
            callbacks=callbacks,
            held_out=lambda: self._held_out_elbo(component, held),
            draws_globally=self.kind.draws_globally,
        )
        component.fit(train, weight, trainer)
        return trainer.log

    def _record(
        self, decision: Decision, component: Component, held: TaskData, examples: int, generator: torch.Generator
    ) -> Record:
        """What is known of the component now: the old tasks' statistics estimated anew, this task's measured."""
        scores = self._scores(component, held.x)
        new = Reference({name: ReferenceStatistics.of(values) for name, values in scores.items()}, held.classes())
        if decision.action == "grow":
            return Record(examples, 1, (new,))
        old = self.records[decision.component]
        teacher = self.components[decision.component]
        # samples of the same classes serve all references to these: a component has up to sixteen
        shifts = {
            classes: self._shift(classes, teacher, component, generator)
            for classes in dict.fromkeys(reference.classes for reference in old.references)
        }
        moved = tuple(
            replace(reference, statistics=after_update(reference.statistics, *shifts[reference.classes]))
            for reference in old.references
        )
        return Record(old.examples + examples, old.version + 1, remember(moved, new))

    def _shift(
        self, classes: tuple[int, ...], teacher: Component, component: Component, generator: torch.Generator
    ) -> tuple[Scores, Scores]:
        """Scores of samples of some classes, drawn before an update: before it, and under the updated component."""
        x = self._generated(teacher, classes, generator)
        return self._scores(teacher, x), self._scores(component, x)

    def _generated(self, component: Component, classes: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Samples that stand for what a component generates, of some of its classes or of everything."""
        if not classes:
            return replay(component, GENERATED, generator).x
        own = torch.tensor([component.classes.index(label) for label in classes])
        positions = own[torch.randint(len(own), (GENERATED,), generator=generator)]
        return generate(component, positions, generator).x

    def _scores(self, component: Component, x: Tensor) -> Scores:
        """Label-free scores of images under one component, shape ``(n,)`` each."""
        scores = {"elbo": self._elbo(component, x)}
        if isinstance(component, Codes):
            codes = in_pieces(component, component.code, x)
            scores = name_scores(scores["elbo"], in_pieces(component, component.rate, x), codes)
        return scores

    def _held_out_elbo(self, component: Component, held: TaskData) -> float:
        """What patience waits for, nats per example; of pairs, the bound of both images."""
        if isinstance(component, Pairs):
            return component.mean_pair_elbo(held)
        return float(self._elbo(component, held.x).mean())

    def _elbo(self, component: Component, x: Tensor) -> Tensor:
        noise = routing_noise(self.settings.routing_draws, component)
        return Router([component]).scores(x, noise).elbo[:, 0]

    def _pack(self, memory: MixtureMemory) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tensors = {} if memory.foundation is None else dict(memory.foundation.state_dict())
        return {"records": [asdict(record) for record in memory.records]}, tensors

    def _rebuild(self, saved: Checkpoint) -> None:
        memory = MixtureMemory((), self._foundation_from(saved))  # components are made to stand on it
        self._state = replace(self._state, memory=memory)
        super()._rebuild(saved)

    def _foundation_from(self, saved: Checkpoint) -> Foundation | None:
        if self.settings.sharing == "none" or not saved.components:
            return None
        first = saved.components[0].outline
        generator = torch.Generator()  # whatever is drawn from it is overwritten
        whole = self.kind.make(first.domain, supervised=first.supervised, target=first.target, generator=generator)
        foundation = Foundation.of(whole, self.settings.sharing, self.settings.adapter_rank)
        load_state(foundation, saved.tensors, foreign=not self.kind.without_memory)
        return foundation

    def _unpack(self, saved: Checkpoint) -> MixtureMemory:
        records = record_from(saved.document["memory"]["records"], tuple[Record, ...])
        examples = Counter[int]()
        for part in (part for entry in self.history for part in entry.parts):
            examples[part.component] += part.examples
        if len(records) != len(self.components):
            raise ValueError(f"{len(self.components)} components, but {len(records)} records")
        for k, record in enumerate(records):
            if (record.version, record.examples) != (self.versions[k], examples[k]):
                raise ValueError(f"component {k} learnt {examples[k]} examples, but its record has {record.examples}")
            check_range("references", len(record.references), 1, MAX_REFERENCES)
            for reference in record.references:
                _check_reference(reference, self.components[k])
        return MixtureMemory(records, self._memory.foundation)

    def _place(self, device: torch.device) -> None:
        if self._memory.foundation is not None:
            self._memory.foundation.to(device)
        super()._place(device)


def make_gate(settings: Settings) -> Gate:
    """The gate that the settings name."""
    if settings.gate == "dirichlet":
        return DirichletGate(settings.alpha, settings.temperature)
    if settings.gate == "always":
        return AlwaysGate()
    return ThresholdGate()


def remember(old: Sequence[Reference], new: Reference) -> tuple[Reference, ...]:
    """References with a new one: it replaces one of the same data, and the two most alike are pooled beyond 16."""
    kept = [reference for reference in old if not _same_data(reference, new)] + [new]
    while len(kept) > MAX_REFERENCES:
        _, i, j = min(
            (unlikeness(kept[i].statistics, kept[j].statistics), i, j) for i in range(len(kept)) for j in range(i)
        )
        pooled = _pool(kept[i], kept[j])
        kept = [reference for k, reference in enumerate(kept) if k not in (i, j)] + [pooled]
    return tuple(kept)


def _same_data(old: Reference, new: Reference) -> bool:
    """Whether a newly measured reference makes an old one needless."""
    measure = MEASURES["ks"]
    near = max(measure.default_threshold, measure.noise(old.count, new.count, len(new.statistics)))
    return set(old.classes) <= set(new.classes) and unlikeness(old.statistics, new.statistics) < near


def _pool(a: Reference, b: Reference) -> Reference:
    pooled = {name: known.pooled(b.statistics[name]) for name, known in a.statistics.items()}
    return Reference(pooled, tuple(sorted({*a.classes, *b.classes})))


def held_out_size(examples: int, share: float) -> int:
    """How many of a task's examples are held out of training.

    Examples
    --------
    >>> held_out_size(12_000, 0.1), held_out_size(60_000, 0.1), held_out_size(40, 0.1)
    (1000, 1000, 10)
    """
    return min(MAX_HELD_OUT, max(round(share * examples), min(MIN_HELD_OUT, examples // 4), 1))


def _split(task: TaskData, share: float, generator: torch.Generator) -> tuple[TaskData, TaskData]:
    """Held-out part and the rest, in random order."""
    size = held_out_size(len(task), share)
    order = torch.randperm(len(task), generator=generator)
    if task.y is not None:
        order = _with_every_class_late(order, task.y, size)
    return task[order[:size]], task[order[size:]]


def _with_every_class_late(order: Tensor, labels: Tensor, size: int) -> Tensor:
    """The order, changed only if the first ``size`` would hold out all examples of a class."""
    lost = sorted(set(labels[order[:size]].tolist()) - set(labels[order[size:]].tolist()) - {UNLABELLED})
    if not lost:
        return order
    keep = torch.tensor([int((labels[order] == label).nonzero()[0]) for label in lost])
    late = torch.zeros(len(order), dtype=torch.bool)
    late[keep] = True
    return torch.cat([order[~late], order[late]])


def _check_reference(reference: Reference, component: Component) -> None:
    """See that what was read can be what a component remembers of a task; raises ``ValueError``."""
    if not set(reference.classes) <= set(component.classes):
        raise ValueError(f"a reference has classes {reference.classes}, its component {component.classes}")
    nothing = torch.zeros(1)
    names = {"elbo"}
    if isinstance(component, Codes):
        names = set(name_scores(nothing, nothing, torch.zeros(1, component.latent)))
    if reference.statistics.keys() != names:
        raise ValueError(f"a reference has statistics of {sorted(reference.statistics)}, needed {sorted(names)}")
    if len({(known.count, len(known.quantiles)) for known in reference.statistics.values()}) > 1:
        raise ValueError("a reference has statistics of unlike examples")
    for known in reference.statistics.values():
        check_range("count", known.count, 1)
        check_range("variance", known.variance, 0.0, math.inf)
        check_range("quantiles", len(known.quantiles), 1, MAX_QUANTILES)
