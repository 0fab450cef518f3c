"""Image-to-image: a component that translates source images to target images, and can replay pairs of both."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from growmix.components.component import Component
from growmix.components.density import LatentDensity, no_labels, prior_codes
from growmix.components.likelihoods import Likelihood
from growmix.components.nets import Blueprint
from growmix.components.vae import VAE, kl_to_prior
from growmix.data.task import Shape, TaskData, as_float
from growmix.errors import BadInput

REFINE_WIDTH = 32
"""Channels of the convolutions that bring a decoded target and its source together."""

_CHUNK = 1_024


@final
class Translation(Component):
    r"""A variational autoencoder of source images whose code also decodes to a target image.

    .. math:: \log p(c, x) \ge E_{q(z|c)} [\log p(c|z) + \log p(x|z, c)] - KL(q(z|c) \| p(z))

    The code is inferred from the source :math:`c` alone, so a target is not needed to translate. The target is
    decoded from the code and then refined, together with the source, by a few convolutions: what both images have in
    place (edges, an inversion, a colouring) passes there, the rest is for the code. Because the source has a density
    too, the component is novel or not, is routed to, and replays pairs like any other.

    Parameters
    ----------
    source
        Of the source images, without classes.
    blueprint
        Makes the decoder of the target; see :func:`growmix.components.nets.check_blueprint`.
    target_shape
        Channels, height, width of the target; height and width are those of the source.
    likelihood
        Of a target given the code and the source.

    Raises
    ------
    BadInput
        Source and target differ in height or width, or ``source`` classifies.

    References
    ----------
    Ye and Bors 2025, Eq. 19-20. The density of the source, which makes replay of pairs possible, is ours.

    Examples
    --------
    >>> from growmix.components.nets import MLP
    >>> from growmix.components.likelihoods import Bernoulli
    >>> vae = VAE(MLP(hidden=8), (1, 8, 8), 8, 2, Bernoulli(), supervised=False)
    >>> translation = Translation(vae, MLP(hidden=8), (3, 8, 8), Bernoulli())
    >>> translation.translate(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 3, 8, 8])
    """

    networks = ("source.encoder", "source.posterior", "source.decoder", "target_decoder", "refine")

    def __init__(self, source: VAE, blueprint: Blueprint, target_shape: Shape, likelihood: Likelihood) -> None:
        super().__init__()
        if source.supervised:
            raise BadInput("source classifies; pairs of images are learnt without labels: supervised must be False")
        if tuple(source.shape[1:]) != tuple(target_shape[1:]):
            sizes = (f"{height}x{width}" for _, height, width in (source.shape, target_shape))
            raise BadInput(f"source and target have unlike sizes ({', '.join(sizes)}); bring both to one size")
        self.source = source
        self.shape, self.latent, self.classes = source.shape, source.latent, ()
        self.target_shape = target_shape
        self.structure = None if source.structure is None else f"translation {source.structure} {target_shape}"
        # copied: as in a VAE, a user's blueprint may hand out one module twice
        self.target_decoder = copy.deepcopy(blueprint.decoder(source.latent, target_shape))
        self.refine = _refinement(source.shape[0] + target_shape[0], target_shape[0])
        self.likelihood = likelihood
        self.register_buffer("class_counts", torch.zeros(0))
        self.register_buffer("unlabelled_count", torch.zeros(()))

    def pair_elbo(self, x: Tensor, target: Tensor, noise: Tensor) -> Tensor:
        """Evidence lower bound of pairs, nats per example, shape ``(batch,)``.

        Parameters
        ----------
        x, target
            Source and target images in [0, 1], shapes ``(batch, *shape)`` and ``(batch, *target_shape)``.
        noise
            Standard normal, shape ``(batch, latent)``.
        """
        mean, log_variance, _ = self.source.infer(x)
        codes = mean + (0.5 * log_variance).exp() * noise
        of_source = self.source.likelihood.log_prob(self.source.output(codes, no_labels(len(x))), x)
        of_target = self.likelihood.log_prob(self._target_output(codes, x), target)
        return of_source + of_target - kl_to_prior(mean, log_variance)

    @torch.no_grad()
    def mean_pair_elbo(self, pairs: TaskData) -> float:
        """Bound of pairs at the posterior mean, nats per pair, mean over all of them."""
        assert pairs.target is not None  # asked of pairs alone
        device = next(self.parameters()).device
        total = 0.0
        for x, target in zip(pairs.x.split(_CHUNK), pairs.target.split(_CHUNK), strict=True):
            images = (as_float(x.to(device)), as_float(target.to(device)))
            total += float(self.pair_elbo(*images, torch.zeros(len(x), self.latent, device=device)).sum())
        return total / len(pairs)

    def translate(self, x: Tensor) -> Tensor:
        """Expected targets ``(batch, *target_shape)`` of source images ``(batch, *shape)``, at the posterior mean."""
        return self.likelihood.mean(self._target_output(self.source.code(x), x))

    @torch.no_grad()
    def draw_pairs(self, n: int, generator: torch.Generator, *, from_prior: bool = False) -> tuple[Tensor, Tensor]:
        """Generated pairs, on the component's device: a source is decoded from a code, its target from both.

        Parameters
        ----------
        n
            How many.
        generator
            CPU random stream.
        from_prior
            Draw codes from N(0, I) even where an ex-post density was fitted.

        Returns
        -------
        source, target
            Shapes ``(n, *shape)`` and ``(n, *target_shape)``.
        """
        density: LatentDensity | None = self.density
        if density is None or from_prior:
            codes = prior_codes(n, self.latent, generator)
        else:
            codes = density.sample(no_labels(n), generator)
        device = next(self.parameters()).device
        sources, targets = [], []
        for chunk in codes.split(_CHUNK):
            on_device = chunk.to(device)
            source = self.decode(on_device, no_labels(len(chunk)))
            sources.append(source)
            targets.append(self.likelihood.mean(self._target_output(on_device, source)))
        return torch.cat(sources), torch.cat(targets)

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Component.elbo`; of the source."""
        return self.source.elbo(x, positions, noise)

    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Component.marginal_elbo`; of the source."""
        return self.source.marginal_elbo(x, noise)

    def score(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Component.score`; of the source: targets are not known when it is asked who answers."""
        return self.source.score(x, noise)

    def importance_weighted_bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """See :meth:`Component.importance_weighted_elbo`; of the source."""
        return self.source.importance_weighted_bound(x, noise)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Component.encode`; of the source."""
        return self.source.encode(x)

    def rate(self, x: Tensor) -> Tensor:
        """See :meth:`Component.rate`; of the source."""
        return self.source.rate(x)

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """See :meth:`Component.decode`; to the source."""
        return self.source.decode(codes, positions)

    def add_classes(self, labels: Sequence[int]) -> None:
        """Refuse: a translation has no classes.

        Raises
        ------
        BadInput
            If there is any label.
        """
        if labels:
            raise BadInput(f"labels {list(labels)} given to a translation; pairs of images are learnt without labels")

    def _target_output(self, codes: Tensor, x: Tensor) -> Tensor:
        """Output of the target's likelihood, in single precision."""
        drafted = self.target_decoder(codes)
        output: Tensor = drafted + self.refine(torch.cat([drafted, x], dim=1))
        return output.float()


@final
class TranslationObjective(nn.Module):
    """Minus the bound of pairs.

    Parameters
    ----------
    component
        What is trained.
    """

    def __init__(self, component: Translation) -> None:
        super().__init__()
        self.component = component

    def forward(self, x: Tensor, target: Tensor, noise: Tensor) -> Tensor:
        """Mean loss of a batch, nats per pair; ``target`` in [0, 1] or as bytes."""
        return -self.component.pair_elbo(x, as_float(target), noise).mean()


def _refinement(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, REFINE_WIDTH, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(REFINE_WIDTH, REFINE_WIDTH, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(REFINE_WIDTH, outputs, 3, padding=1),
    )
