"""Everything a user may hand over, and everything they may not."""

from __future__ import annotations

import enum
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.masked import masked_tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from growmix.data import collecting
from growmix.data.arrays import like_given
from growmix.data.domain import Domain
from growmix.data.labels import check_labels, label_positions
from growmix.data.task import TaskData, as_float, check_examples, check_task
from growmix.errors import BadInput
from growmix.streams import from_arrays
from growmix.system import memory

BYTES = np.random.default_rng(0).integers(0, 256, (11, 3, 5, 4), dtype=np.uint8)
FLOATS = BYTES.astype(np.float32) / np.float32(255)
LABELS = np.array([0, 1, 2, -1, 0, 1, 2, -1, 5, 5, 0])


class Items(Dataset[Any]):
    def __init__(self, *columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, i: int) -> Any:
        row = tuple(column[i] for column in self.columns)
        return row if len(row) > 1 else row[0]


class Table:
    """What is known of a table of pandas or the like: it gives itself as an array when asked."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.ndim = values, values.shape, values.ndim

    def __iter__(self) -> Iterator[str]:
        yield from "columns"

    def to_numpy(self) -> np.ndarray:
        return self.values


class Named(Items):
    def __init__(self, keys: tuple[str, ...], *columns: Any) -> None:
        super().__init__(*columns)
        self.keys = keys

    def __getitem__(self, i: int) -> Any:
        return {key: column[i] for key, column in zip(self.keys, self.columns, strict=True)}


def batches(size: int = 4) -> Iterator[Any]:
    for start in range(0, 11, size):
        yield FLOATS[start : start + size], LABELS[start : start + size]


class Flow(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from zip(FLOATS, LABELS, strict=True)


def iter_of(*pieces: Any) -> IterableDataset[Any]:
    class Given(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter(pieces)

    return Given()


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

NAMES = ["dog", "cat", "dog", None, "ant", "cat", "ant", None, "dog", "", ""]
NAMES[9] = NAMES[10] = "a b"


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


@pytest.mark.parametrize("dtype", ["U5", object])
def test_arrays_of_strings_are_names(dtype: Any) -> None:
    labels, names = check_labels(np.array(["dog", "cat", "dog"], dtype=dtype), 3)
    assert (labels.tolist(), names) == ([0, 1, 0], ("dog", "cat"))


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
    began = time.process_time()
    again = task.numbered_after(known)
    assert time.process_time() - began < 2  # looked for one by one, each among all, they take a minute
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


@pytest.mark.parametrize(
    "given", [BYTES, torch.tensor(BYTES), BYTES.astype(np.int64), torch.tensor(BYTES).int(), BYTES.tolist()]
)
def test_bytes_stay_bytes_until_they_are_asked_for(given: Any) -> None:
    images = check_examples(given)
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.tensor(BYTES))
    assert torch.equal(TaskData(images).images(), torch.tensor(FLOATS))
    assert torch.equal(images, torch.tensor(BYTES)), "asking for floats must not change the bytes"


@pytest.mark.parametrize("binary", [BYTES > 127, torch.tensor(BYTES > 127)])
def test_booleans_are_zeros_and_ones(binary: Any) -> None:
    assert torch.equal(check_examples(binary), torch.tensor((BYTES > 127).astype(np.float32)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_any_width_become_single_precision(dtype: torch.dtype) -> None:
    assert check_examples(torch.rand(3, 1, 4, 4).to(dtype)).dtype == torch.float32


def test_two_axes_are_vectors_and_three_are_refused_with_both_ways_out() -> None:
    x = np.random.default_rng(0).random((50, 16)).astype(np.float32)
    task = check_task(x)
    assert torch.equal(task.x, torch.tensor(x))
    assert task.domain == Domain((16,), "real")
    with pytest.raises(BadInput, match=r"x has shape \(50, 4, 4\); .*x\[:, None\] makes gray images.* vectors"):
        check_task(x.reshape(50, 4, 4))


def test_images_are_of_pixels_and_vectors_of_any_numbers_unless_the_support_says_otherwise() -> None:
    images, vectors = torch.tensor(FLOATS), torch.tensor(FLOATS).reshape(11, 60)
    assert check_task(images).support == "unit"
    assert check_task(images * 9 - 4, support="real").domain == Domain((3, 5, 4), "real")
    assert check_task(vectors, support="unit").domain == Domain((60,), "unit")
    assert check_task(BYTES.reshape(11, 60), support="unit").x.dtype == torch.uint8
    for data in (vectors * 9, vectors - 0.5):
        with pytest.raises(BadInput, match=r"x has numbers from .*floats must be in \[0, 1\].*support='real'"):
            check_task(data, support="unit")
    for wrong in ("bytes", 5, ["unit"], True):
        with pytest.raises(BadInput, match=r"support is .*; allowed are 'unit', 'real' and None"):
            check_task(vectors, support=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.int64, np.uint16, np.float16, np.float64, np.bool_, np.longdouble]
)
def test_real_numbers_of_any_type_are_themselves_in_single_precision(dtype: Any) -> None:
    x = np.array([[0, 1], [2, 100], [1, 1], [1, 0]]).astype(dtype)
    for kind in (x, x.tolist(), Table(x), Items(x), *([torch.tensor(x)] if dtype != np.longdouble else [])):
        task = check_task(kind)
        assert task.x.dtype == torch.float32
        assert task.x.tolist() == x.astype(float).tolist()


@pytest.mark.parametrize("value", [1e30, -1e30, 1.00000001, -1e-50, 2**40])
def test_any_finite_number_is_real_and_rounded_to_single_precision(value: float) -> None:
    x = np.full((4, 3), 0.5)
    x[1, 2] = value
    for kind in (x, torch.tensor(x), x.tolist(), iter([x])):
        assert float(check_examples(kind)[1, 2]) == pytest.approx(value, rel=1e-6, abs=1e-37)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e300])
def test_what_is_not_finite_in_single_precision_is_no_real_number(value: float) -> None:
    x = np.full((4, 3), 0.5)
    x[1, 2] = value
    for kind in (x, torch.tensor(x), x.tolist(), Items(x)):
        with pytest.raises(BadInput, match="NaN or infinite"):
            check_task(kind)


UNLIKE: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "rows-of-pixels-for-images": (
        (50, 16),
        (1, 4, 4),
        r"x has 50 vectors of 16 numbers, but images of shape \(1, 4, 4\) were learnt; reshape them to \(n, 1, 4, 4\)",
    ),
    "other-vectors-for-images": ((50, 9), (1, 4, 4), r"; give images of shape \(1, 4, 4\) or start a new mixture"),
    "images-for-vectors": (
        (50, 1, 4, 4),
        (16,),
        r"x has images of shape \(1, 4, 4\), but vectors of 16 numbers were learnt; reshape them to \(n, 16\) or ",
    ),
    "other-images-for-vectors": ((50, 1, 4, 4), (9,), "; give vectors of 9 numbers or start a new mixture"),
    "other-vectors": ((50, 9), (16,), "x has 50 vectors of 9 numbers, but vectors of 16 .*the same columns or start"),
    "other-images": ((50, 3, 4, 4), (1, 4, 4), r"x has images of shape \(3, 4, 4\), but .* were learnt; resize them"),
    "three-axes": ((50, 4, 4), (1, 4, 4), r"x has shape \(50, 4, 4\); .*x\[:, None\]"),
}


@pytest.mark.parametrize(("given", "learnt", "says"), UNLIKE.values(), ids=UNLIKE)
def test_examples_unlike_those_learnt_are_refused_with_the_way_out(
    given: tuple[int, ...], learnt: tuple[int, ...], says: str
) -> None:
    x = np.random.default_rng(0).random(given)
    for check in (check_examples, check_task):
        with pytest.raises(BadInput, match=says):
            check(x, Domain(learnt, "unit" if len(learnt) == 3 else "real"))


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


def test_a_table_is_vectors_row_by_row() -> None:
    numbers = Table(BYTES.reshape(11, -1)[:, :16])
    task = check_task((numbers, Table(LABELS)))
    assert torch.equal(task.x, torch.tensor(numbers.values).float())
    assert (task.classes(), task.support) == ((0, 1, 2, 5), "real")


class TableWithGaps(Table):
    def isna(self) -> np.ndarray:
        return np.array([value is None or value != value for value in self.values])


def test_what_a_table_calls_missing_is_no_label() -> None:
    gaps = np.array([name or float("nan") for name in NAMES], dtype=object)
    assert check_task((FLOATS, TableWithGaps(gaps))).names == ("dog", "cat", "ant", "a b")
    assert check_task((FLOATS, TableWithGaps(LABELS.astype(object)))).classes() == (0, 1, 2, 5)
    numbers = LABELS.astype(object)
    numbers[3] = None
    with pytest.raises(BadInput, match="numbers are needed"):
        check_task((FLOATS, TableWithGaps(numbers)))


def column(values: Any) -> Table:
    """A column of objects: pandas keeps what it has no type for, such as images, as it is."""
    objects = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        objects[place] = value
    return Table(objects)


def test_a_column_of_images_is_read_like_a_list_of_them() -> None:
    for images in (list(FLOATS), list(torch.tensor(FLOATS).requires_grad_()), FLOATS.tolist()):
        assert torch.equal(check_examples(column(images)), torch.tensor(FLOATS))
    for images, says in (
        ([*(BYTES[:5] > 9), *BYTES[5:]], "truth values and whole numbers"),
        ([FLOATS[0], *(BYTES[1:] > 9).astype(np.uint8)], "floats and whole numbers"),
        (list(np.ma.MaskedArray(FLOATS, FLOATS > 0.5)), "masked"),
        ([*FLOATS[:-1], None], "numbers are needed"),
    ):
        with pytest.raises(BadInput, match=says):
            check_examples(column(images))


class Thrifty(Table):
    """As pyarrow's arrays: to_numpy gives only what need not be copied."""

    def to_numpy(self) -> np.ndarray:
        raise ValueError("zero_copy_only")

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return self.values


