from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from growmix.data.task import UNLABELLED, TaskData
from growmix.errors import BadInput
from growmix.streams import load
from growmix.streams.selection import Selection

labels = hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(-1, 4))
shares = st.floats(0, 1)
seeds = st.integers(0, 2**32)


def labels_of(data: TaskData) -> torch.Tensor:
    assert data.y is not None
    return data.y


@given(labels, shares, seeds)
def test_each_class_keeps_its_share_of_labels_and_none_changes(y: Any, share: float, seed: int) -> None:
    kept = Selection(seed, label_fraction=share).labels(y)
    assert set(kept[kept != y].tolist()) <= {UNLABELLED}
    for label in set(y.tolist()) - {UNLABELLED}:
        n, left = int((y == label).sum()), int((kept == label).sum())
        assert abs(left - share * n) <= 0.5 or (left == 1 and 0 < share * n < 0.5)
        assert left >= math.ceil(share)


@given(labels, seeds)
def test_a_share_of_all_keeps_all_and_one_of_nothing_none(y: Any, seed: int) -> None:
    assert np.array_equal(Selection(seed, label_fraction=1).labels(y), y)
    assert (Selection(seed, label_fraction=0).labels(y) == UNLABELLED).all()


def test_which_labels_are_kept_is_random_and_the_seeds() -> None:
    y = np.zeros(1000, dtype=np.int64)
    kept = [np.flatnonzero(Selection(seed, label_fraction=0.5).labels(y) == 0) for seed in (0, 0, 1)]
    assert np.array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])
    # Half of a thousand, drawn without a preference for a place: the mean place is 499.5, its standard error 9.1.
    assert all(abs(places.mean() - 499.5) < 50 for places in kept)


def test_a_part_of_the_labels_is_drawn_in_training_and_all_stay_for_testing(made_root: Path) -> None:
    whole, part = (load("split-mnist", data_root=made_root, label_fraction=share) for share in (1.0, 0.4))
    for full, task in zip(whole, part, strict=True):
        assert torch.equal(task.train.x, full.train.x)
        y, y_full = labels_of(task.train), labels_of(full.train)
        assert [int((y == label).sum()) for label in task.classes] == [2, 2]  # of five
        assert torch.equal(y[y != UNLABELLED], y_full[y != UNLABELLED])
        assert torch.equal(labels_of(task.test), labels_of(full.test))
        assert task.classes == full.classes
    assert part.class_names == whole.class_names
    assert part.notes == ("0.4 of each class's training labels kept, drawn by seed 0",)


def test_without_labels_a_task_still_names_its_classes(made_root: Path) -> None:
    for task in load("split-mnist", data_root=made_root, label_fraction=0, train_examples=4):
        assert labels_of(task.train).tolist() == [UNLABELLED] * 4
        assert len(task.classes) == 2
        assert set(labels_of(task.test).tolist()) == set(task.classes)


def test_one_label_of_a_class_is_kept_where_the_share_is_less(made_root: Path) -> None:
    for task in load("split-mnist", data_root=made_root, label_fraction=1e-9):
        y = labels_of(task.train)
        assert sorted(y[y != UNLABELLED].tolist()) == list(task.classes)


def test_the_same_examples_keep_their_labels_whatever_is_done_to_the_images(made_root: Path) -> None:
    first, second = load("domains", tasks="mnist,mnist@invert", data_root=made_root, label_fraction=0.3)
    assert torch.equal(labels_of(first.train), labels_of(second.train))
    assert torch.equal(first.train.x, 255 - second.train.x)


