"""Synaptic intelligence: weights are held by how much their way has lowered the losses of past tasks."""

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

DAMPING = 0.1
"""Damping of synaptic intelligence, the authors' number: weights that hardly moved must not become all-important."""


@final
@dataclass(frozen=True, eq=False)
class SynapticIntelligence(Penalty):
    r"""Weights are held by what their way through past trainings contributed to the loss going down.

    .. math:: c\sum_i\Omega_i(\theta_i-\theta_i^*)^2,\qquad
        \Omega_i=\sum_t\frac{\max(0,\omega_{t,i})}{(\Delta_{t,i})^2+\xi},\qquad
        \omega_{t,i}=-\sum_{steps}g_i\,\delta\theta_i

    with :math:`g` the gradient of the task's loss alone, :math:`\Delta_t` the whole way of a weight in task t, and
    :math:`\theta^*` its end. A negative :math:`\omega` (noise of mini-batches) counts as zero, or leaving would be
    rewarded without limit. Weights of new classes are free.

    Parameters
    ----------
    strength
        Strength :math:`c` of the penalty.
    importance
        Importance :math:`\Omega` of every weight; empty before the first task.

    References
    ----------
    Zenke, Poole, Ganguli 2017, Continual learning through synaptic intelligence, Eq. 4-5; damping 0.1.
    """

    strength: float
    importance: Weights = field(default_factory=dict)

    def restrain(self, component: Component, teacher: Component | None) -> PathIntegral:
        """Return a path integral that follows the weights from where they are."""
        now = trained_weights(component)
        return PathIntegral(self.strength, now, grown(self.importance, now))

    def pack(self) -> dict[str, Tensor]:
        """Return the importance of every weight."""
        return prefixed("importance.", self.importance)

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> SynapticIntelligence:
        """Return synaptic intelligence with this importance."""
        check_outline(tensors, prefixed("importance.", weights))
        return SynapticIntelligence(self.strength, under("importance.", tensors))


@final
class PathIntegral(Restraint):
    """Synaptic intelligence during one training.

    Parameters
    ----------
    strength
        Strength of the penalty.
    weights
        Weights that are trained, by name.
    importance
        Importance of every weight that a past task has known.
    """

    def __init__(self, strength: float, weights: Weights, importance: Weights) -> None:
        self._strength, self._weights, self._importance = strength, weights, importance
        self._start = {name: weight.detach().clone() for name, weight in weights.items()}
        self._before = {name: weight.clone() for name, weight in self._start.items()}
        self._decrease = {name: torch.zeros_like(weight) for name, weight in self._start.items()}
        self._squares = {name: torch.zeros_like(self._start[name]) for name in importance}

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Return the strength times the squared distances from the start, weighted by importance."""
        pulls = [
            (importance * (self._weights[name] - self._start[name]) ** 2).sum()
            for name, importance in self._importance.items()
        ]
        return self._strength * torch.stack(pulls).sum() if pulls else x.new_zeros(())

    @torch.no_grad()
    def after_step(self) -> None:
        """Add by how much the move of this step lowered the whole loss, to first order."""
        for name, weight in self._weights.items():
            if weight.grad is None:
                continue
            back = self._before[name].sub_(weight)  # minus the move, in place: this runs after every step
            self._decrease[name].addcmul_(weight.grad, back)
            if name in self._squares:
                self._squares[name].addcmul_(back, back)
            self._before[name].copy_(weight)

    def state(self) -> dict[str, Tensor]:
        """Return the sums over all moves so far."""
        return prefixed("decrease.", self._decrease) | prefixed("squares.", self._squares)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with these sums from where the weights are now."""
        for name, weight in self._weights.items():
            self._before[name].copy_(weight.detach())
        for name, decrease in under("decrease.", tensors).items():
            self._decrease[name].copy_(decrease)
        for name, squares in under("squares.", tensors).items():
            self._squares[name].copy_(squares)

    def contributions(self) -> dict[str, Tensor]:
        r"""Return by how many nats each weight lowered the loss of the task, :math:`\omega`.

        The penalty's part of the gradient is taken out again. From :math:`\theta_0=\theta^*` on its path integral is
        known from the moves :math:`\delta_k` alone:
        :math:`\sum_k2(\theta_k-\theta_0)\delta_k=(\theta_K-\theta_0)^2-\sum_k\delta_k^2`.
        """
        found = dict(self._decrease)
        for name, importance in self._importance.items():
            way = (self._weights[name].detach() - self._start[name]) ** 2 - self._squares[name]
            found[name] = found[name] + self._strength * importance * way
        return found

    def keep(self, losses: Iterable[Tensor]) -> SynapticIntelligence:
        """Return synaptic intelligence to which the importance of this training is added."""
        importance = {}
        for name, contribution in self.contributions().items():
            way = (self._weights[name].detach() - self._start[name]) ** 2
            new = contribution.clamp_min(0.0) / (way + DAMPING)
            importance[name] = (new + self._importance.get(name, 0.0)).cpu()
        return SynapticIntelligence(self._strength, importance)
