"""The step from what was known before a task to what is known after it."""

from __future__ import annotations

import torch

from growmix import Decision
from growmix.learning.history import HistoryEntry, Part
from growmix.learning.state import LearnerState, Learnt
from known_points import LOG, CodedPoint

GROWN = Decision("grow", 0, (), 0.2)
REUSED = Decision("reuse", 0, (0.1,), 0.2)


def learnt(decision: Decision, examples: dict[int, int], memory: str) -> Learnt[str]:
    return Learnt(decision, {k: CodedPoint(k, (k,)) for k in examples}, examples, memory, LOG)


def test_after_a_task_its_component_is_there_frozen_and_counted() -> None:
    before = LearnerState("nothing")
    first = learnt(GROWN, {0: 8}, "one task")
    after = before.after(first, ("ant",))
    assert (before.components, before.history, before.memory) == ((), (), "nothing")
    assert after.components == (first.components[0],) and after.memory == "one task"
    assert not after.components[0].get_parameter("place").requires_grad
    assert after.history == (HistoryEntry(GROWN, (Part(0, 8, version=1),), LOG),)
    assert (after.knowledge.examples, after.knowledge.names) == ((8,), ("ant",))


def test_an_update_replaces_one_component_and_counts_on() -> None:
    before = LearnerState("").after(learnt(GROWN, {0: 8}, ""), ("ant",)).after(learnt(GROWN, {1: 4}, ""), ())
    update = learnt(REUSED, {0: 12}, "")
    after = before.after(update, ())
    assert after.components == (update.components[0], before.components[1])
    assert after.knowledge.examples == (20, 4) and after.history[-1].parts == (Part(0, 12, version=2),)
    assert after.knowledge.names == ("ant",)  # a task without names leaves those that are known
    torch.testing.assert_close(after.knowledge.log_prior.exp(), torch.tensor([20 / 24, 4 / 24]))


def test_a_task_that_several_components_learn_counts_for_each() -> None:
    after = LearnerState("").after(learnt(GROWN, {1: 3, 0: 5}, ""), ())
    assert after.history[0].parts == (Part(0, 5, 1), Part(1, 3, 1))
    assert after.knowledge.examples == (5, 3)
