"""GrowingMixture: owns the components and what they know, and decides, grows, reuses and replays."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from growmix import persistence
from growmix.component import LABEL_CODE, VAE, Component
from growmix.data import UNLABELLED, TaskData, check_task, label_positions, like_given
from growmix.density import no_labels
from growmix.errors import BadInput
from growmix.gating import Decision, DirichletGate, Gate, ThresholdGate
from growmix.likelihoods import make_likelihood
from growmix.model import Model, ex_post_density, in_pieces, routing_noise
from growmix.nets import MLP, Blueprint, Conv, check_blueprint
from growmix.novelty import MEASURES, ReferenceStatistics, ks_distance, name_scores
from growmix.objectives import TaskObjective
from growmix.replay import generate, join, replay, replay_size
from growmix.routing import Router, route_examples, route_group
from growmix.settings import Settings
from growmix.student import Student, distill
from growmix.training import Budget, Callback, TrainingLog, fit, make_fabric, seeded

MAX_HELD_OUT = 1_000
MIN_HELD_OUT = 50
"""Held-out examples that calibrated novelty wants at least; never more than a quarter of the task."""

MAX_REFERENCES = 16
"""References that a component keeps; beyond that the two most alike are pooled, so memory stays bounded."""

GENERATED = 1_000
"""Samples that stand for what a component generates, the paper's number."""


@dataclass(frozen=True)
class Reference:
    """What a component remembers of one task: statistics of its scores, by name, and which labels it had."""

    statistics: Mapping[str, ReferenceStatistics]
    classes: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of held-out examples behind the statistics."""
        return self.statistics["bound"].count


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


@dataclass(frozen=True)
class Step:
    """One call of ``learn``: its decision, its number of real examples, the component's version after it, the log."""

    decision: Decision
    examples: int
    version: int
    log: TrainingLog


