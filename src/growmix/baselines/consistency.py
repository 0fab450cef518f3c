"""Consistency of lifelong generative modeling: the codes of generated examples stay what they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

import torch
from torch import Tensor

from growmix.baselines.penalties import Penalty, Restraint, Weights
from growmix.components.abilities import GaussianCode
from growmix.components.component import Component
from growmix.errors import BadInput


@final
class Consistency(Penalty):
    r"""Penalty that keeps the codes of generated examples: :math:`KL(q(z|\tilde x)\|q_{teacher}(z|\tilde x))`.

    References
    ----------
    Ramapuram, Gregorova, Kalousis 2020, Lifelong generative modeling: the consistency regulariser. Their discrete
    code and its information term are left out: the code here is continuous.
    """

    def restrain(self, component: Component, teacher: Component | None) -> TeachersCode:
        """Return a restraint that compares with the teacher, if there is one."""
        return TeachersCode(self, _checked(component), None if teacher is None else _checked(teacher))

    def pack(self) -> dict[str, Tensor]:
        """Return no tensor: the teacher is the network itself."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], weights: Weights) -> Consistency:
        """Return itself, since nothing is kept."""
        return self


@final
class TeachersCode(Restraint):
    """Consistency of the codes during one training.

    Parameters
    ----------
    penalty
        Penalty that comes after the training.
    student, teacher
        Network that is trained, and the network as it was; there is no teacher at the first task.
    """

    def __init__(self, penalty: Consistency, student: GaussianCode, teacher: GaussianCode | None) -> None:
        self._penalty, self._student, self._teacher = penalty, student, teacher

    def loss(self, x: Tensor, replayed: Tensor) -> Tensor:
        """Return the divergence of the replayed examples, as a share of the batch's mean."""
        if self._teacher is None:
            return x.new_zeros(())
        old = x[replayed]
        with torch.no_grad():
            to_mean, to_log_variance, _ = self._teacher.infer(old)
        mean, log_variance, _ = self._student.infer(old)
        return gaussian_kl(mean, log_variance, to_mean, to_log_variance).sum() / len(x)

    def keep(self, losses: Iterable[Tensor]) -> Consistency:
        """Return the penalty as it was."""
        return self._penalty


def gaussian_kl(mean: Tensor, log_variance: Tensor, to_mean: Tensor, to_log_variance: Tensor) -> Tensor:
    """Return the KL divergence of one diagonal Gaussian from another in nats, ``(batch, latent)`` to ``(batch,)``.

    Examples
    --------
    >>> zero = torch.zeros(1, 2)
    >>> gaussian_kl(torch.ones(1, 2), zero, zero, zero)
    tensor([1.])
    """
    ratio = (log_variance - to_log_variance).exp() + (mean - to_mean) ** 2 * (-to_log_variance).exp()
    return 0.5 * (ratio - 1.0 - log_variance + to_log_variance).sum(1)


def _checked(component: Component) -> GaussianCode:
    if not isinstance(component, GaussianCode):
        raise BadInput(
            f"component is a {type(component).__name__}; the method 'lgm' needs one with a Gaussian code, such as 'vae'"
        )
    return component
