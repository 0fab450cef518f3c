"""What one network adds to the loss of a new task, so that it stays near what it was."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from growmix.checkpoints.persistence import prefixed, under
from growmix.components.component import Component
from growmix.components.vae import VAE
from growmix.storage.typed import check_outline
from growmix.training.callbacks import Follower

DAMPING = 0.1
"""Of synaptic intelligence, the authors' number: weights that hardly moved must not become infinitely important."""

Weights = Mapping[str, Tensor]
"""Tensors by the name of the weight that they belong to, each in its shape."""


class Penalty(ABC):
    """Interface: what is kept of past trainings. It never changes: :meth:`Restraint.keep` gives its successor."""

    @abstractmethod
    def restrain(self, component: Component, teacher: Component | None) -> Restraint:
        """Begin a training.

        Parameters
        ----------
        component
            What will be trained, with its new classes, on its device.
        teacher
            The network as it was after the last task; ``None`` at the first.
        """

    @abstractmethod
    def pack(self) -> dict[str, Tensor]:
        """All that a checkpoint must hold, by name."""

    @abstractmethod
    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> Penalty:
        """The same with what :meth:`pack` gave.

        Parameters
        ----------
        tensors
            That were read.
        weights
            That training moves, as they are now; none before the first task.

        Raises
        ------
        ValueError
            The tensors are not of these weights.
        """


class Restraint(Follower):
    """Interface: a penalty during one training; most gather nothing while it goes on."""

    @abstractmethod
    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """What is added to a batch's mean loss, nats per example, a scalar.

        Parameters
        ----------
        x
            Images in [0, 1], shape ``(batch, *shape)``.
        replayed
            Which of them are no examples of the new task, shape ``(batch,)``.
        """

    def after_step(self) -> None:
        """Look at the weights, and the gradients that moved them, after a step."""
        return None

    def state(self) -> dict[str, Tensor]:
        """What was gathered since the training began."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from there."""
        return None

    @abstractmethod
    def keep(self, losses: Iterable[Tensor]) -> Penalty:
        """The penalty after this training.

        Parameters
        ----------
        losses
            Of single examples of the new task under the trained network, nats; computed when asked for.
        """


@final
class Restrained(nn.Module):
    """The loss of a task and a restraint.

    Parameters
    ----------
    objective
        Of the task: ``forward(x, positions, noise)``.
    restraint
        What is added.
    """

    def __init__(self, objective: nn.Module, restraint: Restraint) -> None:
        super().__init__()
        self.objective = objective
        self._restraint = restraint

    def forward(self, x: Tensor, positions: Tensor, replayed: Tensor, noise: Tensor) -> Tensor:
        """Mean loss of a batch, nats per example."""
        loss: Tensor = self.objective(x, positions, noise)
        return loss + self._restraint.loss(x, replayed)


@final
class Unrestrained(Penalty, Restraint):
    """No penalty."""

    def restrain(self, component: Component, teacher: Component | None) -> Unrestrained:
        """Itself: nothing changes during training."""
        return self

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Zero."""
        return x.new_zeros(())

    def keep(self, losses: Iterable[Tensor]) -> Unrestrained:
        """Itself."""
        return self

    def pack(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> Unrestrained:
        """Itself."""
        return self


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
        :math:`\lambda`.
    importance
        :math:`F`; empty before the first task.
    anchor
        :math:`\bar\theta`.

    References
    ----------
    Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks, Eq. 3.
    """

    strength: float
    importance: Weights = field(default_factory=dict)
    anchor: Weights = field(default_factory=dict)

    def restrain(self, component: Component, teacher: Component | None) -> Springs:
        """Springs from where the weights were."""
        now = trained_weights(component)
        return Springs(self.strength, now, _grown(self.importance, now), _grown(self.anchor, now))

    def pack(self) -> dict[str, Tensor]:
        """Importance and anchor."""
        return prefixed("importance.", self.importance) | prefixed("anchor.", self.anchor)

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> ElasticWeights:
        """With these."""
        check_outline(tensors, prefixed("importance.", weights) | prefixed("anchor.", weights))
        return ElasticWeights(self.strength, under("importance.", tensors), under("anchor.", tensors))


@final
class Springs(Restraint):
    """Elastic weights during one training; parameters as for :class:`ElasticWeights`, with the weights trained."""

    def __init__(self, strength: float, weights: Weights, importance: Weights, anchor: Weights) -> None:
        self._strength, self._weights, self._importance, self._anchor = strength, weights, importance, anchor

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Half the strength times the squared distances, weighted by importance."""
        pulls = [
            (importance * (self._weights[name] - self._anchor[name]) ** 2).sum()
            for name, importance in self._importance.items()
        ]
        return 0.5 * self._strength * torch.stack(pulls).sum() if pulls else x.new_zeros(())

    def keep(self, losses: Iterable[Tensor]) -> ElasticWeights:
        """Springs of the new task added."""
        information = fisher_information(self._weights, losses)
        importance, anchor = {}, {}
        for name, new in information.items():
            now = self._weights[name].detach()
            old = self._importance.get(name, torch.zeros_like(new))
            total = old + new
            pulled = (old * self._anchor.get(name, now) + new * now) / total
            importance[name], anchor[name] = total.cpu(), torch.where(total > 0, pulled, now).cpu()
        return ElasticWeights(self._strength, importance, anchor)


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
        c.
    importance
        :math:`\Omega`; empty before the first task.

    References
    ----------
    Zenke, Poole, Ganguli 2017, Continual learning through synaptic intelligence, Eq. 4-5; damping 0.1.
    """

    strength: float
    importance: Weights = field(default_factory=dict)

    def restrain(self, component: Component, teacher: Component | None) -> PathIntegral:
        """Follow the weights from where they are."""
        now = trained_weights(component)
        return PathIntegral(self.strength, now, _grown(self.importance, now))

    def pack(self) -> dict[str, Tensor]:
        """Importance."""
        return prefixed("importance.", self.importance)

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> SynapticIntelligence:
        """With this importance."""
        check_outline(tensors, prefixed("importance.", weights))
        return SynapticIntelligence(self.strength, under("importance.", tensors))


