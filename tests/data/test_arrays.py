"""Arrays of any kind become one tensor: numpy, torch, lists, tables; or they are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.masked import masked_tensor

from growmix.data import collecting
from growmix.data.arrays import like_given
from growmix.data.task import TaskData, check_examples, check_task
from growmix.errors import BadInput
from growmix.system import memory
from handed_over import (
    BYTES,
    FLOATS,
    LABELS,
    NAMES,
    OwnTensor,
    SpitefulTensor,
    Table,
    column,
)


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


def test_what_a_table_will_not_copy_is_copied_for_it() -> None:
    assert check_task((FLOATS, Thrifty(np.array(NAMES, dtype=object)))).names == ("dog", "cat", "ant", "a b")
    for check in (check_examples, check_task):
        with pytest.raises(BadInput, match="can't be read as one array: ZeroDivisionError"):
            check(Unwilling())


def test_arrays_of_pyarrow_are_taken() -> None:
    import pyarrow

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


def test_the_users_memory_is_neither_kept_nor_changed_by_numpy_input() -> None:
    mine = BYTES.copy()
    task = check_task((mine, LABELS))
    mine[:] = 0
    assert torch.equal(task.x, torch.tensor(BYTES))
    frozen = FLOATS.copy()
    frozen.setflags(write=False)
    assert torch.equal(check_task(frozen).x, torch.tensor(FLOATS))


def test_gradients_of_the_users_tensors_end_at_the_door() -> None:
    assert not check_examples(torch.rand(3, 1, 4, 4, requires_grad=True)).requires_grad


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


def test_an_answer_comes_in_the_kind_of_the_question() -> None:
    assert isinstance(like_given(torch.zeros(2), torch.zeros(2)), Tensor)
    assert isinstance(like_given(torch.zeros(2), np.zeros(2)), np.ndarray)
    assert isinstance(like_given(torch.zeros(2), [0.0]), np.ndarray)
