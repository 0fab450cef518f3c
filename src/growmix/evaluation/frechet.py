"""Frechet distance between images, in the features of a small classifier that is trained for the purpose.

Never call it FID: that is the distance in the features of one pretrained Inception network. Every run learns these
features again from its own data, so figures are comparable within a run, and between runs on the same stream with the
same seed, and nowhere else. The classifier is an instrument of evaluation: nothing that is learnt sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.data.task import UNLABELLED, Shape, TaskData, as_float
from growmix.errors import BadInput, shown
from growmix.settings import Settings
from growmix.system.ambient import torch_as_it_comes
from growmix.system.global_random import seeded
from growmix.training.budget import Budget
from growmix.training.fabric import make_fabric
from growmix.training.loop import fit

FEATURES = 64
MOST_IMAGES = 20_000
BUDGET = Budget(epochs=6, batch_size=128, learning_rate=2e-3, weight_decay=0.01, gradient_clip=10.0, steps=600)
"""How long the classifier is trained: enough for 98 % on MNIST, and about ten seconds."""


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    r"""Distance between two Gaussians that are fitted to features.

    .. math:: \|\mu_r - \mu_g\|^2 + \mathrm{tr}\left(C_r + C_g - 2 (C_r C_g)^{1/2}\right)

    Parameters
    ----------
    real, generated
        Features of both kinds of images, shapes ``(n, d)`` and ``(m, d)``, at least two rows each.

    Returns
    -------
    float
        The distance in squared units of the features, 0 for equal sets.

    Raises
    ------
    BadInput
        The shapes do not fit together, or a feature is not finite.

    References
    ----------
    Dowson and Landau 1982; for images Heusel et al. 2017.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    >>> round(frechet_distance(x, x + 3.0), 6)
    18.0
    """
    for name, given in (("real", real), ("generated", generated)):
        if not isinstance(given, Tensor):
            raise BadInput(f"{name} is {shown(given)}; allowed is a tensor of features")
    shapes = tuple(real.shape), tuple(generated.shape)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise BadInput(f"features have shapes {shapes}; both must be (n, d) with one d")
    if min(len(real), len(generated)) < 2:
        raise BadInput(f"features have shapes {shapes}; at least two rows each are needed")
    for name, features in (("real", real), ("generated", generated)):
        if not bool(features.isfinite().all()):
            raise BadInput(f"{name} features hold NaN or infinite values; allowed are finite ones")
    a, b = real.double(), generated.double()
    shift = float((a.mean(0) - b.mean(0)).square().sum())
    spread_a, spread_b = _covariance(a), _covariance(b)
    root = _root(spread_a)
    # the square roots of the eigenvalues of C_r C_g are those of the symmetric product
    crossed = torch.linalg.eigvalsh(root @ spread_b @ root).clamp_min(0.0).sqrt().sum()
    spread = float(spread_a.trace() + spread_b.trace() - 2.0 * crossed)
    return shift + max(spread, 0.0)  # rounding alone can bring it below


def _covariance(features: Tensor) -> Tensor:
    return features.T.cov().reshape(features.shape[1], -1)


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors @ (values.clamp_min(0.0).sqrt()[:, None] * vectors.mT)
    return root


@torch_as_it_comes()
def train_features(tasks: Sequence[TaskData], seed: int, device: str = "auto") -> Callable[[Tensor], Tensor]:
    """Train a classifier on real images, and return the function that computes its features.

    Parameters
    ----------
    tasks
        Training sets. Classes are their labels where every task has some, else the task that an image is from.
    seed
        Seed of the choice of images, of the first weights and of the batches.
    device
        The device to compute on, as in the settings.

    Returns
    -------
    callable
        Function of images ``(n, channels, height, width)``, bytes or in [0, 1], that returns features ``(n, 64)`` on
        the CPU.

    Raises
    ------
    BadInput
        There is no task to learn features from.
    """
    if not tasks:
        raise BadInput("tasks is empty; features are learnt from at least one")
    fabric = make_fabric(Settings(device=device, precision="32-true"))
    with seeded(seed) as generator:
        x, y = _lessons(tasks, generator)
        objective = _Classification(FeatureClassifier(tasks[0].shape, 1 + int(y.max())))
        fit(objective, [x, y], 1, BUDGET.over(len(x)), fabric, generator, component=None)
    network = objective.network

    @torch_as_it_comes()
    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        return torch.cat([network.features(as_float(p.to(fabric.device))).cpu() for p in images.split(1_024)])

    return features


@final
class FeatureClassifier(nn.Module):
    """Two strided convolutions, a layer of 64 features, and a linear layer that gives the classes.

    Parameters
    ----------
    shape
        Channels, height and width of the images.
    classes
        How many classes are told apart.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        flat = 64 * -(-height // 4) * -(-width // 4)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(flat, FEATURES),
            nn.GELU(),
        )
        self.classify = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes, shape ``(n, classes)``."""
        logits: Tensor = self.classify(self.features(x))
        return logits


@final
class _Classification(nn.Module):
    """Cross-entropy of a classifier, as the objective that :func:`growmix.training.loop.fit` minimises."""

    def __init__(self, network: FeatureClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, labels: Tensor, noise: Tensor) -> Tensor:
        return F.cross_entropy(self.network(x), labels)


def _lessons(tasks: Sequence[TaskData], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choose some images of every task, with labels, or the task's number where labels are missing."""
    each = max(1, MOST_IMAGES // len(tasks))
    labelled = all(task.y is not None and bool((task.y != UNLABELLED).any()) for task in tasks)
    images, labels = [], []
    for number, task in enumerate(tasks):
        known = task.y if labelled and task.y is not None else torch.full((len(task),), number)
        rows = (known != UNLABELLED).nonzero()[:, 0]  # before the choice: few labels must not be lost to the cap
        rows = rows[torch.randperm(len(rows), generator=generator)[:each]]
        images.append(task.x[rows])
        labels.append(known[rows])
    _, positions = torch.cat(labels).unique(return_inverse=True)
    x = images if len({part.dtype for part in images}) == 1 else [as_float(part) for part in images]
    return torch.cat(x), positions