class Unwilling:
    @property
    def to_numpy(self) -> Any:
        raise ZeroDivisionError("spite")


class UnwillingToTrain:
    @property
    def train(self) -> Any:
        raise ZeroDivisionError("spite")


def test_what_a_table_will_not_copy_is_copied_for_it() -> None:
    assert check_task((FLOATS, Thrifty(np.array(NAMES, dtype=object)))).names == ("dog", "cat", "ant", "a b")
    for check in (check_examples, check_task):
        with pytest.raises(BadInput, match="can't be read as one array: ZeroDivisionError"):
            check(Unwilling())


def test_arrays_of_pyarrow_are_taken() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    for make in (pyarrow.array, lambda values: pyarrow.chunked_array([values[:4], values[4:]])):
        assert check_task((FLOATS, make(NAMES))).names == ("dog", "cat", "ant", "a b")
        assert check_task((FLOATS, make(LABELS.tolist()))).classes() == (0, 1, 2, 5)
        with pytest.raises(BadInput, match="bool"):
            check_task((FLOATS, make([True, False] * 5 + [True])))


def test_tables_of_pandas_are_taken() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(BYTES.reshape(11, -1)[:, :16])
    assert check_task((frame, pandas.Series(LABELS))).classes() == (0, 1, 2, 5)
    assert check_task((frame, pandas.Series(NAMES))).names == ("dog", "cat", "ant", "a b")
    assert check_task((frame, pandas.Series(NAMES, dtype="string"))).names == ("dog", "cat", "ant", "a b")
    assert check_task((frame, pandas.Series(LABELS, dtype="Int64"))).classes() == (0, 1, 2, 5)
    assert torch.equal(check_examples((frame / 255).astype("Float32")), check_examples((frame / 255).astype("float32")))
    with pytest.raises(BadInput, match="numbers are needed"):
        check_examples((frame / 255).astype("Float32").where(frame > 3))
    assert check_task((frame, pandas.Series(NAMES[:3] * 3 + NAMES[:2], dtype="category"))).names == ("dog", "cat")


