"""Data sets, loaders and other iterables: all pieces are collected, and none is read as what it is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from growmix.data import collecting
from growmix.data.domain import Domain
from growmix.data.task import TaskData, check_examples, check_task
from growmix.errors import BadInput
from growmix.system import memory
from handed_over import (
    BYTES,
    FLOATS,
    LABELS,
    Items,
    Named,
    batches,
    iter_of,
)


@given(st.integers(1, 4), st.integers(1, 9), st.sampled_from(["array", "data set", "loader", "batches", "vectors"]))
def test_vectors_in_pieces_are_the_vectors(batch: int, size: int, kind: str) -> None:
    x = np.random.default_rng(size).normal(size=(7, size)).astype(np.float32)
    given_x: dict[str, Callable[[], Any]] = {
        "array": lambda: x,
        "data set": lambda: Items(x),
        "loader": lambda: DataLoader(Items(x), batch_size=batch),
        "batches": lambda: (x[k : k + batch] for k in range(0, 7, batch)),
        "vectors": lambda: iter(x),
    }
    for like in (None, Domain((size,), "real")):
        assert torch.equal(check_examples(given_x[kind](), like), torch.tensor(x))


def test_lists_and_pieces_of_images_are_targets_too() -> None:
    source, target = FLOATS[:, :1], FLOATS
    kinds = [
        (source, target.tolist()),
        TensorDataset(torch.tensor(source), torch.tensor(target)),
        ((source[k : k + 4], target[k : k + 4]) for k in range(0, 11, 4)),
        Named(("image", "target"), source, target),
    ]
    for kind in kinds:
        task = check_task(kind)
        assert task.y is None
        assert task.target is not None
        assert torch.equal(task.target, torch.tensor(target))


def test_labels_that_come_with_images_are_not_even_looked_at() -> None:
    junk = [object()] * 11
    assert torch.equal(check_examples(Items(FLOATS, junk)), torch.tensor(FLOATS))
    assert torch.equal(check_examples(TaskData(torch.tensor(FLOATS), None)), torch.tensor(FLOATS))


ANSWERS = FLOATS[:, :, ::-1].copy()


PAIRS: dict[str, Callable[[], Any]] = {
    "tuples": lambda: Items(FLOATS, ANSWERS),
    "dictionaries": lambda: Named(("x", "target"), FLOATS, ANSWERS),
    "loader": lambda: DataLoader(Items(FLOATS, ANSWERS), batch_size=4),
    "loader-of-tensors": lambda: DataLoader(TensorDataset(torch.tensor(FLOATS), torch.tensor(ANSWERS)), batch_size=2),
    "loader-of-ready-batches": lambda: DataLoader(iter_of(*zip([FLOATS], [ANSWERS], strict=True)), batch_size=None),
    "lists-of-batches": lambda: ([FLOATS[k : k + 4], ANSWERS[k : k + 4]] for k in range(0, 11, 4)),
    "tuples-of-batches": lambda: ((FLOATS[k : k + 4], ANSWERS[k : k + 4].tolist()) for k in range(0, 11, 4)),
}


@pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS)
def test_pairs_of_like_images_are_learnt_and_their_sources_alone_are_looked_at_elsewhere(
    make: Callable[[], Any],
) -> None:
    task = check_task(make())
    assert torch.equal(task.x, torch.tensor(FLOATS))
    assert task.target is not None and torch.equal(task.target, torch.tensor(ANSWERS))
    assert torch.equal(check_examples(make(), Domain((3, 5, 4))), torch.tensor(FLOATS))


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 5, 4)])
def test_tuples_of_two_images_are_pairs(shape: tuple[int, ...]) -> None:
    x, target = FLOATS[:, : shape[0]], ANSWERS[:, : shape[0]]
    task = check_task(zip(x, target, strict=True))
    assert torch.equal(task.x, torch.tensor(x))
    assert task.target is not None and torch.equal(task.target, torch.tensor(target))


def two_by_two(x: Any) -> list[list[Any]]:
    return [[x[k], x[k + 1]] for k in range(0, 10, 2)]


LISTS_OF_IMAGES: dict[str, Callable[[], Any]] = {
    "iterable": lambda: iter(two_by_two(FLOATS)),
    "tensors": lambda: iter(two_by_two(torch.tensor(FLOATS))),
    "nested-lists": lambda: iter(two_by_two(FLOATS.tolist())),
    "pictures": lambda: iter(two_by_two([Image.fromarray(image.transpose(1, 2, 0)) for image in BYTES])),
    "rows": lambda: Items(two_by_two(BYTES.reshape(11, -1))),
    "unlike-images": lambda: Items([[FLOATS[0], FLOATS[1, :, 1:]]] * 5),
    "data-set": lambda: Items(two_by_two(FLOATS)),
    "loader-that-makes-no-batches": lambda: DataLoader(Items(two_by_two(torch.tensor(FLOATS))), batch_size=None),
    "loader": lambda: DataLoader(Items(FLOATS), batch_size=2, collate_fn=list),
    "loader-of-tuples": lambda: DataLoader(Items(FLOATS), batch_size=2, collate_fn=tuple),
    "loader-of-threes": lambda: DataLoader(Items(FLOATS), batch_size=3, collate_fn=list),
}


@pytest.mark.parametrize("make", LISTS_OF_IMAGES.values(), ids=LISTS_OF_IMAGES)
def test_a_list_of_examples_is_no_pair(make: Callable[[], Any]) -> None:
    for like in (None, Domain((3, 5, 4)), Domain((60,), "real")):
        for check in (check_examples, check_task):
            with pytest.raises(BadInput, match=r"is two examples|tuples of 3"):
                check(make(), like)


def test_labels_that_are_not_looked_at_may_have_two_axes() -> None:
    for x in (FLOATS.reshape(11, 60), FLOATS):
        loader = DataLoader(TensorDataset(torch.tensor(x), torch.eye(11)), batch_size=4)
        assert len(check_examples(loader)) == 11


def test_single_images_with_one_hot_labels_may_be_gray_batches() -> None:
    one_hot = np.eye(3, dtype=int)[LABELS % 3]
    with pytest.raises(BadInput, match=r"\(3, 5, 4\) and \(3,\), which may be one image or several"):
        check_task(zip(FLOATS, one_hot, strict=True))
    like = Domain((3, 5, 4))
    assert torch.equal(check_examples(zip(FLOATS, one_hot, strict=True), like), torch.tensor(FLOATS))
    with pytest.raises(BadInput, match=r"y has shape \(11, 3\)"):
        check_task(zip(FLOATS, one_hot, strict=True), like)
    for gray in (iter([(FLOATS[:, 0], LABELS)]), iter([(FLOATS[:1, 0], LABELS[:1])]), iter([FLOATS[:, 0]])):
        with pytest.raises(BadInput, match=r"one image or several; give batches of shape \(n, channels"):
            check_task(gray)


def test_a_loader_of_batches_of_one_may_leave_out_their_axis() -> None:
    def loader(*columns: Any) -> DataLoader[Any]:
        return DataLoader(Items(*columns), batch_size=1, collate_fn=lambda rows: rows[0])

    task = check_task(loader(FLOATS, LABELS))
    assert torch.equal(task.x, torch.tensor(FLOATS))
    assert task.y is not None and task.y.tolist() == LABELS.tolist()
    assert torch.equal(check_examples(loader(FLOATS), Domain((3, 5, 4))), torch.tensor(FLOATS))
    with pytest.raises(BadInput, match="without labels, which may be one image or several"):
        check_task(DataLoader(Items(FLOATS), batch_size=1, collate_fn=list))


@pytest.mark.parametrize("axes", [lambda image: image[0], lambda image: image.transpose(1, 2, 0)], ids=["gray", "rgb"])
def test_single_pictures_are_not_taken_for_rows_of_vectors(axes: Callable[[np.ndarray], np.ndarray]) -> None:
    pictures = [Image.fromarray(axes(image)) for image in BYTES]
    for pieces in (iter(pictures), zip(pictures, LABELS, strict=True)):
        with pytest.raises(BadInput, match=r"data yields single pictures; give arrays \(n, channels, height, width\)"):
            check_task(pieces)


class Torn(Exception):
    """The user's own."""


