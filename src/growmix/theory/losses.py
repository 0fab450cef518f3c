"""Losses between two hypotheses, bounded as the theory needs them, each with a stand-in that has gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from growmix.errors import BadInput


class Loss(ABC):
    """Interface: how far the answers of two hypotheses are apart, one number per example.

    Attributes
    ----------
    name
        For reports.
    bound
        Largest value it takes: the M of the theory; ``None`` where there is none.
    """

    name: str
    bound: float | None
    reconstructs: bool = False
    """Whether what a hypothesis answers is the example itself."""

    def checked(self, answers: Tensor) -> Tensor:
        """Answers of a finite class ``(members, n, ...)``, if they are such as the bound of the loss needs.

        Raises
        ------
        BadInput
            They are not in [0, 1].
        """
        if answers.numel() == 0 or not bool(((answers >= 0) & (answers <= 1)).all()):
            raise BadInput(f"hypotheses have answers outside of [0, 1], within which the loss {self.name!r} is bounded")
        return answers.float()

    def checked_targets(self, targets: Tensor, name: str) -> Tensor:
        """Targets ``(n,)`` that a network can learn.

        Raises
        ------
        BadInput
            They are not in [0, 1].
        """
        if not bool(((targets >= 0) & (targets <= 1)).all()):
            raise BadInput(f"targets of {name} are not all in [0, 1]")
        return targets.float()

    @abstractmethod
    def outputs(self, inputs: int) -> int:
        """Numbers that a network must give for examples of so many numbers."""

    @abstractmethod
    def answer(self, output: Tensor) -> Tensor:
        """A hypothesis' answers from its network's output ``(..., n, outputs)``."""

    @abstractmethod
    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Loss of each example between two answers, shape ``(..., n)``."""

    @abstractmethod
    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """The same from networks' outputs, with gradients; equal to it where the networks are sure."""

    @abstractmethod
    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """What a network that learns targets minimises, per example ``(..., n)``."""

    @abstractmethod
    def means(self, answers: Tensor) -> Tensor:
        """Mean loss between all pairs of ``(k, n)`` answers, shape ``(k, k)``."""


@final
class ZeroOne(Loss):
    """1 where two classifiers disagree, else 0.

    Parameters
    ----------
    classes
        That they tell apart.

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
        """Whole numbers of classes."""
        return self._classes(answers, "answers of hypotheses")

    def checked_targets(self, targets: Tensor, name: str) -> Tensor:
        """The same."""
        return self._classes(targets, f"targets of {name}")

    def _classes(self, values: Tensor, what: str) -> Tensor:
        whole = values.long()
        if values.numel() == 0 or not bool(((whole == values) & (whole >= 0) & (whole < self.classes)).all()):
            raise BadInput(f"{what} are not all classes; allowed are whole numbers 0 to {self.classes - 1}")
        return whole

    def outputs(self, inputs: int) -> int:
        """A score for each class."""
        return self.classes

    def answer(self, output: Tensor) -> Tensor:
        """The class with the largest score."""
        return output.argmax(-1)

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """See :meth:`Loss.between`."""
        return (a != b).float()

    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """Probability that two classifiers that draw their answers disagree."""
        return 1.0 - (output.softmax(-1) * other.softmax(-1)).sum(-1)

    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, nats."""
        flat = F.cross_entropy(output.flatten(0, -2), target.flatten(), reduction="none")
        return flat.view(target.shape)

    def means(self, answers: Tensor) -> Tensor:
        """See :meth:`Loss.means`."""
        chosen = F.one_hot(answers.long(), self.classes).flatten(1).double()
        return 1.0 - chosen @ chosen.T / answers.shape[1]


@final
class Absolute(Loss):
    """Absolute difference of two answers in [0, 1], such as the probabilities of a class.

    Examples
    --------
    >>> Absolute().between(torch.tensor([0.25, 1.0]), torch.tensor([0.75, 1.0]))
    tensor([0.5000, 0.0000])
    """

    name = "absolute"
    bound = 1.0

    def outputs(self, inputs: int) -> int:
        """One."""
        return 1

    def answer(self, output: Tensor) -> Tensor:
        """Squashed to [0, 1], which is what bounds the loss."""
        return output.squeeze(-1).sigmoid()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """See :meth:`Loss.between`."""
        return (a - b).abs()

    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """The loss itself."""
        return self.between(self.answer(output), self.answer(other))

    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy to targets in [0, 1], nats."""
        return F.binary_cross_entropy_with_logits(output.squeeze(-1), target.to(output), reduction="none")

    def means(self, answers: Tensor) -> Tensor:
        """See :meth:`Loss.means`."""
        values = answers.double()
        return torch.cdist(values, values, p=1.0) / answers.shape[1]


@final
class Squared(Loss):
    """Squared difference of two reconstructions, mean over their pixels.

    Images and reconstructions are in [0, 1], so it is at most 1: that is what bounds it. Times the number of pixels it
    is the summed squared error of ``metrics.json``.

    Examples
    --------
    >>> Squared().between(torch.zeros(1, 4), torch.full((1, 4), 0.5))
    tensor([0.2500])
    """

    name = "squared"
    bound = 1.0
    reconstructs = True

    def checked(self, answers: Tensor) -> Tensor:
        """Single numbers are reconstructions of one pixel."""
        values = super().checked(answers)
        return values[..., None] if values.dim() == 2 else values

    def outputs(self, inputs: int) -> int:
        """As many as an example has numbers."""
        return inputs

    def answer(self, output: Tensor) -> Tensor:
        """Squashed to [0, 1]."""
        return output.sigmoid()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """See :meth:`Loss.between`."""
        return (a - b).square().mean(-1)

    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        """The loss itself."""
        return self.between(self.answer(output), self.answer(other))

    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss to targets ``(..., n, pixels)``."""
        return self.between(self.answer(output), target)

    def means(self, answers: Tensor) -> Tensor:
        """See :meth:`Loss.means`."""
        values = answers.flatten(1).double()
        squares = values.square().sum(1)
        gaps = squares[:, None] + squares[None, :] - 2.0 * values @ values.T
        return gaps.clamp_min(0.0) / values.shape[1]  # below 0 by rounding alone


def bound_of(loss: Loss) -> float:
    """The loss' bound.

    Raises
    ------
    BadInput
        It has none, or none that is finite: then no discrepancy is defined.

    Examples
    --------
    >>> bound_of(ZeroOne())
    1.0
    """
    if loss.bound is None or not 0.0 < loss.bound < float("inf"):
        raise BadInput(f"loss {loss.name!r} has the bound {loss.bound}; allowed is a loss with a finite bound above 0")
    return float(loss.bound)
