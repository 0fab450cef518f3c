"""What is kept of the examples that a component learnt so that it can be listed: sums in a small projection, no data.

Count, mean and scatter add up exactly. The projection is the same for all components of all mixtures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from growmix.checkpoints.filling import check_finite
from growmix.components.component import Component
from growmix.components.gaussian.sums import BATCH, Sums, sums_of
from growmix.components.scaling import Scaling
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, TaskData, as_float
from growmix.storage.typed import check_range, check_tensor, record_from

NUMBERS = 64
"""Numbers of the projection: each bit of a 64-bit random number is one sign of it."""

_SEED = 20_250  # the projection must be that of all that was ever summed
_BLOCK = 2**16  # numbers of an example that are projected at a time: their signs take 16 MB


def project(x: Tensor, domain: Domain) -> Tensor:
    """Return the projection of examples by random signs; those of at most 64 numbers stay as they are.

    Parameters
    ----------
    x
        Examples on the CPU, ``uint8`` or ``float32``, shape ``(n, *shape)``.
    domain
        Shape and support of the examples, with the statistics of the first task.

    Returns
    -------
    Tensor
        Shape ``(n, 64)``, or ``(n, size)`` of small examples, ``float32``.

    Examples
    --------
    >>> project(torch.ones(2, 1, 28, 28), Domain((1, 28, 28))).shape, project(torch.ones(2, 3), Domain((3,))).shape
    (torch.Size([2, 64]), torch.Size([2, 3]))
    """
    scaled: Tensor = _scaling(domain)(as_float(x))
    flat, size = scaled.flatten(1), domain.size
    if size <= NUMBERS:
        return flat
    values = flat[:, :_BLOCK] @ _signs(0, min(_BLOCK, size))
    for start in range(_BLOCK, size, _BLOCK):
        values += flat[:, start : start + _BLOCK] @ _signs(start, min(_BLOCK, size - start))
    return values


def numbers_of(domain: Domain) -> int:
    """Return how many numbers :func:`project` makes of an example."""
    return min(domain.size, NUMBERS)


@lru_cache(maxsize=4)
def _scaling(domain: Domain) -> Scaling:
    return Scaling(domain)


@lru_cache(maxsize=4)
def _signs(start: int, count: int) -> Tensor:
    """Return the scaled signs that some numbers of an example are projected by, shape ``(count, 64)``.

    They are bits of a generator whose raw output is promised to be the same in every version and on every machine.
    """
    words = np.random.PCG64(_SEED).advance(start).random_raw(count).astype("<u8")
    bits = np.unpackbits(words.view(np.uint8)).reshape(count, NUMBERS)
    return (torch.from_numpy(bits).float() * 2.0 - 1.0) / math.sqrt(NUMBERS)


@final
@dataclass(frozen=True, eq=False)
class ProjectedSums:
    """Count, mean and scatter of the projected examples that one component learnt; never changed.

    Attributes
    ----------
    labels
        Label of each group of examples, ascending; -1 is that of the unlabelled.
    counts
        Number of examples of each group.
    mean
        Mean of each group, shape ``(groups, numbers)``, ``float64``.
    scatter
        Sum over all examples of the outer product of their difference from the mean of their group, shape
        ``(numbers, numbers)``, ``float64``.
    """

    labels: tuple[int, ...]
    counts: tuple[int, ...]
    mean: Tensor
    scatter: Tensor

    @classmethod
    def nothing(cls, numbers: int) -> ProjectedSums:
        """Return the sums of no example: those of a component of which nothing is known."""
        scatter = torch.zeros(numbers, numbers, dtype=torch.float64, device="cpu")
        return cls((), (), scatter[:0], scatter)

    @classmethod
    def of(cls, task: TaskData, domain: Domain) -> ProjectedSums:
        """Return the sums of a task's examples; the domain has the statistics of the first task.

        Examples
        --------
        >>> task = TaskData(torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([3, 3, 7]))
        >>> sums = ProjectedSums.of(task, Domain((1,)))
        >>> sums.labels, sums.counts, sums.mean.tolist(), sums.scatter.tolist()
        ((3, 7), (2, 1), [[1.0], [5.0]], [[2.0]])
        """
        y = torch.full((len(task),), UNLABELLED) if task.y is None else task.y
        labels, group = y.unique(return_inverse=True)
        values = torch.cat([project(piece, domain) for piece in task.x.split(BATCH)])
        return cls._named(tuple(labels.tolist()), sums_of(values, group, len(labels), "pooled"))

    @classmethod
    def _named(cls, labels: tuple[int, ...], sums: Sums) -> ProjectedSums:
        return cls(labels, tuple(int(count) for count in sums.count.tolist()), sums.mean, sums.scatter)

    def plus(self, other: ProjectedSums) -> ProjectedSums:
        """Return the sums of both lots of examples together, as if they had come at once.

        Examples
        --------
        >>> one, two = (ProjectedSums.of(TaskData(torch.tensor(x)), Domain((1,))) for x in ([[0.0], [2.0]], [[4.0]]))
        >>> both = one.plus(two)
        >>> both.counts, both.mean.tolist(), both.scatter.tolist()
        ((3,), [[2.0]], [[8.0]])
        """
        labels = tuple(sorted({*self.labels, *other.labels}))
        return self._named(labels, self._spread_over(labels).merged(other._spread_over(labels)))

    def _spread_over(self, labels: Sequence[int]) -> Sums:
        """Return the sums of groups with these labels, zeros where there is no such group."""
        place = torch.tensor([labels.index(label) for label in self.labels], dtype=torch.int64)
        mean = self.mean.new_zeros(len(labels), self.mean.shape[1]).index_copy(0, place, self.mean)
        counts = torch.tensor(self.counts, dtype=torch.float64)
        return Sums(mean.new_zeros(len(labels)).index_copy(0, place, counts), mean, self.scatter, "pooled")

    @property
    def examples(self) -> int:
        """Number of examples behind the sums."""
        return sum(self.counts)


def with_task(
    sums: Sequence[ProjectedSums], component: int, task: TaskData, domain: Domain
) -> tuple[ProjectedSums, ...]:
    """Return the sums of all components after one, a new one or one of these, has learnt a task.

    Parameters
    ----------
    sums
        The sums of all components before.
    component
        Index of the one that learnt the task.
    task
        The real examples: what is replayed beside them was summed when it was real.
    domain
        The domain of the component, with the statistics of the first task.
    """
    new = ProjectedSums.of(task, domain)
    if component == len(sums):
        return (*sums, new)
    return (*sums[:component], sums[component].plus(new), *sums[component + 1 :])


def pack_sums(sums: Sequence[ProjectedSums]) -> tuple[list[dict[str, list[int]]], dict[str, Tensor]]:
    """Return the sums of all components as JSON and tensors, for a checkpoint; nothing where nothing is known."""
    if not any(each.labels for each in sums):
        return [], {}
    document = [{"labels": list(each.labels), "counts": list(each.counts)} for each in sums]
    mean, scatter = torch.cat([each.mean for each in sums]), torch.stack([each.scatter for each in sums])
    return document, {"mean": mean, "scatter": scatter}


@dataclass(frozen=True)
class _Groups:
    """The part of a component's sums that is no tensor."""

    labels: tuple[int, ...]
    counts: tuple[int, ...]