def torn(after: int, error: BaseException) -> Iterator[Any]:
    yield from list(batches())[:after]
    raise error


class TornItems(Items):
    def __getitem__(self, i: int) -> Any:
        if i == 7:
            raise Torn("the file is gone\nand its folder")
        return super().__getitem__(i)


class TornRow(dict[str, Any]):
    """As rows that are decoded when they are asked for."""

    def __getitem__(self, key: str) -> Any:
        raise Torn(f"no {key}")


class TornFlow(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise Torn("no file at all")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: torn(2, Torn("the file is gone")), "batch 2"),
        (lambda: torn(0, StopAsyncIteration()), "batch 0"),
        (lambda: torn(0, Torn("megabytes of it" * 100_000)), "batch 0"),
        (lambda: torn(1, RuntimeError("a tensor that is none")), "batch 1"),
        (lambda: TornItems(FLOATS, LABELS), "example 7"),
        (lambda: DataLoader(TornItems(FLOATS, LABELS), batch_size=4), "batch 1"),
        (lambda: DataLoader(TornItems(FLOATS, LABELS), batch_size=4, num_workers=1), "batch 1"),
        (TornFlow, "example 0"),
        (lambda: iter([{"x": FLOATS, "y": LABELS}, TornRow(x=FLOATS, y=LABELS)]), "batch 1"),
    ],
)
def test_an_exception_of_the_users_own_data_is_the_cause_of_one_that_says_where(
    make: Callable[[], Any], place: str
) -> None:
    for check, name in ((check_task, "data"), (check_examples, "x")):
        with pytest.raises(BadInput, match=f"{name} failed at {place}: ") as caught:
            check(make())
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
        assert isinstance(caught.value.__cause__, (Torn, StopAsyncIteration, RuntimeError))


