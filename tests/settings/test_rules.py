"""Rules: which values are allowed, what text spells, and what is kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.settings.limits import COUNTABLE
from growmix.settings.rules import POSITIVE, OneOf, Rule, Text, Truth, Whole, is_import_path, is_whole, require_whole

NAMES = OneOf(("ks", "smd"), "an import path", is_import_path)


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        (Whole(1, 9), (1, 9, np.int8(3)), (0, 10, 1.0, True, "3", None, math.nan)),
        (Whole(), (0, COUNTABLE), (-1, COUNTABLE + 1)),
        (POSITIVE, (1, 0.5, np.float32(2)), (0, -1, True, math.inf, math.nan, 10**400, "1", None)),
        (POSITIVE, (np.int8(1),), (np.float32("inf"), np.float32("nan"), np.float64(-1), np.complex64(1), np.True_)),
        (NAMES, ("ks", "my_nets.a:b"), ("kss", "a:b:c", "1a:b", "", 3, ["ks"])),
        (Truth(), (True, np.False_), (0, 1, "true", None)),
        (Text(), ("auto", "caf\u00e9"), ("", "two\nlines", "\x1b[1m", 3)),
    ],
)
def test_a_rule_accepts_what_it_allows_and_nothing_else(
    rule: Rule, allowed: tuple[Any, ...], refused: tuple[Any, ...]
) -> None:
    assert all(rule.accepts(value) for value in allowed)
    assert not any(rule.accepts(value) for value in refused)


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(-20, 20))
def test_a_whole_number_is_one_within_both_ends(least: int, most: int, value: int) -> None:
    assert is_whole(value, least, most) == (least <= value <= most)
    if least <= value <= most:
        assert require_whole(np.int64(value), "n", least, most) == value
    else:
        with pytest.raises(BadInput, match=rf"^n is {value}; allowed is a whole number from {least} to {most}$"):
            require_whole(value, "n", least, most)


def test_words_of_truth_are_read_in_any_case_and_no_others() -> None:
    assert [Truth().read(text) for text in ("true", "False", "TRUE")] == [True, False, True]
    for text in ("yes", "1", ""):
        with pytest.raises(ValueError):
            Truth().read(text)


def test_a_number_is_kept_as_a_float_and_a_name_as_it_is() -> None:
    assert type(POSITIVE.kept(3, "x")) is float
    assert NAMES.kept("ks", "x") == "ks"


def test_a_refused_name_is_met_with_the_nearest_one() -> None:
    assert NAMES.hint("kss") == "; did you mean ks?"
    assert NAMES.hint("zzz") == NAMES.hint(3) == ""
    assert NAMES.words == "one of ks, smd, or an import path"
