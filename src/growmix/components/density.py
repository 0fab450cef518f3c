"""Ex-post density of a latent space: where to draw codes from, once a component is trained.

The prior's samples are poor where the aggregate posterior does not fill it. A small Gaussian mixture on the
posterior means of the training data, per class when labelled, does (Ghosh et al. 2020, arXiv 1903.12436).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from growmix.data.task import UNLABELLED
from growmix.errors import NonFiniteLoss

MAX_FIT = 3_000
"""Number of codes per class that a mixture is fitted to; more change the fit little and cost in proportion."""

MIN_PER_GAUSSIAN = 20
"""Number of codes that one full-covariance Gaussian should have, so that small classes get few of them."""

MOST_GAUSSIANS = MAX_FIT // MIN_PER_GAUSSIAN
"""Most Gaussians that one class can have."""

RIDGE = 1e-4
"""Number added to every variance: a latent that a component does not use has almost none."""

_DRAW_CHUNK = 4_096

_one_at_a_time = threading.Lock()
"""Held while scikit-learn fits: its number of threads is a setting of the whole process."""


@dataclass(frozen=True, eq=False)
class LatentDensity:
    """Gaussian mixtures over codes, one for each class.

    Attributes
    ----------
    weight
        Weight of every Gaussian within its class, shape ``(gaussians,)``.
    mean, scale
        Means ``(gaussians, latent)`` and lower Cholesky factors ``(gaussians, latent, latent)``.
    owner
        Position of the class that a Gaussian belongs to, ``int64``; -1 for codes without a label.
    """

    weight: Tensor
    mean: Tensor
    scale: Tensor
    owner: Tensor

    @classmethod
    def fit(cls, codes: Tensor, positions: Tensor, gaussians: int, seed: int) -> LatentDensity:
        """Fit one mixture to the codes of each class, by scikit-learn.

        Parameters
        ----------
        codes
            Posterior means, shape ``(n, latent)``.
        positions
            Class position of each, -1 where unlabelled, shape ``(n,)``.
        gaussians
            Most Gaussians per class; classes with few codes get fewer.
        seed
            Seed of the initialisation and of the thinning of large classes.

        Examples
        --------
        >>> codes = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
        >>> LatentDensity.fit(codes, torch.zeros(80, dtype=torch.int64), 20, seed=0).owner
        tensor([0, 0, 0, 0])
        """
        parts = [
            _fit_one(codes[positions == owner].double().numpy(), int(owner), gaussians, seed)
            for owner in torch.unique(positions)
        ]
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def sample(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one code for each class position, shape ``(n, latent)``; -1 draws from all Gaussians."""
        owned = self.owner[None, :] == positions.unique()[:, None]
        chances = torch.where(owned, self.weight, 0.0)
        # a class without codes of its own (or no class asked for) is drawn from everything there is
        chances = torch.where(owned.any(1, keepdim=True), chances, self.weight)
        row = torch.searchsorted(positions.unique(), positions)
        which = torch.multinomial(chances[row], 1, generator=generator)[:, 0]
        noise = torch.randn(len(positions), self.mean.shape[1], generator=generator, dtype=torch.float32)
        chunks = zip(which.split(_DRAW_CHUNK), noise.split(_DRAW_CHUNK), strict=True)
        return torch.cat([self.mean[w] + (self.scale[w] @ e[:, :, None])[:, :, 0] for w, e in chunks])


def fit_density(
    codes: Tensor, positions: Tensor, weight: Tensor, gaussians: int, generator: torch.Generator
) -> LatentDensity:
    """Fit where the codes of a component's examples lie, each counting as many times as its weight says.

    Parameters
    ----------
    codes
        Posterior means, shape ``(n, latent)``.
    positions
        Class position of each, -1 where unlabelled, shape ``(n,)``.
    weight
        How many examples each code stands for, shape ``(n,)``.
    gaussians
        Most Gaussians per class.
    generator
        Generator on the CPU.

    Raises
    ------
    NonFiniteLoss
        A code is NaN or infinite.
    """
    if not bool(torch.isfinite(codes).all()):
        raise NonFiniteLoss("codes are not finite after training; nothing was changed. Try a lower learning_rate")
    if not bool((weight == weight[0]).all()):
        rows = torch.multinomial(weight, len(weight), replacement=True, generator=generator)
        codes, positions = codes[rows], positions[rows]
    seed = int(torch.randint(2**31, (), generator=generator))
    return LatentDensity.fit(codes, positions, gaussians, seed)


def _fit_one(codes: np.ndarray, owner: int, gaussians: int, seed: int) -> LatentDensity:
    if len(codes) > MAX_FIT:
        codes = np.random.default_rng(seed).choice(codes, MAX_FIT, replace=False)
    count = max(1, min(gaussians, len(codes) // MIN_PER_GAUSSIAN))
    if len(codes) < 2:  # no spread to estimate: the ridge alone
        mean, covariance, weight = codes, np.zeros((1, codes.shape[1], codes.shape[1])), np.ones(1)
    else:
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits

        class EnoughSteps(GaussianMixture):  # type: ignore[misc]
            # thirty steps of EM are enough to draw from, so nobody is warned that the last one still gained 0.001
            # nats; to filter the warning would change what other threads see of theirs
            converged_ = property(lambda self: True, lambda self, converged: None)

        model = EnoughSteps(count, reg_covar=RIDGE, max_iter=30, init_params="k-means++", random_state=seed)
        # many small products: BLAS threads that hand them to one another cost up to twenty times the work
        with _one_at_a_time, threadpool_limits(1, user_api="blas"):
            model.fit(codes)
        mean, covariance, weight = model.means_, model.covariances_, model.weights_
    return LatentDensity(
        weight=torch.from_numpy(weight).float(),
        mean=torch.from_numpy(mean).float(),
        scale=_cholesky(torch.from_numpy(covariance)),
        owner=torch.full((len(weight),), owner, dtype=torch.int64),
    )


def _cholesky(covariance: Tensor) -> Tensor:
    """Return a factor that exists even where rounding left a covariance with a negative eigenvalue."""
    values, vectors = torch.linalg.eigh(covariance)
    clean = vectors @ (values.clamp_min(RIDGE)[..., None] * vectors.mT)
    factor: Tensor = torch.linalg.cholesky(clean)
    return factor.float()


def prior_codes(n: int, latent: int, generator: torch.Generator) -> Tensor:
    """Draw codes from the prior N(0, I), shape ``(n, latent)``."""
    return torch.randn(n, latent, generator=generator, dtype=torch.float32)


def no_labels(n: int) -> Tensor:
    """Return the positions of ``n`` codes without a label."""
    return torch.full((n,), UNLABELLED, dtype=torch.int64)
