"""Losses between two hypotheses, bounded as the theory needs them, each with a stand-in that has gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from growmix.errors import BadInput


class Loss(ABC):
    """Interface of a loss: how far the answers of two hypotheses are apart, one number for each example.

    Attributes
    ----------
    name
        The name that reports call it by.
    bound
        The largest value that it takes, the M of the theory; ``None`` where there is none.
    """

    name: str
    bound: float | None
    reconstructs: bool = False
    """Whether the right answer of a hypothesis is the example itself."""

    def checked(self, answers: Tensor) -> Tensor:
        """Return the answers of a finite class, ``(members, n, ...)``, if the bound of the loss holds for them.

        Raises
        ------
        BadInput
            The answers are not in [0, 1].
        """
        if answers.numel() == 0 or not bool(((answers >= 0) & (answers <= 1)).all()):
            raise BadInput(f"hypotheses have answers outside of [0, 1], within which the loss {self.name!r} is bounded")
        return answers.float()

    def checked_targets(self, targets: Tensor, name: str) -> Tensor:
        """Return targets ``(n,)`` if a network can learn them.

        Raises
        ------
        BadInput
            The targets are not in [0, 1].
        """
        if not bool(((targets >= 0) & (targets <= 1)).all()):
            raise BadInput(f"targets of {name} are not all in [0, 1]")
        return targets.float()

    @abstractmethod
    def outputs(self, inputs: int) -> int:
        """Say how many numbers a network must give for examples of so many numbers."""

    @abstractmethod
    def answer(self, output: Tensor) -> Tensor:
        """Turn a network's output ``(..., n, outputs)`` into the answers of the hypothesis."""

    @abstractmethod
    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the loss of each example between two answers, shape ``(..., n)``."""

    @abstractmethod
    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """Compute a loss with gradients from two networks' outputs; it equals the loss where both are certain."""

    @abstractmethod
    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute what a network minimises that learns targets, for each example, shape ``(..., n)``."""

    @abstractmethod
    def means(self, answers: Tensor) -> Tensor:
        """Compute the mean loss between all pairs of ``(k, n)`` answers, shape ``(k, k)``."""


@final
class ZeroOne(Loss):
    """The loss of classifiers: 1 where two of them disagree, else 0.

    Parameters
    ----------
    classes
        How many classes they tell apart.

    Examples
    --------
    >>> loss = ZeroOne()
    >>> loss.between(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    tensor([0., 1., 0.])
    """

    name = "zero-one"
    bound = 1.0

    def __init__(self, classes: int = 2) -> None:
        if not isinstance(classes, int) or classes < 2:
            raise BadInput(f"classes is {classes!r}; allowed is a whole number of 2 or more")
        self.classes = classes

    def checked(self, answers: Tensor) -> Tensor:
        """Return answers that are whole numbers of classes."""
        return self._classes(answers, "answers of hypotheses")

    def checked_targets(self, targets: Tensor, name: str) -> Tensor:
        """Return targets that are whole numbers of classes."""
        return self._classes(targets, f"targets of {name}")

    def _classes(self, values: Tensor, what: str) -> Tensor:
        whole = values.long()
        if values.numel() == 0 or not bool(((whole == values) & (whole >= 0) & (whole < self.classes)).all()):
            raise BadInput(f"{what} are not all classes; allowed are whole numbers 0 to {self.classes - 1}")
        return whole

    def outputs(self, inputs: int) -> int:
        """Ask for a score of each class."""
        return self.classes

    def answer(self, output: Tensor) -> Tensor:
        """Choose the class with the largest score."""
        return output.argmax(-1)

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the loss, as :meth:`Loss.between` says."""
        return (a != b).float()

    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """Compute the probability that two classifiers disagree which draw their answers."""
        return 1.0 - (output.softmax(-1) * other.softmax(-1)).sum(-1)

    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the cross-entropy in nats."""
        flat = F.cross_entropy(output.flatten(0, -2), target.flatten(), reduction="none")
        return flat.view(target.shape)

    def means(self, answers: Tensor) -> Tensor:
        """Compute mean losses, as :meth:`Loss.means` says."""
        chosen = F.one_hot(answers.long(), self.classes).flatten(1).double()
        return 1.0 - chosen @ chosen.T / answers.shape[1]


@final
class Absolute(Loss):
    """The absolute difference of two answers in [0, 1], such as the probabilities of a class.

    Examples
    --------
    >>> Absolute().between(torch.tensor([0.25, 1.0]), torch.tensor([0.75, 1.0]))
    tensor([0.5000, 0.0000])
    """

    name = "absolute"
    bound = 1.0

    def outputs(self, inputs: int) -> int:
        """Ask for one number."""
        return 1

    def answer(self, output: Tensor) -> Tensor:
        """Squash the output to [0, 1], which is what bounds the loss."""
        return output.squeeze(-1).sigmoid()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the loss, as :meth:`Loss.between` says."""
        return (a - b).abs()

    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """Compute the loss itself, which has gradients."""
        return self.between(self.answer(output), self.answer(other))

    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the binary cross-entropy to targets in [0, 1], nats."""
        return F.binary_cross_entropy_with_logits(output.squeeze(-1), target.to(output), reduction="none")

    def means(self, answers: Tensor) -> Tensor:
        """Compute mean losses, as :meth:`Loss.means` says."""
        values = answers.double()
        return torch.cdist(values, values, p=1.0) / answers.shape[1]


@final
class Squared(Loss):
    """The squared difference of two reconstructions, mean over their numbers.

    Examples and reconstructions are in [0, 1], so it is at most 1: that is what bounds it. For images it is the summed
    squared error of ``metrics.json`` divided by the number of pixels.

    Examples
    --------
    >>> Squared().between(torch.zeros(1, 4), torch.full((1, 4), 0.5))
    tensor([0.2500])
    """

    name = "squared"
    bound = 1.0
    reconstructs = True

    def checked(self, answers: Tensor) -> Tensor:
        """Take single numbers as reconstructions of one number."""
        values = super().checked(answers)
        return values[..., None] if values.dim() == 2 else values

    def outputs(self, inputs: int) -> int:
        """Ask for as many numbers as an example has."""
        return inputs

    def answer(self, output: Tensor) -> Tensor:
        """Squash the output to [0, 1]."""
        return output.sigmoid()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the loss, as :meth:`Loss.between` says."""
        return (a - b).square().mean(-1)

    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """Compute the loss itself, which has gradients."""
        return self.between(self.answer(output), self.answer(other))

    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the loss to targets ``(..., n, numbers)``."""
        return self.between(self.answer(output), target)

    def means(self, answers: Tensor) -> Tensor:
        """Compute mean losses, as :meth:`Loss.means` says."""
        values = answers.flatten(1).double()
        squares = values.square().sum(1)
        gaps = squares[:, None] + squares[None, :] - 2.0 * values @ values.T
        return gaps.clamp_min(0.0) / values.shape[1]  # below 0 by rounding alone


def bound_of(loss: Loss) -> float:
    """Return the bound of a loss, without which no discrepancy is defined.

    Raises
    ------
    BadInput
        The loss has no bound, or none that is finite.

    Examples
    --------
    >>> bound_of(ZeroOne())
    1.0
    """
    if loss.bound is None or not 0.0 < loss.bound < float("inf"):
        raise BadInput(f"loss {loss.name!r} has the bound {loss.bound}; allowed is a loss with a finite bound above 0")
    return float(loss.bound)
