"""The three accuracies of a mixture over a stream, and what it reconstructs.

``task_aware``: the task is given, so its component answers and its classes alone compete.
``task_agnostic``: nothing but the example is given, and all classes learnt so far compete.
``selection``: how often the component that is chosen without the task is the one that learnt it.

Labels are compared with answers that are already there; no function that routes or predicts is given any.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, final

import torch
from torch import Tensor

from growmix.data import UNLABELLED, TaskData
from growmix.errors import BadInput, NotLearnt
from growmix.metrics.continual import average_accuracy, backward_transfer, forgetting, forward_transfer
from growmix.metrics.images import ImageScores, ReconstructionScores, image_scores
from growmix.routing import ComponentScores, combine, log_responsibilities, route_examples

if TYPE_CHECKING:
    from growmix.gating import Decision
    from growmix.mixture import GrowingMixture
    from growmix.model import Model
    from growmix.streams import Task
    from growmix.student import Student

BATCH = 2_048
"""Images reconstructed at a time: their floats, before and after, are all that is held."""

Accuracies: TypeAlias = tuple[tuple[float | None, ...], ...]
"""Row t: after task t; column i: on task i's test set; ``None`` above the diagonal and where not known."""


@dataclass(frozen=True)
class Average:
    """Figures of the last row, over all tasks learnt; ``None`` where one does not apply.

    Forgetting and both transfers are those of ``task_agnostic``, see :mod:`growmix.metrics.continual`.
    """

    task_aware: float | None
    task_agnostic: float | None
    selection: float | None
    forgetting: float | None
    backward_transfer: float | None
    forward_transfer: float | None


@dataclass(frozen=True)
class Scores:
    """What a mixture can do on every task of a stream, over time.

    Attributes
    ----------
    task_aware, task_agnostic
        Accuracies; ``None`` if the mixture learnt without labels.
    selection
        Share of test examples for which the component that learnt their task is chosen.
    before
        ``task_agnostic`` on each task just before it was learnt; ``None`` unless all its classes were known.
    chance
        One over the number of classes that competed then.
    reconstruction
        Of each task, after the last one, by the component that is chosen for each example.
    reconstruction_when_learnt
        The same right after the task was learnt; ``None`` where nobody looked then.
    """

    task_aware: Accuracies | None
    task_agnostic: Accuracies | None
    selection: Accuracies
    before: tuple[float | None, ...]
    chance: tuple[float | None, ...]
    reconstruction: tuple[ReconstructionScores, ...]
    reconstruction_when_learnt: tuple[ReconstructionScores | None, ...]

    @property
    def average(self) -> Average:
        """One number for each question."""
        aware, agnostic = self.task_aware or (), self.task_agnostic or ()
        return Average(
            task_aware=average_accuracy(aware),
            task_agnostic=average_accuracy(agnostic),
            selection=average_accuracy(self.selection),
            forgetting=forgetting(agnostic),
            backward_transfer=backward_transfer(agnostic),
            forward_transfer=forward_transfer(self.before, self.chance),
        )

    def to_dict(self) -> dict[str, Any]:
        """Blocks ``accuracy``, ``average`` and ``reconstruction`` of ``metrics.json``."""
        names = ("task_aware", "task_agnostic", "selection")
        matrices: list[Accuracies | None] = [getattr(self, name) for name in names]
        return {
            "accuracy": {
                name: None if matrix is None else [list(row) for row in matrix]
                for name, matrix in zip(names, matrices, strict=True)
            },
            "average": asdict(self.average),
            "reconstruction": _columns(self.reconstruction),
        }


