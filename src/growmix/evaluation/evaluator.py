"""The accuracies of a learner over a stream, and what it reconstructs and translates.

``task_aware``: the task is given, so its component answers and its classes alone compete.
``task_agnostic``: nothing but the example is given, and all classes learnt so far compete.
``selection``: how often the component that is chosen without the task is one that learnt it.
``grouped``: all examples are known to come from one task, but not which; the component is chosen once for all of them,
without any label, and its classes compete. The protocol of the published figures of the growing mixture, which chose
with labelled data.

Labels are compared with answers that are already there; no function that routes or predicts is given any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, final

import torch
from torch import Tensor

from growmix.checkpoints.persistence import prefixed, under
from growmix.data.labels import Names
from growmix.data.task import UNLABELLED, TaskData, as_float
from growmix.errors import BadInput, NotLearnt, shortened, shown
from growmix.evaluation.continual import average_accuracy, backward_transfer, forgetting, forward_transfer
from growmix.evaluation.images import ImageScores, PictureScores, ReconstructionScores, image_scores
from growmix.learning.learner import Learner
from growmix.learning.routing import ComponentScores, combine, log_responsibilities, route_examples, route_group
from growmix.learning.student import Student
from growmix.settings import require_whole
from growmix.storage.typed import check_range, check_tensor, record_from
from growmix.streams.stream import Task
from growmix.system.ambient import torch_as_it_comes

if TYPE_CHECKING:
    from growmix.learning.learner import HistoryEntry
    from growmix.learning.model import Model
    from growmix.streams import Stream

BATCH = 2_048
"""Images reconstructed at a time: their floats, before and after, are all that is held."""

Accuracies: TypeAlias = tuple[tuple[float | None, ...], ...]
"""Row t: after task t; column i: on task i's test set; ``None`` above the diagonal and where not known."""

History: TypeAlias = tuple[tuple[PictureScores | None, ...], ...]
"""The same for images."""

PICTURE = ("mse", "ssim", "psnr")
"""The figures of :class:`growmix.metrics.PictureScores`."""


@dataclass(frozen=True)
class Average:
    """Figures of the last row, over all tasks learnt; ``None`` where one does not apply.

    Forgetting and both transfers are those of ``task_agnostic``, see :mod:`growmix.evaluation.continual`.
    """

    task_aware: float | None
    task_agnostic: float | None
    selection: float | None
    grouped: float | None
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
        Share of test examples for which a component that learnt their task is chosen.
    grouped
        Accuracy with one component for a whole test set; ``None`` without labels.
    before
        ``task_agnostic`` on each task just before it was learnt; ``None`` unless all its classes were known.
    chance
        One over the number of classes that competed then.
    reconstruction
        Of each task, after the last one, by the component that is chosen for each example.
    over_time
        Reconstruction of task i after task t, in row t; ``None`` above the diagonal and where not known.
    translation, translation_over_time
        The same for what sources are translated to, against their targets; ``None`` without pairs.
    """

    task_aware: Accuracies | None
    task_agnostic: Accuracies | None
    selection: Accuracies
    grouped: Accuracies | None
    before: tuple[float | None, ...]
    chance: tuple[float | None, ...]
    reconstruction: tuple[ReconstructionScores, ...]
    over_time: History
    translation: tuple[PictureScores, ...] | None
    translation_over_time: History | None

    @property
    def average(self) -> Average:
        """One number for each question."""
        aware, agnostic = self.task_aware or (), self.task_agnostic or ()
        return Average(
            task_aware=average_accuracy(aware),
            task_agnostic=average_accuracy(agnostic),
            selection=average_accuracy(self.selection),
            grouped=average_accuracy(self.grouped or ()),
            forgetting=forgetting(agnostic),
            backward_transfer=backward_transfer(agnostic),
            forward_transfer=forward_transfer(self.before, self.chance),
        )

    def to_dict(self) -> dict[str, Any]:
        """Blocks ``accuracy``, ``average`` and ``reconstruction`` of ``metrics.json``."""
        names = ("task_aware", "task_agnostic", "selection", "grouped")
        matrices: list[Accuracies | None] = [getattr(self, name) for name in names]
        return {
            "accuracy": {
                name: None if matrix is None else [list(row) for row in matrix]
                for name, matrix in zip(names, matrices, strict=True)
            },
            "average": asdict(self.average),
            "reconstruction": _columns(self.reconstruction),
            "reconstruction_over_time": _matrices(self.over_time),
            "translation": self._translation(),
        }

    def _translation(self) -> dict[str, Any] | None:
        if self.translation is None or self.translation_over_time is None:
            return None
        learnt = [row[t] for t, row in enumerate(self.translation_over_time)]
        then = {name: [None if cell is None else _finite(getattr(cell, name)) for cell in learnt] for name in PICTURE}
        return {**_columns(self.translation), "when_learnt": then}


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
    translation
        Of each task's sources against its targets; ``None`` without pairs.
    parameters
        Numbers that the student consists of.
    """

    task_aware: tuple[float | None, ...] | None
    task_agnostic: tuple[float | None, ...] | None
    reconstruction: tuple[ReconstructionScores, ...]
    translation: tuple[PictureScores, ...] | None
    parameters: int

    @property
    def average(self) -> Average:
        """Means over the tasks; a student has no history and chooses no component."""
        return Average(_mean(self.task_aware), _mean(self.task_agnostic), None, None, None, None, None)

    def to_dict(self) -> dict[str, Any]:
        """Block ``student`` of ``metrics.json``: its keys, with the last row alone as accuracy."""
        rows = {"task_aware": self.task_aware, "task_agnostic": self.task_agnostic, "selection": None, "grouped": None}
        return {
            "accuracy": {name: None if row is None else list(row) for name, row in rows.items()},
            "average": asdict(self.average),
            "reconstruction": _columns(self.reconstruction),
            "translation": None if self.translation is None else _columns(self.translation),
            "parameters": self.parameters,
        }