def test_a_part_of_the_examples_is_the_same_for_equal_seeds_and_has_its_own_labels(made_root: Path) -> None:
    whole = load("domains", tasks="mnist", data_root=made_root)[0]
    label_of = dict(zip((x.numpy().tobytes() for x in whole.train.x), labels_of(whole.train).tolist(), strict=True))
    streams = [load("domains", tasks="mnist", data_root=made_root, train_examples=20, seed=s) for s in (0, 0, 1)]
    for stream, seed in zip(streams, (0, 0, 1), strict=True):
        train = stream[0].train
        assert len(train) == 20
        assert [label_of[x.numpy().tobytes()] for x in train.x] == labels_of(train).tolist()
        assert len({x.numpy().tobytes() for x in train.x}) == 20
        assert len(stream[0].test) == 50
        assert stream.notes == (f"at most 20 training examples per task, drawn by seed {seed}",)
    assert torch.equal(streams[0][0].train.x, streams[1][0].train.x)
    assert not torch.equal(streams[0][0].train.x, streams[2][0].train.x)


def test_which_examples_are_learnt_does_not_depend_on_their_labels(made_root: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        table = pq.read_table(made_root / "mnist" / f"{part}.parquet")
        at = table.column_names.index("label")
        other = table.set_column(at, "label", [table["label"].to_pylist()[::-1]])
        (tmp_path / "mnist").mkdir(exist_ok=True)
        pq.write_table(other, tmp_path / "mnist" / f"{part}.parquet")
    first, second = (
        load("domains", tasks="mnist", data_root=root, train_examples=17)[0].train for root in (made_root, tmp_path)
    )
    assert torch.equal(first.x, second.x)
    assert not torch.equal(labels_of(first), labels_of(second))


def test_a_task_with_fewer_examples_keeps_them_all(made_root: Path) -> None:
    for task in load("split-mnist", data_root=made_root, train_examples=1000):
        assert len(task.train) == 10


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"label_fraction": 1.5}, "label_fraction is 1.5; allowed is a share from 0 to 1"),
        ({"label_fraction": -0.1}, "label_fraction is -0.1; allowed is a share from 0 to 1"),
        ({"label_fraction": math.nan}, "label_fraction is nan; allowed is a share from 0 to 1"),
        ({"label_fraction": math.inf}, "label_fraction is inf"),
        ({"label_fraction": "0.1"}, "label_fraction is '0.1'"),
        ({"label_fraction": None}, "label_fraction is None"),
        ({"label_fraction": True}, "label_fraction is True"),
        ({"train_examples": 3}, "train_examples is 3; allowed is a whole number of 4 or more"),
        ({"train_examples": -1}, "train_examples is -1"),
        ({"train_examples": 10.0}, "train_examples is 10.0"),
        ({"train_examples": "10"}, "train_examples is '10'"),
        ({"train_examples": True}, "train_examples is True"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_number_that_is_not_allowed_is_named_before_any_data_is_looked_for(call: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        load("split-mnist", data_root="no such folder", **call)
    assert said in str(caught.value)


def test_at_most_so_many_test_examples_are_a_fixed_part_of_all() -> None:
    whole, part = load("split-digits"), load("split-digits", test_examples=10)
    for full, task in zip(whole, part, strict=True):
        assert len(task.test) == 10
        assert len(task.train) == len(full.train)
        rows = [bytes(x.numpy().tobytes()) for x in full.test.x]
        assert all(bytes(x.numpy().tobytes()) in rows for x in task.test.x)
    again = load("split-digits", test_examples=10)
    assert all(torch.equal(a.test.x, b.test.x) for a, b in zip(part, again, strict=True))
    other = load("split-digits", test_examples=10, seed=1)
    assert not all(torch.equal(a.test.x, b.test.x) for a, b in zip(part, other, strict=True))
    pairs = load("domains", tasks="digits@invert:digits", test_examples=7)[0].test
    assert pairs.target is not None
    assert len(pairs.target) == 7
    assert torch.equal(pairs.x, 255 - pairs.target)
    assert "at most 10 test examples per task, drawn by seed 0" in part.notes
    with pytest.raises(BadInput, match="test_examples is 0"):
        load("split-digits", test_examples=0)
