"""Help fits a screen, and every option has some."""

from __future__ import annotations

import pytest

from growmix.cli.app import app, execute
from growmix.cli.helping import asked
from growmix.cli.words import DONE
from growmix.config import keys

COMMANDS = ["run", "resume", "compare", "reproduce", "evaluate", "theory", "sample", "interpolate", "streams"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_help_from_a_declaration(name: str) -> None:
    assert app[name].help
    for argument in app[name].assemble_argument_collection():
        assert argument.parameter.help or argument.children, argument.name


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen_and_says_where_the_rest_is(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert execute([command, "--help"]) == DONE
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 50 and "--help-all lists every option" in shown
    assert "Usage: growmix" in shown and "--density-components" not in shown


@pytest.mark.slow
def test_help_shows_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "--help-all"]) == DONE
    shown = capsys.readouterr().out
    for name in set(keys()) - {"stream"}:
        assert f"--{name.replace('_', '-')} " in shown
    for text in ("--no-supervised", "--config", "--tasks", "[default: 0.5]", "[default: rank]", "Student"):
        assert text in shown


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["sample", "--help"]])
def test_help_and_version_are_no_mistakes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(words) == DONE
    printed = capsys.readouterr()
    assert printed.out and not printed.err


def test_the_first_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that is called like a setting, as the theory is."""
    assert execute(["--help"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in printed] == []


def test_only_the_word_for_all_help_is_read_as_help() -> None:
    words, _ = asked(["run", "--help-all", "--help", "help-all"])
    assert words == ["run", "--help", "--help", "help-all"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("streams", ["--data-root"]),
        ("evaluate", ["--device", "--json"]),
        ("sample", ["--component", "--label", "--n", "PNG file", "samples.png", "[default: 10]"]),
        ("interpolate", ["--steps", "PNG file", "interpolation.png"]),
    ],
)
def test_help_shows_the_options_that_one_command_alone_has(
    command: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([command, "--help"]) == DONE
    shown = capsys.readouterr().out
    assert all(word in shown for word in words)
