"""Options are made from the declarations, and read with their names in messages."""

from __future__ import annotations

import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from growmix import BadInput
from growmix.cli.options import Options, StudyOptions, read_path, read_whole
from growmix.config import keys


def token(value: str, keyword: str | None = None) -> Any:
    """Return what stands for a word of a command line as it is handed to a converter."""
    return (SimpleNamespace(value=value, keyword=keyword),)


def test_every_key_of_a_run_is_an_option_but_what_a_command_says_itself() -> None:
    assert set(typing.get_type_hints(Options)) == set(keys()) - {"stream"}
    assert set(typing.get_type_hints(StudyOptions)) == set(keys()) - {"stream", "seed", "method"}


def test_help_of_an_option_ends_with_its_default_where_it_has_one() -> None:
    options = typing.get_type_hints(Options, include_extras=True)
    for name, declared in keys().items():
        if name != "stream":
            told = options[name].__metadata__[0].help
            assert told.startswith(declared.whole_help)
            assert (f"[default: {declared.default}]" in told) == (declared.default not in (None, ())), name


def test_a_path_that_can_not_be_is_named_by_its_option() -> None:
    assert read_path(Path, token("a/b", "--out")) == Path("a/b")
    for keyword, name in (("--data-root", "data_root"), (None, "DIR")):
        with pytest.raises(BadInput, match=rf"^{name} is ''; allowed is a path$"):
            read_path(Path, token("", keyword))


def test_a_count_is_a_whole_number() -> None:
    assert read_whole(int, token("-3")) == -3
    for text in ("1.5", "many", ""):
        with pytest.raises(ValueError, match=rf"^'{text}'; allowed is a whole number$"):
            read_whole(int, token(text))
