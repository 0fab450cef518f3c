"""Examples of either support: which numbers and shapes are taken, and what is said of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from growmix.data.domain import Domain
from growmix.data.task import TaskData, check_examples, check_task
from growmix.errors import BadInput
from handed_over import (
    BYTES,
    FLOATS,
    Items,
    Table,
)


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


def test_channels_last_are_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match=r"channels last.*\(0, 3, 1, 2\)"):
        check_examples(np.zeros((5, 28, 28, 3), dtype=np.float32))


def test_whole_numbers_0_and_1_are_not_taken_for_bytes() -> None:
    with pytest.raises(BadInput, match="0 and 1"):
        check_examples(np.eye(4, dtype=np.int64)[None, None])


@pytest.mark.parametrize("x", [FLOATS[:, :1], FLOATS[:, :, :4], FLOATS.reshape(11, 60)[:, :59]])
def test_images_unlike_those_learnt_are_refused(x: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"\(3, 5, 4\)"):
        check_examples(x, Domain((3, 5, 4)))
