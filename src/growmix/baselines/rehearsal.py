"""What one network trains on beside a new task, so that it keeps the old ones: nothing, real data, or generated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.data.task import UNLABELLED, TaskData, as_float
from growmix.learning.replay import MIN_REPLAY, like, replay
from growmix.storage.typed import check_outline, check_range, check_tensor

MOST_GENERATED = 5
"""Most generated examples for each real one; beyond it a long stream would cost ever more memory."""


class Rehearsal(ABC):
    """Interface of what is kept of past data; it never changes, and :meth:`after` returns its successor."""

    @abstractmethod
    def recall(self, task: TaskData, teacher: Component, learnt: int, generator: torch.Generator) -> TaskData | None:
        """Return old examples to train on beside a new task; ``None`` where there are none.

        Parameters
        ----------
        task
            Examples of the new task.
        teacher
            Network as it was after the last task.
        learnt
            Number of real examples that the network has learnt.
        generator
            Generator on the CPU.
        """

    @abstractmethod
    def after(self, task: TaskData, generator: torch.Generator) -> Rehearsal:
        """Return what is kept once a task was learnt."""

    @abstractmethod
    def pack(self) -> dict[str, Tensor]:
        """Return all that a checkpoint must hold, by name."""

    @abstractmethod
    def unpack(self, tensors: Mapping[str, Tensor], component: Component | None) -> Rehearsal:
        """Return the rehearsal whose :meth:`pack` gave these tensors.

        Parameters
        ----------
        tensors
            Tensors that were read, by name.
        component
            Network that was trained last; ``None`` before the first task.

        Raises
        ------
        ValueError
            The tensors are no examples that the network can have learnt.
        """


@final
class Nothing(Rehearsal):
    """Rehearse nothing, and train on the new task alone."""

    def recall(self, task: TaskData, teacher: Component, learnt: int, generator: torch.Generator) -> None:
        """Recall nothing: there are no old examples."""

    def after(self, task: TaskData, generator: torch.Generator) -> Nothing:
        """Return itself, since nothing is kept."""
        return self

    def pack(self) -> dict[str, Tensor]:
        """Return no tensor: a checkpoint needs none."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], component: Component | None) -> Nothing:
        """Return itself, since nothing is kept."""
        return self


@final
@dataclass(frozen=True, eq=False)
class Everything(Rehearsal):
    """Rehearse all real examples of all tasks."""

    data: TaskData | None = None

    def recall(self, task: TaskData, teacher: Component, learnt: int, generator: torch.Generator) -> TaskData | None:
        """Return all examples that were kept."""
        return self.data

    def after(self, task: TaskData, generator: torch.Generator) -> Everything:
        """Return a rehearsal that has the examples of the task too."""
        # copied even alone: tensors come in as they are, and the caller's may change
        return Everything(together([task] if self.data is None else [self.data, task]))

    def pack(self) -> dict[str, Tensor]:
        """Return the examples and their labels."""
        return _pack(self.data)

    def unpack(self, tensors: Mapping[str, Tensor], component: Component | None) -> Everything:
        """Return a rehearsal with these examples and labels."""
        return Everything(_unpack(tensors, component))


