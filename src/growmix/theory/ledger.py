"""RiskLedger: follows a run and writes down what every task cost, regeneration by regeneration.

A task's data are there once. While they are, the discrepancy of test and training data is measured, and at once that of
the training data and what the fresh component generates of them: should the component be reused one day, that is what
it will be trained on again. So nothing of the data needs to be kept; the ledger holds generated images alone, for each
task those of its next regeneration. Test data are measured with and never reach a component.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, final

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from growmix.components.component import Component
from growmix.data.task import UNLABELLED, TaskData, as_float
from growmix.errors import BadInput
from growmix.evaluation.labels import in_labels_of
from growmix.learning.answers import in_pieces
from growmix.learning.learner import Learner
from growmix.learning.replay import as_bytes, generate, replay
from growmix.learning.student import Student
from growmix.storage.typed import check_outline, check_range, check_tensor, record_from
from growmix.streams import Stream
from growmix.system.ambient import torch_as_it_comes
from growmix.theory.bounds import Bound, student_bound, theorem_2
from growmix.theory.discrepancy import FEWEST, Discrepancy, Method, Search, discrepancy
from growmix.theory.hypotheses import MLP
from growmix.theory.losses import Loss, Squared, ZeroOne

METHODS: tuple[Method, ...] = ("plug-in", "adversarial")
"""Estimators of every link."""

EXAMPLES = 1_000
"""Of each generation of a task, that the ledger measures with."""

SEARCH = Search(steps=80, batch=128, restarts=2, learning_rates=(0.02,))
"""Half a second for a link of 28x28 images on one core; three times the steps find at most a tenth more."""

PIECE = 1_024

LossName: TypeAlias = Literal["zero-one", "squared"]


@dataclass(frozen=True)
class Link:
    """Discrepancy of two generations of a task that follow each other.

    Attributes
    ----------
    estimates
        By method; ``None`` where it could not be measured.
    reason
        Why not.
    """

    estimates: Mapping[Method, Discrepancy | None]
    reason: str = ""

    def value(self, method: Method) -> float | None:
        """The estimate; one that chance made negative counts as 0, the least that a distance can be."""
        found = self.estimates[method]
        return None if found is None else max(0.0, found.estimate)


GONE = "the component was trained again since, and nobody followed the run"

UNMEASURED: Mapping[Method, None] = {method: None for method in METHODS}


@dataclass(frozen=True)
class Entry:
    """What one task costs after one task was learnt.

    Attributes
    ----------
    task
        Which.
    component
        That learnt it; ``None`` for the student.
    generation
        How often the task was regenerated for training: 0 if its component was never reused.
    observed
        Risk on the task's test data, in the unit of the loss.
    observed_error
        Standard error of it.
    source
        Risk on what stands for the task in the last training: its training data, or a draw of what its component
        regenerated of it; ``None`` where that is gone, or too little of it has a label.
    """

    task: int
    component: int | None
    generation: int
    observed: float
    observed_error: float
    source: float | None


@final
class RiskLedger:
    """Observed risk and the terms of its bound, for every task after every task.

    Parameters
    ----------
    stream
        That the mixture learns; a task's training data are looked at only right after it was learnt.
    examples
        Of each generation, to measure with.
    search
        How hypotheses are sought.

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
        """Of each task: link j joins generation j - 1 to j; the last one is that of the next regeneration."""
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
        loss = loss_for(component)
        train, test = (self._some(data, t, part) for part, data in (("train", tasks[t].train), ("test", tasks[t].test)))
        first = self._link(test, train, loss, component.classes, (t, 0))
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
        following = self._regenerate(component, trained, loss, chains, learner.settings.from_prior)
        # all at once: an interrupt leaves the ledger as it was
        self.rows, self.chains, self._next = [*self.rows, tuple(row)], chains, following

    @torch_as_it_comes()
    def after_student(self, student: Student) -> None:
        """Write down what the student, who knows every task one regeneration later, can do."""
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
        """Write down what can still be had of a run that nobody followed: the last row alone.

        What a component that was reused had been trained on before is gone with its earlier versions, and so are the
        source risk and all links but the first of its tasks.
        """
        owners = [step.decision.component for step in learner.history]
        tasks = in_labels_of(learner, self._given, len(owners))
        row = []
        for i, k in enumerate(owners):
            component, loss = learner.components[k], loss_for(learner.components[k])
            train = self._some(tasks[i].train, i, "train")
            first = self._link(self._some(tasks[i].test, i, "test"), train, loss, component.classes, (i, 0))
            generation = owners[i + 1 :].count(k)
            gone = Link(UNMEASURED, GONE)
            self.chains.append((first, *(gone for _ in range(generation))))
            row.append(self._entry(component, tasks[i].test, i, k, generation, None if generation else train))
            if owners.count(k) == 1:
                from_prior = learner.settings.from_prior
                self._next = self._regenerate(component, {i: train}, loss, self.chains, from_prior)
            else:
                self.chains[i] += (gone,)
        self.rows = [tuple(row)]
        if student is not None:
            self.after_student(student)

    def bound(self, entry: Entry, method: Method) -> Bound:
        """The sum that an entry's risk should lie below."""
        links = [link.value(method) for link in self.chains[entry.task][: entry.generation + 1]]
        if entry.component is None:
            return student_bound(entry.source, links[:-1], links[-1])
        return theorem_2(entry.source, links)

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a checkpoint must keep of it, as JSON and tensors; the images are generated ones."""
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
        """The ledger that :meth:`pack` told of, made with the same parameters; the tensors may have no memory.

        Raises
        ------
        ValueError
            It can't have told of that.
        """
        ledger = cls(stream, examples=examples, search=search)
        ledger.rows = record_from(document["rows"], list[tuple[Entry, ...]])
        ledger.student = record_from(document["student"], tuple[Entry, ...])
        ledger.chains = record_from(document["chains"], list[tuple[Link, ...]])
        ledger._next = ledger._generations(tensors)
        ledger._check()
        return ledger

    def _generations(self, tensors: Mapping[str, Tensor]) -> dict[int, TaskData]:
        tasks = [i for i in range(len(self.rows)) if f"{i}.x" in tensors]
        needed = {}
        for i in tasks:
            check_tensor(tensors, f"{i}.x", (None, *self._given.shape), torch.uint8)
            rows = len(tensors[f"{i}.x"])
            check_range("examples", rows, 1, self._examples)
            needed[f"{i}.x"] = tensors[f"{i}.x"]
            if f"{i}.y" in tensors:
                needed[f"{i}.y"] = torch.empty(rows, dtype=torch.int64)
        check_outline(tensors, needed)
        return {i: TaskData(tensors[f"{i}.x"], tensors.get(f"{i}.y")) for i in tasks}

    def _check(self) -> None:
        """See that what was read is of one piece; raises ``ValueError``."""
        learnt = len(self.rows)
        check_range("tasks", learnt, 0, len(self._given))
        for t, row in enumerate([*self.rows, *([self.student] if self.student else [])]):
            if [entry.task for entry in row] != list(range(min(t + 1, learnt))):
                raise ValueError(f"row {t} is not of the tasks up to it")
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
        loss: Loss,
        chains: list[tuple[Link, ...]],
        from_prior: bool,
    ) -> dict[int, TaskData]:
        """Draw the next generation of every task of a component, and add to the chains how far it is from the last.

        ``None`` stands for a task of which the component generated nothing before: it has no chain to go on. Returns
        the next generation of all tasks.
        """
        stream = torch.Generator().manual_seed(self._seed(max(trained), len(trained)))
        known = {i: data for i, data in trained.items() if data is not None}
        drawn = next_generation(component, known, self._examples, stream, from_prior=from_prior)
        for i, data in trained.items():
            after = drawn.get(i)
            place = (i, len(chains[i]))
            if data is None or after is None or len(after) < FEWEST:
                link = Link(UNMEASURED, f"the component generates fewer than {FEWEST} images like this task's")
            else:
                link = self._link(data, after, loss, component.classes, place)
            chains[i] = (*chains[i], link)
        kept = {i: data for i, data in self._next.items() if i not in trained}
        return kept | {i: after for i, after in drawn.items() if len(after)}

    def _link(
        self, before: TaskData, after: TaskData, loss: Loss, classes: Sequence[int], place: tuple[int, int]
    ) -> Link:
        """Both estimates of one link."""
        if min(len(before), len(after)) < FEWEST:
            return Link(UNMEASURED, f"fewer than {FEWEST} examples")
        search = Search(**{**asdict(self._search), "seed": self._seed(*place)})
        return Link(estimates(before, after, loss, classes, search))

    def _some(self, data: TaskData, task: int, part: str) -> TaskData:
        """As many examples as are measured with, drawn by the seed."""
        stream = torch.Generator().manual_seed(self._seed(task, 1_000 + len(part)))
        return data[torch.randperm(len(data), generator=stream)[: self._examples]]

    def _seed(self, *what: int) -> int:
        return int(np.random.SeedSequence([self._search.seed, *what]).generate_state(1)[0])


def check_stream(stream: Stream) -> None:
    """See whether a ledger can follow a stream.

    Raises
    ------
    BadInput
        A task has too few test examples, or pairs of images.
    """
    for task in stream:
        if task.test.target is not None:
            raise BadInput(f"task {task.name!r} has pairs of images, of which the theory says nothing")
        labels = None if task.test.y is None else int((task.test.y != UNLABELLED).sum())
        if len(task.test) < FEWEST or (labels is not None and labels < FEWEST):
            count = f"{len(task.test)} test examples" if not labels else f"{labels} labelled test examples"
            raise BadInput(f"task {task.name!r} has {count}; at least {FEWEST} are needed to measure a risk")


def loss_for(component: Component) -> Loss:
    """What a component's risk is measured in: wrong classes, or squared error per pixel where it has no classes."""
    return ZeroOne(max(2, len(component.classes))) if component.classes else Squared()


