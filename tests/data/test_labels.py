"""Labels that are numbers or names, and all that is neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from growmix.data.labels import check_labels, label_positions
from growmix.data.task import check_task
from growmix.errors import BadInput
from handed_over import (
    FLOATS,
    LABELS,
    Table,
)


@pytest.mark.parametrize("dtype", ["U5", object])
def test_arrays_of_strings_are_names(dtype: Any) -> None:
    labels, names = check_labels(np.array(["dog", "cat", "dog"], dtype=dtype), 3)
    assert (labels.tolist(), names) == ([0, 1, 0], ("dog", "cat"))


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


@given(st.lists(st.integers(0, 20), unique=True, max_size=8), st.lists(st.integers(-1, 20), min_size=1, max_size=30))
def test_label_positions_invert_the_order_of_classes(classes: list[int], labels: list[int]) -> None:
    expected = [classes.index(label) if label in classes else -1 for label in labels]
    assert label_positions(torch.tensor(labels), classes).tolist() == expected