@dataclass(frozen=True)
class StudentScores:
    """What a student can do on every task of a stream: one number per task.

    Attributes
    ----------
    task_aware, task_agnostic
        Accuracies; ``None`` if the student learnt without labels. It has no components to choose from: a task
        that is given only says which classes compete.
    reconstruction
        Of each task.
    parameters
        Numbers that the student consists of.
    """

    task_aware: tuple[float | None, ...] | None
    task_agnostic: tuple[float | None, ...] | None
    reconstruction: tuple[ReconstructionScores, ...]
    parameters: int

    @property
    def average(self) -> Average:
        """Means over the tasks; a student has no history and chooses no component."""
        return Average(_mean(self.task_aware), _mean(self.task_agnostic), None, None, None, None)

    def to_dict(self) -> dict[str, Any]:
        """Block ``student`` of ``metrics.json``: its keys, with the last row alone as accuracy."""
        rows = {"task_aware": self.task_aware, "task_agnostic": self.task_agnostic, "selection": None}
        return {
            "accuracy": {name: None if row is None else list(row) for name, row in rows.items()},
            "average": asdict(self.average),
            "reconstruction": _columns(self.reconstruction),
            "parameters": self.parameters,
        }


def evaluate(mixture: GrowingMixture, stream: Sequence[Task]) -> Scores:
    """Measure a mixture on the test sets of the stream that it learnt.

    Parameters
    ----------
    mixture
        Has learnt the first tasks of ``stream``, in order, one ``learn`` each.
    stream
        Tasks with test sets; those not learnt yet are left out.

    Returns
    -------
    Scores
        The last row is always there. An earlier row is there, and exact, if no component of that time was
        trained since: the mixture of then is a part of the mixture of now. Otherwise the row is ``None``
        throughout; to have it, follow the learning with an :class:`Evaluator`.

    Raises
    ------
    NotLearnt
        The mixture has learnt nothing.
    BadInput
        It has learnt more tasks than the stream has.

    Examples
    --------
    >>> import numpy as np
    >>> from growmix import GrowingMixture, streams
    >>> rng = np.random.default_rng(0)
    >>> dark, bright = rng.random((60, 1, 8, 8)) * 0.3, 1 - rng.random((60, 1, 8, 8)) * 0.3
    >>> zeros, ones = np.zeros(60, dtype=int), np.ones(60, dtype=int)
    >>> stream = streams.from_arrays([(dark, zeros, dark, zeros), (bright, ones, bright, ones)])
    >>> mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=30)
    >>> for task in stream:
    ...     decision = mixture.learn(task.train)
    >>> evaluate(mixture, stream).selection
    ((1.0, None), (1.0, 1.0))
    """
    evaluator = Evaluator(stream)
    evaluator.after_task(mixture)
    return evaluator.scores()


def evaluate_student(student: Student, stream: Sequence[Task], *, tasks: int | None = None) -> StudentScores:
    """Measure a student on the test sets of the stream that its teacher learnt.

    Parameters
    ----------
    student
        Distilled from a mixture that learnt the first tasks of ``stream``.
    stream
        Tasks with test sets.
    tasks
        How many of them the teacher had learnt; by default all.

    Raises
    ------
    BadInput
        ``tasks`` is not a number of tasks that the stream has.

    Examples
    --------
    >>> import numpy as np
    >>> from growmix import GrowingMixture, streams
    >>> dark = np.random.default_rng(0).random((60, 1, 8, 8)) * 0.3
    >>> stream = streams.from_arrays([(dark, dark), (1 - dark, 1 - dark)])
    >>> mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=3, student_examples=60, student_hidden=8)
    >>> for task in stream:
    ...     decision = mixture.learn(task.train)
    >>> scores = evaluate_student(mixture.distill(), stream)
    >>> len(scores.reconstruction), scores.task_agnostic
    (2, None)
    """
    if tasks is None:
        tasks = len(stream)
    if not 1 <= tasks <= len(stream):
        raise BadInput(f"tasks is {tasks}; allowed are 1 to {len(stream)}, the tasks of the stream")
    accuracies, reconstructions = [], []
    for i in range(tasks):
        test, classes = stream[i].test, stream[i].classes
        scores = student.component_scores(test.x)
        answers = _answer(scores, student.log_prior, [student.component.classes], 0, classes)
        accuracies.append(_compare(answers, test.y, 0))
        images = _reconstruct(student, test, torch.arange(len(test)), 0)
        reconstructions.append(ReconstructionScores.of(images, student.score_samples(test.x, scores=scores)))
    supervised = len(student.component.classes) > 0
    return StudentScores(
        task_aware=tuple(a.task_aware for a in accuracies) if supervised else None,
        task_agnostic=tuple(a.task_agnostic for a in accuracies) if supervised else None,
        reconstruction=tuple(reconstructions),
        parameters=sum(p.numel() for p in student.component.parameters()),
    )


