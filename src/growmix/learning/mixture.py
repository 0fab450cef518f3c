"""GrowingMixture: decides whether a task is new, grows or updates a component, replays, and remembers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn

from growmix.checkpoints.filling import load_state
from growmix.checkpoints.persistence import Checkpoint, prefixed, under
from growmix.components.abilities import Additive, Cheap
from growmix.components.component import Component
from growmix.components.kinds import ComponentKind
from growmix.components.likelihoods import Likelihood
from growmix.components.nets import Blueprint
from growmix.components.sharing import Foundation, shareable
from growmix.data.domain import Domain
from growmix.data.task import TaskData, check_data
from growmix.errors import BadInput
from growmix.learning.absorbing import absorb
from growmix.learning.choosing import NOTHING_COUNTED, Choice, Tally, choose
from growmix.learning.distilling import distill
from growmix.learning.gating import Decision, Gate, checked_decision, make_gate, noted
from growmix.learning.history import last_trained
from growmix.learning.holdout import hold_out
from growmix.learning.judging import preset_of, sources_of
from growmix.learning.learner import Learner
from growmix.learning.loading import load_learner
from growmix.learning.measuring import held_out_elbo, new_record, updated_record
from growmix.learning.newness import novelty_of, unseen_labels
from growmix.learning.novelty import MEASURES, Novelty, NoveltyMeasure
from growmix.learning.plugins import chosen, refuse_contradictions, refuse_idle_changes
from growmix.learning.record_files import pack_records, unpack_records
from growmix.learning.records import Record
from growmix.learning.replay import example_weights, join, replay, replay_size
from growmix.learning.shortlist import Shortlist
from growmix.learning.state import LearnerState, Learnt, Lesson
from growmix.learning.student import Student
from growmix.learning.sums import ProjectedSums, pack_sums, unpack_sums, with_task
from growmix.learning.tasks import fitted
from growmix.settings import Settings
from growmix.storage.typed import record_from
from growmix.system.ambient import torch_as_it_comes
from growmix.system.compute_threads import torch_threads
from growmix.system.global_random import global_generator
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, TrainingLog

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from growmix.settings.changes import SettingsChanges

FOUNDATION, REFERENCES, SUMS = "foundation.", "references.", "sums."
"""What comes before the names of a mixture's own tensors in a checkpoint."""


@dataclass(frozen=True, eq=False)
class MixtureMemory:
    """What a mixture keeps beside its components.

    Attributes
    ----------
    records
        What is remembered of each component.
    foundation
        What the components share, if anything.
    tally
        How many held-out examples each candidate for the weights of scores would have answered rightly.
    sums
        Sums over what each component learnt, by which it is listed among many.
    """

    records: tuple[Record, ...] = ()
    foundation: Foundation | None = None
    tally: Tally = NOTHING_COUNTED
    sums: tuple[ProjectedSums, ...] = ()


