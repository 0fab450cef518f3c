"""What was read is compared with what it must be, value by value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from growmix.storage.typed import check_outline, check_range, check_tensor, record_from


@dataclass(frozen=True)
class Part:
    number: int
    share: float
    names: tuple[str, ...] = ()


def test_a_record_is_what_json_has_of_it() -> None:
    assert record_from({"number": 3, "share": 1, "names": ["a"]}, Part) == Part(3, 1.0, ("a",))


@pytest.mark.parametrize(
    "document",
    [None, [], "x", {}, {"number": 3}, {"number": True, "share": 0.5}, {"number": 3.0, "share": 0.5},
     {"number": "3", "share": 0.5}, {"number": 3, "share": "x"}, {"number": 3, "share": 0.5, "names": "ab"},
     {"number": 3, "share": 0.5, "names": [1]}],
)  # fmt: skip
def test_a_record_of_other_types_is_refused(document: Any) -> None:
    with pytest.raises(ValueError):
        record_from(document, Part)


@pytest.mark.parametrize(
    ("tensor", "fits"),
    [
        (torch.zeros(2, 3), True),
        (torch.zeros(9, 3), True),
        (torch.zeros(2, 3, device="meta"), True),
        (torch.zeros(2, 4), False),
        (torch.zeros(6), False),
        (torch.zeros(2, 3, dtype=torch.float64), False),
    ],
)
def test_a_tensor_has_its_shape_with_any_number_of_rows_and_its_type(tensor: torch.Tensor, fits: bool) -> None:
    if fits:
        check_tensor({"it": tensor}, "it", (None, 3), torch.float32)
    else:
        with pytest.raises(ValueError, match="'it' is"):
            check_tensor({"it": tensor}, "it", (None, 3), torch.float32)


def test_tensors_have_the_names_that_are_needed_and_no_others() -> None:
    needed = {"a": torch.zeros(2), "b": torch.zeros(3)}
    check_outline({"b": torch.ones(3), "a": torch.ones(2)}, needed)
    for given in ({"a": torch.zeros(2)}, needed | {"c": torch.zeros(1)}, needed | {"b": torch.zeros(4)}):
        with pytest.raises(ValueError, match=r"'[bc]'"):
            check_outline(given, needed)


@pytest.mark.parametrize(("value", "fits"), [(1, True), (5, True), (0, False), (6, False), (float("nan"), False)])
def test_a_number_is_in_its_range(value: float, fits: bool) -> None:
    if fits:
        check_range("it", value, 1, 5)
    else:
        with pytest.raises(ValueError, match="it is"):
            check_range("it", value, 1, 5)
