"""Printing ends no run, whatever becomes of the output, and foreign text commands no terminal."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growmix.report.console import PatientOutput, encodable, make_console, say
from growmix.report.words import printable

HOSTILE = "\x1b]0;mine\x07 [red]x[/] :bug: \ud800 \x9b2J \u202e ±"


def written(encoding: str, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding=encoding))
    say(make_console(), text)
    return held.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252", "koi8-r", "shift_jis"])
def test_foreign_text_is_printed_as_it_is_but_for_what_a_terminal_obeys(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = written(encoding, HOSTILE, monkeypatch)
    assert "]0;mine? [red]x[/] :bug: ? ?2J ? " in said
    assert said.endswith(("±\n", "+-\n")) and (encoding != "ascii" or said.isascii())
    assert all(character.isprintable() or character == "\n" for character in said)


@settings(max_examples=50)
@given(st.text(), st.sampled_from(["ascii", "latin-1", "utf-8", "cp437"]))
def test_whatever_is_said_can_be_encoded(text: str, encoding: str) -> None:
    encodable(text, encoding).encode(encoding)
    encodable(printable(text), encoding).encode(encoding)


def test_text_that_can_be_encoded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encodable("0.5 ± 0.1 für", "latin-1") == "0.5 ± 0.1 für"
    assert written("utf-8", "0.5 ± 0.1 für", monkeypatch) == "0.5 ± 0.1 für\n"


def test_a_long_line_is_not_broken_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written("utf-8", "word " * 100, monkeypatch).count("\n") == 1


def test_nothing_is_raised_when_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as output:
        monkeypatch.setattr(sys, "stdout", output)
        console = make_console()
        say(console, "first")
        assert os.read(reading, 100) == b"first\n"
        os.close(reading)
        for _ in range(3):
            say(console, "nobody")
        monkeypatch.undo()  # and what it holds can be flushed at the end of the process


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
def test_nothing_is_raised_when_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as output:
        monkeypatch.setattr(sys, "stdout", output)
        console = make_console()
        for _ in range(3):
            say(console, "lost")
        monkeypatch.undo()


@pytest.mark.parametrize("output", [None, "closed"])
def test_nothing_is_raised_where_there_is_no_output(output: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.StringIO()
    held.close()
    monkeypatch.setattr(sys, "stdout", held if output else None)
    console = make_console()
    say(console, "lost")
    with console.status("working", spinner="line"):
        say(console, "lost")
    assert not console.is_terminal


def test_what_stands_there_when_it_is_written_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    output = PatientOutput("stderr")
    for _ in range(2):
        held = io.StringIO()
        monkeypatch.setattr(sys, "stderr", held)
        output.write("told")
        output.flush()
        assert held.getvalue() == "told"