def estimates(
    before: TaskData, after: TaskData, loss: Loss, classes: Sequence[int], search: Search
) -> dict[Method, Discrepancy | None]:
    """The discrepancy of two samples by every method; plug-in classifiers see the labelled examples alone.

    The adversary's classifiers answer with two of the classes alone. These are members of the class too, and better
    ones are found among them (digits 4 and 5 and what a component of six digits generates of them: 0.32 with two
    classes, 0.23 with six, means of three seeds).
    """
    two = ZeroOne() if isinstance(loss, ZeroOne) else loss
    found: dict[Method, Discrepancy | None] = {"adversarial": discrepancy(before.x, after.x, MLP(), two, search=search)}
    if not isinstance(loss, ZeroOne):
        found["plug-in"] = discrepancy(before.x, after.x, MLP(), loss, method="plug-in", search=search)
        return found
    a, b = (_labelled(data, classes) for data in (before, after))
    found["plug-in"] = None
    if a is not None and b is not None:
        found["plug-in"] = discrepancy(a[0], b[0], MLP(), loss, method="plug-in", targets=(a[1], b[1]), search=search)
    return found


@torch.no_grad()
def risks(component: Component, data: TaskData) -> Tensor | None:
    """Loss of a component on each example: a wrong class, or the squared error per pixel; shape ``(n,)``.

    ``None`` where a classifier has fewer than 50 examples with a class that it learnt.
    """
    if not component.classes:
        gaps = [
            (in_pieces(component, "reconstruct", x) - as_float(x)).square().flatten(1).mean(1)
            for x in data.x.split(PIECE)
        ]
        return torch.cat(gaps).double()
    kept = _labelled(data, component.classes)
    if kept is None:
        return None
    device = next(component.parameters()).device
    answers = [component.encode(as_float(x.to(device)))[1].argmax(1).cpu() for x in kept[0].split(PIECE)]
    return (torch.cat(answers) != kept[1]).double()


