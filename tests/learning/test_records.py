"""What a mixture remembers of a component: bounded, and like data once."""

from __future__ import annotations

import torch

from growmix.learning.records import MAX_REFERENCES, Reference, remember
from growmix.learning.references import ReferenceStatistics


def remembered(centre: float, label: int) -> Reference:
    scores = centre + torch.linspace(0, 1, 50)
    return Reference(dict.fromkeys(("elbo", "rate"), ReferenceStatistics.of(scores)), (label,))


def test_memory_of_references_is_bounded_and_like_ones_replace_each_other() -> None:
    references: tuple[Reference, ...] = ()
    for k in range(30):
        references = remember(references, remembered(10.0 * k, k))
    assert len(references) == MAX_REFERENCES
    assert {label for reference in references for label in reference.classes} == set(range(30))
    assert sum(reference.count for reference in references) == 30 * 50
    assert remember(remember((), remembered(0.0, 0)), remembered(0.01, 0)) == (remembered(0.01, 0),)
    # alike in scores, but of other classes: that is another task
    assert len(remember(remember((), remembered(0.0, 0)), remembered(0.01, 1))) == 2


def test_tasks_that_differ_in_their_rates_alone_are_both_remembered() -> None:
    low, high = remembered(0.0, 0), remembered(5.0, 1)
    mixed = Reference({"elbo": low.statistics["elbo"], "rate": high.statistics["rate"]}, (2,))
    assert remember((low,), mixed) == (low, mixed)
