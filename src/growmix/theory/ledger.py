"""RiskLedger: follows a run and writes down what every task cost, regeneration by regeneration.

A task's data are there once. While they are, the discrepancy of test and training data is measured, and at once that of
the training data and what the fresh component generates of them: should the component be reused one day, that is what
it will be trained on again. So nothing of the data needs to be kept; the ledger holds generated images alone, for each
task those of its next regeneration. Test data are measured with and never reach a component.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, final

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from growmix.component import Component
from growmix.data import UNLABELLED, TaskData, as_float
from growmix.errors import BadInput
from growmix.evaluation import in_labels_of
from growmix.learner import Learner
from growmix.model import in_pieces
from growmix.replay import as_bytes, generate, replay
from growmix.streams import Stream, Task
from growmix.student import Student
from growmix.theory.bounds import Bound, student_bound, theorem_2
from growmix.theory.discrepancy import FEWEST, Discrepancy, Method, Search, discrepancy
from growmix.theory.hypotheses import MLP
from growmix.theory.losses import Loss, Squared, ZeroOne

METHODS: tuple[Method, ...] = ("plug-in", "adversarial")
"""Estimators of every link."""

EXAMPLES = 1_000
"""Of each generation of a task, that the ledger measures with."""

SEARCH = Search(steps=80, batch=128, restarts=2)
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
        Risk on what the component was last trained on of this task; ``None`` where that is gone.
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
        self._given = stream
        self._stream: Sequence[Task] = stream  # in the labels that the learner has
        self._examples, self._search = examples, search
        self.rows: list[tuple[Entry, ...]] = []
        self.student: tuple[Entry, ...] = ()
        self.chains: list[tuple[Link, ...]] = []
        """Of each task: link j joins generation j - 1 to j; the last one is that of the next regeneration."""
        self._next: dict[int, TaskData] = {}

    def after_task(self, learner: Learner[Any]) -> None:
        """Write down what the task that was just learnt changed.

        Raises
        ------
        BadInput
            The learner has not learnt exactly one task more than the ledger knows.
        """
        t, steps = len(self.rows), learner.steps
        if len(steps) != t + 1 or t >= len(self._stream):
            raise BadInput(f"the mixture has learnt {len(steps)} tasks, but this ledger follows {t}; call after each")
        self._stream = in_labels_of(learner, self._given, t + 1)
        k = steps[t].decision.component
        component = learner.components[k]
        train = self._some(self._stream[t].train, t, "train")
        old = {entry.task: entry for entry in self.rows[-1]} if t else {}
        trained = {i: self._next.get(i) for i, entry in old.items() if entry.component == k} | {t: train}
        loss = loss_for(component)
        test = self._some(self._stream[t].test, t, "test")
        self.chains.append((self._link(test, train, loss, component.classes, (t, 0)),))
        row = []
        for i in range(t + 1):
            if i not in trained:
                row.append(old[i])
                continue
            generation = old[i].generation + 1 if i in old else 0
            row.append(self._entry(component, i, k, generation, trained[i]))
        self._regenerate(component, trained, loss)
        self.rows.append(tuple(row))

    def after_student(self, student: Student) -> None:
        """Write down what the student, who knows every task one regeneration later, can do."""
        component = student.component
        self.student = tuple(
            self._entry(component, entry.task, None, entry.generation + 1, self._next.get(entry.task))
            for entry in self.rows[-1]
        )

    def after_the_fact(self, learner: Learner[Any], student: Student | None) -> None:
        """Write down what can still be had of a run that nobody followed: the last row alone.

        What a component that was reused had been trained on before is gone with its earlier versions, and so are the
        source risk and all links but the first of its tasks.
        """
        owners = [step.decision.component for step in learner.steps]
        self._stream = in_labels_of(learner, self._given, len(owners))
        row = []
        for i, k in enumerate(owners):
            component, loss = learner.components[k], loss_for(learner.components[k])
            train, test = (self._some(data, i, part) for part, data in _parts(self._stream[i]))
            first = self._link(test, train, loss, component.classes, (i, 0))
            generation = owners[i + 1 :].count(k)
            gone = Link(UNMEASURED, "the component was trained again since, and nobody followed the run")
            self.chains.append((first, *(gone for _ in range(generation))))
            row.append(self._entry(component, i, k, generation, None if generation else train))
            if owners.count(k) == 1:
                self._regenerate(component, {i: train}, loss)
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

    def unpack(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Become what was packed; the stream must be the same."""
        self.rows = [tuple(Entry(**entry) for entry in row) for row in document["rows"]]
        self.student = tuple(Entry(**entry) for entry in document["student"])
        self.chains = [tuple(_link_from(link) for link in chain) for chain in document["chains"]]
        tasks = [int(name.removesuffix(".x")) for name in tensors if name.endswith(".x")]
        self._next = {i: TaskData(tensors[f"{i}.x"], tensors.get(f"{i}.y")) for i in tasks}

    # Machinery -------------------------------------------------------------------------------------------------

    def _entry(self, component: Component, i: int, k: int | None, generation: int, trained: TaskData | None) -> Entry:
        observed = risks(component, self._stream[i].test)
        source = None if trained is None else _mean(risks(component, trained))
        error = float(observed.std() / len(observed) ** 0.5)
        return Entry(i, k, generation, float(observed.mean()), error, source)

    def _regenerate(self, component: Component, trained: Mapping[int, TaskData | None], loss: Loss) -> None:
        """Draw the next generation of every task of a component, and measure how far it is from the last.

        ``None`` stands for a task of which the component generated nothing before: it has no chain to go on.
        """
        stream = torch.Generator().manual_seed(self._seed(max(trained), len(trained)))
        known = {i: data for i, data in trained.items() if data is not None}
        drawn = next_generation(component, known, self._examples, stream)
        for i, data in trained.items():
            after = drawn.get(i)
            place = (i, len(self.chains[i]))
            if data is None or after is None or len(after) < FEWEST:
                link = Link(UNMEASURED, f"the component generates fewer than {FEWEST} images like this task's")
            else:
                link = self._link(data, after, loss, component.classes, place)
            self.chains[i] = (*self.chains[i], link)
            self._next.pop(i, None)
            if after is not None and len(after):
                self._next[i] = after

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
            raise BadInput(
                f"theory is on, but task {task.name!r} has pairs of images, which the ledger does not measure"
            )
        if len(task.test) < FEWEST:
            raise BadInput(
                f"theory is on, but task {task.name!r} has {len(task.test)} test examples; at least {FEWEST} are "
                "needed to measure a risk"
            )


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
def risks(component: Component, data: TaskData) -> Tensor:
    """Loss of a component on each example: a wrong class, or the squared error per pixel; shape ``(n,)``."""
    if not component.classes:
        gaps = [
            (in_pieces(component, "reconstruct", x) - as_float(x)).square().flatten(1).mean(1)
            for x in data.x.split(PIECE)
        ]
        return torch.cat(gaps).double()
    kept = _labelled(data, component.classes)
    if kept is None:
        raise BadInput("theory is on, but a task has fewer than 50 labelled test examples of classes that were learnt")
    device = next(component.parameters()).device
    answers = [component.encode(as_float(x.to(device)))[1].argmax(1).cpu() for x in kept[0].split(PIECE)]
    return (torch.cat(answers) != kept[1]).double()


