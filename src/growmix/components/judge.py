"""A network beside a component that says how much an example looks like its own, and can generate nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from growmix.components.component import Trainer


class Judge(nn.Module, ABC):
    """Interface of a network that judges examples beside a generator, as a part of one component.

    Everything that it has learnt lies in its parameters and buffers.

    Attributes
    ----------
    name
        Name of its score among the sources of a component.
    classes : tuple of int
        Global labels that it knows, in the order of its columns.
    """

    name: str
    classes: tuple[int, ...] = ()

    @abstractmethod
    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Make room for new global labels; what is known of the old ones stays bit for bit."""

    @abstractmethod
    def fit(self, x: Tensor, positions: Tensor, trainer: Trainer) -> None:
        """Learn from examples ``(n, *shape)``, bytes or ``float32``, and class positions ``(n,)``, -1 for no class."""

    @abstractmethod
    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Say how much examples look like each class.

        Parameters
        ----------
        x
            Examples, ``float32``, on the judge's device, shape ``(batch, *shape)``.

        Returns
        -------
        scores
            Score of every class, comparable between the judges of all components, shape ``(batch, classes)``, or one
            column where there are no classes.
        class_log_proba
            Log-probabilities of the classes, shape ``(batch, classes)``.
        """
