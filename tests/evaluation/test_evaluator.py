"""Evaluation against a mixture whose every answer is known, and against the verbs of a real one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from growmix import BadInput, Decision, GrowingMixture, NotLearnt, Student
from growmix.data.task import TaskData, as_float
from growmix.evaluation import Evaluator, evaluate, evaluate_student
from growmix.learning.history import HistoryEntry, Part
from growmix.learning.learner import Learner
from growmix.learning.routing import ComponentScores
from growmix.learning.shortlist import ALL, Lists
from growmix.streams import Task
from growmix.training.callbacks import TrainingLog


@dataclass(frozen=True)
class FakeComponent:
    classes: tuple[int, ...]
    target_shape: None = None


@Learner.register
class FakeMixture:
    """Reads its answers from the images: the first pixel says which class, the second which component.

    Every update of a component turns its classes round. What component k gives back in version v is off by
    k + v in every one of the 64 pixels (of 255).
    """

    def __init__(self, *component_classes: tuple[int, ...]) -> None:
        self._all = [FakeComponent(classes) for classes in component_classes]
        self._learnt: list[tuple[int, int]] = []
        self.scored: list[tuple[int, int, int]] = []  # component, version, task
        self.reconstructed = 0

    def learn(self, component: int) -> None:
        known = len(self.components)
        version = 1 if component == known else self.versions[component] + 1
        self._learnt.append((component, version))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(Decision("grow" if v == 1 else "reuse", k, (), 0.2) for k, v in self._learnt)

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        log = TrainingLog(1, 1, 1, 1.0, (1.0,))
        parts = [(Part(k, 1, version),) for k, version in self._learnt]
        return tuple(HistoryEntry(decision, part, log) for decision, part in zip(self.decisions, parts, strict=True))

    @property
    def components(self) -> tuple[FakeComponent, ...]:
        return tuple(self._all[: len({k for k, _ in self._learnt})])

    @property
    def classes_(self) -> np.ndarray:
        return np.array(sorted({label for c in self.components for label in c.classes}), dtype=np.int64)

    @property
    def versions(self) -> tuple[int, ...]:
        return self.versions_at(len(self._learnt))

    def versions_at(self, tasks: int) -> tuple[int, ...]:
        versions = dict(self._learnt[:tasks])
        return tuple(versions[k] for k in range(len(versions)))

    @property
    def log_prior(self) -> Tensor:
        return self.log_prior_at(len(self._learnt))

    def log_prior_at(self, tasks: int) -> Tensor:
        counts = torch.bincount(torch.tensor([k for k, _ in self._learnt[:tasks]]))
        return (counts / counts.sum()).log()

    def lists_at(self, tasks: int, x: Tensor, cheap: object) -> Lists:
        return ALL

    def component_scores(self, x: Tensor, components: list[int] | None = None) -> ComponentScores:
        asked = range(len(self.components)) if components is None else components
        numbers = x.flatten(1).long()
        says, best, task = numbers[:, 0], numbers[:, 1], int(numbers[0, 2])
        elbos, log_proba = [], []
        for k in asked:
            self.scored.append((k, self.versions[k], task))
            elbos.append(torch.where(best == k, -50.0, -100.0))
            classes = len(self.components[k].classes)
            proba = torch.full((len(x), classes), 0.1)
            if classes:
                proba[torch.arange(len(x)), (says + self.versions[k] - 1) % classes] = 0.9
            log_proba.append(proba.log())
        return ComponentScores(torch.stack(elbos, dim=1), tuple(log_proba))

    def reconstruct(self, x: Tensor, *, component: int) -> Tensor:
        self.reconstructed += len(x)
        return as_float(x) + (component + self.versions[component]) / 255

    def score_samples(self, x: Tensor, scores: object = None) -> Tensor:
        return torch.full((len(x),), -10.0 * len(self._learnt))


def task(
    number: int,
    classes: tuple[int, ...],
    says: list[int],
    best: list[int],
    labels: list[int] | None,
) -> Task:
    x = torch.zeros(len(says), 1, 8, 8, dtype=torch.uint8)
    x[:, 0, 0, 0], x[:, 0, 0, 1], x[:, 0, 0, 2] = torch.tensor(says), torch.tensor(best), number
    test = TaskData(x, None if labels is None else torch.tensor(labels))
    return Task(f"task {number}", test, test, classes)


def two_tasks() -> list[Task]:
    # task 0: the classifier errs once, and one image looks like component 1's
    # task 1: two images look like component 0's
    return [
        task(0, (0, 1), says=[0, 0, 1, 1], best=[0, 0, 0, 1], labels=[0, 0, 1, 0]),
        task(1, (2, 3), says=[0, 1, 0, 1], best=[1, 1, 0, 0], labels=[2, 3, 2, 3]),
    ]


def learnt(mixture: FakeMixture, *components: int) -> Any:
    for component in components:
        mixture.learn(component)
    return mixture


def followed(mixture: Any, stream: list[Task], *components: int) -> Evaluator:
    evaluator = Evaluator(stream)
    for component in components:
        mixture.learn(component)
        evaluator.after_task(mixture)
    return evaluator


def test_every_figure_is_the_one_worked_out_by_hand() -> None:
    mixture = learnt(FakeMixture((0, 1), (2, 3)), 0, 1)
    scores = evaluate(mixture, two_tasks())
    assert scores.task_aware == ((0.75, None), (0.75, 1.0))
    assert scores.task_agnostic == ((0.75, None), (0.75, 0.5))
    assert scores.selection == ((1.0, None), (0.75, 0.5))
    assert scores.average.task_aware == 0.875
    assert scores.average.task_agnostic == 0.625
    assert scores.average.selection == 0.625
    assert scores.average.forgetting == 0
    assert scores.average.backward_transfer == 0
    assert scores.average.forward_transfer is None
    # squared error per image: 64 pixels off by 1 (component 0) or 2 (component 1)
    ones, twos = 64 / 255**2, 64 * 4 / 255**2
    assert scores.reconstruction[0].mse == pytest.approx((3 * ones + twos) / 4, rel=1e-4)
    assert scores.reconstruction[1].mse == pytest.approx((2 * ones + 2 * twos) / 4, rel=1e-4)
    assert [r.nll for r in scores.reconstruction] == [20.0, 20.0]


def test_forgetting_shows_what_a_later_component_takes_away() -> None:
    stream = two_tasks()
    # nothing errs, but after task 1 half of task 0 looks like component 1's
    stream[0] = task(0, (0, 1), says=[0, 0, 1, 1], best=[0, 0, 1, 1], labels=[0, 0, 1, 1])
    scores = evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0, 1), stream)
    assert scores.task_agnostic == ((1.0, None), (0.5, 0.5))
    assert scores.task_aware == ((1.0, None), (1.0, 1.0))
    assert scores.average.forgetting == 0.5
    assert scores.average.backward_transfer == -0.5


def test_the_prior_decides_between_equal_bounds() -> None:
    # best = 9: all components are equally likely; after three tasks component 1 has learnt two thirds
    stream = [
        task(0, (0, 1), says=[0] * 4, best=[9] * 4, labels=[0] * 4),
        task(1, (2, 3), says=[1] * 4, best=[9] * 4, labels=[3] * 4),
        task(2, (2, 3), says=[1] * 4, best=[9] * 4, labels=[2] * 4),
    ]
    scores = followed(FakeMixture((0, 1), (2, 3)), stream, 0, 1, 1).scores()
    assert scores.selection == ((1.0, None, None), (1.0, 0.0, None), (0.0, 1.0, 1.0))
    assert scores.task_agnostic is not None
    assert scores.task_agnostic[2] == (0.0, 0.0, 1.0)


def test_a_component_that_knows_no_class_of_its_task_has_no_task_aware_accuracy() -> None:
    stream = two_tasks()
    scores = evaluate(learnt(FakeMixture((0, 1, 2, 3), ()), 0, 1), stream)
    assert scores.task_aware is not None and scores.task_aware[1][1] is None
    assert scores.task_agnostic is not None and scores.task_agnostic[1][1] is not None


def test_rows_of_components_trained_since_are_unknown_to_evaluate_and_known_to_an_evaluator() -> None:
    stream = [
        task(0, (0, 1), says=[0, 0, 1, 1], best=[0] * 4, labels=[0, 0, 1, 1]),
        task(1, (2, 3), says=[0, 0, 1, 1], best=[1] * 4, labels=[2, 2, 3, 3]),
        task(2, (0, 1), says=[1, 1, 0, 0], best=[0] * 4, labels=[0, 0, 1, 1]),
    ]
    late = evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0, 1, 0), stream)
    known = followed(FakeMixture((0, 1), (2, 3)), stream, 0, 1, 0).scores()
    last = (0.0, 1.0, 1.0)  # the update has turned component 0 round
    assert late.task_agnostic == ((None,) * 3, (None,) * 3, last)
    assert late.average.forgetting is None, "the best of the past is not known, so neither is what was lost"
    assert late.average.task_agnostic == pytest.approx(2 / 3)
    assert known.task_agnostic == ((1.0, None, None), (1.0, 1.0, None), last)
    assert known.average.forgetting == 0.5
    assert known.average.backward_transfer == -0.5


def test_an_evaluator_and_evaluate_agree_when_nothing_was_updated() -> None:
    late = evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0, 1), two_tasks())
    known = followed(FakeMixture((0, 1), (2, 3)), two_tasks(), 0, 1).scores()
    assert late == known


def test_reconstruction_right_after_learning_is_kept() -> None:
    stream = [
        task(0, (0, 1), says=[0] * 4, best=[0] * 4, labels=[0] * 4),
        task(1, (0, 1), says=[0] * 4, best=[0] * 4, labels=[0] * 4),
    ]
    scores = followed(FakeMixture((0, 1)), stream, 0, 0).scores()
    then, now = scores.over_time[0][0], scores.over_time[1][0]
    assert then is not None
    assert now is not None
    assert then.mse == pytest.approx(64 / 255**2, rel=1e-4)
    assert now.mse == pytest.approx(64 * 4 / 255**2, rel=1e-4)
    assert scores.over_time[0][1] is None
    assert [row.mse for row in scores.reconstruction] == [cell.mse for cell in scores.over_time[1] if cell]
    assert [row.nll for row in scores.reconstruction] == [20.0, 20.0]
    late = evaluate(learnt(FakeMixture((0, 1)), 0, 0), stream)
    assert late.over_time == ((None, None), scores.over_time[1])


def test_a_group_goes_to_one_component_whose_classes_alone_compete() -> None:
    stream = [
        task(0, (0, 1), says=[0, 0, 1, 1], best=[0, 0, 0, 1], labels=[0, 0, 1, 1]),
        task(1, (2, 3), says=[0, 0, 1, 1], best=[1, 0, 0, 0], labels=[2, 2, 3, 3]),
    ]
    scores = followed(FakeMixture((0, 1), (2, 3)), stream, 0, 1).scores()
    # three of task 0's four images like component 0 best, so it answers for the fourth too; so it does for task 1
    assert scores.grouped == ((1.0, None), (1.0, 0.0))
    assert scores.average.grouped == 0.5


def test_every_version_of_a_component_sees_every_test_set_once() -> None:
    mixture: Any = FakeMixture((0, 1), (2, 3))
    last = task(2, (4,), says=[0] * 4, best=[0] * 4, labels=[4] * 4)
    stream = [*two_tasks(), replace(last, train=TaskData(last.test.x))]  # learnt without its label
    evaluator = followed(mixture, stream, 0, 1, 0)
    evaluator.scores()
    evaluator.scores()
    evaluator.after_task(mixture)
    expected = [(0, 1, 0), (1, 1, 0), (0, 1, 1), (1, 1, 1), (0, 2, 0), (0, 2, 1), (0, 2, 2), (1, 1, 2)]
    assert sorted(mixture.scored) == sorted(expected)


def test_labels_that_the_mixture_never_met_are_refused_unless_the_training_data_kept_them_back() -> None:
    mixture = learnt(FakeMixture((0, 1)), 0)
    stream = [task(0, (0, 7), says=[0] * 4, best=[0] * 4, labels=[0, 0, 7, 7])]
    with pytest.raises(BadInput, match=r"'task 0'.*\[7\].*allowed are \[0, 1\]"):
        evaluate(mixture, stream)
    partly = TaskData(stream[0].test.x, torch.tensor([0, 0, -1, -1]))
    scores = evaluate(mixture, [Task("partly", partly, stream[0].test, (0, 7))])
    assert scores.task_agnostic == ((0.5,),)


def test_scores_of_versions_that_are_gone_are_dropped() -> None:
    mixture = FakeMixture((0, 1))
    stream = [task(i, (0, 1), says=[0] * 4, best=[0] * 4, labels=[0] * 4) for i in range(4)]
    evaluator = followed(mixture, stream, 0, 0, 0, 0)
    assert {version for _, version, _ in evaluator._cache} == {4}


def test_images_are_given_back_again_only_if_their_component_changed() -> None:
    mixture = FakeMixture((0, 1), (2, 3))
    stream = two_tasks()
    followed(mixture, stream, 0, 1).scores()
    # four of each task when it was learnt, then the one image of task 0 that has gone over to component 1
    assert mixture.reconstructed == 4 + 4 + 1


def test_a_class_that_is_new_leaves_forward_transfer_out() -> None:
    stream = [
        task(0, (0, 1), says=[0] * 4, best=[0] * 4, labels=[0] * 4),
        task(1, (1, 2), says=[0] * 4, best=[1] * 4, labels=[1, 1, 2, 2]),
    ]
    scores = evaluate(learnt(FakeMixture((0, 1), (1, 2)), 0, 1), stream)
    assert (scores.before, scores.chance) == ((None, None), (None, None))
    assert scores.average.forward_transfer is None


def test_forward_transfer_is_asked_where_all_classes_are_known() -> None:
    stream = [
        task(0, (0, 1), says=[0, 0, 1, 1], best=[0] * 4, labels=[0, 0, 1, 1]),
        task(1, (1, 0), says=[0, 0, 1, 1], best=[0] * 4, labels=[0, 0, 1, 0]),  # 3 of 4 right beforehand
        task(2, (1, 2), says=[0] * 4, best=[1] * 4, labels=[1] * 4),  # all are called 2
        task(3, (0, 2, 3), says=[0] * 4, best=[1] * 4, labels=[2, 2, 2, 3]),  # 3 of 4 right, among 4 classes
    ]
    for scores in (
        followed(FakeMixture((0, 1), (2, 3), (1, 2), (0, 3)), stream, 0, 1, 2, 3).scores(),
        evaluate(learnt(FakeMixture((0, 1), (2, 3), (1, 2), (0, 3)), 0, 1, 2, 3), stream),
    ):
        # component 1 knows 2 and 3, so that the classes of tasks 2 and 3 are known in time
        assert scores.chance == (None, 0.5, 0.25, 0.25)
        assert scores.before == (None, 0.75, 0.0, 0.75)
        assert scores.average.forward_transfer == pytest.approx((0.25 - 0.25 + 0.5) / 3)


def test_examples_without_a_label_do_not_count_for_accuracy_but_do_for_selection() -> None:
    stream = two_tasks()
    stream[0] = task(0, (0, 1), says=[0, 0, 1, 1], best=[0, 0, 0, 1], labels=[0, -1, -1, 0])
    stream[1] = task(1, (2, 3), says=[0, 1, 0, 1], best=[1, 1, 0, 0], labels=[-1] * 4)
    scores = evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0, 1), stream)
    assert scores.task_aware == ((0.5, None), (0.5, None))
    assert scores.selection == ((1.0, None), (0.75, 0.5))
    assert scores.average.task_aware == 0.5


def test_without_labels_there_is_no_accuracy_but_selection_and_reconstruction() -> None:
    for classes, labels in (((), None), ((0,), [0, 0, 0, 0])):
        stream = [task(i, classes, says=[0] * 4, best=[i, i, i, 0], labels=labels) for i in range(2)]
        scores = evaluate(learnt(FakeMixture((), ()), 0, 1), stream)
        assert scores.task_aware is None and scores.task_agnostic is None
        assert scores.selection == ((1.0, None), (1.0, 0.75))
        assert len(scores.reconstruction) == 2
        document = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
        assert document["accuracy"]["task_agnostic"] is None
        assert document["average"]["forgetting"] is None
        assert document["average"]["selection"] == 0.875


def test_tasks_not_learnt_yet_are_left_out() -> None:
    scores = evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0), two_tasks())
    assert scores.selection == ((1.0,),)
    assert len(scores.reconstruction) == 1
    assert scores.average.forgetting is None


def test_the_document_has_the_blocks_of_metrics_json_and_nothing_else() -> None:
    document = evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0, 1), two_tasks()).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    blocks = {"accuracy", "average", "reconstruction", "reconstruction_over_time", "translation"}
    assert set(document) == blocks
    assert document["translation"] is None
    assert document["accuracy"] == {
        "task_aware": [[0.75, None], [0.75, 1.0]],
        "task_agnostic": [[0.75, None], [0.75, 0.5]],
        "selection": [[1.0, None], [0.75, 0.5]],
        "grouped": [[0.75, None], [0.75, 0.0]],
    }
    assert list(document["average"]) == [
        "task_aware",
        "task_agnostic",
        "selection",
        "grouped",
        "forgetting",
        "backward_transfer",
        "forward_transfer",
    ]
    assert {name: len(values) for name, values in document["reconstruction"].items()} == {
        "mse": 2,
        "ssim": 2,
        "psnr": 2,
        "nll": 2,
    }


def as_vectors(tasks: list[Task]) -> list[Task]:
    def vectors(data: TaskData) -> TaskData:
        return replace(data, x=data.x.flatten(1).float(), support="real")

    return [replace(each, train=vectors(each.train), test=vectors(each.test)) for each in tasks]


def test_vectors_have_the_figures_of_images_but_no_ssim_and_no_psnr() -> None:
    images = evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0, 1), two_tasks())
    stream, mixture = as_vectors(two_tasks()), learnt(FakeMixture((0, 1), (2, 3)), 0, 1)
    evaluator = Evaluator(stream)
    evaluator.after_task(mixture)
    scores = evaluator.scores()
    assert (scores.task_agnostic, scores.selection) == (images.task_agnostic, images.selection)
    assert [made.mse for made in scores.reconstruction] == pytest.approx([m.mse for m in images.reconstruction])
    document = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert set(document["reconstruction"]) == {"mse", "ssim", "psnr", "nll"}
    assert document["reconstruction"]["ssim"] == document["reconstruction"]["psnr"] == [None, None]
    assert document["reconstruction_over_time"]["psnr"] == [[None, None], [None, None]]
    again = Evaluator.unpack(stream, mixture, *evaluator.pack())
    assert again.scores() == scores
    with pytest.raises(ValueError, match="means"):  # kept of images, which have three figures
        Evaluator.unpack(stream, mixture, *followed(FakeMixture((0, 1), (2, 3)), two_tasks(), 0, 1).pack())


def test_an_exact_copy_has_no_psnr_in_the_document() -> None:
    class Copying(FakeMixture):
        def reconstruct(self, x: Tensor, *, component: int) -> Tensor:
            return x.float() / 255

    scores = evaluate(learnt(Copying((0, 1), (2, 3)), 0, 1), two_tasks())
    assert scores.reconstruction[0].psnr == float("inf")
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["reconstruction"]["psnr"] == [None, None]


def test_only_tasks_are_evaluated_and_only_on_what_learnt_them() -> None:
    alike = SimpleNamespace(**{name: getattr(two_tasks()[0], name) for name in ("name", "train", "test", "classes")})
    with pytest.raises(BadInput, match=r"^stream is \[namespace.*allowed is a stream, or a list of its tasks"):
        evaluate(learnt(FakeMixture((0, 1)), 0), [alike])  # type: ignore[list-item]
    with pytest.raises(BadInput, match=r"^mixture is <class"):
        evaluate(GrowingMixture, two_tasks())  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"^student is <class"):
        evaluate_student(Student, two_tasks())  # type: ignore[arg-type]


def test_what_does_not_fit_together_is_refused() -> None:
    stream = two_tasks()
    with pytest.raises(NotLearnt, match="learnt nothing"):
        evaluate(learnt(FakeMixture((0, 1))), stream)
    with pytest.raises(NotLearnt, match="after_task"):
        Evaluator(stream).scores()
    with pytest.raises(BadInput, match="learnt 3 tasks, but the stream has 2"):
        evaluate(learnt(FakeMixture((0, 1), (2, 3)), 0, 1, 1), stream)
    mixture: Any = FakeMixture((0, 1), (2, 3))
    evaluator = followed(mixture, stream, 0)
    mixture.learn(1)
    with pytest.raises(BadInput, match="learnt 2 tasks, but 1 were followed"):
        evaluator.scores()
    evaluator.after_task(mixture)
    with pytest.raises(BadInput, match="another mixture"):
        evaluator.after_task(learnt(FakeMixture((0, 1)), 0, 0))
