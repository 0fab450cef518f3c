"""Scores of what a learner gives back of test sets, or translates them to, kept until another component makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, final

import torch
from torch import Tensor

from growmix.components.abilities import Codes
from growmix.components.component import Component
from growmix.data.task import TaskData, as_float
from growmix.evaluation.images import FIGURES, ImageScores, PictureScores, image_scores, squared_error
from growmix.evaluation.scores import History
from growmix.storage.typed import check_range, check_tensor

if TYPE_CHECKING:
    from growmix.learning.model import Model

BATCH = 2_048
"""Examples made at a time: their floats, before and after, are all that is held."""

Make: TypeAlias = "Callable[[Model, TaskData, Tensor, int], ImageScores]"
"""Scores what one component makes of some rows of a test set: from model, test set, rows and component."""


def score_reconstructions(model: Model, data: TaskData, rows: Tensor, component: int) -> ImageScores:
    """Score what one component gives back of some examples; of a component without codes, nothing: NaN.

    Parameters
    ----------
    model
        The model whose component is asked.
    data
        The test set.
    rows
        Which of its examples are given back, shape ``(m,)``.
    component
        Which component is asked, from 0.
    """
    source = model.components[component]
    if isinstance(source, Component) and not isinstance(source, Codes):
        return _unstacked(torch.full((len(FIGURES) if data.domain.is_image else 1, len(rows)), torch.nan))

    def scores_of(part: Tensor) -> ImageScores:
        made, wanted = model.reconstruct(data.x[part], component=component), as_float(data.x[part])
        if data.domain.is_image:
            return image_scores(made, wanted)
        return ImageScores(squared_error(made, wanted), None, None)

    return _in_batches(rows, scores_of)


def score_translations(model: Model, data: TaskData, rows: Tensor, component: int) -> ImageScores:
    """Score what one component translates sources to, against their targets; the parameters are as above."""
    target = data.target
    if target is None:
        raise ValueError("the test set has no pairs, so there is nothing to compare a translation with")

    def scores_of(part: Tensor) -> ImageScores:
        return image_scores(model.translate(data.x[part], component=component), as_float(target[part]))

    return _in_batches(rows, scores_of)


def _in_batches(rows: Tensor, scores_of: Callable[[Tensor], ImageScores]) -> ImageScores:
    pieces = [_stacked(scores_of(part)) for part in rows.split(BATCH)]
    return _unstacked(torch.cat(pieces, dim=1))


def _stacked(scores: ImageScores) -> Tensor:
    """Known figures as one tensor ``(figures, n)``."""
    return torch.stack([values for values in scores if values is not None])


def _unstacked(scores: Tensor) -> ImageScores:
    return ImageScores(*scores) if len(scores) == len(FIGURES) else ImageScores(scores[0], None, None)


@final
class Pictures:
    """Keeps scores of what a learner makes of every test set; an example is made again only by another component.

    Parameters
    ----------
    make
        Scores what one component makes of some of the examples.
    pictures
        Whether examples are pictures: else there is no SSIM and no PSNR.
    """

    def __init__(self, make: Make, *, pictures: bool = True) -> None:
        self._make = make
        self._figures = FIGURES if pictures else FIGURES[:1]
        self._made: dict[int, _Made] = {}
        self._cells: dict[tuple[int, int], PictureScores] = {}

    def look(self, model: Model, test: TaskData, cell: tuple[int, int], route: Tensor, versions: Tensor) -> None:
        """Bring a test set up to date, and keep its means.

        Parameters
        ----------
        model
            The model that makes the examples.
        test
            Test set of task i.
        cell
            The place ``(t, i)`` of its means: task i after task t.
        route
            The component that makes each example now, shape ``(n,)``.
        versions
            How often each of these components was trained, shape ``(n,)``.
        """
        made = self._made.setdefault(cell[1], _Made.nothing(len(test), len(self._figures)))
        stale = (made.component != route) | (made.version != versions)
        for k in route[stale].unique().tolist():
            rows = (stale & (route == k)).nonzero()[:, 0]
            made.scores[:, rows] = _stacked(self._make(model, test, rows, k))
        made.component, made.version = route, versions
        self._cells[cell] = PictureScores.of(self.of(cell[1]))

    def of(self, i: int) -> ImageScores:
        """Return the scores of task i's examples, as they were made last."""
        return _unstacked(self._made[i].scores)

    def history(self, learnt: int) -> History:
        """Return the means of every task after every task."""
        return tuple(tuple(self._cells.get((t, i)) for i in range(learnt)) for t in range(learnt))

    def pack(self) -> dict[str, Tensor]:
        """Return all that is kept; the means are tensors too, since JSON has no infinity."""
        means = [[getattr(cell, figure) for figure in self._figures] for cell in self._cells.values()]
        packed = {
            "cells": torch.tensor(list(self._cells), dtype=torch.int64).reshape(-1, 2),
            "means": torch.tensor(means, dtype=torch.float64).reshape(-1, len(self._figures)),
        }
        for i, made in self._made.items():
            packed |= {f"{i}.component": made.component, f"{i}.version": made.version, f"{i}.scores": made.scores}
        return packed

    def unpack(self, tensors: Mapping[str, Tensor], sizes: Sequence[int], learnt: int, versions: Sequence[int]) -> None:
        """Become what :meth:`pack` gave.

        Parameters
        ----------
        tensors
            What was packed; the tensors may have no memory.
        sizes
            How many examples each test set has.
        learnt
            How many tasks were learnt when it was packed.
        versions
            How often each component had been trained then.

        Raises
        ------
        ValueError
            The tensors can't be those of such a learner.
        """
        figures = len(self._figures)
        check_tensor(tensors, "cells", (None, 2), torch.int64)
        check_tensor(tensors, "means", (len(tensors["cells"]), figures), torch.float64)
        known = {name for i in range(learnt) for name in (f"{i}.component", f"{i}.version", f"{i}.scores")}
        if not tensors.keys() - {"cells", "means"} <= known:
            raise ValueError("pictures of a task that was not learnt")
        for i in {int(name.partition(".")[0]) for name in tensors.keys() & known}:
            check_tensor(tensors, f"{i}.component", (sizes[i],), torch.int64)
            check_tensor(tensors, f"{i}.version", (sizes[i],), torch.int64)
            check_tensor(tensors, f"{i}.scores", (figures, sizes[i]), torch.float32)
            self._made[i] = _Made(tensors[f"{i}.component"], tensors[f"{i}.version"], tensors[f"{i}.scores"])
        if tensors["cells"].is_meta:
            return
        for made in self._made.values():
            made.check(versions)
        unknown = [None] * (len(FIGURES) - figures)
        for (t, i), means in zip(tensors["cells"].tolist(), tensors["means"].tolist(), strict=True):
            check_range("task", t, 0, learnt - 1)
            if i not in self._made:
                raise ValueError(f"means of task {i}, but no pictures")
            self._cells[t, i] = PictureScores(*means, *unknown)


@dataclass
class _Made:
    """Which component, in which version, made each example of a test set last, and how well."""

    component: Tensor
    version: Tensor
    scores: Tensor  # (figures, n)

    @classmethod
    def nothing(cls, n: int, figures: int) -> _Made:
        """Begin with a test set of which nothing was made yet."""
        return cls(torch.full((n,), -1), torch.full((n,), -1), torch.full((figures, n), torch.nan))

    def check(self, versions: Sequence[int]) -> None:
        """See that components trained so often can have made the examples.

        Raises
        ------
        ValueError
            A component, or a version of it, never was.
        """
        if not bool(((self.component >= 0) & (self.component < len(versions))).all()):
            raise ValueError("pictures by components that do not exist")
        if not bool(((self.version >= 1) & (self.version <= torch.tensor(versions)[self.component])).all()):
            raise ValueError("pictures by versions of components that do not exist")
