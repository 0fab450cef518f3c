"""Which few of many components are worth scoring for an example: Gaussians of a small projection say so.

Whoever scores a thousand components for every example pays a thousand times. The list costs about as much as a few
small components: Gaussians of own variances in coordinates that are common to all, a matrix product, leave fifty of
them; Gaussians of own covariances leave the few of these that are scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from growmix.data.domain import Domain
from growmix.learning.sums import ProjectedSums, project

MANY = 30
"""Components up to which all are scored unless the setting says otherwise: a list would save little."""

LONGEST = 5
"""Components that are listed at most beyond that unless the setting says otherwise."""

FAR = 20.0
"""Nats behind the best fit from which on a component is not listed: it would answer for one example in a hundred."""

NOBODY = -1
"""What stands in a list in place of a component that is too far behind."""

ROUGHLY = 50
"""Components that the Gaussians of own variances leave to those of own covariances."""

FEW_PAIRS = 256
"""Pairs of example and component up to which one batched product is faster than one product for each component."""

SHRINKAGE = 0.05
"""Share of the mean variance that is added to the covariance, so that it can be inverted whatever was learnt."""

_PIECE = 4_096  # examples that are listed at a time


@final
@dataclass(frozen=True, eq=False)
class Lists:
    """Which components are worth scoring for some examples; ``None`` where all are, -1 in place of none.

    Attributes
    ----------
    each
        Indices of the components for each example, shape ``(n, listed)``.
    together
        Indices of the components for examples that are known to come from one task, the same in each row.
    """

    each: Tensor | None = None
    together: Tensor | None = None


ALL = Lists()
"""All components are worth scoring."""


@final
@dataclass(frozen=True, eq=False)
class Shortlist:
    """Lists for every example the few components that are worth scoring; never changed.

    Parameters
    ----------
    domain
        Shape and support of the examples, with the statistics of the first task.
    sums
        What is known of the examples that each component learnt. A component of which nothing is known is always
        listed.
    longest
        Components to be listed for an example, at most; 0 lists all. ``None``: all up to 30 components, else 5.

    Examples
    --------
    >>> from growmix.data.task import TaskData
    >>> domain = Domain((1,), "real")
    >>> sums = [ProjectedSums.of(TaskData(place + torch.tensor([[0.0], [1.0]])), domain) for place in (0.0, 10.0, 20.0)]
    >>> Shortlist(domain, tuple(sums), longest=1).listed(torch.tensor([[9.0], [25.0]])).tolist()
    [[1], [2]]
    """

    domain: Domain
    sums: tuple[ProjectedSums, ...]
    longest: int | None = None

    @cached_property
    def length(self) -> int:
        """How many components are listed for an example at most; as many as there are where all are."""
        components = len(self.sums)
        asked = self.longest or components
        if self.longest is None:
            asked = components if components <= MANY else LONGEST
        unknown = sum(not each.labels for each in self.sums)
        return min(asked + unknown, components)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what follows from them is made again

    def first(self, components: int) -> Shortlist:
        """Return the list as it was when there were so many components."""
        return self if components == len(self.sums) else replace(self, sums=self.sums[:components])

    def listed(self, x: Tensor, able: Tensor | None = None) -> Tensor | None:
        """Return which components are worth scoring for each example; ``None``: all are.

        Parameters
        ----------
        x
            Checked examples, ``uint8`` or ``float32``, shape ``(n, *shape)``.
        able
            Which components can be asked, shape ``(components,)``; by default all.

        Returns
        -------
        Tensor or None
            Indices, shape ``(n, length)``, different ones in each row, the best fit first; -1 where a component is far
            behind it, and was not listed.
        """
        if self.length == len(self.sums):
            return None
        unable = None if able is None else ~able
        return torch.cat([self._of_piece(project(piece, self.domain), unable) for piece in x.split(_PIECE)])

    def listed_together(self, x: Tensor) -> Tensor | None:
        """Return which components are worth scoring for a group that is known to come from one task.

        The result is as that of :meth:`listed`, and the same for every example.
        """
        if self.length == len(self.sums):
            return None
        pieces = [project(piece, self.domain) for piece in x.split(_PIECE)]
        near = self._nearest(_sum_of(self._gaussians.roughly(piece) for piece in pieces))
        closely = _sum_of(self._gaussians.closely(piece, near.expand(len(piece), -1)) for piece in pieces)
        return near[0, closely[0].topk(self.length).indices].expand(len(x), -1)

    def lists(self, x: Tensor) -> Lists:
        """Return which components are worth scoring for each of these examples, and for all of them together."""
        return Lists(self.listed(x), self.listed_together(x))

    def _of_piece(self, values: Tensor, unable: Tensor | None) -> Tensor:
        roughly = self._gaussians.roughly(values)
        if unable is not None:
            roughly[:, unable] = -torch.inf
        near = self._nearest(roughly)
        closely = self._gaussians.closely(values, near)
        if unable is not None:
            closely[unable[near]] = -torch.inf
        fits, best = closely.topk(self.length)
        most = fits.masked_fill(fits == torch.inf, -torch.inf).amax(1, keepdim=True)
        return near.gather(1, best).masked_fill(fits < most - FAR, NOBODY)

    def _nearest(self, roughly: Tensor) -> Tensor:
        return roughly.topk(min(max(ROUGHLY, self.length), len(self.sums))).indices

    @cached_property
    def _gaussians(self) -> _Gaussians:
        return _Gaussians(self.sums)


class _Gaussians:
    """Gaussians of what each component learnt, one for each of its groups of examples.

    Parameters
    ----------
    sums
        What is known of the examples that each component learnt.
    """

    def __init__(self, sums: Sequence[ProjectedSums]) -> None:
        shared = _shared_covariance(sums)
        scatter = torch.stack([each.scatter for each in sums]) + len(shared) * shared
        own = scatter / torch.tensor([each.examples + len(shared) for each in sums])[:, None, None]
        self._centre, self._coordinates = _coordinates(sums, shared)
        self._layers, self._place, self._weight, self._bias = _of_variances(sums, own, self._centre, self._coordinates)
        self._whiten, self._log_volume, self._means = _of_covariances(sums, own)
        self._centre, self._coordinates = self._centre.float(), self._coordinates.float()

    def roughly(self, values: Tensor) -> Tensor:
        """Return how well each component fits, ``(n, numbers)`` to ``(n, components)``, by its variances alone."""
        common = (values - self._centre) @ self._coordinates
        features = torch.cat([common, common.square()], dim=1)
        layers: tuple[Tensor, ...] = torch.addmm(self._bias, features, self._weight).split(self._layers, dim=1)
        best, *others = layers
        for layer in others:
            leading = best[:, : layer.shape[1]]
            torch.maximum(leading, layer, out=leading)
        return best[:, self._place]

    def closely(self, values: Tensor, near: Tensor) -> Tensor:
        """Return how well some components fit, each by its own covariances.

        Parameters
        ----------
        values
            Projected examples, shape ``(n, numbers)``.
        near
            Which components are asked for each example, shape ``(n, asked)``; the result has this shape.
        """
        if near.numel() <= FEW_PAIRS:
            white = torch.einsum("nd,nkde->nke", values, self._whiten[near])
            return self._fit(white[:, :, None], near)
        fits = torch.empty(near.numel(), dtype=torch.float32)
        for k, rows, pairs in pairs_by_component(near):
            white = values[rows] @ self._whiten[k]
            fits[pairs] = self._fit(white[:, None], k)
        return fits.view(near.shape)

    def _fit(self, white: Tensor, k: int | Tensor) -> Tensor:
        distance = (white - self._means[k]).square_().sum(-1).amin(-1)
        return self._log_volume[k] - 0.5 * distance


def _sum_of(fits: Iterable[Tensor]) -> Tensor:
    """Return the sum of fits ``(n, components)`` over all examples of all pieces, shape ``(1, components)``."""
    return torch.stack([piece.double().sum(0) for piece in fits]).sum(0, keepdim=True)


def pairs_by_component(listed: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield each component that is listed, with its examples, and their places in ``listed.flatten()``.

    Examples
    --------
    >>> pairs = pairs_by_component(torch.tensor([[4, 2], [7, 4], [2, -1]]))
    >>> [(k, rows.tolist(), places.tolist()) for k, rows, places in pairs]
    [(2, [0, 2], [1, 4]), (4, [0, 1], [0, 3]), (7, [1], [2])]
    """
    components, places = listed.flatten().sort(stable=True)
    different, counts = components.unique_consecutive(return_counts=True)
    rows, parts = places // listed.shape[1], counts.tolist()
    for k, own, of_list in zip(different.tolist(), rows.split(parts), places.split(parts), strict=True):
        if k != NOBODY:
            yield k, own, of_list