def next_generation(
    component: Component,
    trained: Mapping[int, TaskData],
    examples: int,
    stream: torch.Generator,
    *,
    from_prior: bool = False,
) -> dict[int, TaskData]:
    """What a component generates now, told apart by the tasks that it was trained on.

    By label where the tasks share no class. Otherwise generated images go to the task whose data they are likest to:
    logistic regression on the component's codes of what it reconstructs, so that real and generated data are compared
    in one form.

    Parameters
    ----------
    component
        Just trained.
    trained
        By task, a sample of what it was trained on.
    examples
        Wanted per task.
    stream
        Of random numbers.
    from_prior
        Where replayed codes come from, as the mixture's.
    """
    if len(trained) == 1:
        return {i: _bytes(replay(component, examples, stream, from_prior=from_prior)) for i in trained}
    labels = {i: set() if data.y is None else set(data.y.tolist()) - {UNLABELLED} for i, data in trained.items()}
    known = [label for each in labels.values() for label in each]
    if all(labels.values()) and len(known) == len(set(known)):
        return {i: _of_classes(component, sorted(labels[i]), examples, stream, from_prior) for i in trained}
    parts = [_bytes(replay(component, examples, stream, from_prior=from_prior)) for _ in trained]
    owners = [_likest(component, trained, part) for part in parts]
    y = None if parts[0].y is None else torch.cat([part.y for part in parts if part.y is not None])
    drawn, owner = TaskData(torch.cat([part.x for part in parts]), y), torch.cat(owners)
    return {i: drawn[(owner == i).nonzero()[:, 0][:examples]] for i in trained}


def _of_classes(
    component: Component, labels: Sequence[int], n: int, stream: torch.Generator, from_prior: bool
) -> TaskData:
    own = torch.tensor([component.classes.index(label) for label in labels])
    chosen = torch.multinomial(component.class_counts.cpu()[own], n, replacement=True, generator=stream)
    return _bytes(generate(component, own[chosen], stream, from_prior=from_prior))


def _likest(component: Component, trained: Mapping[int, TaskData], drawn: TaskData) -> Tensor:
    codes = [_codes(component, data.x) for data in trained.values()]
    owners = np.repeat(list(trained), [len(code) for code in codes])
    model = LogisticRegression(max_iter=500).fit(np.concatenate(codes), owners)
    return torch.from_numpy(model.predict(_codes(component, drawn.x)))


def _codes(component: Component, x: Tensor) -> np.ndarray[Any, Any]:
    codes: np.ndarray[Any, Any] = in_pieces(component, "code", in_pieces(component, "reconstruct", x)).numpy()
    return codes


def _bytes(drawn: TaskData) -> TaskData:
    return TaskData(as_bytes(drawn.x), drawn.y)


def _labelled(data: TaskData, classes: Sequence[int]) -> tuple[Tensor, Tensor] | None:
    """Images with a class among these, and its position; ``None`` if they are too few."""
    if data.y is None:
        return None
    positions = torch.full_like(data.y, UNLABELLED)
    for place, label in enumerate(classes):
        positions[data.y == label] = place
    kept = positions >= 0
    return (data.x[kept], positions[kept]) if int(kept.sum()) >= FEWEST else None
