"""The check of docstrings finds the riddles that it promises to find, and lets good noun phrases through."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "plain_words.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_words", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["plain_words"] = module
    spec.loader.exec_module(module)
    return module


plain_words = _load()


@pytest.mark.parametrize(
    "text",
    [
        "Of the component.",
        "Of everything random.",
        "It is none.",
        "It can't.",
        "It can't be read.",
        "They are not.",
        "They are not the module's.",
        "One is not; the message says where.",
        "Absolute.",
        "The folder.",
        "How many.",
        "What is trained.",
        "What messages call it.",
        "Where to compute.",
        "By name.",
        "For reports.",
        "With their tensors.",
        "To be filled.",
        "In whose memory.",
        "At least one.",
        "Along each normal.",
        "Its units along each axis.",
        "That were read from the folder.",
        "The same of the test examples.",
        "As for the other function.",
        "Is there when it is called.",
        "Told of the run as it goes.",
        "Has learnt something; it is not changed.",
        "",
    ],
)
def test_fragments_are_refused_as_description_of_a_parameter(text: str) -> None:
    assert plain_words.refusal_of_description("Parameters", text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Learning rate of AdamW.",
        "Class positions, shape ``(n,)``.",
        "Channels, height, width.",
        "Number of examples.",
        "Which component is trained, from 0.",
        "What the gate compares with its threshold.",
        "In [0, 1]; 0 when the two samples are equal.",
        "By default the largest rank that fits.",
        "At most so many training examples per task.",
        "ELBO per example in nats, shapes ``(n,)`` and ``(m,)``, in any order.",
    ],
)
def test_noun_phrases_that_can_be_read_alone_pass(text: str) -> None:
    assert plain_words.refusal_of_description("Parameters", text) is None


def test_a_reason_to_raise_needs_four_words() -> None:
    assert plain_words.refusal_of_description("Raises", "Nothing was learnt.") is not None
    assert plain_words.refusal_of_description("Raises", "One of the two samples has no element.") is None


@pytest.mark.parametrize("text", ["Itself.", "Refuse pairs.", "Of everything random, once.", "The same for images."])
def test_first_lines_that_are_riddles_are_refused(text: str) -> None:
    assert plain_words.refusal_of_summary(text) is not None


@pytest.mark.parametrize("text", ["The same three tasks in two orders.", "Return the empirical distribution function."])
def test_first_lines_that_are_a_thought_pass(text: str) -> None:
    assert plain_words.refusal_of_summary(text) is None


MODULE = '''"""Short."""

KINDS = ("cpu",)
"""Of devices."""


class Thing:
    """Keeps the settings of one thing.

    Attributes
    ----------
    index : int
        Of the component.
    rate
        Learning rate of AdamW,
        the peak of its schedule.
    """

    size: int = 3
    """Bytes."""

    def text(self):
        note = 1
        """Not one."""
        return """Short."""
'''


def test_every_place_is_named_by_its_line() -> None:
    assert [riddle.line for riddle in plain_words.riddles(MODULE)] == [1, 4, 13, 20]


def test_entries_are_judged_by_their_whole_first_paragraph() -> None:
    source = '''def f(x):
    """Return what was given to it.

    Parameters
    ----------
    x
        Learning
        rate of AdamW.
    *others, **named : int

    Raises
    ------
    ValueError
        If x is negative.
    """
'''
    [riddle] = plain_words.riddles(source)
    assert riddle.line == 9
    assert "no description" in riddle.reason


def test_the_command_says_file_and_line_and_fails_only_on_riddles(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.py", tmp_path / "good.py"
    bad.write_text('"""Short."""\n', encoding="utf-8")
    good.write_text('"""Says what this file is for."""\n', encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)

    refused = run(str(tmp_path))
    assert refused.returncode == 1
    assert f"{bad}:1: fewer than 4 words" in refused.stdout
    assert str(good) not in refused.stdout
    assert run(str(good)).returncode == 0
    counted = run("--count", str(tmp_path))
    assert counted.stdout.split() == ["1", tmp_path.as_posix()]
    assert run(str(tmp_path / "missing")).returncode not in (0, None)