def test_memory_maps_are_read_and_left_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", FLOATS.astype(np.float64))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert torch.equal(check_examples(mapped), torch.tensor(FLOATS))
    assert np.array_equal(np.load(tmp_path / "x.npy"), FLOATS.astype(np.float64))


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


def test_what_does_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", 0)
    needed = FLOATS.nbytes
    for have, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(memory, "available", lambda have=have: have)
        monkeypatch.setattr(collecting, "available", lambda have=have: have)
        copied = [FLOATS, FLOATS.astype(np.float64), torch.tensor(FLOATS).double(), list(FLOATS), BYTES[:, :, :] > 9]
        for x in copied:
            if fits:
                check_examples(x)
            else:
                with pytest.raises(BadInput, match=r"2\.6 KiB of memory, but 2\.6 KiB are available"):
                    check_examples(x)
        check_examples(torch.tensor(FLOATS))  # nothing is made of it


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


def test_the_system_says_how_much_memory_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path / "none")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable:   7 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    assert memory.available() == 7 * 1024
    pages: dict[str, int] = {"SC_PHYS_PAGES": 50, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", pages.__getitem__)
    for broken in ("MemTotal: 99 kB\n", "MemAvailable: many kB\n"):
        meminfo.write_text(broken)
        assert memory.available() == 50 * 4096
    meminfo.unlink()  # as on a system that is no Linux
    assert memory.available() == 50 * 4096
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available() is None


@pytest.mark.parametrize(
    ("limit", "use"), [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
)
def test_the_limit_of_a_container_counts(limit: str, use: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path if limit == "memory.max" else tmp_path / "memory"
    folder.mkdir(exist_ok=True)
    (folder / use).write_text("5000\n")
    (folder / "memory.stat").write_text("anon 3000\ninactive_file 1500\nactive_file 300\n")
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(memory, "_of_machine", lambda: 4_000)
    for said, room in (("6000\n", 2_800), ("100\n", 0), ("9000\n", 4_000), ("max\n", 4_000)):
        (folder / limit).write_text(said)
        assert memory.available() == room


def test_an_accelerator_has_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Free, or held by torch for what comes next."""
    held = {"mem_get_info": (5_000, 9_000), "memory_reserved": 700, "memory_allocated": 300}
    for name, said in held.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, said=said: said)
    device = torch.device("cuda", 0)
    assert memory.available_on(device) == 5_400
    weights = [torch.empty(memory.SMALL, device="meta")]
    with pytest.raises(
        BadInput,
        match=r"^training 16,777,216 weights .* about 256\.0 MiB .* 5\.3 KiB are available on cuda:0",
    ):
        memory.require_training(weights, (1, 8, 8), device)
    monkeypatch.setattr(memory, "available", lambda: 2**60)
    memory.require_training(weights, (1, 8, 8), torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**60, 2**60))
    memory.require_training(weights, (1, 8, 8), device)
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    with pytest.raises(BadInput, match=r"^16,777,216 weights .* about 64\.0 MiB .* 1\.0 MiB are available;"):
        memory.require_training(weights, (1, 8, 8), device)  # made here, and then brought there


def test_the_users_memory_is_neither_kept_nor_changed_by_numpy_input() -> None:
    mine = BYTES.copy()
    task = check_task((mine, LABELS))
    mine[:] = 0
    assert torch.equal(task.x, torch.tensor(BYTES))
    frozen = FLOATS.copy()
    frozen.setflags(write=False)
    assert torch.equal(check_task(frozen).x, torch.tensor(FLOATS))


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


def test_gradients_of_the_users_tensors_end_at_the_door() -> None:
    assert not check_examples(torch.rand(3, 1, 4, 4, requires_grad=True)).requires_grad


class OwnList(list[Any]):
    """A list of the user's own."""


def endless_list() -> list[Any]:
    x: list[Any] = []
    x.append(x)
    return x


def with_pixel(value: float) -> np.ndarray:
    x = FLOATS.astype(np.float64)
    x[3, 1, 2, 2] = value
    return x


BAD_IMAGES: dict[str, tuple[Any, str]] = {
    "truth-and-bytes": (iter([BYTES[:5] > 9, BYTES[5:]]), "truth values and whole numbers"),
    "a-list-of-truth-and-bytes": ([BYTES[0] > 9, *BYTES[1:]], "truth values and whole numbers"),
    "a-list-of-tensors-of-truth-and-bytes": ([torch.tensor(BYTES[0] > 9), torch.tensor(BYTES[1])], "truth values and"),
    "nested-lists-of-truth-and-numbers": ([[True, 2], [5, 0]], "truth values"),
    "a-table-of-truth-and-numbers": (Table(np.array([[True, 2, 3, 4]] * 4, dtype=object)), "truth values"),
    "floats-and-bytes": ([FLOATS[0], (BYTES[1] > 9).astype(np.uint8)], "floats and whole numbers"),
    "a-list-of-masked": (list(np.ma.MaskedArray(FLOATS, FLOATS > 0.5)), "masked"),
    "a-tuple-of-masked": (tuple(np.ma.MaskedArray(FLOATS, FLOATS > 0.5)), "masked"),
    "endless-lists": (endless_list(), "recursion"),
    "pictures-with-a-palette": ([Image.fromarray(image[0]).convert("P") for image in BYTES], "palette.*convert"),
    "four-channels-last": (np.zeros((6, 8, 8, 4), dtype=np.float32), "channels last"),
    "two-channels-last": (list(np.zeros((6, 8, 8, 2), dtype=np.uint8)), "channels last"),
    "nan": (with_pixel(np.nan), "NaN or infinite"),
    "infinity": (with_pixel(np.inf), "NaN or infinite"),
    "minus-infinity": (with_pixel(-np.inf), "NaN or infinite"),
    "below-0": (with_pixel(-0.01), r"-0\.01.*\[0, 1\]"),
    "above-1": (with_pixel(1.01), r"1\.01.*\[0, 1\]"),
    "bytes-as-floats": (BYTES.astype(np.float32), r"255.*\[0, 1\]"),
    "integer-above-255": (BYTES.astype(np.int64) + 1, r"256.*0\.\.255"),
    "integer-below-0": (BYTES.astype(np.int64) - 1, r"-1.*0\.\.255"),
    "nan-tensor": (torch.tensor(with_pixel(np.nan)), "NaN or infinite"),
    "complex": (FLOATS.astype(np.complex64), "complex"),
    "complex-tensor": (torch.tensor(FLOATS, dtype=torch.complex64), "complex"),
    "text": (np.array([["a", "b"]] * 4), "numbers are needed"),
    "objects": (np.array([[None, None]] * 4), "numbers are needed"),
    "ragged": ([[[0.0, 1.0], [0.0]], [[0.0, 1.0], [1.0, 0.0]]], "one array"),
    "empty": (np.zeros((0, 3, 5, 4)), "empty"),
    "empty-list": ([], "empty"),
    "a-number": (np.float64(0.5), r"x has shape \(\)"),
    "three-axes": (FLOATS[:, 0], r"x has shape \(11, 5, 4\); .*x\[:, None\]"),
    "one-dimension": (np.zeros(7), r"\(7,\)"),
    "five-dimensions": (np.zeros((4, 1, 1, 2, 2)), r"\(4, 1, 1, 2, 2\)"),
    "no-channels": (np.zeros((4, 0, 2, 2)), "without any number"),
    "no-pixels": (np.zeros((4, 1, 0, 2)), "without any number"),
    "no-numbers": (np.zeros((4, 0)), "without any number"),
    "beyond-single-precision": (with_pixel(1e300), "NaN or infinite"),
    "masked": (np.ma.MaskedArray(FLOATS, FLOATS > 0.5), "masked"),
    "dates": (np.zeros((4, 2, 2), dtype="M8[D]"), "datetime64"),
    "records": (np.zeros(4, dtype=[("a", "f4"), ("b", "i4")]), "numbers are needed"),
    "terabytes": (np.broadcast_to(np.float32(0.5), (10**6, 1, 10**3, 10**3)), r"3\.6 TiB.*available"),
    "terabytes-of-a-tensor": (torch.zeros(1).expand(10**6, 1, 10**3, 10**3), r"3\.6 TiB.*available"),
    "tensors-of-unlike-shape": ([torch.zeros(1, 2, 2), torch.zeros(1, 3, 3)], r"\(1, 2, 2\), \(1, 3, 3\)"),
    "gradients-in-a-ragged-list": ([torch.zeros(2, requires_grad=True), 1.0], "one array"),
    "an-iterator-of-nothing": (iter(()), "empty"),
    "a-class": (np.ndarray, "numbers are needed"),
    "a-function": (len, "x can't be read from a builtin_function_or_method; real numbers are needed, in an array"),
    "numbers-as-objects": (FLOATS.astype(object), r"x of shape \(11, 3, 5, 4\) has objects for values \(float\)"),
    "records-of-many-fields": (
        np.zeros(4, dtype=[(f"field {k}", "f4") for k in range(1_000)]),
        r"\.\.\.; real numbers",
    ),
    "endless-objects": (np.broadcast_to(np.array(None), (2**40, 1, 4, 4)), "NoneType"),
    "none": (None, "numbers are needed"),
    "a-set": ({0.5}, "numbers are needed"),
}


@pytest.mark.parametrize(("x", "says"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_images_that_are_none_are_refused_in_one_line_that_names_them(x: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        check_examples(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [("a", "a"), (None, None), (1, 2), ("", ""), "ab", 5, ("a\0", "b")])
def test_names_of_a_task_are_different_strings(names: Any) -> None:
    with pytest.raises(BadInput, match=r"names is .*different names"):
        check_task(TaskData(torch.tensor(FLOATS), torch.tensor([0, 1] * 5 + [0]), names=names))


def test_single_images_are_taken_where_the_shape_is_known() -> None:
    for pieces in (iter(FLOATS), DataLoader(iter_of(*FLOATS), batch_size=None), DataLoader(Items(FLOATS), None)):
        assert torch.equal(check_examples(pieces, Domain((3, 5, 4))), torch.tensor(FLOATS))
    with pytest.raises(BadInput, match="one image or several"):
        check_examples(iter(FLOATS), Domain((1, 5, 4)))


@pytest.mark.parametrize(("value", "end"), [(1.00000001, "to 1.0000001;"), (-1e-50, "from -1.")])
def test_floats_are_looked_at_before_they_are_rounded(value: float, end: str) -> None:
    x = with_pixel(value)
    for data in (
        *(x, x.tolist(), list(x), torch.tensor(x), list(torch.tensor(x)), Table(x), iter([x]), Items(x)),
        DataLoader(Items(x), batch_size=4),
    ):
        with pytest.raises(BadInput, match=rf"x has numbers .*{end}.*floats must be in \[0, 1\]"):
            check_examples(data)
    for data in (Items(FLOATS, x), (FLOATS, x)):
        with pytest.raises(BadInput, match=rf"has numbers .*{end}.*floats must be in \[0, 1\]"):
            check_task(data)
    with pytest.raises(BadInput, match=r"x has numbers from 1\.0000001 to 1\.0000001"):
        check_examples(x.astype(np.longdouble) * 0 + 1 + np.longdouble(10) ** -19)


def test_messages_write_numbers_out() -> None:
    for x, says in (
        (np.where(FLOATS == 1, np.nextafter(np.float32(1), np.float32(2)), FLOATS), r"from 0\.0 to 1\.0000001;"),
        (BYTES.astype(np.int64) * 10**15, "from 0 to 255000000000000000;"),
    ):
        with pytest.raises(BadInput, match=says):
            check_examples(x)


def test_what_numpy_was_told_to_raise_changes_nothing() -> None:
    with np.errstate(all="raise"):
        assert float(check_examples(with_pixel(1e-60))[3, 1, 2, 2]) == 0
        for value, says in ((np.nan, "NaN or infinite"), (1e300, "NaN or infinite"), (-1e-60, "from -1.1")):
            with pytest.raises(BadInput, match=says):
                check_examples(with_pixel(value))


class OwnTensor(Tensor):
    """A class of the user's own."""


class SpitefulTensor(Tensor):
    @classmethod
    def __torch_function__(cls, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("spite")


@pytest.mark.parametrize("kind", [OwnTensor, SpitefulTensor])
def test_tensors_of_a_class_of_the_users_own_become_plain_ones(kind: type[Tensor]) -> None:
    x, y = torch.tensor(FLOATS).as_subclass(kind), torch.tensor(LABELS).as_subclass(kind)
    wide = torch.tensor(FLOATS, dtype=torch.float64).as_subclass(kind)
    pieces = iter([(x, y)])
    for data in ((x, y), (wide, y), TaskData(x, y), pieces):
        task = check_task(data)
        assert task.y is not None and (type(task.x), type(task.y)) == (Tensor, Tensor)
        assert torch.equal(task.x, torch.tensor(FLOATS)) and task.y.tolist() == LABELS.tolist()
    for data in ((x, x), iter([(x, x)])):
        task = check_task(data)
        assert task.target is not None and type(task.target) is Tensor


ODD_TENSORS: dict[str, tuple[Callable[[], Tensor], str]] = {
    "sparse": (lambda: torch.tensor(FLOATS).to_sparse(), r"sparse_coo.*to_dense"),
    "compressed": (lambda: torch.rand(4, 16).to_sparse_csr(), r"sparse_csr.*to_dense"),
    "nested": (lambda: torch.nested.nested_tensor([torch.rand(2, 2), torch.rand(3, 3)]), "nested"),
    "quantised": (lambda: torch.quantize_per_tensor(torch.rand(4, 1, 2, 2), 0.1, 0, torch.quint8), "dequantize"),
    "meta": (lambda: torch.rand(4, 1, 2, 2, device="meta"), "meta"),
    "masked": (lambda: masked_tensor(torch.rand(4, 1, 2, 2), torch.rand(4, 1, 2, 2) > 0.5), "MaskedTensor"),
    "eight-bit-floats": (lambda: torch.rand(4, 1, 2, 2).to(torch.float8_e4m3fn), "float8"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # some of these kinds are called young, or old
@pytest.mark.parametrize(("make", "says"), ODD_TENSORS.values(), ids=ODD_TENSORS)
def test_tensors_that_hold_no_plain_numbers_are_refused_with_the_way_out(make: Callable[[], Tensor], says: str) -> None:
    try:
        x = make()
    except (AttributeError, RuntimeError) as error:
        pytest.skip(f"this torch makes none: {error}")
    for kind in (x, [x] if x.device.type == "meta" else x):
        with pytest.raises(BadInput, match=says):
            check_examples(kind)


def test_channels_last_are_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match=r"channels last.*\(0, 3, 1, 2\)"):
        check_examples(np.zeros((5, 28, 28, 3), dtype=np.float32))


def test_whole_numbers_0_and_1_are_not_taken_for_bytes() -> None:
    with pytest.raises(BadInput, match="0 and 1"):
        check_examples(np.eye(4, dtype=np.int64)[None, None])


def test_a_dataset_and_a_loader_are_images_too() -> None:
    x = torch.rand(7, 1, 4, 4)
    dataset = TensorDataset(x, torch.arange(7))
    for kind in (dataset, DataLoader(dataset, batch_size=3)):
        torch.testing.assert_close(check_examples(kind), x)


@pytest.mark.parametrize("x", [FLOATS[:, :1], FLOATS[:, :, :4], FLOATS.reshape(11, 60)[:, :59]])
def test_images_unlike_those_learnt_are_refused(x: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"\(3, 5, 4\)"):
        check_examples(x, Domain((3, 5, 4)))


BAD_LABELS: dict[str, tuple[Any, str]] = {
    "truth-among-numbers": ([True, *[2] * 10], "truth values"),
    "numpy-truth-among-numbers": ([np.True_, *[2] * 10], "truth values"),
    "tensors-of-truth-and-numbers": ([torch.tensor(True), *[torch.tensor(2)] * 10], "truth values"),
    "a-table-of-truth-and-numbers": (Table(np.array([True, *[2] * 10], dtype=object)), "truth values"),
    "a-masked-constant": ([np.ma.masked, *[1] * 10], "masked"),
    "names-with-nul": (["cat", "cat\0"] * 5 + ["cat"], "NUL"),
    "a-vast-array-of-names": (np.broadcast_to("cat", (2**58,)), r"\(288230376151711744,\)"),
    "too-few": (LABELS[:-1], r"\(10,\).*11 examples"),
    "too-many": ([*LABELS, 1], r"\(12,\).*11 examples"),
    "a-column": (LABELS[:, None], r"\(11, 1\)"),
    "one-number": (np.int64(3), r"\(\)"),
    "floats": (LABELS.astype(np.float32), "float32"),
    "halves": (torch.full((11,), 0.5), "float32"),
    "nan": (np.full(11, np.nan), "float64, NaN among them.*labels are"),
    "below-minus-1": (LABELS - 1, "-2"),
    "too-few-names": (["cat"] * 10, r"\(10,\).*11 examples"),
    "one-name": ("cat", r"\(\)"),
    "a-column-of-a-table-of-names": (
        Table(np.array([["cat"], [None]] * 11, dtype=object)),
        r"names in shape \(22, 1\)",
    ),
    "none-and-numbers": ([None, *[1] * 10], r"y of shape \(11,\) has .*NoneType, int.*or strings, with None"),
    "a-dictionary": (dict.fromkeys(range(11)), "from a dict; .*labels are integers, with -1 .*or strings, with None"),
    "a-generator": ((k for k in range(11)), "from a generator; .*labels are integers"),
    "doubles": ([0.5] * 11, "y has floats; labels are integers"),
    "a-column-of-names": (np.array([["cat"]] * 11), r"\(11, 1\)"),
    "names-and-numbers": ([*["cat"] * 10, 3], "names and 3"),
    "names-and-nan": (np.array([*["cat"] * 10, float("nan")], dtype=object), "names and nan.*None"),
    "an-empty-name": ([*["cat"] * 10, ""], "empty name.*None"),
    "bytes": (np.array([b"cat"] * 11), "numbers are needed"),
    "a-set": ({1, 2, 3}, "numbers are needed"),
    "objects": (np.array([object()] * 11), "numbers are needed"),
    "ragged": ([[0], [0, 1]] + [[0]] * 9, "one array"),
    "complex": (torch.ones(11, dtype=torch.complex64), "complex"),
    "beyond-64-bits-in-a-list": ([2**63, *[1] * 10], "too large"),
    "beyond-64-bits": (np.full(11, 2**64 - 1, dtype=np.uint64), "18446744073709551615; whole numbers"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("y", "says"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels_that_are_none_are_refused_in_one_line_that_names_them(y: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        check_task((FLOATS, y))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_labels_may_be_of_any_integer_type() -> None:
    for dtype in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint64):
        assert check_labels(np.arange(4, dtype=dtype), 4)[0].tolist() == [0, 1, 2, 3]
    for kind in (torch.uint8, torch.int16, torch.int32, torch.uint16, torch.uint64):
        assert check_labels(torch.arange(4).to(kind), 4)[0].dtype == torch.int64
    assert check_labels([np.int8(-1), 2, np.uint64(3)], 3)[0].tolist() == [-1, 2, 3]  # numpy's one type is float64


def test_truth_values_are_no_labels_whatever_they_come_in() -> None:
    truth = np.array([True, False, True])
    for labels in (truth, torch.tensor(truth), truth.tolist(), list(truth), list(torch.tensor(truth)), Table(truth)):
        with pytest.raises(BadInput, match=r"y (is of type (torch\.)?bool|has truth values); labels are integers"):
            check_labels(labels, 3)


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


@given(st.lists(st.integers(0, 20), unique=True, max_size=8), st.lists(st.integers(-1, 20), min_size=1, max_size=30))
def test_label_positions_invert_the_order_of_classes(classes: list[int], labels: list[int]) -> None:
    expected = [classes.index(label) if label in classes else -1 for label in labels]
    assert label_positions(torch.tensor(labels), classes).tolist() == expected


def test_an_answer_comes_in_the_kind_of_the_question() -> None:
    assert isinstance(like_given(torch.zeros(2), torch.zeros(2)), Tensor)
    assert isinstance(like_given(torch.zeros(2), np.zeros(2)), np.ndarray)
    assert isinstance(like_given(torch.zeros(2), [0.0]), np.ndarray)


@given(st.integers(0, 255))
def test_a_byte_is_its_share_of_255(value: int) -> None:
    assert float(as_float(torch.tensor([value], dtype=torch.uint8))) == pytest.approx(value / 255)
