"""Streams of tasks: those with a name, any sequence of domains, and streams of a user's own arrays."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from growmix.streams.catalogue import Entry, LabelSpace, available
    from growmix.streams.loading import load
    from growmix.streams.stream import Stream, Task, from_arrays

_HOMES = {
    "catalogue": ("Entry", "LabelSpace", "available"),
    "loading": ("load",),
    "stream": ("Stream", "Task", "from_arrays"),
}

__all__ = ["Entry", "LabelSpace", "Stream", "Task", "available", "from_arrays", "load"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, because the packages that read files take a second to load."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"growmix.streams.{home}"), name)
    raise AttributeError(f"module 'growmix.streams' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
