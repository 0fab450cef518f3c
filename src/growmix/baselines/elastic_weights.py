"""Elastic weight consolidation: weights are held by how much the losses of past tasks depend on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from growmix.baselines.penalties import Penalty, Restraint, Weights, grown, trained_weights
from growmix.checkpoints.persistence import prefixed, under
from growmix.components.component import Component
from growmix.storage.typed import check_outline


@final
@dataclass(frozen=True, eq=False)
class ElasticWeights(Penalty):
    r"""Elastic weight consolidation: every past task holds every weight by a spring of its own.

    .. math:: \frac\lambda2\sum_t\sum_i F_{t,i}(\theta_i-\theta_{t,i})^2
        = \frac\lambda2\sum_i F_i(\theta_i-\bar\theta_i)^2 + \text{const},
        \quad F_i=\sum_tF_{t,i},\quad\bar\theta_i=\frac{\sum_tF_{t,i}\theta_{t,i}}{F_i}

    One anchor per task, as in the paper; the right-hand side is what is kept, so that memory does not grow with the
    tasks. :math:`F_t` is the mean square of the gradients of single examples' losses (the empirical Fisher
    information), here of the whole loss, bound and classifier. Weights of new classes are free.

    Parameters
    ----------
    strength
        Strength :math:`\lambda` of all springs.
    importance
        Fisher information :math:`F` of every weight, summed over the tasks; empty before the first task.
    anchor
        Place :math:`\bar\theta` where every weight is held.

    References
    ----------
    Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks, Eq. 3.
    """

    strength: float
    importance: Weights = field(default_factory=dict)
    anchor: Weights = field(default_factory=dict)

    def restrain(self, component: Component, teacher: Component | None) -> Springs:
        """Return springs from where the weights were."""
        now = trained_weights(component)
        return Springs(self.strength, now, grown(self.importance, now), grown(self.anchor, now))

    def pack(self) -> dict[str, Tensor]:
        """Return the importance and the anchor of every weight."""
        return prefixed("importance.", self.importance) | prefixed("anchor.", self.anchor)

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> ElasticWeights:
        """Return elastic weights with this importance and these anchors."""
        check_outline(tensors, prefixed("importance.", weights) | prefixed("anchor.", weights))
        return ElasticWeights(self.strength, under("importance.", tensors), under("anchor.", tensors))


@final
class Springs(Restraint):
    """Elastic weights during one training.

    Parameters
    ----------
    strength
        Strength of all springs.
    weights
        Weights that are trained, by name.
    importance
        Importance of every weight that a past task has known.
    anchor
        Place where each of these weights is held.
    """

    def __init__(self, strength: float, weights: Weights, importance: Weights, anchor: Weights) -> None:
        self._strength, self._weights, self._importance, self._anchor = strength, weights, importance, anchor

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Return half the strength times the squared distances, weighted by importance."""
        pulls = [
            (importance * (self._weights[name] - self._anchor[name]) ** 2).sum()
            for name, importance in self._importance.items()
        ]
        return 0.5 * self._strength * torch.stack(pulls).sum() if pulls else x.new_zeros(())

    def keep(self, losses: Iterable[Tensor]) -> ElasticWeights:
        """Return elastic weights to which the springs of the new task are added."""
        information = fisher_information(self._weights, losses)
        importance, anchor = {}, {}
        for name, new in information.items():
            now = self._weights[name].detach()
            old = self._importance.get(name, torch.zeros_like(new))
            total = old + new
            pulled = (old * self._anchor.get(name, now) + new * now) / total
            importance[name], anchor[name] = total.cpu(), torch.where(total > 0, pulled, now).cpu()
        return ElasticWeights(self._strength, importance, anchor)


def fisher_information(weights: Weights, losses: Iterable[Tensor]) -> dict[str, Tensor]:
    """Return the mean square of each weight's gradient over the losses of single examples.

    Examples
    --------
    >>> weight = torch.tensor([2.0], requires_grad=True)
    >>> fisher_information({"w": weight}, (weight.sum() * k for k in (1.0, 3.0)))
    {'w': tensor([5.])}
    """
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    count = 0
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                squares[name].addcmul_(gradient, gradient)
        count += 1
    return {name: square / max(count, 1) for name, square in squares.items()}
