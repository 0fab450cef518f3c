"""Errors are of growmix and of the builtin kind that a caller would expect; what they quote stays one short line."""

from __future__ import annotations

import inspect

import pytest

from growmix import errors
from growmix.errors import GrowmixError, one_line, shortened, shown

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
KINDS.remove(GrowmixError)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_growmixs_and_a_builtin_one(kind: type[Exception]) -> None:
    assert issubclass(kind, GrowmixError)
    assert issubclass(kind, (ValueError, FileNotFoundError, RuntimeError, ArithmeticError))


def test_a_value_that_can_not_be_shown_is_named_by_its_type() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(Odd()) == "a Odd"
    assert shown(10**5_000) == "a int"


@pytest.mark.parametrize("text", ["", "short", "two\nlines\tand more", "x" * 99, "x" * 100, "x" * 101, "x " * 9_999])
def test_what_is_quoted_is_one_line_of_at_most_a_hundred_characters(text: str) -> None:
    quoted = shortened(text)
    assert len(quoted) <= 100
    assert "\n" not in quoted and "\t" not in quoted
    assert quoted == " ".join(text.split()) or quoted.endswith("...")


def test_of_a_long_reason_both_ends_stay() -> None:
    line = one_line(RuntimeError("first " + "middle " * 9_999 + "last"))
    assert line.startswith("RuntimeError: first ") and line.endswith(" last")
    assert len(line) <= errors.LONGEST_REASON