@final
class PathIntegral(Restraint):
    """Synaptic intelligence during one training; parameters as for :class:`SynapticIntelligence`, with the weights."""

    def __init__(self, strength: float, weights: Weights, importance: Weights) -> None:
        self._strength, self._weights, self._importance = strength, weights, importance
        self._start = {name: weight.detach().clone() for name, weight in weights.items()}
        self._before = {name: weight.clone() for name, weight in self._start.items()}
        self._decrease = {name: torch.zeros_like(weight) for name, weight in self._start.items()}
        self._squares = {name: torch.zeros_like(self._start[name]) for name in importance}

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Strength times the squared distances from the start, weighted by importance."""
        pulls = [
            (importance * (self._weights[name] - self._start[name]) ** 2).sum()
            for name, importance in self._importance.items()
        ]
        return self._strength * torch.stack(pulls).sum() if pulls else x.new_zeros(())

    @torch.no_grad()
    def after_step(self) -> None:
        """Add what this step's move took from the whole loss, to first order."""
        for name, weight in self._weights.items():
            if weight.grad is None:
                continue
            back = self._before[name].sub_(weight)  # minus the move, in place: this runs after every step
            self._decrease[name].addcmul_(weight.grad, back)
            if name in self._squares:
                self._squares[name].addcmul_(back, back)
            self._before[name].copy_(weight)

    def state(self) -> dict[str, Tensor]:
        """The sums over all moves so far."""
        return prefixed("decrease.", self._decrease) | prefixed("squares.", self._squares)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with these sums, from where the weights are now."""
        for name, weight in self._weights.items():
            self._before[name].copy_(weight.detach())
        for name, decrease in under("decrease.", tensors).items():
            self._decrease[name].copy_(decrease)
        for name, squares in under("squares.", tensors).items():
            self._squares[name].copy_(squares)

    def contributions(self) -> dict[str, Tensor]:
        r"""How far each weight took the task's loss down, nats: :math:`\omega`.

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
        """The importance of this way added."""
        importance = {}
        for name, contribution in self.contributions().items():
            way = (self._weights[name].detach() - self._start[name]) ** 2
            new = contribution.clamp_min(0.0) / (way + DAMPING)
            importance[name] = (new + self._importance.get(name, 0.0)).cpu()
        return SynapticIntelligence(self._strength, importance)


@final
class Consistency(Penalty):
    r"""The code of a generated image stays what it was: :math:`KL(q(z|\tilde x)\|q_{teacher}(z|\tilde x))`.

    References
    ----------
    Ramapuram, Gregorova, Kalousis 2020, Lifelong generative modeling: the consistency regulariser. Their discrete
    code and its information term are left out: the code here is continuous.
    """

    def restrain(self, component: Component, teacher: Component | None) -> TeachersCode:
        """Compare with the teacher, if there is one."""
        return TeachersCode(self, _vae(component), None if teacher is None else _vae(teacher))

    def pack(self) -> dict[str, Tensor]:
        """Nothing: the teacher is the network itself."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> Consistency:
        """Itself."""
        return self


@final
class TeachersCode(Restraint):
    """Consistency during one training.

    Parameters
    ----------
    penalty
        What comes after.
    student, teacher
        What is trained, and what it was; no teacher at the first task.
    """

    def __init__(self, penalty: Consistency, student: VAE, teacher: VAE | None) -> None:
        self._penalty, self._student, self._teacher = penalty, student, teacher

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Over the replayed images, as a share of the batch's mean."""
        if self._teacher is None:
            return x.new_zeros(())
        old = x[replayed]
        with torch.no_grad():
            to_mean, to_log_variance, _ = self._teacher.infer(old)
        mean, log_variance, _ = self._student.infer(old)
        return gaussian_kl(mean, log_variance, to_mean, to_log_variance).sum() / len(x)

    def keep(self, losses: Iterable[Tensor]) -> Consistency:
        """The same."""
        return self._penalty


def gaussian_kl(mean: Tensor, log_variance: Tensor, to_mean: Tensor, to_log_variance: Tensor) -> Tensor:
    """KL from one diagonal Gaussian to another, nats, ``(batch, latent)`` to ``(batch,)``.

    Examples
    --------
    >>> zero = torch.zeros(1, 2)
    >>> gaussian_kl(torch.ones(1, 2), zero, zero, zero)
    tensor([1.])
    """
    ratio = (log_variance - to_log_variance).exp() + (mean - to_mean) ** 2 * (-to_log_variance).exp()
    return 0.5 * (ratio - 1.0 - log_variance + to_log_variance).sum(1)


def fisher_information(weights: Weights, losses: Iterable[Tensor]) -> dict[str, Tensor]:
    """Mean square of each weight's gradient over the losses of single examples.

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


def trained_weights(component: Component) -> dict[str, Tensor]:
    """The weights that training moves, by name."""
    return {name: weight for name, weight in component.named_parameters() if weight.requires_grad}


def _grown(kept: Weights, now: Weights) -> dict[str, Tensor]:
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


def _vae(component: Component) -> VAE:
    assert isinstance(component, VAE)  # pairs are refused before
    return component
