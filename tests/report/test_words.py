"""Numbers, times and a stranger's text, as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growmix.report.words import duration, number, printable, whole


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_a_time_can_be_read_back_to_the_second(seconds: int) -> None:
    parts = [int(part) for part in duration(seconds).split(":")]
    assert sum(part * 60**place for place, part in enumerate(reversed(parts))) == seconds
    assert all(part < 60 for part in parts[1:])


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0:00"), (59.6, "1:00"), (3_599.4, "59:59"), (3_599.6, "1:00:00"), (86_400, "24:00:00")]
)
def test_a_time_that_is_rounded_up_fills_the_next_minute(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@settings(max_examples=30)
@given(st.text())
def test_no_text_commands_a_terminal_and_what_can_be_printed_stays(text: str) -> None:
    said = printable(text)
    assert all(character.isprintable() or character == "\n" for character in said)
    assert len(said) == len(text)
    assert all(ours in (theirs, "?") for ours, theirs in zip(said, text, strict=True))
    assert printable(said) == said


def test_words_and_lines_of_any_language_stay() -> None:
    assert printable("für 0.5 ± 0.1 — 日本\nnext") == "für 0.5 ± 0.1 — 日本\nnext"


def test_no_number_is_no_nought() -> None:
    assert (number(None), number(0.0), number(0.0, 1)) == ("-", "0.000", "0.0")
    assert whole(1_234_567.4) == "1,234,567"