def test_an_interruption_passes_as_it_is() -> None:
    with pytest.raises(KeyboardInterrupt):
        check_task(torn(2, KeyboardInterrupt()))


@pytest.mark.slow
def test_an_endless_iterable_ends_where_memory_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(collecting, "available", lambda: 10**5)
    for endless, place in (
        (FLOATS[:1], "batch 79"),  # 240 bytes each, and what a piece takes beside them
        ((FLOATS[:1], ["cat"]), "batch 75"),
        ((FLOATS[:1], LABELS[:1]), "batch 78"),
    ):
        with pytest.raises(BadInput, match=rf"data up to {place} needs about 9\d\.. KiB"):
            check_task(itertools.repeat(endless))


def reused(kind: str) -> Iterator[Any]:
    """Batches of three in one and the same memory."""
    x, y = np.empty((3, 3, 5, 4), np.float32), np.empty(3, int)
    names = [""] * 3
    for k in range(3):
        x[:], y[:], names[:] = FLOATS[3 * k : 3 * k + 3], k, ["abc"[k]] * 3
        yield (torch.from_numpy(x), torch.from_numpy(y)) if kind == "tensor" else (x, names if kind == "names" else y)


@pytest.mark.parametrize("kind", ["tensor", "array", "names"])
def test_a_buffer_may_be_used_again_for_the_next_batch(kind: str) -> None:
    task = check_task(reused(kind))
    assert torch.equal(task.x, torch.tensor(FLOATS[:9]))
    assert task.y is not None
    assert task.y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert task.names == (("a", "b", "c") if kind == "names" else ())


def test_single_images_are_taken_where_the_shape_is_known() -> None:
    for pieces in (iter(FLOATS), DataLoader(iter_of(*FLOATS), batch_size=None), DataLoader(Items(FLOATS), None)):
        assert torch.equal(check_examples(pieces, Domain((3, 5, 4))), torch.tensor(FLOATS))
    with pytest.raises(BadInput, match="one image or several"):
        check_examples(iter(FLOATS), Domain((1, 5, 4)))


def test_a_dataset_and_a_loader_are_images_too() -> None:
    x = torch.rand(7, 1, 4, 4)
    dataset = TensorDataset(x, torch.arange(7))
    for kind in (dataset, DataLoader(dataset, batch_size=3)):
        torch.testing.assert_close(check_examples(kind), x)