def _shared_covariance(sums: Sequence[ProjectedSums]) -> Tensor:
    """Return the covariance within groups of all that was learnt, which can be inverted.

    It counts as one example for each number in the covariance of every component: those that learnt few examples hardly
    have another.
    """
    examples = sum(each.examples for each in sums)
    covariance = torch.stack([each.scatter for each in sums]).sum(0) / max(1, examples)
    spread = float(covariance.diagonal().mean())
    return covariance + (SHRINKAGE * spread if spread > 0 else 1.0) * torch.eye(len(covariance), dtype=torch.float64)


def _coordinates(sums: Sequence[ProjectedSums], shared: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of all groups, and the coordinates in which the shared covariance is one, as columns."""
    centre = torch.cat([each.mean for each in sums]).mean(0)
    sizes, axes = torch.linalg.eigh(shared)
    return centre.nan_to_num(), axes / sizes.sqrt()  # no group has no mean


def _of_variances(
    sums: Sequence[ProjectedSums], own: Tensor, centre: Tensor, coordinates: Tensor
) -> tuple[list[int], Tensor, Tensor, Tensor]:
    """Return what tells how well components fit by their variances: layers, places, weight and bias.

    Groups stand in layers: the first group of every component, in the order of how many they have; then the second one
    of those that have two, and so on. A component of which nothing is known fits better than any other.
    """
    groups = torch.tensor([len(each.labels) for each in sums])
    order = groups.argsort(descending=True, stable=True).tolist()
    layers = [order, *([k for k in order if groups[k] > j] for j in range(1, int(groups.max())))]
    places = torch.tensor([k for layer in layers for k in layer])
    mean = torch.stack([_group(sums[k], j) for j, layer in enumerate(layers) for k in layer])
    mean = (mean - centre) @ coordinates
    variance = torch.einsum("de,kdf,fe->ke", coordinates, own, coordinates)[places]
    weight = torch.cat([mean / variance, -0.5 / variance], dim=1).T
    bias = -0.5 * (mean.square() / variance + variance.log()).sum(1)
    bias[: len(order)][groups[order] == 0] = torch.inf
    return [len(layer) for layer in layers], torch.tensor(order).argsort(), weight.float().contiguous(), bias.float()


def _of_covariances(sums: Sequence[ProjectedSums], own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what tells how well components fit by their covariances: whitening, log-volumes, whitened means.

    Where a component has fewer groups than another, its first group is there several times.
    """
    root = torch.linalg.cholesky(own)
    identity = torch.eye(own.shape[1], dtype=torch.float64)
    whiten = torch.linalg.solve_triangular(root, identity, upper=False).mT
    log_volume = -root.diagonal(dim1=1, dim2=2).log().sum(1)
    log_volume[torch.tensor([not each.labels for each in sums])] = torch.inf
    most = max(1, *(len(each.labels) for each in sums))
    means = torch.stack([torch.stack([_group(each, j) for j in range(most)]) for each in sums])
    return whiten.float().contiguous(), log_volume.float(), (means @ whiten).float()


def _group(sums: ProjectedSums, j: int) -> Tensor:
    """Return the mean of a group, of the first one where there are fewer, or zeros where nothing is known."""
    if not sums.labels:
        return torch.zeros(sums.scatter.shape[1], dtype=torch.float64)
    return sums.mean[j if j < len(sums.labels) else 0]
