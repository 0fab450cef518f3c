"""Follows a mixture through a stream and measures it on every test set after each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from torch import Tensor

from growmix.checkpoints.persistence import prefixed, under
from growmix.components.abilities import WithoutDensity
from growmix.errors import BadInput, NotLearnt, shown
from growmix.evaluation.images import ReconstructionScores
from growmix.evaluation.labels import check_tasks, in_labels_of
from growmix.evaluation.pictures import Pictures, score_reconstructions, score_translations
from growmix.evaluation.protocols import Accuracy, answer, compare
from growmix.evaluation.scores import Accuracies, Scores
from growmix.learning.history import HistoryEntry, answer_versions
from growmix.learning.judging import judged
from growmix.learning.learner import Learner
from growmix.learning.routing import ComponentScores, cheap_scores_of, only, route_examples
from growmix.learning.shortlist import Lists
from growmix.storage.typed import check_range, record_from
from growmix.streams.stream import Task
from growmix.system.ambient import torch_as_it_comes


def evaluate(mixture: Learner[Any], stream: Sequence[Task]) -> Scores:
    """Measure a mixture on the test sets of the stream that it learnt.

    Parameters
    ----------
    mixture
        The learner that learnt the first tasks of ``stream``, in order, one ``learn`` each.
    stream
        Tasks with test sets; those not learnt yet are left out.

    Returns
    -------
    Scores
        The last row is always there. An earlier row is there, and exact, if the components of that time answer as
        they did: the mixture of then is a part of the mixture of now. Otherwise the row is ``None``
        throughout; to have it, follow the learning with an :class:`Evaluator`.

    Raises
    ------
    NotLearnt
        The mixture has learnt nothing.
    BadInput
        The mixture has learnt more tasks than the stream has, or never met labels of a task that it should have learnt.

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
        self._cache: dict[tuple[int, int, int], ComponentScores] = {}  # component, version of its answers, task
        self._cheap: dict[tuple[int, int, int], Tensor] = {}  # the same of cheap scores, where these are asked for
        self._rows: dict[int, _Row] = {}
        self._bounds: dict[int, Tensor] = {}  # per example of a test set, under the components as they are now
        self._reconstructed = Pictures(score_reconstructions, pictures=stream[0].test.domain.is_image)
        self._translated = Pictures(score_translations)

    @torch_as_it_comes()
    def after_task(self, learner: Learner[Any]) -> None:
        """Measure the learner as it is now; rows of earlier tasks are filled too where they can still be had.

        Raises
        ------
        NotLearnt
            The learner has learnt nothing.
        BadInput
            The learner has learnt more tasks than the stream has, is not the one that was followed so far, or never met
            labels of a task that it should have learnt.
        """
        self._follow(learner)
        learnt = len(self._steps)
        open_rows = [t for t in range(learnt) if t not in self._rows and _is_part_of_now(learner, t)]
        rows = {t: self._row(learner, t) for t in open_rows}
        for t in open_rows:  # the oldest first: from row to row few examples change their component
            self._look(learner, t)
        self._rows.update(rows)  # last, so that a measurement that was interrupted is done again as a whole

    @torch_as_it_comes()
    def scores(self) -> Scores:
        """Return all figures up to the last task that was followed.

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
        if _versions_at(learner, len(learner.history)) != self._versions:
            raise BadInput(
                f"the mixture has learnt {len(learner.decisions)} tasks, but {learnt} were followed; "
                "call after_task(mixture) after each"
            )
        rows = [self._rows.get(t) for t in range(learnt)]
        ahead = [None, *(None if row is None else row.ahead for row in rows[:-1])]
        supervised = len(learner.classes_) > 0
        over_time = self._translated.history(learnt)
        translation = tuple(cell for cell in over_time[-1] if cell is not None) or None
        return Scores(
            task_aware=_matrix(rows, "task_aware") if supervised else None,
            task_agnostic=_matrix(rows, "task_agnostic") if supervised else None,
            selection=_matrix(rows, "selection"),
            grouped=_matrix(rows, "grouped") if supervised else None,
            before=tuple(None if a is None else a.accuracy for a in ahead),
            chance=tuple(None if a is None else a.chance for a in ahead),
            reconstruction=tuple(self._reconstruction(learner, i) for i in range(learnt)),
            over_time=self._reconstructed.history(learnt),
            translation=translation,
            translation_over_time=None if translation is None else over_time,
        )

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return all that can't be measured again once a component has changed, as JSON and tensors.

        The scores of the components as they are now can be measured again; they are left out, because they would have
        to be written again after every task.
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
        """Make the evaluator again whose state :meth:`pack` returned.

        Parameters
        ----------
        stream
            The stream through which it followed the learner.
        learner
            The learner as it was then, or with further tasks learnt.
        document, tensors
            What :meth:`pack` returned; the tensors may have no memory.

        Raises
        ------
        ValueError
            The document or the tensors can't come from such an evaluator.
        """
        evaluator = cls(stream)
        kept = record_from(document, _Kept)
        check_range("followed", kept.followed, 0, min(len(learner.history), len(stream)))
        kept.check()
        evaluator._learner = learner if kept.followed else None
        evaluator._steps = learner.history[: kept.followed]
        evaluator._versions = _versions_at(learner, kept.followed) if kept.followed else ()
        evaluator._rows = {int(t): row for t, row in kept.rows.items()}
        known = 0
        for name, pictures in evaluator._pictures():
            own = under(f"{name}.", tensors)
            pictures.unpack(own, [len(task.test) for task in stream], kept.followed, evaluator._versions)
            known += len(own)
        if known != len(tensors):
            raise ValueError("tensors that belong to no measurement")
        return evaluator

    @property
    def followed(self) -> int:
        """How many tasks had been learnt at the last measurement."""
        return len(self._steps)

    def _pictures(self) -> tuple[tuple[str, Pictures], ...]:
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
        versions = _versions_at(learner, len(steps))
        if versions != self._versions:
            self._bounds.clear()
        self._learner, self._steps, self._versions = learner, steps, versions
        for cache in (self._cache, self._cheap):
            for key in [(k, version, i) for k, version, i in cache if versions[k] != version]:
                del cache[key]

    def _row(self, learner: Learner[Any], t: int) -> _Row:
        """Measure the learner as it was after task t: its components are the first of today's, unchanged."""
        log_prior = learner.log_prior_at(t + 1)
        classes = [component.classes for component in learner.components[: len(log_prior)]]

        def accuracy(i: int, owners: tuple[int, ...]) -> Accuracy:
            task = self._stream[i]
            scores, lists = self._scores(learner, i, t + 1), self._lists(learner, i, t + 1)
            return compare(answer(scores, log_prior, classes, owners, task.classes, lists), task.test.y, owners)

        columns = tuple(accuracy(i, owners_of(self._steps[i])) for i in range(t + 1))
        known = {label for labels in classes for label in labels}
        upcoming = self._stream[t + 1].classes if t + 1 < len(self._stream) else ()
        ahead = None
        if upcoming and known.issuperset(upcoming):
            found = accuracy(t + 1, ()).task_agnostic
            ahead = None if found is None else _Ahead(found, 1.0 / len(known))
        return _Row(columns, ahead)

    def _look(self, learner: Learner[Any], t: int) -> None:
        """Score what the examples of all tasks so far come back as, and are translated to, after task t."""
        log_prior = learner.log_prior_at(t + 1)
        versions = torch.tensor(self._versions)
        for i in range(t + 1):
            test = self._stream[i].test
            scores = only(self._scores(learner, i, t + 1), self._lists(learner, i, t + 1).each)
            route = route_examples(scores.elbo, log_prior)
            self._reconstructed.look(learner, test, (t, i), route, versions[route])
            if test.target is not None:
                self._translated.look(learner, test, (t, i), route, versions[route])

    def _scores(self, learner: Learner[Any], i: int, tasks: int) -> ComponentScores:
        """Score test set i as the learner did after so many tasks; what is in the cache is not computed again.

        The cache keeps what every component says for itself; how much that counts, the learner chooses again after each
        task.
        """
        keys = [(k, self._versions[k], i) for k in range(len(learner.versions_at(tasks)))]
        for key in keys:
            if key not in self._cache:
                # each alone: batched with others its last bits could differ, and a resumed run scores it again
                self._cache[key] = learner.component_scores(self._stream[i].test.x, [key[0]])
        return judged(ComponentScores.beside([self._cache[key] for key in keys]), self._steps[tasks - 1].weights)

    def _lists(self, learner: Learner[Any], i: int, tasks: int) -> Lists:
        """Return which components the learner scored in full for test set i after so many tasks."""
        x = self._stream[i].test.x

        def cheap(k: int) -> Tensor:
            key = k, self._versions[k], i
            if key not in self._cheap:
                self._cheap[key] = cheap_scores_of(learner.components[k], x)
            return self._cheap[key]

        return learner.lists_at(tasks, x, cheap)

    def _reconstruction(self, learner: Learner[Any], i: int) -> ReconstructionScores:
        """Score how task i's examples come back now, with their likelihood bound."""
        if i not in self._bounds:
            x = self._stream[i].test.x
            tasks = len(learner.history)
            scores = only(self._scores(learner, i, tasks), self._lists(learner, i, tasks).each)
            if any(isinstance(component, WithoutDensity) for component in learner.components):
                self._bounds[i] = torch.full((len(x),), torch.nan, dtype=torch.float32)
            else:
                self._bounds[i] = learner.score_samples(x, scores=scores)
        return ReconstructionScores.with_elbo(self._reconstructed.of(i), self._bounds[i])


