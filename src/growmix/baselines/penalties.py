"""What one network adds to the loss of a new task, so that it stays near what it was: the interfaces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from growmix.components.component import Component
from growmix.training.callbacks import Follower

Weights = Mapping[str, Tensor]
"""Tensors by the name of the weight that they belong to, each in the shape of that weight."""


class Penalty(ABC):
    """Interface of what is kept of past trainings; it never changes, and :meth:`Restraint.keep` gives its successor."""

    @abstractmethod
    def restrain(self, component: Component, teacher: Component | None) -> Restraint:
        """Return the restraint of a training that begins.

        Parameters
        ----------
        component
            Network that will be trained, with its new classes, on its device.
        teacher
            Network as it was after the last task; ``None`` at the first task.
        """

    @abstractmethod
    def pack(self) -> dict[str, Tensor]:
        """Return all that a checkpoint must hold, by name."""

    @abstractmethod
    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> Penalty:
        """Return the penalty whose :meth:`pack` gave these tensors.

        Parameters
        ----------
        tensors
            Tensors that were read, by name.
        weights
            Weights that training moves, as they are now; none before the first task.

        Raises
        ------
        ValueError
            The tensors do not belong to these weights.
        """


class Restraint(Follower):
    """Interface of a penalty during one training; most gather nothing while it goes on."""

    @abstractmethod
    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Return what is added to the mean loss of a batch, in nats per example, a scalar.

        Parameters
        ----------
        x
            Examples of the batch, shape ``(batch, *shape)``.
        replayed
            Whether each example is replayed, and none of the new task, shape ``(batch,)``.
        """

    def after_step(self) -> None:
        """Look at the weights, and the gradients that moved them, after a step."""
        return None

    def state(self) -> dict[str, Tensor]:
        """Return what was gathered since the training began."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` has returned."""
        return None

    @abstractmethod
    def keep(self, losses: Iterable[Tensor]) -> Penalty:
        """Return the penalty after this training.

        Parameters
        ----------
        losses
            Losses of single examples of the new task under the trained network, in nats, computed when asked for.
        """


@final
class Restrained(nn.Module):
    """Objective that is the loss of a task plus a restraint.

    Parameters
    ----------
    objective
        Objective of the task, whose ``forward`` takes ``(x, positions, noise)``.
    restraint
        Restraint whose penalty is added.
    """

    def __init__(self, objective: nn.Module, restraint: Restraint) -> None:
        super().__init__()
        self.objective = objective
        self._restraint = restraint

    def forward(self, x: Tensor, positions: Tensor, replayed: Tensor, noise: Tensor) -> Tensor:
        """Return the mean loss of a batch, in nats per example."""
        loss: Tensor = self.objective(x, positions, noise)
        return loss + self._restraint.loss(x, replayed)


@final
class Unrestrained(Penalty, Restraint):
    """Penalty that holds nothing, so that a training is free."""

    def restrain(self, component: Component, teacher: Component | None) -> Unrestrained:
        """Return itself, since nothing changes during training."""
        return self

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Return a penalty of zero."""
        return x.new_zeros(())

    def keep(self, losses: Iterable[Tensor]) -> Unrestrained:
        """Return itself, since nothing is kept."""
        return self

    def pack(self) -> dict[str, Tensor]:
        """Return no tensor: a checkpoint needs none."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> Unrestrained:
        """Return itself, since nothing is kept."""
        return self


def trained_weights(component: Component) -> dict[str, Tensor]:
    """Return the weights that training moves, by name."""
    return {name: weight for name, weight in component.named_parameters() if weight.requires_grad}


def grown(kept: Weights, now: Weights) -> dict[str, Tensor]:
    """Give what was kept of each weight, on the weights' device, with zeros for the rows of new classes.

    It comes in the order of the weights, whatever the order in which a file gave it: the penalty is a sum over them,
    and floating-point numbers summed in another order differ in the last digits.
    """
    grown: dict[str, Tensor] = {}
    for name, weight in now.items():
        if name not in kept:
            continue
        old = kept[name].to(weight.device)
        rows = weight.new_zeros(len(weight) - len(old), *old.shape[1:]) if old.ndim else None
        grown[name] = old if rows is None or not len(rows) else torch.cat([old, rows])
    return grown
