"""Measures a student, the one network that a mixture is distilled into, on the test sets of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from growmix.errors import BadInput, shown
from growmix.evaluation.images import PictureScores, ReconstructionScores
from growmix.evaluation.labels import check_tasks, in_labels_of
from growmix.evaluation.pictures import score_reconstructions, score_translations
from growmix.evaluation.protocols import answer, compare
from growmix.evaluation.scores import StudentScores
from growmix.learning.learner import Learner
from growmix.learning.model import Model
from growmix.settings import require_whole
from growmix.streams.stream import Task
from growmix.system.ambient import torch_as_it_comes

if TYPE_CHECKING:
    from growmix.learning.student import Student


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
    if not isinstance(student, Model) or isinstance(student, Learner):
        raise BadInput(f"student is {shown(student)}; give what distill() of a mixture returned")
    tasks = len(stream) if tasks is None else require_whole(tasks, "tasks", 1, len(stream))
    stream = in_labels_of(student, stream, tasks)
    (component,) = student.components
    accuracies, reconstructions, translations = [], [], []
    for task in stream[:tasks]:
        test = task.test
        scores = student.component_scores(test.x)
        answers = answer(scores, student.log_prior, [component.classes], (0,), task.classes)
        accuracies.append(compare(answers, test.y, (0,)))
        everything = torch.arange(len(test))
        made = score_reconstructions(student, test, everything, 0)
        reconstructions.append(ReconstructionScores.with_elbo(made, student.score_samples(test.x, scores=scores)))
        if test.target is not None:
            translations.append(PictureScores.of(score_translations(student, test, everything, 0)))
    supervised = len(component.classes) > 0
    return StudentScores(
        task_aware=tuple(each.task_aware for each in accuracies) if supervised else None,
        task_agnostic=tuple(each.task_agnostic for each in accuracies) if supervised else None,
        reconstruction=tuple(reconstructions),
        translation=tuple(translations) or None,
        parameters=sum(weight.numel() for weight in component.parameters()),
    )