def owners_of(step: HistoryEntry) -> tuple[int, ...]:
    """Return the components that learnt a task."""
    return tuple(part.component for part in step.parts)


@dataclass(frozen=True)
class _Ahead:
    """Accuracy on the next task before it is learnt, and that of a guess."""

    accuracy: float
    chance: float


@dataclass(frozen=True)
class _Row:
    """Accuracy on every task so far, after one task."""

    columns: tuple[Accuracy, ...]
    ahead: _Ahead | None


@dataclass(frozen=True)
class _Kept:
    """The part of an evaluator's state that is no tensor: how many tasks were followed, and rows by task."""

    followed: int
    rows: dict[str, _Row]

    def check(self) -> None:
        """See that the rows can be those of so many tasks.

        Raises
        ------
        ValueError
            A row has another number of columns, or a share lies outside [0, 1].
        """
        places = {str(t): t for t in range(self.followed)}
        for name, row in self.rows.items():
            if name not in places or len(row.columns) != places[name] + 1:
                raise ValueError(f"row {name!r} of {self.followed} has {len(row.columns)} columns")
            cells = [*row.columns, *([] if row.ahead is None else [row.ahead])]
            for share in (share for cell in cells for share in vars(cell).values() if share is not None):
                check_range("a share", share, 0.0, 1.0)


def _versions_at(learner: Learner[Any], tasks: int) -> tuple[int, ...]:
    return answer_versions(learner.history[:tasks], learner.components)


def _is_part_of_now(learner: Learner[Any], t: int) -> bool:
    """Whether the components that existed after task t answer as they did then."""
    then = _versions_at(learner, t + 1)
    return then == _versions_at(learner, len(learner.history))[: len(then)]


def _matrix(rows: Sequence[_Row | None], figure: str) -> Accuracies:
    """Collect one figure of all rows, ``None`` above the diagonal and where a row is unknown."""

    def cell(t: int, i: int) -> float | None:
        row = rows[t]
        if row is None or i > t:
            return None
        value: float | None = getattr(row.columns[i], figure)
        return value

    return tuple(tuple(cell(t, i) for i in range(len(rows))) for t in range(len(rows)))
