"""How new examples are to a whole mixture: known in any mix, new where they are new, from one example up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.components.abilities import Evidence
from growmix.components.judging import judge
from growmix.data.task import TaskData
from growmix.learning.judging import PRESET, ScoreWeights
from growmix.learning.knowledge import Knowledge
from growmix.learning.measuring import new_record
from growmix.learning.newness import novelty_of, shared_out, unseen_labels
from growmix.learning.novelty import MEASURES, Novelty
from growmix.learning.records import Record, remember
from known_points import CodedPoint, point, task

KINDS = [(0, 0), (0, 1), (1, 0), (1, 1)]
"""Component and class position of every kind of data that is known."""


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def kind(k: int, position: int, n: int, seed: int, shift: float = 0.0) -> Tensor:
    """Return vectors around the point at 30k: the first class lies before it, the second behind it."""
    noise = torch.randn(n, generator=torch.Generator().manual_seed(seed))
    return torch.stack([30.0 * k + 3.0 * (2 * position - 1) + shift + noise, torch.full((n,), float(position))], dim=1)


def mixture(components: int = 2, held: int = 300) -> tuple[Knowledge, list[Record]]:
    """Return points that learnt as many of both of their classes, and their records."""
    points, records = [], []
    for k in range(components):
        each = CodedPoint(30.0 * k, (2 * k, 2 * k + 1))
        each.class_counts += 500.0
        each.freeze()
        data = torch.cat([kind(k, position, held, seed=1_000 + 2 * k + position) for position in (0, 1)])
        points.append(each)
        records.append(new_record(each, TaskData(data, support="real"), 1_000, 0))
    return Knowledge(tuple(points), (1_000,) * components), records


KNOWN = mixture()


def judged(x: Tensor, name: str = "rank", known: tuple[Knowledge, Sequence[Record]] = KNOWN) -> Novelty:
    return novelty_of(x, *known, MEASURES[name], MEASURES[name].default_threshold, 0, generator())


@given(st.lists(st.integers(0, 200), min_size=4, max_size=4).filter(any), st.integers(0, 50))
def test_known_data_are_known_in_any_mix(counts: list[int], seed: int) -> None:
    x = torch.cat([kind(*each, n, 4 * seed + i) for i, (each, n) in enumerate(zip(KINDS, counts, strict=True))])
    found = judged(x)
    assert not found.is_new
    assert found.value == min(found.values)
    assert found.shares == pytest.approx([sum(counts[:2]) / sum(counts), sum(counts[2:]) / sum(counts)])


@given(st.sampled_from([4, 10, 100, 300]), st.integers(0, 50), st.sampled_from([9.0, 15.0, -9.0]))
def test_new_data_are_new_from_four_examples_on(n: int, seed: int, shift: float) -> None:
    found = judged(torch.cat([kind(0, position, n, seed + position, shift) for position in (0, 1)])[:n])
    assert found.is_new
    assert min(found.values) == found.value >= found.threshold


def test_the_measure_by_tasks_takes_another_mix_for_new() -> None:
    one_class = kind(0, 0, 200, seed=5)
    assert judged(one_class, "ks").is_new and not judged(one_class).is_new


def test_one_example_is_an_answer() -> None:
    for shift in (0.0, 12.0):
        found = judged(kind(0, 0, 1, seed=3, shift=shift))
        assert 0.0 <= found.value <= 1.0 and found.shares == (1.0, 0.0)
        assert not found.is_new and found.threshold > 0.99, "one example can't show that a kind of data is new"


def test_what_is_near_the_component_that_answers_most_is_farther_from_all_others() -> None:
    found = judged(torch.cat([kind(0, 0, 30, seed=1), kind(1, 0, 90, seed=2)]))
    assert found.shares == (0.25, 0.75)
    assert found.values == (pytest.approx(1 - 1 / 3), found.value)
    assert shared_out(0.3, (0.5, 0.5)) == (0.3, 0.3)
    assert shared_out(0.9, (0.6, 0.4)) == (0.9, 0.9)


def test_the_order_of_examples_makes_no_difference() -> None:
    x = torch.cat([kind(*each, 20, seed=i) for i, each in enumerate(KINDS)])
    assert judged(x.flip(0)).value == pytest.approx(judged(x).value, abs=1e-9)


def test_few_held_out_examples_allow_more_for_chance() -> None:
    x = kind(0, 0, 100, seed=1)
    few, many = (judged(x, known=mixture(held=held)).threshold for held in (12, 300))
    assert few > many > 0.2
    rare = mixture(held=300)
    data = torch.cat([kind(0, 0, 3, seed=7), kind(0, 1, 300, seed=8)])
    rare[1][0] = new_record(rare[0].components[0], TaskData(data, support="real"), 1_000, 0)
    assert [answer.count for answer in rare[1][0].references[0].answers] == [3, 300]
    assert judged(x, known=rare).threshold > few, "three examples of a class say little"
    assert judged(x + torch.tensor([12.0, 0.0]), known=rare).is_new
    assert not judged(kind(0, 1, 100, seed=9), known=rare).is_new


def test_a_class_that_was_never_the_answer_is_compared_with_its_whole_task() -> None:
    known = mixture()
    known[1][0] = new_record(known[0].components[0], TaskData(kind(0, 1, 300, seed=8), support="real"), 1_000, 0)
    found = judged(kind(0, 0, 100, seed=1), known=known)
    assert found.is_new and found.value > 0.8


def test_components_without_classes_have_one_reference_a_task() -> None:
    component = CodedPoint(0.0, supervised=False)
    component.freeze()
    held = TaskData(torch.cat([kind(0, position, 300, seed=position) for position in (0, 1)]), support="real")
    known = Knowledge((component,), (600,)), [new_record(component, held, 600, 0)]
    both = torch.cat([kind(0, position, 100, seed=5 + position) for position in (0, 1)])
    assert not judged(both, known=known).is_new
    assert judged(both + torch.tensor([8.0, 0.0]), known=known).is_new
    assert judged(kind(0, 0, 200, seed=5), known=known).is_new, "which part of a task it is can't be known"


@pytest.mark.parametrize("name", ["ks", "smd", "stored"])
def test_measures_by_task_are_0_where_data_are_known_and_large_where_no_score_is_shared(name: str) -> None:
    components = (point(0), point(1))
    held = [TaskData(task(k)[0], support="real") for k in (0, 1)]
    records = [new_record(component, data, 8, 0) for component, data in zip(components, held, strict=True)]
    for k in (0, 1):
        known = Knowledge(components, (8, 8)), records
        found = judged(task(k)[0], name, known=known)
        assert found.values[k] == found.value == 0.0 and found.values[1 - k] >= 1.0
        assert found.shares == ((1.0, 0.0) if k == 0 else (0.0, 1.0))
        assert not found.is_new


def test_the_papers_measure_compares_with_samples() -> None:
    components = (point(0), point(1))
    records = [new_record(each, TaskData(task(1)[0], support="real"), 8, 0) for each in components]
    found = judged(task(0)[0], "paper", known=(Knowledge(components, (8, 8)), records))
    assert found.values == (0.0, 100.0)


def test_labels_never_learnt_among_what_looks_known_are_told_in_words() -> None:
    known, x = KNOWN[0], torch.zeros(5, 2)
    looks_known, looks_new = (Novelty((0.1,), 0.1, 0.2, is_new, (1.0,)) for is_new in (False, True))
    odd = TaskData(x, torch.tensor([0, 7, 7, -1, 9]), support="real")
    said = unseen_labels(looks_known, odd, known)
    assert said == "3 of 5 examples have labels never learnt before, [7, 9], but look known"
    assert unseen_labels(looks_new, odd, known) == ""
    assert unseen_labels(looks_known, TaskData(x, torch.tensor([0, 1, 2, 3, -1]), support="real"), known) == ""
    assert unseen_labels(looks_known, TaskData(x, support="real"), known) == ""
    named = TaskData(x, torch.tensor([0, 1, 2, 3, 4]), None, ("a", "b", "c", "d", "e"), "real")
    assert "1 of 5 examples have labels never learnt before, ['e']" in str(unseen_labels(looks_known, named, known))


def test_a_class_that_came_again_in_another_look_is_known_in_any_mix_of_both() -> None:
    component = CodedPoint(0.0, (0, 1))
    component.freeze()
    looks = [TaskData(kind(0, 0, 300, seed=1, shift=shift), support="real") for shift in (0.0, 8.0)]
    first, second = (new_record(component, look, 300, 0).references for look in looks)
    known = Knowledge((component,), (600,)), [Record(600, 2, remember(first, second[0]))]
    assert len(known[1][0].references) == 2
    for counts in ((200, 0), (100, 100), (20, 180)):
        x = torch.cat([kind(0, 0, n, 7 + i, 8.0 * i) for i, n in enumerate(counts)])
        assert not judged(x, known=known).is_new, counts
    assert judged(kind(0, 0, 100, seed=9, shift=16.0), known=known).is_new


class TwoScores(CodedPoint, Evidence):
    """Judges by its distance, and by a score that a mixture may choose to count."""

    sources, preset, preset_rule = ("near", "large"), (1.0, 0.0), "classifier"

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.stack([-((x[:, 0] - self.place) ** 2), (10.0 - self.place) * x[:, 0]], dim=1)
        return both[:, None].expand(-1, len(self.classes), -1), self._logits(x).log_softmax(1)

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return judge(*self.evidence(x), torch.tensor(self.preset), self.preset_rule)


def test_weights_of_the_mixture_choose_who_answers_but_not_what_is_remembered() -> None:
    components = tuple(TwoScores(30.0 * k, (2 * k, 2 * k + 1)) for k in (0, 1))
    held = [torch.cat([kind(k, position, 300, seed=2 * k + position) for position in (0, 1)]) for k in (0, 1)]
    for component in components:
        component.freeze()
    records = [new_record(each, TaskData(x, support="real"), 600, 0) for each, x in zip(components, held, strict=True)]
    x = kind(0, 0, 100, seed=9)
    found, other = (
        judged(x, known=(Knowledge(components, (600, 600), weights=weights), records))
        for weights in (PRESET, ScoreWeights((1.0, 1_000.0), "classifier"))
    )
    assert not found.is_new and found.shares == (1.0, 0.0)
    assert other.shares != found.shares
    alone = (Knowledge(components[:1], (600,), weights=weights) for weights in (PRESET, ScoreWeights((9.0, 1.0))))
    assert len({judged(x, known=(known, records[:1])) for known in alone}) == 1
