"""Follows a run and writes down what every task cost, regeneration by regeneration.

A task's data are available once. While they are, the discrepancy of test and training data is measured, and at once
that of the training data and what the fresh component generates of them: should the component be reused one day, that
is what it will be trained on again. So none of the data needs to be kept; the ledger holds generated examples alone,
for each task those of its next regeneration. Test data are used for measuring and never reach a component.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.evaluation.labels import in_labels_of
from growmix.learning.learner import Learner
from growmix.learning.student import Student
from growmix.storage.typed import check_outline, check_range, check_tensor, record_from
from growmix.streams import Stream
from growmix.system.ambient import torch_as_it_comes
from growmix.theory.bounds import Bound, student_bound, theorem_2
from growmix.theory.discrepancy import FEWEST, Method, Search
from growmix.theory.records import UNMEASURED, Entry, Link
from growmix.theory.regeneration import next_generation
from growmix.theory.risks import check_stream, estimates, risks

EXAMPLES = 1_000
"""How many examples of each generation of a task the ledger measures with."""

SEARCH = Search(steps=80, batch=128, restarts=2, learning_rates=(0.02,))
"""How hypotheses are sought: half a second for a link of 28x28 images on one core; three times the steps find at most
a tenth more."""

GONE = "the component was trained again since, and nobody followed the run"
"""Why the links of a task are unknown whose component was reused in a run that was not followed."""


@final
class RiskLedger:
    """Holds the observed risk and the terms of its bound, for every task after every task.

    Parameters
    ----------
    stream
        The stream that the mixture learns; a task's training data are looked at only right after it was learnt.
    examples
        How many examples of each generation are measured with.
    search
        The parameters of the search for hypotheses.

    Raises
    ------
    BadInput
        A task has fewer than 50 test examples, or pairs of images.

    References
    ----------
    Ye and Bors (2025), Theorem 2, Lemma 3, and Lemmas 1 and 2 of the supplement.
    """

    def __init__(self, stream: Stream, *, examples: int = EXAMPLES, search: Search = SEARCH) -> None:
        check_stream(stream)
        if not isinstance(examples, int) or examples < FEWEST:
            raise BadInput(f"examples is {examples!r}; allowed is a whole number of {FEWEST} or more")
        self._given, self._examples, self._search = stream, examples, search
        self.rows: list[tuple[Entry, ...]] = []
        self.student: tuple[Entry, ...] = ()
        self.chains: list[tuple[Link, ...]] = []
        """Links of each task: link j joins generation j - 1 to j; the last one is that of the next regeneration."""
        self._next: dict[int, TaskData] = {}

    @torch_as_it_comes()
    def after_task(self, learner: Learner[Any]) -> None:
        """Write down what the task that was just learnt changed.

        Raises
        ------
        BadInput
            The learner has not learnt exactly one task more than the ledger knows.
        """
        t, steps = len(self.rows), learner.history
        if len(steps) != t + 1 or t >= len(self._given):
            raise BadInput(f"the mixture has learnt {len(steps)} tasks, but this ledger follows {t}; call after each")
        tasks = in_labels_of(learner, self._given, t + 1)
        k = steps[t].decision.component
        component = learner.components[k]
        train, test = (self._some(data, t, part) for part, data in (("train", tasks[t].train), ("test", tasks[t].test)))
        first = self._link(component, test, train, (t, 0))
        old = {entry.task: entry for entry in self.rows[-1]} if t else {}
        trained = {i: self._next.get(i) for i, entry in old.items() if entry.component == k} | {t: train}
        row = []
        for i in range(t + 1):
            if i not in trained:
                row.append(old[i])
                continue
            generation = old[i].generation + 1 if i in old else 0
            row.append(self._entry(component, tasks[i].test, i, k, generation, trained[i]))
        chains = [*self.chains, (first,)]
        following = self._regenerate(component, trained, chains)
        # all at once: an interrupt leaves the ledger as it was
        self.rows, self.chains, self._next = [*self.rows, tuple(row)], chains, following

    @torch_as_it_comes()
    def after_student(self, student: Student) -> None:
        """Write down what the student can do, which knows every task one regeneration later."""
        tasks = in_labels_of(student, self._given, len(self.rows[-1]))
        self.student = tuple(
            self._entry(
                student.component,
                tasks[entry.task].test,
                entry.task,
                None,
                entry.generation + 1,
                self._next.get(entry.task),
            )
            for entry in self.rows[-1]
        )

    @torch_as_it_comes()
    def after_the_fact(self, learner: Learner[Any], student: Student | None) -> None:
        """Write down what can still be measured of a run that nobody followed: the last row alone.

        What a component that was reused had been trained on before is gone with its earlier versions, and so are the
        source risk and all links but the first of its tasks.

        Parameters
        ----------
        learner
            The learner after the run.
        student
            The student that it taught, if it did.
        """
        owners = [step.decision.component for step in learner.history]
        tasks = in_labels_of(learner, self._given, len(owners))
        row = []
        for i, k in enumerate(owners):
            component = learner.components[k]
            train = self._some(tasks[i].train, i, "train")
            first = self._link(component, self._some(tasks[i].test, i, "test"), train, (i, 0))
            generation = owners[i + 1 :].count(k)
            gone = Link(UNMEASURED, GONE)
            self.chains.append((first, *(gone for _ in range(generation))))
            row.append(self._entry(component, tasks[i].test, i, k, generation, None if generation else train))
            if owners.count(k) == 1:
                self._next = self._regenerate(component, {i: train}, self.chains)
            else:
                self.chains[i] += (gone,)
        self.rows = [tuple(row)]
        if student is not None:
            self.after_student(student)

    def bound(self, entry: Entry, method: Method) -> Bound:
        """Return the sum that an entry's risk should lie below."""
        links = [link.value(method) for link in self.chains[entry.task][: entry.generation + 1]]
        if entry.component is None:
            return student_bound(entry.source, links[:-1], links[-1])
        return theorem_2(entry.source, links)

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what a checkpoint must keep of the ledger, as JSON and tensors; the examples are generated ones."""
        document = {
            "rows": [[asdict(entry) for entry in row] for row in self.rows],
            "student": [asdict(entry) for entry in self.student],
            "chains": [[asdict(link) for link in chain] for chain in self.chains],
        }
        tensors = {f"{i}.x": data.x for i, data in self._next.items()}
        tensors |= {f"{i}.y": data.y for i, data in self._next.items() if data.y is not None}
        return document, tensors

    @classmethod
    def unpack(
        cls,
        stream: Stream,
        document: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        *,
        examples: int = EXAMPLES,
        search: Search = SEARCH,
    ) -> RiskLedger:
        """Make the ledger again that :meth:`pack` was called on.

        Parameters
        ----------
        stream
            The stream that the mixture learns.
        document, tensors
            What :meth:`pack` returned; the tensors may have no memory.
        examples, search
            The parameters that the ledger was made with.

        Raises
        ------
        ValueError
            The document or the tensors can't come from such a ledger.
        """
        ledger = cls(stream, examples=examples, search=search)
        ledger.rows = record_from(document["rows"], list[tuple[Entry, ...]])
        ledger.student = record_from(document["student"], tuple[Entry, ...])
        ledger.chains = record_from(document["chains"], list[tuple[Link, ...]])
        ledger._next = ledger._generations(tensors)
        ledger._check()
        return ledger

    def _generations(self, tensors: Mapping[str, Tensor]) -> dict[int, TaskData]:
        """Check the generated examples that were kept, and return them by task."""
        tasks = [i for i in range(len(self.rows)) if f"{i}.x" in tensors]
        needed = {}
        kind = torch.uint8 if self._given.domain.support == "unit" else torch.float32
        for i in tasks:
            check_tensor(tensors, f"{i}.x", (None, *self._given.shape), kind)
            rows = len(tensors[f"{i}.x"])
            check_range("examples", rows, 1, self._examples)
            needed[f"{i}.x"] = tensors[f"{i}.x"]
            if f"{i}.y" in tensors:
                needed[f"{i}.y"] = torch.empty(rows, dtype=torch.int64)
        check_outline(tensors, needed)
        support = self._given.domain.support
        return {i: TaskData(tensors[f"{i}.x"], tensors.get(f"{i}.y"), support=support) for i in tasks}

    def _check(self) -> None:
        """See that what was read fits together.

        Raises
        ------
        ValueError
            Rows, chains and estimates are not those of one ledger.
        """
        learnt = len(self.rows)
        check_range("tasks", learnt, 0, len(self._given))
        for t, row in enumerate([*self.rows, *([self.student] if self.student else [])]):
            if [entry.task for entry in row] != list(range(min(t + 1, learnt))):
                raise ValueError(f"row {t} does not hold the tasks up to it")
        if len(self.chains) != learnt:
            raise ValueError(f"{learnt} tasks have {len(self.chains)} chains")
        for entry in (entry for row in (*self.rows, self.student) for entry in row):
            check_range("component", entry.component or 0, 0, learnt - 1)
            check_range("generation", entry.generation, 0, len(self.chains[entry.task]) - 1)
            check_range("observed", entry.observed, 0.0, math.inf)
        for link in (link for chain in self.chains for link in chain):
            if link.estimates.keys() != UNMEASURED.keys():
                raise ValueError(f"estimates by {sorted(link.estimates)}")

    # Machinery -------------------------------------------------------------------------------------------------

    def _entry(
        self, component: Component, test: TaskData, i: int, k: int | None, generation: int, trained: TaskData | None
    ) -> Entry:
        """Measure a task's risk on its test data, and on what stands for it in the last training."""
        observed = risks(component, test)
        if observed is None:
            raise BadInput(
                f"task {self._given[i].name!r} has fewer than {FEWEST} labelled test examples to measure a risk on"
            )
        source = None if trained is None else risks(component, trained)
        error = float(observed.std() / len(observed) ** 0.5)
        return Entry(i, k, generation, float(observed.mean()), error, None if source is None else float(source.mean()))

    def _regenerate(
        self,
        component: Component,
        trained: Mapping[int, TaskData | None],
        chains: list[tuple[Link, ...]],
    ) -> dict[int, TaskData]:
        """Draw the next generation of every task of a component, and add to the chains how far it is from the last.

        Parameters
        ----------
        component
            The component that was just trained.
        trained
            What stands for each of its tasks in this training; ``None`` for a task of which it generated nothing
            before, whose chain ends here.
        chains
            The chains of all tasks, which are added to.

        Returns
        -------
        dict
            The next generation of all tasks, also those of other components.
        """
        generator = torch.Generator().manual_seed(self._seed(max(trained), len(trained)))
        known = {i: data for i, data in trained.items() if data is not None}
        drawn = next_generation(component, known, self._examples, generator)
        for i, data in trained.items():
            after = drawn.get(i)
            place = (i, len(chains[i]))
            if data is None or after is None or len(after) < FEWEST:
                link = Link(UNMEASURED, f"the component generates fewer than {FEWEST} examples like this task's")
            else:
                link = self._link(component, data, after, place)
            chains[i] = (*chains[i], link)
        kept = {i: data for i, data in self._next.items() if i not in trained}
        return kept | {i: after for i, after in drawn.items() if len(after)}

    def _link(self, component: Component, before: TaskData, after: TaskData, place: tuple[int, int]) -> Link:
        """Estimate by both methods how far two generations are apart; ``place`` is the task and the link's number."""
        if min(len(before), len(after)) < FEWEST:
            return Link(UNMEASURED, f"fewer than {FEWEST} examples")
        search = Search(**{**asdict(self._search), "seed": self._seed(*place)})
        return Link(estimates(component, before, after, search))

    def _some(self, data: TaskData, task: int, part: str) -> TaskData:
        """Draw as many examples of a part (``train`` or ``test``) of a task as are measured with."""
        generator = torch.Generator().manual_seed(self._seed(task, 1_000 + len(part)))
        return data[torch.randperm(len(data), generator=generator)[: self._examples]]

    def _seed(self, *what: int) -> int:
        """Derive the seed of one piece of work from the search's seed and the numbers that name the piece."""
        return int(np.random.SeedSequence([self._search.seed, *what]).generate_state(1)[0])