@final
class GrowingMixture(Model):
    """A mixture of generative components that grows as tasks arrive (Ye and Bors, TNNLS 2025).

    Parameters
    ----------
    blueprint
        ``"mlp"``, ``"conv"`` or a :class:`growmix.nets.Blueprint`, such as your own modules in
        :class:`growmix.nets.OwnModules`.
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
    classes_ : array of int64
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

    def __init__(
        self, blueprint: str | Blueprint | None = None, settings: Settings | None = None, /, **changes: Any
    ) -> None:
        settings = settings or Settings()
        if not isinstance(settings, Settings):
            raise BadInput(f"settings is a {type(settings).__name__}; give a Settings, or single settings by name")
        if isinstance(blueprint, str):
            changes = {"blueprint": blueprint, **changes}
        self.settings = settings.but(**changes)
        own = blueprint if blueprint is not None and not isinstance(blueprint, str) else None
        if own is not None and (isinstance(own, type) or not isinstance(own, Blueprint)):
            raise BadInput(f"blueprint is a {type(own).__name__}; allowed are 'mlp', 'conv' or a Blueprint")
        self.blueprint: Blueprint = own or make_blueprint(self.settings)
        self._components: list[Component] = []
        self._records: list[Record] = []
        self._steps: list[Step] = []
        self._cached_router: Router | None = None
        self._cached_fabric: Fabric | None = None
        self._sampling = torch.Generator().manual_seed(self.settings.seed)

    # What it is ------------------------------------------------------------------------------------------------

    @property
    def components(self) -> tuple[Component, ...]:
        """The components, in the order in which they were added."""
        return tuple(self._components)

    @property
    def records(self) -> tuple[Record, ...]:
        """What is known of every component."""
        return tuple(self._records)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """One per learnt task, in order."""
        return tuple(step.decision for step in self._steps)

    @property
    def training_logs(self) -> tuple[TrainingLog, ...]:
        """One per learnt task, in order."""
        return tuple(step.log for step in self._steps)

    @property
    def examples(self) -> int:
        """Real examples learnt, over all tasks."""
        return sum(record.examples for record in self._records)

    @property
    def versions(self) -> tuple[int, ...]:
        """How often every component was trained."""
        return tuple(record.version for record in self._records)

    @property
    def supervised(self) -> bool | None:
        """Whether its components classify; ``None`` while the first task is still to say."""
        return self._components[0].supervised if self._components else self.settings.supervised

    @property
    def log_prior(self) -> Tensor:
        """Log share of every component among the examples learnt."""
        return self.log_prior_at(len(self._steps))

    def log_prior_at(self, tasks: int) -> Tensor:
        """The log-prior as it was after so many tasks, over the components that there were."""
        self._learnt()
        if not 1 <= tasks <= len(self._steps):
            raise BadInput(f"tasks is {tasks}; allowed are 1 to {len(self._steps)}, the tasks learnt")
        counts = torch.zeros(1 + max(step.decision.component for step in self._steps[:tasks]))
        for step in self._steps[:tasks]:
            counts[step.decision.component] += step.examples
        return (counts / counts.sum()).log()

    def versions_at(self, tasks: int) -> tuple[int, ...]:
        """The versions of the components as they were after so many tasks."""
        versions: dict[int, int] = {}
        for step in self._steps[:tasks]:
            versions[step.decision.component] = step.version
        return tuple(versions[k] for k in range(len(versions)))

    # Learning --------------------------------------------------------------------------------------------------

    def learn(self, data: Any, *, callbacks: Sequence[Callback] = ()) -> Decision:
        """Learn one task; its data are not kept.

        Parameters
        ----------
        data
            ``(x, y)`` of arrays or tensors, ``x`` alone, a torch ``Dataset`` or a ``DataLoader``. Images are
            ``(n, channels, height, width)`` in [0, 1] (or bytes); labels are whole numbers, -1 for unlabelled.
        callbacks
            Told of the training as it goes.

        Returns
        -------
        Decision
            Which component learnt it, and why.

        Raises
        ------
        BadInput
            Something is wrong with ``data``.
        NonFiniteLoss
            Training failed.

        Notes
        -----
        Whatever is raised, the mixture stays as it was: work is done on a new component or on a copy.
        """
        task = self._check_task(data)
        with seeded(self._seed(len(self._steps))) as stream:
            decision = self._decide(task, stream)
            held, rest = _split(task, self.settings.holdout, stream)
            component, replayed = self._prepare(decision, rest, task.classes(), stream)
            log = self._train(component, rest, replayed, held, decision.component, stream, callbacks)
            record = self._record(decision, component, held, len(task), stream)
        self._commit(decision, component, record, Step(decision, len(task), record.version, log))
        return decision

    def novelty(self, data: Any) -> tuple[float, ...]:
        """Novelty of data to every component, in the unit of the measure; the mixture is not changed.

        Examples
        --------
        >>> len(learnt_example().novelty(np.random.default_rng(0).random((20, 1, 8, 8))))
        2
        """
        task = check_task(data, self.shape)
        with seeded(self._seed(len(self._steps))) as stream:
            return self._novelty(task, stream)[0]

    def _check_task(self, data: Any) -> TaskData:
        task = check_task(data, self.shape if self._components else None)
        if self.supervised is None:
            return task
        if task.y is not None and not self.supervised:
            raise BadInput(
                "data has labels, but this mixture is unsupervised; give x alone, or start with supervised=True"
            )
        if task.y is None and self.supervised:
            return replace(task, y=torch.full((len(task),), -1))
        return task

    def _decide(self, task: TaskData, stream: torch.Generator) -> Decision:
        measure = MEASURES[self.settings.novelty]
        threshold = measure.default_threshold if self.settings.threshold is None else self.settings.threshold
        novelty, noise = self._novelty(task, stream) if self._components else ((), 0.0)
        counts = [record.examples for record in self._records]
        decision = make_gate(self.settings).decide(novelty, counts, max(threshold, noise))
        if noise > threshold:
            note = f"so few examples may differ by {noise:.3f} by chance, more than the threshold of {threshold:g}"
            decision = replace(decision, note=note)
        return decision

    def _novelty(self, task: TaskData, stream: torch.Generator) -> tuple[tuple[float, ...], float]:
        """Novelty to every component, and what may be chance at the nearest of them."""
        measure = MEASURES[self.settings.novelty]
        chosen = torch.randperm(len(task), generator=stream)[: self.settings.novelty_examples]
        nearest: list[tuple[float, int]] = []
        for k, record in enumerate(self._records):
            statistics = [reference.statistics for reference in record.references]
            component = self._components[k]
            own = self._generated(component, (), stream) if measure.needs_samples else None
            generated = None if own is None else self._bound(component, own)
            nearest.append(measure.nearest(self._scores(component, task.x[chosen]), statistics, generated))
        best = min(range(len(nearest)), key=lambda k: nearest[k][0])
        reference = self._records[best].references[nearest[best][1]]
        noise = measure.noise(len(chosen), reference.count, len(reference.statistics))
        return tuple(distance for distance, _ in nearest), noise

    def _prepare(
        self, decision: Decision, task: TaskData, classes: tuple[int, ...], stream: torch.Generator
    ) -> tuple[Component, TaskData | None]:
        """The component to train (new, or a copy), and what the old one replays for it."""
        if decision.action == "grow":
            component = self._new_component(task)
            replayed = None
        else:
            teacher = self._components[decision.component]
            component = copy.deepcopy(teacher)
            component.thaw()
            size = replay_size(len(task), self._records[decision.component].examples, self.settings.replay_ratio)
            from_prior = self.settings.sampling == "prior"
            replayed = replay(teacher, size, stream, from_prior=from_prior) if size else None
        component.add_classes(classes)  # of the whole task: one of them may have been held out altogether
        positions = _positions(task, component)
        component.class_counts += torch.bincount(positions[positions >= 0], minlength=len(component.classes)).to(
            component.class_counts
        )
        component.unlabelled_count += (positions < 0).sum().to(component.unlabelled_count)
        component.to(self._fabric.device)
        return component, replayed

    def _new_component(self, task: TaskData) -> Component:
        supervised = task.y is not None
        inputs = self.settings.latent + (LABEL_CODE if supervised else 0)
        features = check_blueprint(self.blueprint, inputs, task.shape)
        likelihood = make_likelihood(self.settings.likelihood, self.settings.variance, task.shape)
        return VAE(self.blueprint, task.shape, features, self.settings.latent, likelihood, supervised=supervised)

    def _train(
        self,
        component: Component,
        task: TaskData,
        replayed: TaskData | None,
        held: TaskData,
        index: int,
        stream: torch.Generator,
        callbacks: Sequence[Callback],
    ) -> TrainingLog:
        train = task if replayed is None else join(task, replayed)
        positions = _positions(train, component)
        budget = Budget.of(self.settings, len(train))
        objective = TaskObjective(component, self.settings.beta, unlabelled=bool((positions < 0).any()))
        log = fit(
            objective,
            [train.x, positions],
            component.latent,
            budget,
            self._fabric,
            stream,
            component=index,
            callbacks=callbacks,
            held_out=lambda: float(self._bound(component, held.x).mean()),
        )
        learnt = self._records[index].examples if replayed is not None else 0
        # every replayed image stands for all that were learnt, or old tasks would fade by half with every update
        weight = torch.ones(len(train))
        weight[len(task) :] = learnt / max(1, len(train) - len(task))
        component.density = ex_post_density(component, train.x, positions, weight, self.settings, stream)
        return log

    def _record(
        self, decision: Decision, component: Component, held: TaskData, examples: int, stream: torch.Generator
    ) -> Record:
        """What is known of the component now: the old tasks' statistics estimated anew, this task's measured."""
        scores = self._scores(component, held.x)
        new = Reference({name: ReferenceStatistics.of(values) for name, values in scores.items()}, held.classes())
        if decision.action == "grow":
            return Record(examples, 1, (new,))
        old = self._records[decision.component]
        teacher = self._components[decision.component]
        moved = tuple(self._moved(reference, teacher, component, stream) for reference in old.references)
        return Record(old.examples + examples, old.version + 1, remember(moved, new))

    def _moved(
        self, reference: Reference, teacher: Component, component: Component, stream: torch.Generator
    ) -> Reference:
        """A reference under the updated component, from samples of its classes drawn before the update."""
        x = self._generated(teacher, reference.classes, stream)
        before, after = self._scores(teacher, x), self._scores(component, x)
        moved = {name: known.after_update(before[name], after[name]) for name, known in reference.statistics.items()}
        return replace(reference, statistics=moved)

    def _generated(self, component: Component, classes: tuple[int, ...], stream: torch.Generator) -> Tensor:
        """Samples that stand for what a component generates, of some of its classes or of everything."""
        from_prior = self.settings.sampling == "prior"
        if not classes:
            return replay(component, GENERATED, stream, from_prior=from_prior).x
        own = torch.tensor([component.classes.index(label) for label in classes])
        positions = own[torch.randint(len(own), (GENERATED,), generator=stream)]
        return generate(component, positions, stream, from_prior=from_prior).x

    def _scores(self, component: Component, x: Tensor) -> dict[str, Tensor]:
        """Label-free scores of images under one component, shape ``(n,)`` each."""
        return name_scores(self._bound(component, x), in_pieces(component, "rate", x), in_pieces(component, "code", x))

    def _bound(self, component: Component, x: Tensor) -> Tensor:
        noise = routing_noise(self.settings.routing_draws, component.latent)
        return Router([component]).scores(x, noise).bound[:, 0]

    def _commit(self, decision: Decision, component: Component, record: Record, step: Step) -> None:
        """The only place where a mixture changes."""
        component.freeze()
        if decision.action == "grow":
            self._components.append(component)
            self._records.append(record)
        else:
            self._components[decision.component] = component
            self._records[decision.component] = record
        self._steps.append(step)
        self._cached_router = None

    # Answers ---------------------------------------------------------------------------------------------------

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
        if per not in ("example", "group"):
            raise BadInput(f"per is {per!r}; allowed are 'example' and 'group'")
        bound = self.component_scores(x).bound
        if per == "group":
            return route_group(bound, self.log_prior)
        return like_given(route_examples(bound, self.log_prior), x)

    def distill(self, *, callbacks: Sequence[Callback] = ()) -> Student:
        """Teach one compact network all that the mixture knows, from generated data alone.

        See :func:`growmix.student.distill`.
        """
        return distill(self, self._fabric, self._seed(-1), callbacks)

    # Keeping ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the mixture to a folder: safetensors and JSON, no pickle.

        Raises
        ------
        BadInput
            If the place can't be written.
        """
        document = {
            "settings": self.settings.to_dict(),
            "blueprint": self.blueprint.name,
            "records": [asdict(record) for record in self._records],
            "steps": [asdict(step) for step in self._steps],
            "sampling": self._sampling.get_state().tolist(),
        }
        persistence.save(Path(path), "mixture", document, self._components)

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
        document, states = persistence.load(Path(path), "mixture")
        with persistence.understanding(Path(path)):
            settings, name = Settings(**document["settings"]), document["blueprint"]
        settings = settings if device is None else settings.but(device=device)
        mixture = cls(blueprint, settings)
        if mixture.blueprint.name != name:
            raise BadInput(f"blueprint is {mixture.blueprint.name!r}, but this mixture was made with {name!r}")
        with persistence.understanding(Path(path)):
            mixture._components = [state.build(mixture.blueprint, settings.latent, settings) for state in states]
            mixture._records = [_record_from(record) for record in document["records"]]
            mixture._steps = [_step_from(step) for step in document["steps"]]
            mixture._sampling.set_state(torch.tensor(document["sampling"], dtype=torch.uint8))
            known = {step.decision.component for step in mixture._steps}
            if not len(states) == len(mixture._records) == len(known):
                raise ValueError(f"{len(states)} components, {len(mixture._records)} records, {len(known)} decided on")
        for component in mixture._components:
            component.to(mixture._fabric.device)
        return mixture

    # Machinery -------------------------------------------------------------------------------------------------

    @property
    def _fabric(self) -> Fabric:
        if self._cached_fabric is None:
            self._cached_fabric = make_fabric(self.settings)
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
        entropy = [self.settings.seed, what + 1, len(self._steps)]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def make_blueprint(settings: Settings) -> Blueprint:
    """The built-in networks that the settings name.

    Examples
    --------
    >>> make_blueprint(Settings(hidden=32)).hidden
    32
    """
    if settings.blueprint == "conv":
        return Conv(settings.width) if settings.hidden is None else Conv(settings.width, settings.hidden)
    return MLP(settings.hidden, settings.depth)


