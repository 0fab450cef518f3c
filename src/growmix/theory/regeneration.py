"""What a component generates now of the tasks that it was trained on, told apart by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from growmix.components.component import Component
from growmix.components.pieces import in_pieces
from growmix.data.task import UNLABELLED, TaskData
from growmix.learning.answers import codes_of
from growmix.learning.replay import generate, replay


def next_generation(
    component: Component,
    trained: Mapping[int, TaskData],
    examples: int,
    generator: torch.Generator,
) -> dict[int, TaskData]:
    """Draw from a component, and tell apart by task what was drawn.

    Labels tell where the tasks share no class. Otherwise a generated example goes to the task whose data it is likest
    to, by logistic regression on the component's codes of what it reconstructs, so that real and generated data are
    compared in one form.

    Parameters
    ----------
    component
        The component that was just trained.
    trained
        A sample of what it was trained on, by task.
    examples
        How many examples of each task are wanted.
    generator
        Source of random numbers.
    """

    def drawn_from_all() -> TaskData:
        return replay(component, examples, generator).compact()

    if len(trained) == 1:
        return dict.fromkeys(trained, drawn_from_all())
    labels = {i: set() if data.y is None else set(data.y.tolist()) - {UNLABELLED} for i, data in trained.items()}
    known = [label for each in labels.values() for label in each]
    if all(labels.values()) and len(known) == len(set(known)):
        return {i: _of_classes(component, sorted(labels[i]), examples, generator).compact() for i in trained}
    parts = [drawn_from_all() for _ in trained]
    owner = torch.cat([_likest(component, trained, part) for part in parts])
    y = None if parts[0].y is None else torch.cat([part.y for part in parts if part.y is not None])
    drawn = replace(parts[0], x=torch.cat([part.x for part in parts]), y=y)
    return {i: drawn[(owner == i).nonzero()[:, 0][:examples]] for i in trained}


def _of_classes(component: Component, labels: Sequence[int], n: int, generator: torch.Generator) -> TaskData:
    """Draw n examples of these labels, in the proportions in which they were learnt."""
    own = torch.tensor([component.classes.index(label) for label in labels])
    chosen = torch.multinomial(component.class_counts.cpu()[own], n, replacement=True, generator=generator)
    return generate(component, own[chosen], generator)


def _likest(component: Component, trained: Mapping[int, TaskData], drawn: TaskData) -> Tensor:
    """Say for each drawn example which task's data it is likest to, shape ``(n,)``."""
    from sklearn.linear_model import LogisticRegression

    codes = [_codes(component, data.x) for data in trained.values()]
    owners = np.repeat(list(trained), [len(code) for code in codes])
    model = LogisticRegression(max_iter=500).fit(np.concatenate(codes), owners)
    return torch.from_numpy(model.predict(_codes(component, drawn.x)))


def _codes(component: Component, x: Tensor) -> np.ndarray[Any, Any]:
    """Code what a component reconstructs of examples, shape ``(n, latent)``."""
    coder = codes_of(component, "theory")
    codes: np.ndarray[Any, Any] = in_pieces(component, coder.code, in_pieces(component, coder.reconstruct, x)).numpy()
    return codes
