"""What a network keeps of past data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.baselines.rehearsal import Buffer, Everything, Generated, Nothing, balanced, together
from growmix.components.construction import make_kind
from growmix.components.nets import MLP
from growmix.components.vae import VAE
from growmix.data.domain import Domain
from growmix.data.task import TaskData, as_float
from growmix.settings import Settings

SHAPE = (1, 4, 4)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def task(labels: list[int] | None, n: int = 0, *, seed: int = 0, as_bytes: bool = False) -> TaskData:
    count = n if labels is None else len(labels)
    x = torch.rand(count, *SHAPE, generator=stream(seed))
    return TaskData(
        (x * 255).round().to(torch.uint8) if as_bytes else x, None if labels is None else torch.tensor(labels)
    )


def vae(classes: list[int], counts: list[float]) -> VAE:
    torch.manual_seed(0)
    component = make_kind(Settings(latent=2), MLP(8)).make(
        Domain(SHAPE), supervised=bool(classes), target=None, generator=torch.Generator()
    )
    component.add_classes(classes, torch.Generator())
    component.class_counts = torch.tensor(counts)
    component.freeze()
    assert isinstance(component, VAE)
    return component


def rows(x: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in x}


labels = st.lists(st.integers(-1, 4), min_size=1, max_size=40)


@given(st.lists(labels, min_size=1, max_size=4), st.integers(1, 20))
def test_a_buffer_holds_real_examples_bounded_and_balanced(tasks: list[list[int]], capacity: int) -> None:
    buffer, met = Buffer(capacity), []
    for seed, each in enumerate(tasks):
        met.append(task(each, seed=seed))
        buffer = buffer.after(met[-1], stream(seed))
    everything = together(met)
    assert buffer.data is not None and buffer.data.y is not None and everything.y is not None
    assert len(buffer.data) == min(capacity, len(everything))
    known = {x.numpy().tobytes(): int(y) for x, y in zip(everything.x, everything.y, strict=True)}
    kept = {x.numpy().tobytes(): int(y) for x, y in zip(buffer.data.x, buffer.data.y, strict=True)}
    assert kept.items() <= known.items()
    held = {label: int((buffer.data.y == label).sum()) for label in set(everything.y.tolist())}
    for label, count in held.items():  # fewer than another class only if there are no more of it
        assert count >= max(held.values()) - 1 or count == int((everything.y == label).sum())


def test_every_example_without_a_label_has_the_same_chance_to_stay_whenever_it_came() -> None:
    stays = np.zeros(40)
    for seed in range(400):
        buffer = Buffer(10)
        for first in range(0, 40, 10):
            numbered = torch.arange(first, first + 10).float().view(-1, 1, 1, 1).expand(-1, *SHAPE)
            buffer = buffer.after(TaskData(numbered), stream(400 * first + seed))
        assert buffer.data is not None
        stays[buffer.data.x[:, 0, 0, 0].long().numpy()] += 1
    # 400 trials at a chance of 1/4: five standard deviations are 43
    assert np.abs(stays - 100).max() < 43
    assert abs(stays[:10].mean() - stays[30:].mean()) < 15


def test_a_buffer_recalls_as_many_examples_as_the_task_has_each_as_often() -> None:
    buffer = Buffer(8).after(task([0, 1] * 10), stream())
    recalled = buffer.recall(task([2] * 24), vae([0], [1.0]), 20, stream())
    assert recalled is not None and buffer.data is not None
    assert len(recalled) == 24
    counts = [int((recalled.x == image).flatten(1).all(1).sum()) for image in buffer.data.x]
    assert counts == [3] * 8


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.randoms())
def test_any_beginning_of_the_balanced_order_is_balanced(each: list[int], random: object) -> None:
    keys = torch.rand(len(each), generator=stream(len(each)), dtype=torch.float64)
    order = balanced(torch.tensor(each), keys)
    assert sorted(order.tolist()) == list(range(len(each)))
    for end in range(1, len(each) + 1):
        counts = torch.tensor(each)[order[:end]].bincount(minlength=4)
        for label in set(each):
            assert counts[label] >= counts.max() - 1 or counts[label] == each.count(label)


def test_everything_is_all_real_data_so_far() -> None:
    first, second = task([0, 1, 1], as_bytes=True), task([2, 2], seed=1, as_bytes=True)
    memory = Everything().after(first, stream()).after(second, stream())
    recalled = memory.recall(task([3]), vae([0], [1.0]), 5, stream())
    assert recalled is not None and recalled.y is not None
    assert torch.equal(recalled.x, torch.cat([first.x, second.x]))
    assert recalled.y.tolist() == [0, 1, 1, 2, 2]


def test_bytes_beside_floats_lose_nothing() -> None:
    some, others = task([0] * 3, as_bytes=True), task([1] * 3, seed=1)
    for parts in ([some, others], [others, some]):
        both = together(parts)
        assert torch.equal(both.x, torch.cat([as_float(part.x) for part in parts]))
    assert together([some, some]).x.dtype == torch.uint8


def test_nothing_recalls_nothing() -> None:
    memory = Nothing().after(task([0] * 4), stream())
    assert memory.recall(task([1] * 4), vae([0], [1.0]), 4, stream()) is None


@pytest.mark.parametrize("as_bytes", [False, True])
def test_generated_data_come_from_the_prior_in_the_proportions_that_were_learnt(as_bytes: bool) -> None:
    teacher = vae([5, 7], [300.0, 100.0])
    teacher.density = None
    new = task([9] * 50, as_bytes=as_bytes)
    recalled = Generated().recall(new, teacher, 400, stream())
    assert recalled.y is not None
    assert len(recalled) == 400  # four times the task: it was learnt four times as much
    assert recalled.x.dtype == new.x.dtype
    assert set(recalled.y.tolist()) == {5, 7}
    assert abs(int((recalled.y == 5).sum()) - 300) < 45  # five standard deviations
    assert torch.equal(recalled.x, Generated().recall(new, teacher, 400, stream()).x)


@pytest.mark.parametrize("memory", [Buffer(4), Everything()])
@pytest.mark.parametrize("known", [None, [0, 1, 1, 0, 1, 1]])
def test_what_is_packed_comes_back(memory: Buffer | Everything, known: list[int] | None) -> None:
    full = memory.after(task(known, 6), stream())
    component = vae([0, 1], [3.0, 3.0]) if known else vae([], [])
    again = memory.unpack(full.pack(), component)
    assert full.pack().keys() == again.pack().keys()
    assert all(torch.equal(again.pack()[name], tensor) for name, tensor in full.pack().items())
    assert memory.unpack(memory.pack(), None).data is None