def make_gate(settings: Settings) -> Gate:
    """The gate that the settings name."""
    if settings.gate == "dirichlet":
        return DirichletGate(settings.alpha, settings.temperature)
    return ThresholdGate()


def remember(old: Sequence[Reference], new: Reference) -> tuple[Reference, ...]:
    """References with a new one: it replaces one of the same data, and the two most alike are pooled beyond 16."""
    kept = [reference for reference in old if not _same_data(reference, new)] + [new]
    while len(kept) > MAX_REFERENCES:
        _, i, j = min((unlikeness(kept[i], kept[j]), i, j) for i in range(len(kept)) for j in range(i))
        pooled = _pool(kept[i], kept[j])
        kept = [reference for k, reference in enumerate(kept) if k not in (i, j)] + [pooled]
    return tuple(kept)


def unlikeness(a: Reference, b: Reference) -> float:
    """Kolmogorov-Smirnov distance of what is remembered of two tasks, in [0, 1]."""
    pairs = [(known.quantiles, b.statistics[name].quantiles) for name, known in a.statistics.items()]
    return max(ks_distance(torch.tensor(p).double(), torch.tensor(q).double()) for p, q in pairs)


def _same_data(old: Reference, new: Reference) -> bool:
    """Whether a newly measured reference makes an old one needless."""
    measure = MEASURES["ks"]
    near = max(measure.default_threshold, measure.noise(old.count, new.count, len(new.statistics)))
    return set(old.classes) <= set(new.classes) and unlikeness(old, new) < near