def next_generation(
    component: Component, trained: Mapping[int, TaskData], examples: int, stream: torch.Generator
) -> dict[int, TaskData]:
    """What a component generates now, told apart by the tasks that it was trained on.

    By label where the tasks share no class. Otherwise generated images go to the task whose data they are likest to:
    logistic regression on the component's codes.

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
    """
    if len(trained) == 1:
        return {i: _bytes(replay(component, examples, stream)) for i in trained}
    labels = {i: set() if data.y is None else set(data.y.tolist()) - {UNLABELLED} for i, data in trained.items()}
    known = [label for each in labels.values() for label in each]
    if all(labels.values()) and len(known) == len(set(known)):
        return {i: _bytes(_of_classes(component, sorted(labels[i]), examples, stream)) for i in trained}
    drawn = _bytes(replay(component, examples * len(trained), stream))
    owner = _likest(component, trained, drawn)
    return {i: drawn[(owner == i).nonzero()[:, 0][:examples]] for i in trained}


def _of_classes(component: Component, labels: Sequence[int], n: int, stream: torch.Generator) -> TaskData:
    own = torch.tensor([component.classes.index(label) for label in labels])
    chosen = torch.multinomial(component.class_counts.cpu()[own], n, replacement=True, generator=stream)
    return generate(component, own[chosen], stream)


def _likest(component: Component, trained: Mapping[int, TaskData], drawn: TaskData) -> Tensor:
    codes = [in_pieces(component, "code", data.x).numpy() for data in trained.values()]
    owners = np.repeat(list(trained), [len(code) for code in codes])
    model = LogisticRegression(max_iter=500).fit(np.concatenate(codes), owners)
    return torch.from_numpy(model.predict(in_pieces(component, "code", drawn.x).numpy()))


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


def _parts(task: Any) -> tuple[tuple[str, TaskData], ...]:
    return ("train", task.train), ("test", task.test)


def _mean(values: Tensor) -> float:
    return float(values.mean())


def _link_from(document: Mapping[str, Any]) -> Link:
    found = {
        method: None if each is None else Discrepancy(**{**each, "examples": tuple(each["examples"])})
        for method, each in document["estimates"].items()
    }
    return Link(found, document["reason"])
