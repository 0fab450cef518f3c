"""The data of one task: every way to hand them over is the same task, and what is none is refused."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from growmix.data.domain import Domain
from growmix.data.task import TaskData, as_float, check_task
from growmix.errors import BadInput
from growmix.streams import from_arrays
from handed_over import (
    BYTES,
    FLOATS,
    LABELS,
    NAMES,
    Items,
    Named,
    Table,
    batches,
    iter_of,
)


class Flow(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from zip(FLOATS, LABELS, strict=True)


class Batches(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from batches()


class OwnIterable:
    def __iter__(self) -> Iterator[Any]:
        return batches(3)


LABELLED: dict[str, Callable[[], Any]] = {
    "arrays": lambda: (FLOATS, LABELS),
    "double-precision": lambda: (FLOATS.astype(np.float64), LABELS.astype(np.int32)),
    "tensors": lambda: (torch.tensor(FLOATS), torch.tensor(LABELS)),
    "lists": lambda: (FLOATS.tolist(), LABELS.tolist()),
    "strided": lambda: (np.asfortranarray(FLOATS)[::-1][::-1], LABELS),
    "task-data": lambda: TaskData(torch.tensor(FLOATS), torch.tensor(LABELS)),
    "tensor-dataset": lambda: TensorDataset(torch.tensor(FLOATS), torch.tensor(LABELS)),
    "dataset-of-arrays": lambda: Items(FLOATS, LABELS),
    "dataset-of-lists": lambda: Items(list(torch.tensor(FLOATS)), LABELS.tolist()),
    "iterable-dataset": Flow,
    "loader-with-a-partial-batch": lambda: DataLoader(Items(FLOATS, LABELS), batch_size=4),
    "loader-of-an-iterable": lambda: DataLoader(Flow(), batch_size=3),
    "other-byte-order": lambda: (FLOATS.astype(FLOATS.dtype.newbyteorder()), LABELS.astype(">i4")),
    "lists-of-tensors": lambda: (list(torch.tensor(FLOATS).requires_grad_()), list(torch.tensor(LABELS))),
    "expanded-tensor": lambda: (torch.tensor(FLOATS[:, :, None]).expand(-1, -1, 1, -1, -1)[:, :, 0], LABELS),
    "masked-without-a-mask": lambda: (np.ma.MaskedArray(FLOATS), np.ma.MaskedArray(LABELS)),
    "table-of-labels": lambda: (FLOATS, Table(LABELS)),
    "dictionaries": lambda: Named(("image", "label"), FLOATS, LABELS),
    "loader-of-dictionaries": lambda: DataLoader(Named(("x", "y"), FLOATS, LABELS), batch_size=4),
    "loader-that-makes-no-batches": lambda: DataLoader(Items(FLOATS, LABELS), batch_size=None),
    "loader-of-ready-batches": lambda: DataLoader(Batches(), batch_size=None),
    "generator-of-batches": batches,
    "generator-of-examples": lambda: zip(FLOATS, LABELS, strict=True),
    "dictionaries-of-targets": lambda: Named(("img", "targets"), FLOATS, LABELS),
    "own-iterable": lambda: OwnIterable(),
    "images-in-pieces-and-labels": lambda: (DataLoader(Items(FLOATS), batch_size=4), LABELS),
    "images-of-a-task-and-labels": lambda: (TaskData(torch.tensor(FLOATS)), LABELS),
    "list-of-batches": lambda: DataLoader(TensorDataset(torch.tensor(FLOATS), torch.tensor(LABELS)), batch_size=11),
}


UNLABELLED: dict[str, Callable[[], Any]] = {
    "array": lambda: FLOATS,
    "tensor": lambda: torch.tensor(FLOATS),
    "list": lambda: FLOATS.tolist(),
    "list-of-tensors": lambda: list(torch.tensor(FLOATS)),
    "pair-with-none": lambda: (FLOATS, None),
    "dataset": lambda: Items(FLOATS),
    "loader": lambda: DataLoader(Items(FLOATS), batch_size=4),
    "loader-of-tuples": lambda: DataLoader(TensorDataset(torch.tensor(FLOATS)), batch_size=4),
    "dictionaries": lambda: Named(("pixel_values",), FLOATS),
    "generator-of-images": lambda: (x for x, _ in batches()),
    "pairs-with-none": lambda: Items(FLOATS, [None] * 11),
}


def name_loader() -> DataLoader[Any]:
    return DataLoader(Items(FLOATS, NAMES), batch_size=5, collate_fn=lambda rows: tuple(zip(*rows, strict=True)))


class Animal(str, enum.Enum):
    DOG, CAT, ANT, OTHER = "dog", "cat", "ant", "a b"


NAMED: dict[str, Callable[[], Any]] = {
    "members-of-an-enumeration": lambda: (FLOATS, [None if name is None else Animal(name) for name in NAMES]),
    "batches-of-a-table": lambda: (
        (FLOATS[i:j], Table(np.array(NAMES[i:j], dtype=object))) for i, j in ((0, 3), (3, 4), (4, 11))
    ),
    "generator-of-examples": lambda: zip(FLOATS, NAMES, strict=True),
    "list": lambda: (FLOATS, NAMES),
    "tuple": lambda: (FLOATS, tuple(NAMES)),
    "objects": lambda: (FLOATS, np.array(NAMES, dtype=object)),
    "table": lambda: (FLOATS, Table(np.array(NAMES, dtype=object))),
    "dataset": lambda: Items(FLOATS, NAMES),
    "dictionaries": lambda: Named(("img", "label"), FLOATS, NAMES),
    "batches": lambda: ((FLOATS[k : k + 3], NAMES[k : k + 3]) for k in range(0, 11, 3)),
    "batches-one-of-which-has-no-name": lambda: ((FLOATS[i:j], NAMES[i:j]) for i, j in ((0, 3), (3, 4), (4, 11))),
    "task-data": lambda: check_task((FLOATS, NAMES)),
}


@pytest.mark.parametrize("make", NAMED.values(), ids=NAMED)
def test_names_are_numbered_in_the_order_in_which_they_appear(make: Callable[[], Any]) -> None:
    task = check_task(make())
    assert task.names == ("dog", "cat", "ant", "a b")
    assert task.y is not None
    assert task.y.tolist() == [0, 1, 0, -1, 2, 1, 2, -1, 0, 3, 3]
    assert torch.equal(task.x, torch.tensor(FLOATS))


@given(st.lists(st.sampled_from("abcdef") | st.none(), min_size=4, max_size=9), st.permutations("abcdef"))
def test_names_keep_the_numbers_that_they_have(given: list[str | None], known: list[str]) -> None:
    x = torch.rand(len(given), 1, 2, 2)
    if not any(given):
        return
    task = check_task((x, given)).numbered_after(tuple(known[:3]))
    assert task.names[:3] == tuple(known[:3])
    assert set(task.names[3:]) == set(filter(None, given)) - set(known[:3])
    assert task.y is not None
    assert [None if k < 0 else task.names[k] for k in task.y.tolist()] == given


def test_tens_of_thousands_of_names_are_numbered_at_once() -> None:
    known = tuple(f"{k}" for k in range(20_000))
    task = check_task((np.random.default_rng(0).random((40_000, 1)), [f"{k}" for k in range(39_999, -1, -1)]))
    again = task.numbered_after(known)  # looked for one by one, each among all, they would take a minute
    assert again.y is not None and (again.y[-20_000:].tolist(), again.names[:20_000]) == (
        [*range(19_999, -1, -1)],
        known,
    )
    assert [again.names[k] for k in again.y.tolist()] == [task.names[k] for k in range(40_000)]


@pytest.mark.parametrize("make", LABELLED.values(), ids=LABELLED)
def test_every_kind_of_labelled_data_is_the_same_task(make: Callable[[], Any]) -> None:
    task = check_task(make(), Domain((3, 5, 4)))
    assert task.x.dtype == torch.float32
    assert task.x.is_contiguous()
    assert not task.x.requires_grad
    assert torch.equal(task.x, torch.tensor(FLOATS))
    assert task.y is not None
    assert task.y.dtype == torch.int64
    assert task.y.tolist() == LABELS.tolist()
    assert task.classes() == (0, 1, 2, 5)
    assert (len(task), task.shape) == (11, (3, 5, 4))


@pytest.mark.parametrize("make", UNLABELLED.values(), ids=UNLABELLED)
def test_every_kind_of_unlabelled_data_is_the_same_task(make: Callable[[], Any]) -> None:
    task = check_task(make())
    assert torch.equal(task.x, torch.tensor(FLOATS))
    assert task.y is None
    assert task.classes() == ()


@pytest.mark.parametrize("y", [[None] * 11, (None,) * 11, np.array([None] * 11)], ids=["list", "tuple", "array"])
def test_labels_that_are_all_missing_are_those_of_unlabelled_examples(y: Any) -> None:
    task = check_task((FLOATS, y))
    assert task.y is not None and task.y.tolist() == [-1] * 11 and task.names == ()


LISTS_OF_NONE: dict[str, Callable[[], Any]] = {
    "batches": lambda: ((FLOATS[k : k + 4], [None] * len(FLOATS[k : k + 4])) for k in range(0, 11, 4)),
    "batches-of-a-table": lambda: iter([(FLOATS, Table(np.array([None] * 11)))]),
    "dictionaries": lambda: iter([{"x": FLOATS, "y": (None,) * 11}]),
    "images-in-pieces": lambda: (Items(FLOATS), [None] * 11),
    "examples-without": lambda: (Items(FLOATS, [None] * 11), [None] * 11),
}


@pytest.mark.parametrize("make", LISTS_OF_NONE.values(), ids=LISTS_OF_NONE)
def test_a_list_of_none_says_the_same_wherever_labels_come_as_a_list(make: Callable[[], Any]) -> None:
    task = check_task(make())
    assert task.y is not None and task.y.tolist() == [-1] * 11 and task.names == ()


def test_none_in_place_of_labels_says_that_there_are_none() -> None:
    for data in ((FLOATS, None), iter([(FLOATS, None)]), iter([{"x": FLOATS, "y": None}]), Items(FLOATS, [None] * 11)):
        assert check_task(data).y is None


def test_checked_data_are_brought_to_another_support() -> None:
    pixels = check_task(BYTES)
    as_numbers = check_task(pixels, support="real")
    assert as_numbers.support == "real"
    assert torch.equal(as_numbers.x, torch.tensor(FLOATS)), "a byte stands for its share of 255"
    assert torch.equal(check_task(pixels, Domain((3, 5, 4), "real")).x, as_numbers.x)
    again = check_task(as_numbers, Domain((3, 5, 4), "unit"))
    assert again.support == "unit" and torch.equal(again.x, torch.tensor(FLOATS))
    with pytest.raises(BadInput, match=r"numbers from .* floats must be in \[0, 1\]"):
        check_task(check_task(FLOATS * 2, support="real"), support="unit")
    kept = check_task((check_task(FLOATS - 1, support="real"), LABELS))
    assert kept.support == "real" and kept[2:5].support == "real"
    assert kept.y is not None and kept.y.tolist() == LABELS.tolist()


def test_pairs_are_of_images_with_pixels() -> None:
    vectors, images = FLOATS.reshape(11, 60), FLOATS
    with pytest.raises(BadInput, match="sources that are vectors; only images"):
        check_task((vectors, images))
    with pytest.raises(BadInput, match="sources that are images of real support; only images"):
        check_task((images, images), support="real")
    with pytest.raises(BadInput, match=r"target has shape \(11, 5, 4\); .*x\[:, None\]"):
        check_task((images, images[:, 0]))
    with pytest.raises(BadInput, match=r"y has shape \(11, 60\)"):
        check_task((images, vectors))


class UnwillingToTrain:
    @property
    def train(self) -> Any:
        raise ZeroDivisionError("spite")


@pytest.mark.parametrize("names", [("a", "a"), (None, None), (1, 2), ("", ""), "ab", 5, ("a\0", "b")])
def test_names_of_a_task_are_different_strings(names: Any) -> None:
    with pytest.raises(BadInput, match=r"names is .*different names"):
        check_task(TaskData(torch.tensor(FLOATS), torch.tensor([0, 1] * 5 + [0]), names=names))


class OwnList(list[Any]):
    """A list of the user's own."""