def unpack_sums(
    document: Any, tensors: dict[str, Tensor], components: Sequence[Component], examples: Sequence[int]
) -> tuple[ProjectedSums, ...]:
    """Return the sums again, from what :func:`pack_sums` gave.

    Parameters
    ----------
    document, tensors
        What a checkpoint has of them; the tensors may have no memory.
    components
        The components that learnt the examples.
    examples
        How many examples each component learnt.

    Raises
    ------
    ValueError
        The sums can't be those of what these components learnt.
    """
    numbers = numbers_of(components[0].domain) if components else 0
    if not document:
        return (ProjectedSums.nothing(numbers),) * len(components)
    groups = record_from(document, tuple[_Groups, ...])
    if len(groups) != len(components):
        raise ValueError(f"{len(components)} components, but sums of {len(groups)}")
    for k, each in enumerate(groups):
        _check_groups(each, components[k], examples[k], k)
    shapes = {"mean": (sum(len(each.labels) for each in groups), numbers), "scatter": (len(groups), numbers, numbers)}
    for name, shape in shapes.items():
        check_tensor(tensors, name, shape, torch.float64)
    mean, scatter = tensors["mean"], tensors["scatter"]
    check_finite({"mean of sums": mean, "scatter of sums": scatter})
    if not scatter.is_meta:
        _check_scatter(scatter)
    means = mean.split([len(each.labels) for each in groups])
    return tuple(ProjectedSums(each.labels, each.counts, means[k], scatter[k]) for k, each in enumerate(groups))


def _check_groups(groups: _Groups, component: Component, examples: int, k: int) -> None:
    """Check that component k can have learnt such groups of examples; raises ``ValueError``."""
    if list(groups.labels) != sorted(set(groups.labels)) or not {UNLABELLED, *component.classes} >= {*groups.labels}:
        raise ValueError(f"component {k} knows {component.classes}, but has sums of {groups.labels}")
    if len(groups.counts) != len(groups.labels):
        raise ValueError(f"component {k} has {len(groups.labels)} groups of examples, but {len(groups.counts)} counts")
    for count in groups.counts:
        check_range("counts", count, 1)
    if groups.counts and sum(groups.counts) != examples:
        raise ValueError(f"component {k} learnt {examples} examples, but has sums of {sum(groups.counts)}")


def _check_scatter(scatter: Tensor) -> None:
    """Check that matrices can be sums of outer products, but for rounding; raises ``ValueError``."""
    size = scatter.diagonal(dim1=1, dim2=2).amax(1)[:, None, None]
    rounding = 1e-9 * torch.where(size > 0, size, 1.0)
    skew = (scatter - scatter.transpose(1, 2)).abs() > rounding
    ridge = rounding * torch.eye(scatter.shape[1], dtype=torch.float64)
    if bool(skew.any()) or bool(torch.linalg.cholesky_ex(scatter + ridge).info.any()):
        raise ValueError("a scatter that no examples have")
