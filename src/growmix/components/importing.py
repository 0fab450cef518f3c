"""Blueprints that a user has written, named by an import path; only what was allowed is imported.

A configuration or a checkpoint may come from a stranger, and importing a module runs it. So a path in one of them is
only a name, until whoever started the program allows it: to import a module that a stranger chose is to trust them.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

from growmix.components.nets import Blueprint
from growmix.errors import BadInput, one_line, shown
from growmix.settings import is_import_path

_allowed: dict[str, Blueprint] = {}


def allow_import(path: str) -> Blueprint:
    """Import a blueprint, so that settings can name it in this process.

    Parameters
    ----------
    path
        ``module:name`` of a :class:`growmix.nets.Blueprint`, or of a function or class that makes one when it is
        called without arguments.
        The module is looked for where Python looks, and last in the current folder.

    Raises
    ------
    BadInput
        There is no such module or name, it fails, or it is no blueprint.

    Examples
    --------
    >>> allow_import("growmix.components.nets:MLP")
    MLP(hidden=None, depth=2, name='mlp', batchable=True)
    """
    if not is_import_path(path):
        raise BadInput(f"blueprint is {shown(path)}; allowed is an import path such as my_nets:blueprint")
    module, _, name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), name)
        made = found() if inspect.isfunction(found) or inspect.isclass(found) else found
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise BadInput(f"blueprint {path!r} can't be imported: {one_line(error)}") from error
    if not isinstance(made, Blueprint):
        raise BadInput(f"blueprint {path!r} is a {type(made).__name__}; allowed is a Blueprint, or what makes one")
    _allowed[path] = made
    return made


def imported(path: str) -> Blueprint:
    """The blueprint of an import path that was allowed.

    Raises
    ------
    BadInput
        The import path was not allowed.
    """
    if path not in _allowed:
        raise BadInput(
            f"blueprint is {path!r}, which would run code of that module; allowed on the command line with "
            "--allow-import, in Python after growmix.components.importing.allow_import"
        )
    return _allowed[path]