BAD_TASKS: dict[str, tuple[Any, str]] = {
    "none": (None, "NoneType"),
    "a-property-that-raises": (UnwillingToTrain(), "data is a UnwillingToTrain; allowed are"),
    "a-task": (from_arrays([(FLOATS, LABELS, FLOATS, LABELS)])[0], "data is a Task; .*give its train"),
    "tasks": (
        from_arrays([(FLOATS, LABELS, FLOATS, LABELS)]),
        "data can't be read from a Task; real numbers are needed",
    ),
    "many-keys": (Named(tuple(f"key {k}" for k in range(99)), *[FLOATS] * 99), r"'key 0'.*\.\.\.; one of x"),
    "text": ("mnist", "str"),
    "a-dictionary": ({"x": FLOATS}, "dict"),
    "three-things": ((FLOATS, LABELS, LABELS), "tuple"),
    "one-example": ((FLOATS[:1], LABELS[:1]), "1 example;"),
    "three-examples": (FLOATS[:3], "3 examples"),
    "alike": (np.full((9, 1, 4, 4), 0.3), "alike"),
    "alike-bytes": (np.repeat(BYTES[:1], 9, 0), "alike"),
    "empty-pair": ((FLOATS[:0], LABELS[:0]), "empty"),
    "empty-dataset": (Items(FLOATS[:0]), "empty"),
    "empty-loader": (DataLoader(Items(FLOATS[:1]), batch_size=4, drop_last=True), "empty"),
    "list-of-pair": ([FLOATS, LABELS], "floats and whole numbers"),
    "labels-of-pieces-and-none": ((Items(FLOATS, LABELS), None), "labels of its own"),
    "labels-of-a-task-and-none": ((TaskData(torch.tensor(FLOATS), torch.tensor(LABELS)), None), "labels of its own"),
    "labels-of-pieces-and-others": ((Items(FLOATS, LABELS), np.zeros(11, dtype=int)), "labels of its own"),
    "labels-of-batches-and-others": ((DataLoader(Items(FLOATS, LABELS), batch_size=4), LABELS), "labels of its own"),
    "labels-of-a-task-and-others": (
        (TaskData(torch.tensor(FLOATS), torch.tensor(LABELS)), LABELS),
        "labels of its own",
    ),
    "labels-of-pieces-and-targets": ((Items(FLOATS, LABELS), FLOATS), "labels of its own"),
    "targets-of-pieces-and-labels": ((Items(FLOATS, FLOATS), LABELS), "targets of its own"),
    "a-batch-with-too-few-labels": (
        iter([(FLOATS[:5], [0] * 4), (FLOATS[5:], [1] * 7)]),
        "y has 4 labels in batch 0, but x has 5",
    ),
    "a-batch-with-too-many-names": (
        iter([(FLOATS[:5], ["a"] * 5), (FLOATS[5:], ["b"] * 7)]),
        "y has 7 labels in batch 1, but x has 6",
    ),
    "a-batch-without-labels": (iter([(FLOATS[:5], None), (FLOATS[5:], ["b"] * 6)]), "a label for 1 of 2"),
    "several-names-of-an-example": (Items(FLOATS, [["a", "b"]] * 11), "y has 2 names in example 0"),
    "an-own-name-for-labels": (Named(("image", "lable"), FLOATS, LABELS), r"\['image', 'lable'\].*targets"),
    "a-batch-of-an-own-name-for-labels": (iter([{"image": FLOATS, "lable": LABELS}]), r"\['image', 'lable'\]"),
    "single-colour-images": (iter(FLOATS), r"\(3, 5, 4\) without labels.*\(n, channels"),
    "single-gray-images": (iter(FLOATS[:, :1]), r"\(1, 5, 4\) without labels"),
    "gray-batches-of-a-loader-that-makes-none": (DataLoader(iter_of(FLOATS[:3, 0]), batch_size=None), r"\(3, 5, 4\)"),
    "a-list-of-two-images": (DataLoader(Items(FLOATS[:10]), batch_size=2, collate_fn=list), "batch 0 is two examples"),
    "mapping-without-images": (Named(("pictures", "label"), FLOATS, LABELS), r"\['label', 'pictures'\].*pixel_values"),
    "mapping-with-two-labels": (Named(("x", "y", "label"), FLOATS, LABELS, LABELS), "at most one of y, label"),
    "labels-of-two-kinds": (Items(FLOATS, ["cat"] * 10 + [3]), "y has names .* numbers"),
    "batches-of-two-kinds": (iter([(FLOATS[:5], ["cat"] * 5), (FLOATS[5:], LABELS[5:])]), "names"),
    "bytes-and-floats": (iter([BYTES[:5], FLOATS[5:]]), "floats and whole numbers"),
    "batches-of-a-number-and-a-label": (iter([(0.5, [1]), (0.25, [2])]), r"shape \(2,\)"),
    "truth-in-lists-of-an-own-kind": (([*FLOATS], [OwnList([True, 2])]), "truth values"),
    "batches-of-one-number": (iter([0.5, 0.25]), r"shape \(2,\)"),
    "text-in-pieces": (iter(["mnist"] * 4), "numbers are needed"),
    "names-of-pairs": (TaskData(torch.tensor(FLOATS), torch.tensor(LABELS), names=("cat",)), "label 5.*names for 1"),
    "triples": (Items(FLOATS, LABELS, LABELS), "tuples of 3"),
    "unlike-items": (Items([FLOATS[0], FLOATS[1][:, :4]] * 2), "unlike shape"),
    "half-labelled-items": (Items([(FLOATS[0], 1), FLOATS[1], FLOATS[2], FLOATS[3]]), "label for 1 of 4"),
}


@pytest.mark.parametrize(("data", "says"), BAD_TASKS.values(), ids=BAD_TASKS)
def test_data_that_are_no_task_are_refused_in_one_line_that_says_why(data: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        check_task(data)
    assert "\n" not in str(caught.value)


def test_four_examples_of_which_one_differs_are_a_task() -> None:
    x = np.zeros((4, 1, 2, 2))
    x[3, 0, 1, 1] = 1.0
    assert len(check_task(x)) == 4


def test_rows_of_a_task_keep_their_labels() -> None:
    task = check_task((FLOATS, LABELS))
    part = task[torch.tensor([3, 8])]
    assert part.y is not None
    assert part.y.tolist() == [-1, 5]
    assert torch.equal(part.x, task.x[[3, 8]])
    assert torch.equal(task.images(torch.tensor([8])), task.x[8:9])


@given(st.integers(0, 255))
def test_a_byte_is_its_share_of_255(value: int) -> None:
    assert float(as_float(torch.tensor([value], dtype=torch.uint8))) == pytest.approx(value / 255)