@final
@dataclass(frozen=True, eq=False)
class Buffer(Rehearsal):
    """Rehearse a few real examples, as many of every class as there is room for.

    Parameters
    ----------
    capacity
        Most examples that are kept.
    data
        Examples that are kept.
    keys
        Random number in [0, 1) of each example, drawn when it came, shape ``(n,)``. The smallest of a class are kept,
        so that every example of a class has the same chance, whenever it came.

    References
    ----------
    Chaudhry et al. 2019, experience replay with batches that are half memory.

    Examples
    --------
    >>> task = TaskData(torch.rand(30, 1, 4, 4), torch.tensor([0] * 20 + [1] * 10))
    >>> Buffer(8).after(task, torch.Generator()).data.y.bincount()
    tensor([4, 4])
    """

    capacity: int
    data: TaskData | None = None
    keys: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))

    def recall(self, task: TaskData, teacher: Component, learnt: int, generator: torch.Generator) -> TaskData | None:
        """Return as many examples as the task has, by repeating those that are kept."""
        if self.data is None:
            return None
        rounds = -(-len(task) // len(self.data))
        order = torch.cat([torch.randperm(len(self.data), generator=generator) for _ in range(rounds)])
        return self.data[order[: len(task)]]

    def after(self, task: TaskData, generator: torch.Generator) -> Buffer:
        """Let the examples of the task compete for a place with those that are kept."""
        data = task if self.data is None else together([self.data, task])
        keys = torch.cat([self.keys, torch.rand(len(task), generator=generator, dtype=torch.float64)])
        labels = torch.zeros(len(data), dtype=torch.int64) if data.y is None else data.y
        kept = balanced(labels, keys)[: self.capacity]
        return Buffer(self.capacity, data[kept], keys[kept])

    def pack(self) -> dict[str, Tensor]:
        """Return the examples, their labels and their keys."""
        return _pack(self.data) | {"keys": self.keys}

    def unpack(self, tensors: Mapping[str, Tensor], component: Component | None) -> Buffer:
        """Return a buffer with these examples."""
        data = _unpack({name: tensor for name, tensor in tensors.items() if name != "keys"}, component)
        check_tensor(tensors, "keys", (0 if data is None else len(data),), torch.float64)
        check_range("examples", len(tensors["keys"]), 0, self.capacity)
        return Buffer(self.capacity, data, tensors["keys"])


@final
class Generated(Rehearsal):
    """Rehearse examples that the network as it was generates from the prior, in the proportions that it learnt."""

    def recall(self, task: TaskData, teacher: Component, learnt: int, generator: torch.Generator) -> TaskData:
        """Generate as many examples as were learnt, so that all tasks weigh alike; at most five for each real one."""
        drawn = replay(teacher, generated_size(len(task), learnt), generator)
        return TaskData(like(drawn.x, task.x), drawn.y)

    def after(self, task: TaskData, generator: torch.Generator) -> Generated:
        """Return itself, since the network is the memory."""
        return self

    def pack(self) -> dict[str, Tensor]:
        """Return no tensor: a checkpoint needs none."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], component: Component | None) -> Generated:
        """Return itself, since nothing is kept."""
        return self


def generated_size(new: int, learnt: int) -> int:
    """Return how many examples to generate beside ``new`` real ones where ``learnt`` were learnt before.

    Examples
    --------
    >>> generated_size(12_000, 24_000), generated_size(12_000, 90_000), generated_size(10, 24_000)
    (24000, 60000, 2000)
    """
    return min(learnt, max(MOST_GENERATED * new, MIN_REPLAY))


def balanced(labels: Tensor, keys: Tensor) -> Tensor:
    """Order rows so that every beginning has as many of each class as it can, smallest keys first.

    Examples
    --------
    >>> labels, keys = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0.1, 0.4, 0.2, 0.9, 0.3])
    >>> balanced(labels, keys)
    tensor([0, 4, 2, 3, 1])
    """
    by_key = keys.argsort(stable=True)
    rank = torch.empty_like(by_key)
    for label in labels.unique():
        own = labels[by_key] == label
        rank[own] = torch.arange(int(own.sum()))
    return by_key[rank.argsort(stable=True)]


def together(parts: Sequence[TaskData]) -> TaskData:
    """Put the examples of several tasks together; bytes beside floats become floats, so that no number is rounded."""
    images = [part.x for part in parts]
    if len({x.dtype for x in images}) > 1:
        images = [as_float(x) for x in images]
    labels = [part.y for part in parts if part.y is not None]
    return TaskData(torch.cat(images), torch.cat(labels) if len(labels) == len(parts) else None)


def _pack(data: TaskData | None) -> dict[str, Tensor]:
    if data is None:
        return {}
    return {"x": data.x} if data.y is None else {"x": data.x, "y": data.y}


def _unpack(tensors: Mapping[str, Tensor], component: Component | None) -> TaskData | None:
    if component is None:
        check_outline(tensors, {})
        return None
    dtype = torch.uint8 if "x" in tensors and tensors["x"].dtype == torch.uint8 else torch.float32
    check_tensor(tensors, "x", (None, *component.shape), dtype)
    x, y = tensors["x"], tensors.get("y")
    check_outline(tensors, {"x": x} | ({} if y is None else {"y": torch.empty(len(x), dtype=torch.int64)}))
    if not len(x) or (y is not None) != component.supervised:
        raise ValueError("examples are none, or have labels where none were learnt")
    if not x.is_meta:
        if not bool((x >= 0).all() and (as_float(x) <= 1).all()):
            raise ValueError("examples are no images in [0, 1]")
        if y is not None and not bool(torch.isin(y, torch.tensor([UNLABELLED, *component.classes])).all()):
            raise ValueError("examples have labels that were not learnt")
    return TaskData(x, y)
