"""Writes what is generated from the declarations: the reference page, and the types of keyword arguments.

Run ``python -m growmix.cli.reference`` in the project's root after a setting was added or changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args, get_origin

from growmix.config import keys
from growmix.settings import Declaration, Settings, declarations

PAGE = Path("docs") / "settings.md"
_WIDEST = 121  # characters of a line of the module, its end among them
TYPES = Path("src") / "growmix" / "settings" / "changes.py"

_PAGE_BEGINS = """\
# Settings

Every key of a run, by group. It has the same name in Python (`GrowingMixture("mlp", latent=32)`), in YAML
(`latent: 32`) and, with hyphens, on the command line (`--latent 32`). A setting that has no effect in a combination is
refused, with what would use it. This page is made from the declarations by `python -m growmix.cli.reference`.
"""

_TYPES_BEGIN = '''\
"""Keyword arguments that change settings, with their types; made by ``python -m growmix.cli.reference``."""

from __future__ import annotations

from typing import Literal, TypedDict


class SettingsChanges(TypedDict, total=False):
    """Changes to settings in Python, but for those that may be objects: a verb takes these by names of its own."""

'''

_TYPES_GO_ON = '''

class AllChanges(SettingsChanges, total=False):
    """Changes to settings in Python, where each choice is given by its name."""

'''


def page() -> str:
    """Return the reference page of all keys of a run, in Markdown."""
    known = keys().values()
    groups = dict.fromkeys(each.group for each in known)
    return _PAGE_BEGINS + "".join(_table(group, [each for each in known if each.group == group]) for group in groups)


def _table(group: str, declared: Iterable[Declaration]) -> str:
    rows = "".join(f"| `{each.name}` | {_default(each)} | {each.allowed} | {each.whole_help} |\n" for each in declared)
    return f"\n## {group}\n\n| key | default | allowed | what it does |\n| --- | --- | --- | --- |\n{rows}"


def _default(declared: Declaration) -> str:
    if declared.default in (None, ()):
        return ""
    return f"`{str(declared.default).lower()}`" if declared.kind is bool else f"`{declared.default}`"


def types() -> str:
    """Return the module with the types of keyword arguments."""
    known = declarations(Settings).values()
    plain = "".join(_line(each) for each in known if not each.door)
    doors = "".join(_line(each) for each in known if each.door)
    return _TYPES_BEGIN + plain + _TYPES_GO_ON + doors


def _line(declared: Declaration) -> str:
    optional = " | None" if declared.optional else ""
    if get_origin(declared.kind) is not Literal:
        return f"    {declared.name}: {declared.kind.__name__}{optional}\n"
    names = [f'"{name}"' for name in get_args(declared.kind)]
    line = f"    {declared.name}: Literal[{', '.join(names)}]{optional}\n"
    if len(line) <= _WIDEST:
        return line
    return f"    {declared.name}: Literal[\n" + "".join(f"        {name},\n" for name in names) + f"    ]{optional}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    TYPES.write_text(types(), encoding="utf-8")
