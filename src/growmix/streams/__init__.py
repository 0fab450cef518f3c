"""Streams of tasks: named ones, any sequence of domains, and a user's own arrays."""

from growmix.streams.catalogue import Entry, LabelSpace, available
from growmix.streams.loading import load
from growmix.streams.stream import Stream, Task, from_arrays

__all__ = ["Entry", "LabelSpace", "Stream", "Task", "available", "from_arrays", "load"]