def _pool(a: Reference, b: Reference) -> Reference:
    pooled = {name: known.pooled(b.statistics[name]) for name, known in a.statistics.items()}
    return Reference(pooled, tuple(sorted({*a.classes, *b.classes})))


def _split(task: TaskData, share: float, stream: torch.Generator) -> tuple[TaskData, TaskData]:
    """Held-out part and the rest, in random order."""
    n = len(task)
    size = min(MAX_HELD_OUT, max(round(share * n), min(MIN_HELD_OUT, n // 4), 1))
    order = torch.randperm(n, generator=stream)
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


def _positions(task: TaskData, component: Component) -> Tensor:
    if task.y is None:
        return no_labels(len(task))
    return label_positions(task.y, component.classes)


def _record_from(document: dict[str, Any]) -> Record:
    references = tuple(
        Reference(
            {name: _statistics_from(known) for name, known in reference["statistics"].items()},
            tuple(reference["classes"]),
        )
        for reference in document["references"]
    )
    return Record(document["examples"], document["version"], references)


def _statistics_from(document: dict[str, Any]) -> ReferenceStatistics:
    lists: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in document.items()}
    return ReferenceStatistics(**lists)


def _step_from(document: dict[str, Any]) -> Step:
    decision = Decision(**{**document["decision"], "novelty": tuple(document["decision"]["novelty"])})
    return Step(decision, document["examples"], document["version"], persistence.log_from_json(document["log"]))
