"""What training a variational autoencoder minimises, in nats per example: one module per kind of training."""

from __future__ import annotations

from typing import Protocol, final

from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.augmentation import shifted, whole


class Autoencoder(Protocol):
    """Interface of what these objectives train: an ELBO with a class, one without, and the classes."""

    classes: tuple[int, ...]

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ELBO of examples whose class is known ``(batch,)``, and class logits."""

    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ELBO of examples without a label ``(batch,)``, and class logits."""


@final
class TaskObjective(nn.Module):
    """Minus the bound, plus the classifier's cross-entropy where there is a label.

    Parameters
    ----------
    component
        The autoencoder that is trained.
    classification_weight
        Weight of the cross-entropy against the ELBO.
    unlabelled
        Whether any example has no label; only then is every batch split.

    References
    ----------
    Ye and Bors 2025, supervised component; missing labels as in Kingma et al. 2014 (M2).
    """

    def __init__(self, component: Autoencoder, classification_weight: float, *, unlabelled: bool) -> None:
        super().__init__()
        self.component = component
        self._classification_weight = classification_weight
        self._split = unlabelled and bool(component.classes)

    def forward(self, x: Tensor, positions: Tensor, noise: Tensor) -> Tensor:
        """Mean loss of a batch: images ``(batch, *shape)``, class positions ``(batch,)``, noise ``(batch, latent)``."""
        if not self._split:
            return self._known(x, positions, noise).mean()
        known = positions >= 0
        labelled = self._known(x[known], positions[known], noise[known])
        elbo, _ = self.component.marginal_elbo(x[~known], noise[~known])
        return (labelled.sum() - elbo.sum()) / len(x)

    def _known(self, x: Tensor, positions: Tensor, noise: Tensor) -> Tensor:
        elbo, logits = self.component.elbo(x, positions, noise)
        if not self.component.classes:
            return -elbo
        return self._classification_weight * F.cross_entropy(logits, positions, reduction="none") - elbo


class Pupil(Autoencoder, Protocol):
    """Interface of what a teacher's soft labels train: an ELBO, and class logits alone."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes of examples ``(batch, latent)`` and class logits ``(batch, classes)``."""


@final
class DistillationObjective(nn.Module):
    """Minus the student's bound on generated images, plus the cross-entropy to the teacher's soft labels.

    Parameters
    ----------
    student
        The autoencoder that is trained.
    classification_weight
        Weight of the cross-entropy against the ELBO.
    shift
        Share of its sides that an image is moved by at most, at random, before it is classified; below 1. The bound is
        always of the image as it is.

    References
    ----------
    Ye and Bors 2025, Eq. 27; soft labels as in Hinton, Vinyals, Dean 2015.
    """

    def __init__(self, student: Pupil, classification_weight: float, shift: float = 0.0) -> None:
        super().__init__()
        self.component = student
        self._classification_weight = classification_weight
        self._shift = shift if student.classes else 0.0

    @property
    def extra(self) -> int:
        """How many numbers of noise an example needs beside those of its code."""
        return 2 if self._shift else 0

    def forward(self, x: Tensor, positions: Tensor, soft: Tensor, noise: Tensor) -> Tensor:
        """Mean loss of a batch; ``soft`` are the teacher's class probabilities ``(batch, classes)``."""
        latent = noise.shape[1] - self.extra
        elbo, logits = self.component.elbo(x, positions, noise[:, :latent])
        if not self.component.classes:
            return -elbo.mean()
        if self._shift:
            reaches = (int(self._shift * side) for side in x.shape[2:])
            down, right = (
                whole(each, 2 * reach + 1) - reach for each, reach in zip(noise[:, latent:].T, reaches, strict=True)
            )
            logits = self.component.encode(shifted(x, down, right))[1]
        return (self._classification_weight * F.cross_entropy(logits, soft, reduction="none") - elbo).mean()
