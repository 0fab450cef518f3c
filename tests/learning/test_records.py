"""What a mixture remembers of a component: bounded, and like data once."""

from __future__ import annotations

import torch

from growmix.learning.records import CLASS_QUANTILES, FEW, MAX_REFERENCES, ClassReference, Record, Reference, remember
from growmix.learning.records import known_of as known
from growmix.learning.references import ReferenceStatistics


def remembered(centre: float, label: int) -> Reference:
    scores = centre + torch.linspace(0, 1, 50)
    answers = (ClassReference.of(label, scores.expand(2, 50)),)
    return Reference(dict.fromkeys(("elbo", "rate"), ReferenceStatistics.of(scores)), (label,), answers)


def test_memory_of_references_is_bounded_and_like_ones_replace_each_other() -> None:
    references: tuple[Reference, ...] = ()
    for k in range(30):
        references = remember(references, remembered(10.0 * k, k))
    assert len(references) == MAX_REFERENCES
    assert {label for reference in references for label in reference.classes} == set(range(30))
    assert sum(reference.count for reference in references) == 30 * 50
    answers = [answer for reference in references for answer in reference.answers]
    assert sorted(answer.label for answer in answers) == list(range(30))
    assert all(answer.quantiles.shape == (2, 50) for answer in answers)
    assert remember(remember((), remembered(0.0, 0)), remembered(0.01, 0)) == (remembered(0.01, 0),)
    # alike in scores, but of other classes: that is another task
    assert len(remember(remember((), remembered(0.0, 0)), remembered(0.01, 1))) == 2


def test_tasks_that_differ_in_their_rates_alone_are_both_remembered() -> None:
    low, high = remembered(0.0, 0), remembered(5.0, 1)
    mixed = Reference({"elbo": low.statistics["elbo"], "rate": high.statistics["rate"]}, (2,))
    assert remember((low,), mixed) == (low, mixed)


def test_one_class_of_pooled_tasks_is_pooled_and_stays_bounded() -> None:
    references: tuple[Reference, ...] = ()
    for k in range(40):
        references = remember(references, remembered(10.0 * k, 7))
    assert len(references) == MAX_REFERENCES
    assert {answer.label for reference in references for answer in reference.answers} == {7}
    assert sum(answer.count for reference in references for answer in reference.answers) == 40 * 50
    for reference in references:
        (answer,) = reference.answers
        assert answer.quantiles.shape[1] == min(CLASS_QUANTILES, answer.count)
        assert bool((answer.quantiles.diff(dim=1) >= 0).all())


def test_a_class_is_known_by_every_task_that_had_it_often() -> None:
    record = Record(200, 3, (remembered(0.0, 3), remembered(9.0, 4), remembered(20.0, 3)))
    assert [(float(numbers[0, 0]), m) for numbers, m in known(record, 3, ["rate"])] == [(0.0, 50), (20.0, 50)]
    assert [(float(numbers[0, 0]), m) for numbers, m in known(record, 4, ["elbo", "rate"])] == [(9.0, 50)]


def test_a_class_met_rarely_is_filled_up_with_what_its_task_was_like() -> None:
    whole = remembered(0.0, 3)
    rare = Reference(whole.statistics, (3, 4), (*whole.answers, ClassReference.of(4, torch.full((2, 3), 8.0))))
    ((numbers, m),) = known(Record(50, 1, (rare,)), 4, ["elbo", "rate"])
    assert (m, numbers.shape) == (FEW, (2, FEW))
    assert numbers[0, -3:].tolist() == [8.0] * 3 and float(numbers[0, :-3].mean()) < 1.0
    ((numbers, m),) = known(Record(50, 1, (rare,)), 5, ["elbo"])
    assert (m, numbers.shape) == (50, (1, 50)), "the whole task stands for a class that was never the answer"
    # where the often met class is known too, the rare one does not blur it
    assert len(known(Record(100, 2, (rare, remembered(5.0, 4))), 4, ["elbo"])) == 1


def test_without_answers_the_whole_task_counts() -> None:
    plain = Reference(remembered(0.0, 3).statistics, ())
    ((numbers, m),) = known(Record(50, 1, (plain,)), -1, ["elbo"])
    assert (m, numbers.shape) == (50, (1, 50))