@final
class Evaluator:
    """Follows a mixture through a stream and fills one row of the accuracy matrices after each task.

    Every version of a component sees every test set once: the scores are kept until it is trained again.

    Parameters
    ----------
    stream
        Tasks with test sets, in the order in which the mixture learns them.

    Examples
    --------
    >>> import numpy as np
    >>> from growmix import GrowingMixture, streams
    >>> dark = np.random.default_rng(0).random((60, 1, 8, 8)) * 0.3
    >>> stream = streams.from_arrays([(dark, dark), (1 - dark, 1 - dark)])
    >>> mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=30)
    >>> evaluator = Evaluator(stream)
    >>> for task in stream:
    ...     decision = mixture.learn(task.train)
    ...     evaluator.after_task(mixture)
    >>> evaluator.scores().average.selection
    1.0
    """

    def __init__(self, stream: Sequence[Task]) -> None:
        self._stream = stream
        self._mixture: GrowingMixture | None = None
        self._decisions: tuple[Decision, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._cache: dict[tuple[int, int, int], ComponentScores] = {}  # component, version, task
        self._rows: dict[int, _Row] = {}
        self._images: dict[int, _Images] = {}
        self._when_learnt: dict[int, ReconstructionScores] = {}
        self._latest: dict[int, ReconstructionScores] = {}

    def after_task(self, mixture: GrowingMixture) -> None:
        """Measure the mixture as it is now; rows of earlier tasks are filled too where they can still be had.

        Raises
        ------
        NotLearnt
            The mixture has learnt nothing.
        BadInput
            It has learnt more tasks than the stream has, or is not the mixture that was followed so far.
        """
        self._follow(mixture)
        learnt = len(self._decisions)
        # the latest row first: it asks for all components of a task at once, which the router batches
        for t in reversed(range(learnt)):
            if t not in self._rows and _is_part_of_now(mixture, t):
                self._rows[t] = self._row(mixture, t)
        newest = learnt - 1
        if newest not in self._when_learnt:
            self._when_learnt[newest] = self._latest[newest] = self._reconstruction(mixture, newest)

    def scores(self) -> Scores:
        """All figures up to the last task that was followed.

        Raises
        ------
        NotLearnt
            Nothing was followed yet.
        BadInput
            The mixture has learnt another task since; call ``after_task`` first.
        """
        if self._mixture is None:
            raise NotLearnt("no task was followed yet; call after_task(mixture) first")
        learnt = len(self._decisions)
        if self._mixture.versions != self._versions:
            raise BadInput(
                f"the mixture has learnt {len(self._mixture.decisions)} tasks, but {learnt} were followed; "
                "call after_task(mixture) after each"
            )
        for i in range(learnt):
            if i not in self._latest:
                self._latest[i] = self._reconstruction(self._mixture, i)
        rows = [self._rows.get(t) for t in range(learnt)]
        ahead = [None, *(None if row is None else row.ahead for row in rows[:-1])]
        supervised = len(self._mixture.classes_) > 0
        return Scores(
            task_aware=_matrix(rows, "task_aware") if supervised else None,
            task_agnostic=_matrix(rows, "task_agnostic") if supervised else None,
            selection=_matrix(rows, "selection"),
            before=tuple(None if a is None else a.accuracy for a in ahead),
            chance=tuple(None if a is None else a.chance for a in ahead),
            reconstruction=tuple(self._latest[i] for i in range(learnt)),
            reconstruction_when_learnt=tuple(self._when_learnt.get(i) for i in range(learnt)),
        )

    def _follow(self, mixture: GrowingMixture) -> None:
        decisions = mixture.decisions
        if not decisions:
            raise NotLearnt("the mixture has learnt nothing yet; call learn(task.train) first")
        if len(decisions) > len(self._stream):
            raise BadInput(
                f"the mixture has learnt {len(decisions)} tasks, but the stream has {len(self._stream)}; "
                "evaluate it on the stream that it learnt"
            )
        if decisions[: len(self._decisions)] != self._decisions:
            raise BadInput("this evaluator has followed another mixture; make a new Evaluator(stream)")
        if mixture.versions != self._versions:
            self._latest = {}
        self._mixture, self._decisions, self._versions = mixture, decisions, mixture.versions
        self._cache = {key: kept for key, kept in self._cache.items() if self._versions[key[0]] == key[1]}

    def _row(self, mixture: GrowingMixture, t: int) -> _Row:
        """Measure the mixture of after task t: its components are the first of today's, unchanged."""
        log_prior = mixture.log_prior_at(t + 1)
        classes = [component.classes for component in mixture.components[: len(log_prior)]]

        def accuracy(i: int, owner: int | None) -> _Accuracy:
            task = self._stream[i]
            scores = self._scores(mixture, i, len(log_prior))
            return _compare(_answer(scores, log_prior, classes, owner, task.classes), task.test.y, owner)

        columns = tuple(accuracy(i, self._decisions[i].component) for i in range(t + 1))
        known = {label for labels in classes for label in labels}
        upcoming = self._stream[t + 1].classes if t + 1 < len(self._stream) else ()
        ahead = None
        if upcoming and known.issuperset(upcoming):
            found = accuracy(t + 1, None).task_agnostic
            ahead = None if found is None else _Ahead(found, 1.0 / len(known))
        return _Row(columns, ahead)

    def _scores(self, mixture: GrowingMixture, i: int, components: int) -> ComponentScores:
        """Scores of test set i under the first so many components; what is in the cache is not computed."""
        keys = [(k, self._versions[k], i) for k in range(components)]
        missing = [key[0] for key in keys if key not in self._cache]
        if missing:
            everything = len(missing) == len(mixture.components)
            new = mixture.component_scores(self._stream[i].test.x, None if everything else missing)
            for column, k in enumerate(missing):
                self._cache[keys[k]] = new.of([column])
        kept = [self._cache[key] for key in keys]
        return ComponentScores(
            torch.cat([scores.bound for scores in kept], dim=1),
            tuple(scores.class_log_proba[0] for scores in kept),
        )

    def _reconstruction(self, mixture: GrowingMixture, i: int) -> ReconstructionScores:
        """Scores of task i now; images that go to the same component and version as before are kept."""
        test = self._stream[i].test
        scores = self._scores(mixture, i, len(mixture.components))
        route = route_examples(scores.bound, mixture.log_prior)
        versions = torch.tensor(mixture.versions)[route]
        if i not in self._images:
            self._images[i] = _Images.unknown(len(test))
        images = self._images[i]
        stale = (images.component != route) | (images.version != versions)
        for k in route[stale].unique().tolist():
            rows = (stale & (route == k)).nonzero()[:, 0]
            images.scores[:, rows] = torch.stack(_reconstruct(mixture, test, rows, k))
        images.component, images.version = route, versions
        return ReconstructionScores.of(
            ImageScores(*images.scores.unbind(0)), mixture.score_samples(test.x, scores=scores)
        )


@dataclass(frozen=True)
class _Answers:
    """What is said of every example: labels (``None`` where no class competes) and the component chosen."""

    task_aware: Tensor | None
    task_agnostic: Tensor | None
    route: Tensor


@dataclass(frozen=True)
class _Accuracy:
    task_aware: float | None
    task_agnostic: float | None
    selection: float | None


@dataclass(frozen=True)
class _Ahead:
    """Accuracy on the next task before it is learnt."""

    accuracy: float
    chance: float


@dataclass(frozen=True)
class _Row:
    columns: tuple[_Accuracy, ...]
    ahead: _Ahead | None


@dataclass
class _Images:
    """Which component, in which version, gave each image of a test set back, and how well."""

    component: Tensor
    version: Tensor
    scores: Tensor  # (3, n): mse, ssim, psnr

    @classmethod
    def unknown(cls, n: int) -> _Images:
        return cls(torch.full((n,), -1), torch.full((n,), -1), torch.full((3, n), torch.nan))


def _answer(
    scores: ComponentScores,
    log_prior: Tensor,
    component_classes: Sequence[Sequence[int]],
    owner: int | None,
    task_classes: Sequence[int],
) -> _Answers:
    """Answer as ``predict`` and ``route`` of the mixture do, from scores that are already there.

    ``owner`` is the component that learnt the task, ``None`` before it was learnt.
    """
    weights = log_responsibilities(scores.bound, log_prior)
    everything = sorted({label for labels in component_classes for label in labels})
    agnostic = _most_probable(weights, scores.class_log_proba, component_classes, everything)
    aware = None
    if owner is not None:
        own = component_classes[owner]
        competing = [label for label in task_classes if label in own]
        alone = torch.zeros(len(weights), 1)
        aware = _most_probable(alone, [scores.class_log_proba[owner]], [own], competing)
    return _Answers(aware, agnostic, route_examples(scores.bound, log_prior))


def _most_probable(
    weights: Tensor,
    class_log_proba: Sequence[Tensor],
    component_classes: Sequence[Sequence[int]],
    competing: Sequence[int],
) -> Tensor | None:
    if not competing:
        return None
    proba = combine(weights, class_log_proba, component_classes, competing)
    return torch.tensor(competing)[proba.argmax(1)]


def _compare(answers: _Answers, labels: Tensor | None, owner: int | None) -> _Accuracy:
    """Shares of right answers; the only place that labels come to, after all answers were given."""
    return _Accuracy(
        task_aware=_share_right(answers.task_aware, labels),
        task_agnostic=_share_right(answers.task_agnostic, labels),
        selection=None if owner is None else float((answers.route == owner).double().mean()),
    )


def _share_right(answers: Tensor | None, labels: Tensor | None) -> float | None:
    """Over the labelled examples."""
    if answers is None or labels is None:
        return None
    labelled = labels != UNLABELLED
    if not bool(labelled.any()):
        return None
    return float((answers == labels)[labelled].double().mean())


def _reconstruct(model: Model, data: TaskData, rows: Tensor, component: int) -> ImageScores:
    """Scores of what one component gives back for some of the images, per example."""
    pieces = [
        image_scores(model.reconstruct(data.x[part], component=component), data.images(part))
        for part in rows.split(BATCH)
    ]
    return ImageScores(*(torch.cat(values) for values in zip(*pieces, strict=True)))


def _is_part_of_now(mixture: GrowingMixture, t: int) -> bool:
    """Whether no component that existed after task t was trained since."""
    then = mixture.versions_at(t + 1)
    return then == mixture.versions[: len(then)]


def _matrix(rows: Sequence[_Row | None], figure: str) -> Accuracies:
    def cell(t: int, i: int) -> float | None:
        row = rows[t]
        if row is None or i > t:
            return None
        value: float | None = getattr(row.columns[i], figure)
        return value

    return tuple(tuple(cell(t, i) for i in range(len(rows))) for t in range(len(rows)))


def _mean(values: Sequence[float | None] | None) -> float | None:
    known = [value for value in values or () if value is not None]
    return math.fsum(known) / len(known) if known else None


def _columns(scores: Sequence[ReconstructionScores]) -> dict[str, list[float | None]]:
    """One list per figure; JSON has no infinity, which the PSNR of an exact copy is."""
    table = [asdict(each) for each in scores]
    return {
        name: [row[name] if math.isfinite(row[name]) else None for row in table]
        for name in ("mse", "ssim", "psnr", "nll")
    }
