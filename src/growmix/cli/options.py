"""Options of the commands, made from the declarations of settings, and the kinds of arguments that commands share."""

from __future__ import annotations

import typing
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypedDict

from cyclopts import Group, Parameter

from growmix.config import keys
from growmix.errors import shown
from growmix.settings import Declaration
from growmix.system.paths import check_path


def _as_given(kind: Any, tokens: Sequence[Any]) -> Any:
    """Return the text of an option; config checks and converts it, as it does for YAML."""
    return tokens[0].value


def _option(declared: Declaration, group: Group) -> Any:
    text = declared.whole_help
    told = text if declared.default in (None, ()) else f"{text} [default: {declared.default}]"
    if declared.kind is bool:
        return Annotated[bool, Parameter(help=told, group=group)]
    kind = str if typing.get_origin(declared.kind) is tuple else declared.kind
    numeric = kind in (int, float)  # a negative number is refused by its own check, not taken for an option
    return Annotated[
        kind, Parameter(help=told, group=group, converter=_as_given, allow_leading_hyphen=numeric, n_tokens=1)
    ]


def _options(*, without: Collection[str]) -> dict[str, Any]:
    """Return every key of a configuration but these, as an option with its help."""
    declared = [each for name, each in keys().items() if name not in without]
    titles = dict.fromkeys(each.group for each in declared)
    groups = {title: Group(title, sort_key=rank) for rank, title in enumerate(titles)}
    return {each.name: _option(each, groups[each.group]) for each in declared}


if TYPE_CHECKING:
    Options: TypeAlias = dict[str, Any]
    StudyOptions: TypeAlias = dict[str, Any]
else:
    # hold what was given, and nothing else
    Options = TypedDict("Options", _options(without=["stream"]), total=False)
    StudyOptions = TypedDict("StudyOptions", _options(without=["stream", "seed", "method"]), total=False)


def read_path(kind: Any, tokens: Sequence[Any]) -> Path:
    """Return the path that an option gives, checked; messages name the option."""
    return check_path(tokens[0].value, (tokens[0].keyword or "DIR").lstrip("-").replace("-", "_"))


def read_whole(kind: Any, tokens: Sequence[Any]) -> int:
    """Return the whole number that an option gives."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{shown(tokens[0].value)}; allowed is a whole number") from None


OWN = Group.create_default_parameters()
"""Options of one command alone, whose panel has no name of its own."""
RUN = Group("Run", sort_key=0)
STUDY = Group("Study", sort_key=0)


def path(help: str, group: Group = OWN) -> Parameter:
    """Return what makes an argument a path."""
    return Parameter(help=help, group=group, converter=read_path, n_tokens=1)


def count(help: str, group: Group = OWN) -> Parameter:
    """Return what makes an argument a whole number."""
    return Parameter(help=help, group=group, converter=read_whole, n_tokens=1, allow_leading_hyphen=True)


def flag(help: str, group: Group = OWN, name: str | None = None) -> Parameter:
    """Return what makes an argument a switch that is off unless it is given."""
    return Parameter(name=name, help=help, group=group, negative=(), show_default=False)


ALL_OPTIONS = Parameter(name="*")
"""Makes an argument take every option of a run that was given."""

StreamName: TypeAlias = Annotated[str | None, Parameter(help='Name of the stream; "growmix streams" lists them.')]
Folder: TypeAlias = Annotated[
    Path, Parameter(name="DIR", help="Folder of a run, what --out was.", converter=read_path, n_tokens=1)
]
Device: TypeAlias = Annotated[
    str | None, Parameter(help="Where to compute (auto, cpu, cuda, mps); by default where the run did.")
]
AllowImport: TypeAlias = Annotated[
    bool,
    flag(
        "Import the blueprint of your own that is named by its import path, such as my_nets:blueprint; this runs the "
        "code of that module.",
        RUN,
    ),
]
StudyJobs: TypeAlias = Annotated[int, count("How many runs at a time share the cores.", STUDY)]
