"""What a mixture is made of: the interface of a component."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from growmix.components.density import LatentDensity, prior_codes
from growmix.data.task import UNLABELLED, Shape


class Component(nn.Module, ABC):
    """Interface: one generative model with, when supervised, a classifier.

    Attributes
    ----------
    shape
        Channels, height, width.
    target_shape
        Of the images that it translates to; ``None`` if it does not.
    latent
        Length of a code.
    classes
        Global labels that it knows, in the order of its classifier's outputs; labels inside a component
        are positions in this tuple.
    class_counts
        Number of labelled examples learnt of each, shape ``(classes,)``.
    unlabelled_count
        Number of examples learnt without a label, a scalar.
    structure
        What its networks are, apart from their numbers: components of one structure run as one batched call.
        ``None``: nothing is known of the networks, and the component always runs by itself.
    density
        Where codes are drawn from; ``None`` before the first training ends.
    networks
        Names of the modules that components may share, see :mod:`growmix.components.sharing`.
    """

    shape: Shape
    latent: int
    classes: tuple[int, ...]
    class_counts: Tensor
    unlabelled_count: Tensor
    structure: str | None
    target_shape: Shape | None = None
    density: LatentDensity | None = None
    networks: tuple[str, ...] = ("encoder", "posterior", "decoder")
    _trained: tuple[str, ...] = ()

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`score`, under the name that torch's functional calls use."""
        return self.score(x, noise)

    @abstractmethod
    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""Evidence lower bound of images whose class is known, one draw of the code each.

        Parameters
        ----------
        x
            Images in [0, 1], shape ``(batch, *shape)``.
        positions
            Class positions, -1 for no class, shape ``(batch,)``.
        noise
            Standard normal, shape ``(batch, latent)``.

        Returns
        -------
        elbo
            :math:`\log p(x|y) \ge E_{q(z|x)} \log p(x|z,y) - KL(q(z|x)\|p(z))`, nats, shape ``(batch,)``.
        logits
            Of the classifier, shape ``(batch, classes)``.
        """

    @abstractmethod
    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Bound of images without a label: the class is summed out under the classifier, shapes as ``elbo``."""

    @abstractmethod
    def score(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Label-free score for comparing components, and the class log-probabilities.

        With draws it estimates a lower bound of log p(x). At the posterior mean (the default) it leaves out the
        expectation over the code: above the bound by a little, without noise, and better at choosing components.

        Parameters
        ----------
        x
            Images in [0, 1], shape ``(batch, *shape)``.
        noise
            Draws shared by all examples, shape ``(draws, latent)``; one row of zeros scores at the posterior mean.

        Returns
        -------
        elbo
            Nats per example, shape ``(batch,)``.
        class_log_proba
            Shape ``(batch, classes)``.
        """

    @abstractmethod
    def importance_weighted_bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """Tighter bound of log p(x) for evaluation, nats, shape ``(batch,)``.

        Parameters
        ----------
        x
            Images in [0, 1], shape ``(batch, *shape)``.
        noise
            Standard normal, shape ``(draws, batch, latent)``; the bound converges to log p(x) with the draws.

        References
        ----------
        Burda, Grosse, Salakhutdinov 2016: log of the mean over draws of p(x, z) / q(z|x).
        """

    @abstractmethod
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior means ``(batch, latent)`` and class logits ``(batch, classes)``."""

    @abstractmethod
    def rate(self, x: Tensor) -> Tensor:
        r"""Nats that the code of each image carries, :math:`KL(q(z|x)\|p(z))`, shape ``(batch,)``."""

    @abstractmethod
    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Expected images in [0, 1] of codes ``(batch, latent)`` with class positions (-1: no class)."""

    @abstractmethod
    def add_classes(self, labels: Sequence[int]) -> None:
        """Make room for new global labels; what is known of the old ones stays bit for bit."""

    def freeze(self) -> None:
        """Stop training: nothing has a gradient any more, and layers behave as in use."""
        self._trained = tuple(name for name, weight in self.named_parameters() if weight.requires_grad)
        self.requires_grad_(False).eval()

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the weights that training moves, of a component that is frozen."""
        return self._trained

    def thaw(self) -> None:
        """Train again what was trained before; weights that a user's own modules had frozen stay so."""
        for name, weight in self.named_parameters():
            weight.requires_grad_(name in self._trained)

    @property
    def supervised(self) -> bool:
        """Whether it has a classifier."""
        return False

    def class_log_prior(self) -> Tensor:
        """Log share of every class among the labelled examples learnt, add-one smoothed, shape ``(classes,)``."""
        counts = self.class_counts + 1.0
        return (counts / counts.sum()).log()

    def code(self, x: Tensor) -> Tensor:
        """Posterior means, shape ``(batch, latent)``."""
        return self.encode(x)[0]

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images decoded from their posterior mean, with the class that the classifier gives."""
        codes, logits = self.encode(x)
        return self.decode(codes, most_likely(logits))

    def draw(self, positions: Tensor, generator: torch.Generator, *, from_prior: bool = False) -> Tensor:
        """Generated images, one for each class position, on the component's device.

        Parameters
        ----------
        positions
            Class positions on the CPU, shape ``(n,)``; -1: of the examples without a label.
        generator
            CPU random stream.
        from_prior
            Draw codes from N(0, I) even where an ex-post density was fitted.
        """
        if self.density is None or from_prior:
            codes = prior_codes(len(positions), self.latent, generator)
        else:
            codes = self.density.sample(positions, generator)
        unknown = positions < 0
        if self.classes and bool(unknown.any()):  # a decoder that knows classes needs one
            chance = self.class_log_prior().exp().cpu()
            drawn = torch.multinomial(chance, int(unknown.sum()), replacement=True, generator=generator)
            positions = positions.masked_scatter(unknown, drawn)
        device = next(self.parameters()).device
        chunks = zip(codes.split(1024), positions.split(1024), strict=True)
        return torch.cat([self.decode(c.to(device), p.to(device)) for c, p in chunks])


def most_likely(logits: Tensor) -> Tensor:
    """Position of the largest logit, -1 where there are no classes; ``(batch, classes)`` to ``(batch,)``."""
    if logits.shape[1] == 0:
        return torch.full((logits.shape[0],), UNLABELLED, dtype=torch.int64, device=logits.device)
    return logits.argmax(1)