def evaluate(mixture: Learner[Any], stream: Sequence[Task]) -> Scores:
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
        It has learnt more tasks than the stream has, or never met labels of a task that it should have learnt.

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


@torch_as_it_comes()
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
        ``tasks`` is not a number of tasks that the stream has, or the student does not know their labels.

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
    check_tasks(stream)
    if not isinstance(student, Student):
        raise BadInput(f"student is {shown(student)}; give what distill() of a mixture returned")
    tasks = len(stream) if tasks is None else require_whole(tasks, "tasks", 1, len(stream))
    stream = in_labels_of(student, stream, tasks)
    accuracies, reconstructions, translations = [], [], []
    for i in range(tasks):
        test, classes = stream[i].test, stream[i].classes
        scores = student.component_scores(test.x)
        answers = _answer(scores, student.log_prior, [student.component.classes], (0,), classes)
        accuracies.append(_compare(answers, test.y, (0,)))
        everything = torch.arange(len(test))
        images = _reconstruct(student, test, everything, 0)
        if test.target is not None:
            translations.append(PictureScores.of(_translate(student, test, everything, 0)))
        reconstructions.append(ReconstructionScores.with_elbo(images, student.score_samples(test.x, scores=scores)))
    supervised = len(student.component.classes) > 0
    return StudentScores(
        task_aware=tuple(a.task_aware for a in accuracies) if supervised else None,
        task_agnostic=tuple(a.task_agnostic for a in accuracies) if supervised else None,
        reconstruction=tuple(reconstructions),
        translation=tuple(translations) or None,
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
        check_tasks(stream)
        self._given = self._stream = stream
        self._learner: Learner[Any] | None = None
        self._steps: tuple[HistoryEntry, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._cache: dict[tuple[int, int, int], ComponentScores] = {}  # component, version, task
        self._rows: dict[int, _Row] = {}
        self._bounds: dict[int, Tensor] = {}  # per example of a test set, under the components as they are now
        self._reconstructed = _Pictures(_reconstruct)
        self._translated = _Pictures(_translate)

    @torch_as_it_comes()
    def after_task(self, learner: Learner[Any]) -> None:
        """Measure the learner as it is now; rows of earlier tasks are filled too where they can still be had.

        Raises
        ------
        NotLearnt
            The learner has learnt nothing.
        BadInput
            It has learnt more tasks than the stream has, is not the one that was followed so far, or never met labels
            of a task that it should have learnt.
        """
        self._follow(learner)
        learnt = len(self._steps)
        open_rows = [t for t in range(learnt) if t not in self._rows and _is_part_of_now(learner, t)]
        rows = {t: self._row(learner, t) for t in open_rows}
        for t in open_rows:  # the oldest first: from row to row few images change their component
            self._look(learner, t)
        self._rows.update(rows)  # at the end: whoever is interrupted before does all of it again

    @torch_as_it_comes()
    def scores(self) -> Scores:
        """All figures up to the last task that was followed.

        Raises
        ------
        NotLearnt
            Nothing was followed yet.
        BadInput
            The learner has learnt another task since; call ``after_task`` first.
        """
        learner = self._learner
        if learner is None:
            raise NotLearnt("no task was followed yet; call after_task(mixture) first")
        learnt = len(self._steps)
        if learner.versions != self._versions:
            raise BadInput(
                f"the mixture has learnt {len(learner.decisions)} tasks, but {learnt} were followed; "
                "call after_task(mixture) after each"
            )
        rows = [self._rows.get(t) for t in range(learnt)]
        ahead = [None, *(None if row is None else row.ahead for row in rows[:-1])]
        supervised = len(learner.classes_) > 0
        translation = self._translated.history(learnt)
        return Scores(
            task_aware=_matrix(rows, "task_aware") if supervised else None,
            task_agnostic=_matrix(rows, "task_agnostic") if supervised else None,
            selection=_matrix(rows, "selection"),
            grouped=_matrix(rows, "grouped") if supervised else None,
            before=tuple(None if a is None else a.accuracy for a in ahead),
            chance=tuple(None if a is None else a.chance for a in ahead),
            reconstruction=tuple(self._reconstruction(learner, i) for i in range(learnt)),
            over_time=self._reconstructed.history(learnt),
            translation=tuple(cell for cell in translation[-1] if cell is not None) or None,
            translation_over_time=translation if learner.components[0].target_shape else None,
        )

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """All that can't be measured again once a component has changed, as JSON and tensors.

        The scores of the components as they are now can be: kept too, they would be written anew after every task.
        """
        document = {"followed": len(self._steps), "rows": {str(t): asdict(row) for t, row in self._rows.items()}}
        tensors: dict[str, Tensor] = {}
        for name, pictures in self._pictures():
            tensors |= prefixed(f"{name}.", pictures.pack())
        return document, tensors

    @classmethod
    def unpack(
        cls,
        stream: Sequence[Task],
        learner: Learner[Any],
        document: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
    ) -> Evaluator:
        """The evaluator that :meth:`pack` told of.

        Parameters
        ----------
        stream
            That it followed the learner through.
        learner
            As it was then, or with further tasks learnt.
        document, tensors
            What :meth:`pack` gave; the tensors may have no memory.

        Raises
        ------
        ValueError
            It can't have given that.
        """
        evaluator = cls(stream)
        kept = record_from(document, _Kept)
        check_range("followed", kept.followed, 0, min(len(learner.history), len(stream)))
        kept.check()
        evaluator._learner = learner if kept.followed else None
        evaluator._steps = learner.history[: kept.followed]
        evaluator._versions = learner.versions_at(kept.followed) if kept.followed else ()
        evaluator._rows = {int(t): row for t, row in kept.rows.items()}
        known = 0
        for name, pictures in evaluator._pictures():
            own = under(f"{name}.", tensors)
            pictures.unpack(own, [len(task.test) for task in stream], kept.followed, evaluator._versions)
            known += len(own)
        if known != len(tensors):
            raise ValueError("tensors that nothing was measured with")
        return evaluator

    @property
    def followed(self) -> int:
        """Tasks that were learnt when it last looked."""
        return len(self._steps)

    def _pictures(self) -> tuple[tuple[str, _Pictures], ...]:
        return (("reconstructed", self._reconstructed), ("translated", self._translated))

    def _follow(self, learner: Learner[Any]) -> None:
        if not isinstance(learner, Learner):
            raise BadInput(
                f"mixture is {shown(learner)}; give what learnt the stream (evaluate_student takes students)"
            )
        steps = learner.history
        if not steps:
            raise NotLearnt("the mixture has learnt nothing yet; call learn(task.train) first")
        if len(steps) > len(self._stream):
            raise BadInput(
                f"the mixture has learnt {len(steps)} tasks, but the stream has {len(self._stream)}; "
                "evaluate it on the stream that it learnt"
            )
        if steps[: len(self._steps)] != self._steps:
            raise BadInput("this evaluator has followed another mixture; make a new Evaluator(stream)")
        self._stream = in_labels_of(learner, self._given, len(steps))
        if learner.versions != self._versions:
            self._bounds.clear()
        self._learner, self._steps, self._versions = learner, steps, learner.versions
        self._cache = {key: kept for key, kept in self._cache.items() if self._versions[key[0]] == key[1]}

    def _row(self, learner: Learner[Any], t: int) -> _Row:
        """Measure the learner of after task t: its components are the first of today's, unchanged."""
        log_prior = learner.log_prior_at(t + 1)
        classes = [component.classes for component in learner.components[: len(log_prior)]]

        def accuracy(i: int, owners: tuple[int, ...]) -> _Accuracy:
            task = self._stream[i]
            scores = self._scores(learner, i, len(log_prior))
            return _compare(_answer(scores, log_prior, classes, owners, task.classes), task.test.y, owners)

        columns = tuple(accuracy(i, owners_of(self._steps[i])) for i in range(t + 1))
        known = {label for labels in classes for label in labels}
        upcoming = self._stream[t + 1].classes if t + 1 < len(self._stream) else ()
        ahead = None
        if upcoming and known.issuperset(upcoming):
            found = accuracy(t + 1, ()).task_agnostic
            ahead = None if found is None else _Ahead(found, 1.0 / len(known))
        return _Row(columns, ahead)

    def _look(self, learner: Learner[Any], t: int) -> None:
        """What the images of all tasks so far come back as, and are translated to, after task t."""
        log_prior = learner.log_prior_at(t + 1)
        versions = torch.tensor(learner.versions)
        for i in range(t + 1):
            route = route_examples(self._scores(learner, i, len(log_prior)).elbo, log_prior)
            test = self._stream[i].test
            self._reconstructed.look(learner, test, (t, i), route, versions[route])
            if test.target is not None:
                self._translated.look(learner, test, (t, i), route, versions[route])

    def _scores(self, learner: Learner[Any], i: int, components: int) -> ComponentScores:
        """Scores of test set i under the first so many components; what is in the cache is not computed."""
        keys = [(k, self._versions[k], i) for k in range(components)]
        for key in keys:
            if key not in self._cache:
                # each alone: batched with others its last bits could differ, and a resumed run scores it anew
                self._cache[key] = learner.component_scores(self._stream[i].test.x, [key[0]])
        kept = [self._cache[key] for key in keys]
        return ComponentScores(
            torch.cat([scores.elbo for scores in kept], dim=1),
            tuple(scores.class_log_proba[0] for scores in kept),
        )

    def _reconstruction(self, learner: Learner[Any], i: int) -> ReconstructionScores:
        """Scores of task i now, with the bound."""
        if i not in self._bounds:
            scores = self._scores(learner, i, len(learner.components))
            self._bounds[i] = learner.score_samples(self._stream[i].test.x, scores=scores)
        return ReconstructionScores.with_elbo(self._reconstructed.of(i), self._bounds[i])


def check_tasks(stream: Any) -> None:
    """Refuse what is no stream, nor a list of tasks.

    Raises
    ------
    BadInput
        It is none.
    """
    if not isinstance(stream, Sequence) or not stream or not all(isinstance(task, Task) for task in stream):
        raise BadInput(f"stream is {shown(stream)}; allowed is a stream, or a list of its tasks")


def _labels_to_know(task: Task) -> tuple[int, ...]:
    """Labels that must have been learnt to evaluate a task."""
    whole = task.train.y is not None and bool((task.train.y != UNLABELLED).all())
    return task.classes if whole else task.train.classes()


def check_test_labels(stream: Stream) -> None:
    """Refuse a stream that could be learnt but not evaluated, before hours are spent on the learning.

    Raises
    ------
    BadInput
        A task's test data have a label that no training data up to then have, though all of its own are labelled.
    """
    learnt: set[int] = set()
    for task in stream:
        learnt.update(task.train.classes())
        unknown = [stream.class_names[label] for label in _labels_to_know(task) if label not in learnt]
        if unknown:
            raise BadInput(
                f"task {task.name!r} has test images of the class {shortened(', '.join(unknown))}, of which neither "
                "it nor a task before has training images; add some, or leave the class out (such as 'mnist/0-4')"
            )


def in_labels_of(model: Model, stream: Sequence[Task], learnt: int) -> Sequence[Task]:
    """A stream with the numbers that a model gives its labels.

    Parameters
    ----------
    model
        Has learnt numbers, which are those of the stream, or names.
    stream
        Its labels have names, if those that the model learnt have.
    learnt
        Tasks at the beginning that the model must know the labels of. A label that occurs in the test data alone may be
        unknown where training examples had no label.

    Raises
    ------
    BadInput
        The model does not know a label.
    """
    known = model.classes_.tolist()
    if not known:
        return stream
    class_names: Names = getattr(stream, "class_names", ())
    by_name = isinstance(known[0], str)
    if by_name and not class_names:
        raise BadInput("the mixture learnt labels that are names, and stream has no class_names to tell its own apart")
    for task in stream[:learnt]:
        names = task.train.names or task.test.names
        if names and not by_name:
            raise BadInput(
                f"task {task.name!r} has names such as {shown(names[0])} as labels, but those that the mixture learnt "
                f"are numbers: {shown(known)}"
            )
        labels = _labels_to_know(task)
        called = [class_names[label] for label in labels] if by_name else labels
        unknown = [label for label in called if label not in known]
        if unknown:
            raise BadInput(
                f"task {task.name!r} has the labels {shown(unknown)}, which were never learnt; "
                f"allowed are {shown(known)}"
            )
    return [_numbered(task, class_names, known) for task in stream] if by_name else stream


def _numbered(task: Task, class_names: Names, known: list[str]) -> Task:
    """A task with its labels' positions among the names known; a name that is not known yet gets one behind."""
    table = [known.index(name) if name in known else len(known) + k for k, name in enumerate(class_names)]

    def renumbered(data: TaskData) -> TaskData:
        return data if data.y is None else replace(data, y=torch.tensor([*table, UNLABELLED])[data.y], names=())

    train, test = renumbered(task.train), renumbered(task.test)
    return replace(task, train=train, test=test, classes=tuple(sorted(table[label] for label in task.classes)))


def owners_of(step: HistoryEntry) -> tuple[int, ...]:
    """Components that learnt a task."""
    return tuple(part.component for part in step.parts)


@final
class _Pictures:
    """Scores per image of what a learner makes of test sets; an image is made anew only for another component.

    ``make(model, data, rows, component)`` scores what one component makes of some of the images.
    """

    def __init__(self, make: Callable[[Model, TaskData, Tensor, int], ImageScores]) -> None:
        self._make = make
        self._images: dict[int, _Images] = {}
        self._cells: dict[tuple[int, int], PictureScores] = {}

    def look(self, model: Model, test: TaskData, cell: tuple[int, int], route: Tensor, versions: Tensor) -> None:
        """Bring task i's images to the components of ``route``, and keep the means for the cell (t, i)."""
        images = self._images.setdefault(cell[1], _Images.unknown(len(test)))
        stale = (images.component != route) | (images.version != versions)
        for k in route[stale].unique().tolist():
            rows = (stale & (route == k)).nonzero()[:, 0]
            images.scores[:, rows] = torch.stack(self._make(model, test, rows, k))
        images.component, images.version = route, versions
        self._cells[cell] = PictureScores.of(self.of(cell[1]))

    def of(self, i: int) -> ImageScores:
        """Scores of task i's images, as they were made last."""
        return ImageScores(*self._images[i].scores.unbind(0))

    def history(self, learnt: int) -> History:
        """Means per task over time."""
        return tuple(tuple(self._cells.get((t, i)) for i in range(learnt)) for t in range(learnt))

    def pack(self) -> dict[str, Tensor]:
        """All of it; the means as tensors too, since JSON has no infinity."""
        packed = {
            "cells": torch.tensor(list(self._cells), dtype=torch.int64).reshape(-1, 2),
            "means": torch.tensor(
                [[getattr(cell, figure) for figure in PICTURE] for cell in self._cells.values()], dtype=torch.float64
            ).reshape(-1, len(PICTURE)),
        }
        for i, images in self._images.items():
            packed |= {f"{i}.component": images.component, f"{i}.version": images.version, f"{i}.scores": images.scores}
        return packed

    def unpack(self, tensors: Mapping[str, Tensor], sizes: Sequence[int], learnt: int, versions: Sequence[int]) -> None:
        """Become what :meth:`pack` gave of test sets of these sizes after so many tasks; raises ``ValueError``.

        ``versions`` are those of the components then.
        """
        check_tensor(tensors, "cells", (None, 2), torch.int64)
        check_tensor(tensors, "means", (len(tensors["cells"]), len(PICTURE)), torch.float64)
        known = {name for i in range(learnt) for name in (f"{i}.component", f"{i}.version", f"{i}.scores")}
        if not tensors.keys() - {"cells", "means"} <= known:
            raise ValueError("pictures of what was not learnt")
        for i in {int(name.partition(".")[0]) for name in tensors.keys() & known}:
            check_tensor(tensors, f"{i}.component", (sizes[i],), torch.int64)
            check_tensor(tensors, f"{i}.version", (sizes[i],), torch.int64)
            check_tensor(tensors, f"{i}.scores", (len(PICTURE), sizes[i]), torch.float32)
            self._images[i] = _Images(tensors[f"{i}.component"], tensors[f"{i}.version"], tensors[f"{i}.scores"])
        if tensors["cells"].is_meta:
            return
        for images in self._images.values():
            images.check(versions)
        for (t, i), means in zip(tensors["cells"].tolist(), tensors["means"].tolist(), strict=True):
            check_range("task", t, 0, learnt - 1)
            if i not in self._images:
                raise ValueError(f"means of task {i}, but no pictures")
            self._cells[t, i] = PictureScores(*means)


@dataclass(frozen=True)
class _Answers:
    """What is said of every example: labels (``None`` where no class competes) and the component chosen."""

    task_aware: Tensor | None
    task_agnostic: Tensor | None
    grouped: Tensor | None
    route: Tensor


@dataclass(frozen=True)
class _Accuracy:
    task_aware: float | None
    task_agnostic: float | None
    selection: float | None
    grouped: float | None


@dataclass(frozen=True)
class _Ahead:
    """Accuracy on the next task before it is learnt."""

    accuracy: float
    chance: float


@dataclass(frozen=True)
class _Row:
    columns: tuple[_Accuracy, ...]
    ahead: _Ahead | None


@dataclass(frozen=True)
class _Kept:
    """What of an evaluator is no tensor: tasks followed, rows by task."""

    followed: int
    rows: dict[str, _Row]

    def check(self) -> None:
        """See that the rows can be those of as many tasks; raises ``ValueError``."""
        places = {str(t): t for t in range(self.followed)}
        for name, row in self.rows.items():
            if name not in places or len(row.columns) != places[name] + 1:
                raise ValueError(f"row {name!r} of {self.followed} has {len(row.columns)} columns")
            cells = [*row.columns, *([] if row.ahead is None else [row.ahead])]
            for share in (share for cell in cells for share in vars(cell).values() if share is not None):
                check_range("a share", share, 0.0, 1.0)


@dataclass
class _Images:
    """Which component, in which version, gave each image of a test set back, and how well."""

    component: Tensor
    version: Tensor
    scores: Tensor  # (3, n): mse, ssim, psnr

    def check(self, versions: Sequence[int]) -> None:
        """See that components of these versions can have given them back; raises ``ValueError``."""
        if not bool(((self.component >= 0) & (self.component < len(versions))).all()):
            raise ValueError("pictures by components that there are not")
        if not bool(((self.version >= 1) & (self.version <= torch.tensor(versions)[self.component])).all()):
            raise ValueError("pictures by versions of components that there are not")

    @classmethod
    def unknown(cls, n: int) -> _Images:
        return cls(torch.full((n,), -1), torch.full((n,), -1), torch.full((3, n), torch.nan))


def _answer(
    scores: ComponentScores,
    log_prior: Tensor,
    component_classes: Sequence[Sequence[int]],
    owners: Sequence[int],
    task_classes: Sequence[int],
) -> _Answers:
    """Answer as ``predict`` and ``route`` of the learner do, from scores that are already there.

    ``owners`` are the components that learnt the task, none before it was learnt.
    """

    def answer(of: Sequence[int], competing: Sequence[int]) -> Tensor | None:
        weights = log_responsibilities(scores.elbo[:, list(of)], log_prior[list(of)])
        log_proba = [scores.class_log_proba[k] for k in of]
        return _most_probable(weights, log_proba, [component_classes[k] for k in of], competing)

    def known(of: Sequence[int]) -> set[int]:
        return {label for k in of for label in component_classes[k]}

    everyone = range(len(component_classes))
    group = (route_group(scores.elbo, log_prior),)
    return _Answers(
        task_aware=answer(owners, [label for label in task_classes if label in known(owners)]) if owners else None,
        task_agnostic=answer(everyone, sorted(known(everyone))),
        grouped=answer(group, sorted(known(group))),
        route=route_examples(scores.elbo, log_prior),
    )


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


def _compare(answers: _Answers, labels: Tensor | None, owners: Sequence[int]) -> _Accuracy:
    """Shares of right answers; the only place that labels come to, after all answers were given."""
    owned = torch.isin(answers.route, torch.tensor(owners, dtype=torch.int64))
    return _Accuracy(
        task_aware=_share_right(answers.task_aware, labels),
        task_agnostic=_share_right(answers.task_agnostic, labels),
        selection=float(owned.double().mean()) if owners else None,
        grouped=_share_right(answers.grouped, labels),
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
    return _in_batches(
        rows, lambda part: image_scores(model.reconstruct(data.x[part], component=component), data.images(part))
    )


def _translate(model: Model, data: TaskData, rows: Tensor, component: int) -> ImageScores:
    """The same for what one component translates source images to, against their targets."""
    target = data.target
    assert target is not None  # asked of pairs alone
    return _in_batches(
        rows, lambda part: image_scores(model.translate(data.x[part], component=component), as_float(target[part]))
    )


def _in_batches(rows: Tensor, scores_of: Callable[[Tensor], ImageScores]) -> ImageScores:
    pieces = [scores_of(part) for part in rows.split(BATCH)]
    return ImageScores(*(torch.cat(values) for values in zip(*pieces, strict=True)))


def _is_part_of_now(learner: Learner[Any], t: int) -> bool:
    """Whether no component that existed after task t was trained since."""
    then = learner.versions_at(t + 1)
    return then == learner.versions[: len(then)]


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


def _columns(scores: Sequence[PictureScores]) -> dict[str, list[float | None]]:
    """One list per figure."""
    table = [asdict(each) for each in scores]
    return {name: [_finite(row[name]) for row in table] for name in (table[0] if table else PICTURE)}


def _matrices(history: History) -> dict[str, list[list[float | None]]]:
    """One matrix per figure."""
    return {
        name: [[None if cell is None else _finite(getattr(cell, name)) for cell in row] for row in history]
        for name in PICTURE
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity, which the PSNR of an exact copy is."""
    return value if math.isfinite(value) else None