@final
class GrowingMixture(Learner[MixtureMemory]):
    """A mixture of generative components that grows as tasks arrive (Ye and Bors, TNNLS 2025).

    Parameters
    ----------
    blueprint
        What makes the networks of a component: ``"mlp"``, ``"conv"``, or an object such as your own modules in
        :class:`growmix.components.nets.OwnModules`. Or a word for the kind of component too: ``"denoiser"``,
        ``"conv+denoiser"``, which is the component ``vae+denoiser`` with the blueprint ``conv``, and the like.
    settings
        All parameters, see :class:`growmix.settings.Settings`.
    gate
        What decides whether a component is added: a name of the settings, or an object of your own.
    novelty
        What measures how new a task is: a name of the settings, or an object of your own.
    likelihood
        How likely an example is, given what a decoder puts out: a name of the settings, or an object of your own.
    component
        What makes the components: a name of the settings, or an object of your own.
    **changes
        Single settings by name.

    Attributes
    ----------
    decisions : tuple of Decision
        One decision for each task learnt, in order.
    components : tuple of Component
        The components, in the order in which they were added.
    records : tuple of Record
        What is remembered of each component.
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
        self,
        blueprint: str | Blueprint | None = None,
        settings: Settings | None = None,
        *,
        gate: str | Gate | None = None,
        novelty: str | NoveltyMeasure | None = None,
        likelihood: str | Likelihood | None = None,
        component: str | ComponentKind | None = None,
        **changes: Unpack[SettingsChanges],
    ) -> None:
        settings = Settings() if settings is None else settings
        if not isinstance(settings, Settings):
            raise BadInput(f"settings is a {type(settings).__name__}; give a Settings, or single settings by name")
        choices = {
            "blueprint": blueprint,
            "gate": gate,
            "novelty": novelty,
            "likelihood": likelihood,
            "component": component,
        }
        settings, plugins = chosen(settings.replace(**changes), **choices)
        refuse_contradictions(settings, changes)
        self._changes = changes | {name: each for name, each in choices.items() if each is not None}
        refuse_idle_changes(settings, self._changes, plugins, settings.support)
        super().__init__(settings, MixtureMemory(), plugins=plugins)

    # Learning --------------------------------------------------------------------------------------------------

    def learn(self, data: Any, *, callbacks: Sequence[Callback] = ()) -> Decision:
        """Learn one task: decide, grow or copy a component, train it with replay, remember, commit.

        Parameters, errors and promises are those of :meth:`growmix.learning.learner.Learner.learn`: whatever is raised,
        the mixture stays as it was.
        """
        with self.lesson(data, callbacks) as lesson:
            decision = self._decide(lesson)
            held, rest = hold_out(lesson.task, self.settings.holdout, lesson.generator)
            if decision.action == "grow":
                component, replayed = self.grow(lesson, rest, lesson.task.classes()), None
            else:
                component = self.copy(decision.component, lesson, rest, lesson.task.classes())
                replayed = self._replay(decision.component, lesson, len(rest))
            log = self._train(component, decision.component, lesson, rest, replayed, held)
            memory = self._remember(component, decision, lesson, held)
            if isinstance(component, Additive):
                learnt = decision.component, len(lesson.task), self.settings.routing_draws
                records = absorb(component, held, lesson.before.knowledge, memory.records, *learnt, lesson.generator)
                memory = replace(memory, records=records)
            choice = self._choose(component, decision, lesson, held)
            decision = noted(decision, choice.note)
            sums = with_task(lesson.before.memory.sums, decision.component, lesson.task, component.domain)
            memory = replace(memory, tally=choice.tally, sums=sums)
            examples = {decision.component: len(lesson.task)}
            lesson.learnt = Learnt(decision, {decision.component: component}, examples, memory, log, choice.weights)
        return decision

    def _decide(self, lesson: Lesson[MixtureMemory]) -> Decision:
        """Measure the novelty of a task and ask the gate; for few examples, chance raises the threshold."""
        found = self._novelty(lesson.task, lesson.before, lesson.generator)
        counts = [record.examples for record in lesson.before.memory.records]
        decision = checked_decision(self.gate.decide(found.values, counts, found.threshold), len(counts))
        decision = noted(decision, self._chance_in(found))
        if decision.action == "reuse":
            decision = noted(decision, unseen_labels(found, lesson.task, lesson.before.knowledge))
        return replace(decision, shares=found.shares)

    def _chance_in(self, found: Novelty) -> str:
        """Say in words where it is chance that has set the threshold; nothing otherwise."""
        if found.threshold <= self._threshold:
            return ""
        by_chance, setting = f"{found.threshold:.3f}", f"{self._threshold:g}"
        return f"so few examples may differ by {by_chance} by chance, more than the threshold of {setting}"

    def _replay(self, index: int, lesson: Lesson[MixtureMemory], new: int) -> TaskData | None:
        """Generate what a component learnt before, beside so many new examples; ``None`` where nothing is needed."""
        if isinstance(lesson.components[index], Additive):
            return None
        learnt = lesson.before.memory.records[index].examples
        size = replay_size(new, learnt, self.settings.replay_ratio)
        return replay(lesson.components[index], size, lesson.generator) if size else None

    def _train(
        self,
        component: Component,
        index: int,
        lesson: Lesson[MixtureMemory],
        task: TaskData,
        replayed: TaskData | None,
        held: TaskData,
    ) -> TrainingLog:
        """Train a component on a task and what is replayed beside it, and return what the training did."""
        data, weight = task, example_weights(len(task))
        if replayed is not None:
            learnt = lesson.before.memory.records[index].examples
            data, weight = join(task, replayed), example_weights(len(task), len(replayed), learnt)
        draws = self.settings.routing_draws
        trainer = self.trainer(
            index, lesson, Budget.of(self.settings, len(data)), lambda: held_out_elbo(component, held, draws)
        )
        with global_generator(lesson.generator, needed=self.kind.draws_globally):
            component.fit(data, weight, trainer)
        return trainer.log

    def _remember(
        self, component: Component, decision: Decision, lesson: Lesson[MixtureMemory], held: TaskData
    ) -> MixtureMemory:
        """Return the memory after a task; the first component, once trained, gives the foundation if one is shared."""
        before, k, examples = lesson.before.memory, decision.component, len(lesson.task)
        foundation = before.foundation
        if foundation is None and self.settings.sharing != "none":
            foundation = Foundation.of(component, self.settings.sharing, self.settings.adapter_rank)
            foundation.carry(component, lesson.generator)
        draws = self.settings.routing_draws
        component = lesson.before.knowledge.after(k, component, examples).components[k]
        if decision.action == "grow":
            return MixtureMemory((*before.records, new_record(component, held, examples, draws)), foundation)
        record = updated_record(
            before.records[k], lesson.components[k], component, held, examples, draws, lesson.generator
        )
        return MixtureMemory((*before.records[:k], record, *before.records[k + 1 :]), foundation)

    def _choose(
        self, component: Component, decision: Decision, lesson: Lesson[MixtureMemory], held: TaskData
    ) -> Choice:
        """Choose what the scores of components that judge by several are weighed by from now on."""
        k, tally = decision.component, lesson.before.memory.tally
        component.freeze()  # as those beside it are, or they could not be scored in one call
        known = lesson.before.knowledge.after(k, component, len(lesson.task))
        if self.settings.score_weights == "preset" or not sources_of(known.components):
            return Choice(preset_of(known.components), tally)
        trained = dict(enumerate(last_trained(lesson.before.history))) | {k: len(lesson.before.history)}
        return choose(known, trained, k, held, tally, lesson.generator)

    # What it knows, and answers --------------------------------------------------------------------------------

    @property
    def gate(self) -> Gate:
        """What decides whether a component is added: the user's own, or the one that the settings name."""
        return self.plugins.gate or make_gate(self.settings)

    @property
    def measure(self) -> NoveltyMeasure:
        """What measures how new a task is: the user's own, or the one that the settings name."""
        return self.plugins.novelty or MEASURES[self.settings.novelty]

    @property
    def records(self) -> tuple[Record, ...]:
        """What is remembered of every component."""
        return self._memory.records

    @property
    def shared_modules(self) -> tuple[nn.Module, ...]:
        """The foundation that the components stand on, if any."""
        foundation = self._memory.foundation
        return () if foundation is None else (foundation,)

    @torch_as_it_comes()
    def novelty(self, data: Any) -> Novelty:
        """Return how new data are: what ``learn`` would find at this moment; the mixture is not changed.

        Takes what ``learn`` takes, and examples alone of whatever was learnt, one or more. Whether they are new is
        said by the threshold; a gate of another kind may decide otherwise.

        Examples
        --------
        >>> found = learnt_example().novelty(np.random.default_rng(0).random((20, 1, 8, 8)))
        >>> found.is_new, len(found.values), found.value == min(found.values)
        (True, 2, True)
        """
        state = self._state
        task = check_data(data, state.knowledge.domain(), self.settings.support)
        if task.y is not None or task.target is not None:
            task = fitted(task, state.knowledge, self.settings.supervised)
        generator = torch.Generator().manual_seed(self._seed(len(state.history), state))
        return self._novelty(task, state, generator)

    @property
    def _threshold(self) -> float:
        """Novelty from which on data are new, chance aside: the setting, or the measure's own."""
        threshold = self.settings.threshold
        return self.measure.default_threshold if threshold is None else threshold

    def _novelty(self, task: TaskData, state: LearnerState[MixtureMemory], generator: torch.Generator) -> Novelty:
        """Return the novelty of a task; to a mixture that knows nothing all is new."""
        if not state.components:
            return Novelty((), math.inf, self._threshold, True, ())
        chosen = torch.randperm(len(task), generator=generator)[: self.settings.novelty_examples]
        return novelty_of(
            task.x[chosen],
            state.knowledge,
            state.memory.records,
            self.measure,
            self._threshold,
            self.settings.routing_draws,
            generator,
        )

    @torch_as_it_comes()
    def distill(self, *, callbacks: Sequence[Callback] = ()) -> Student:
        """Teach one compact network all that the mixture knows, from generated data alone.

        See :func:`growmix.learning.distilling.distill`.
        """
        with self._training_lock.held, torch_threads(None):
            state = self._state
            return distill(
                state.knowledge,
                self.settings,
                self._fabric,
                self._seed(-1, state),
                shared=self.shared_parameters,
                likelihood=self.plugins.likelihood,
                callbacks=callbacks,
            )

    # Keeping ---------------------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        blueprint: Blueprint | None = None,
        gate: Gate | None = None,
        novelty: NoveltyMeasure | None = None,
        likelihood: Likelihood | None = None,
        component: ComponentKind | None = None,
        device: str | None = None,
    ) -> GrowingMixture:
        """Read a mixture back; one that was made with objects of your own needs the same objects.

        Parameters
        ----------
        path
            The folder that it was saved to.
        blueprint, gate, novelty, likelihood, component
            The objects of your own that the mixture was made with; a checkpoint keeps their names alone.
        device
            Name of the device to put the mixture on, if not the one that it was made on.

        Raises
        ------
        BadCheckpoint
            A file is missing, broken or of another kind.
        BadInput
            An object is missing, or is not the one that the mixture was made with.
        """

        def make(settings: Settings) -> GrowingMixture:
            return cls(blueprint, settings, gate=gate, novelty=novelty, likelihood=likelihood, component=component)

        return load_learner(path, cls.method, make, device)

    def new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        """Make an untrained component, on the foundation if there is one."""
        refuse_idle_changes(self.settings, self._changes, self.plugins, domain.support)
        component = self.kind.new(domain, supervised=supervised, target=target, generator=generator)
        if self.settings.cascade is not None and not isinstance(component, Cheap):
            name = type(component).__name__
            raise BadInput(f"cascade is {self.settings.cascade}, but a {name} has no cheap score; leave it out")
        if self._memory.foundation is not None:
            self._memory.foundation.carry(component, generator)
        elif self.settings.sharing != "none":
            shareable(component, self.settings.sharing)  # refused now, not when the component has been trained
        return component

    def pack(self, memory: MixtureMemory) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return records, tally and sums as JSON and tensors, beside those of the foundation."""
        records, references = pack_records(memory.records)
        groups, sums = pack_sums(memory.sums)
        tensors = prefixed(REFERENCES, references) | prefixed(SUMS, sums)
        if memory.foundation is not None:
            tensors |= prefixed(FOUNDATION, memory.foundation.state_dict())
        return {"records": records, "tally": asdict(memory.tally), "sums": groups}, tensors

    def memory_to_build_on(self, saved: Checkpoint) -> MixtureMemory:
        """Return a memory with the foundation alone: components are made to stand on it."""
        return MixtureMemory((), self._foundation_from(saved))

    def _foundation_from(self, saved: Checkpoint) -> Foundation | None:
        if self.settings.sharing == "none" or not saved.components:
            return None
        first = saved.components[0].outline
        generator = torch.Generator()  # whatever is drawn from it is overwritten
        whole = self.kind.new(first.domain, supervised=first.supervised, target=first.target, generator=generator)
        foundation = Foundation.of(whole, self.settings.sharing, self.settings.adapter_rank)
        load_state(foundation, under(FOUNDATION, saved.tensors), foreign=not self.kind.without_memory)
        return foundation

    def unpack(self, saved: Checkpoint) -> MixtureMemory:
        """Return the memory again, see :meth:`growmix.learning.learner.Learner.unpack`."""
        document, tensors = saved.document["memory"], under(REFERENCES, saved.tensors)
        records = unpack_records(document["records"], tensors, self.history, self.components)
        tally = record_from(document.get("tally", {}), Tally)
        known = self._knowledge
        tally.check(known.components, known.examples)
        sums = unpack_sums(document.get("sums", []), under(SUMS, saved.tensors), known.components, known.examples)
        return MixtureMemory(records, self._memory.foundation, tally, sums)

    def with_lists(self, state: LearnerState[MixtureMemory]) -> LearnerState[MixtureMemory]:
        """Return a state whose knowledge lists components by the sums over what they learnt, and by cheap scores."""
        known = state.knowledge
        if not known.components:
            return state
        shortlist = Shortlist(known.domain(), state.memory.sums, self.settings.shortlist)
        return replace(state, knowledge=replace(known, shortlist=shortlist, cascade=self.settings.cascade))
