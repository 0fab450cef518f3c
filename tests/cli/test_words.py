"""What the program says ends nothing, whatever the output can show."""

from __future__ import annotations

import io
import sys

import pytest

from growmix.cli import words


def test_a_character_that_the_output_lacks_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    words.say("caf\u00e9 \x1b]0;mine\x07")
    words.complain("caf\u00e9\n and more")
    out.flush(), err.flush()
    assert out.buffer.getvalue() == b"caf? ?]0;mine?\n" and err.buffer.getvalue() == b"growmix: caf? and more\n"


def test_a_reason_of_several_lines_is_one_line_of_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words.complain("no\n\n  disk [bold]:smile:")
    words.say("two\nlines")
    said = capsys.readouterr()
    assert said.err == "growmix: no disk [bold]:smile:\n" and said.out == "two\nlines\n"


def test_statuses_are_told_apart() -> None:
    statuses = (words.DONE, words.FAILED, words.WRONG_INPUT, words.INTERRUPTED)
    assert statuses == (0, 1, 2, 130)
