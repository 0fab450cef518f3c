"""What is held out of training: within limits, at random, and never all of a class."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from growmix.data.task import TaskData
from growmix.learning.holdout import MAX_HELD_OUT, MIN_HELD_OUT, held_out_size, hold_out


@given(st.integers(4, 100_000), st.floats(0.001, 0.5))
def test_the_size_is_the_share_within_limits_that_leave_at_least_half_to_train_on(examples: int, share: float) -> None:
    size = held_out_size(examples, share)
    assert 1 <= size <= min(MAX_HELD_OUT, examples // 2 + 1)
    assert size >= min(MIN_HELD_OUT, examples // 4)
    if MIN_HELD_OUT <= share * examples <= MAX_HELD_OUT:
        assert size == round(share * examples)


@given(st.integers(4, 60), st.integers(0, 2**31), st.floats(0.05, 0.5))
def test_both_parts_are_the_whole_task_and_no_class_is_held_out_altogether(n: int, seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(-1, n // 2, (n,), generator=generator)
    task = TaskData(torch.arange(float(n))[:, None], y, support="real")
    held, rest = hold_out(task, share, generator)
    assert len(held) == held_out_size(n, share)
    assert sorted(torch.cat([held.x, rest.x])[:, 0].tolist()) == list(range(n))
    assert held.y is not None and rest.y is not None
    for part in (held, rest):
        assert part.y is not None and torch.equal(part.y, y[part.x[:, 0].long()])
    classes = set(y.tolist()) - {-1}
    if len(classes) <= len(rest):
        assert set(rest.y.tolist()) - {-1} == classes


def test_what_comes_forward_for_the_last_of_one_class_is_not_the_last_of_another() -> None:
    labels = torch.tensor([1, 1, 0, -1])
    for seed in range(24):
        order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
        task = TaskData(torch.arange(4.0)[:, None], labels[order], support="real")
        _, rest = hold_out(task, 0.5, torch.Generator().manual_seed(seed + 1))
        assert rest.y is not None and set(rest.y.tolist()) >= {0, 1}


def test_the_order_is_that_of_the_generator_where_no_class_is_at_stake() -> None:
    task = TaskData(torch.arange(40.0)[:, None], None, support="real")
    held, rest = hold_out(task, 0.25, torch.Generator().manual_seed(3))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.cat([held.x, rest.x])[:, 0], order.float())
