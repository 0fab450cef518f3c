"""Image-to-image: a component that translates source images to target images, and can replay pairs of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from growmix.components.abilities import CodeDensity, Codes, Pairs, SampledElbo, Shared
from growmix.components.component import Component, Trainer
from growmix.components.density import no_labels
from growmix.components.likelihoods import Likelihood
from growmix.components.nets import Blueprint, check_blueprint, initialised, make_network
from growmix.components.pieces import ROWS
from growmix.components.vae import VAE, density_of_codes, kl_to_prior
from growmix.data.domain import Domain
from growmix.data.task import TaskData, as_float
from growmix.errors import BadInput

REFINE_WIDTH = 32
"""Number of channels of the convolutions that bring a decoded target and its source together."""


@final
class Translation(Component, Codes, SampledElbo, CodeDensity, Pairs, Shared):
    r"""A variational autoencoder of source images whose code also decodes to a target image.

    .. math:: \log p(c, x) \ge E_{q(z|c)} [\log p(c|z) + \log p(x|z, c)] - KL(q(z|c) \| p(z))

    The code is inferred from the source :math:`c` alone, so a target is not needed to translate. The target is
    decoded from the code and then refined, together with the source, by a few convolutions: what both images have in
    place (edges, an inversion, a colouring) passes there, the rest is for the code. Because the source has a density
    too, the component is novel or not, is routed to, and replays pairs like any other.

    Parameters
    ----------
    source
        Autoencoder of the source images, without classes.
    blueprint
        Makes the decoder of the target; see :func:`growmix.nets.check_blueprint`.
    target
        Shape and support of the target images; height and width are those of the source.
    likelihood
        Density of a target given the code and the source.
    generator
        Generator on the CPU that the first weights are drawn from; ``None`` takes one of seed 0.

    Raises
    ------
    BadInput
        Source and target are no images of one height and width, or ``source`` classifies.

    References
    ----------
    Ye and Bors 2025, Eq. 19-20. The density of the source, which makes replay of pairs possible, is ours.

    Examples
    --------
    >>> from growmix.nets import MLP
    >>> from growmix.components.likelihoods import Bernoulli
    >>> from growmix.components.vae import VAEOptions
    >>> vae = VAE(Domain((1, 8, 8)), MLP(hidden=8), Bernoulli(), VAEOptions(latent=2), supervised=False)
    >>> translation = Translation(vae, MLP(hidden=8), Domain((3, 8, 8)), Bernoulli())
    >>> translation.translate(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 3, 8, 8])
    """

    networks = ("source.encoder", "source.posterior", "source.decoder", "target_decoder", "refine")

    def __init__(
        self,
        source: VAE,
        blueprint: Blueprint,
        target: Domain,
        likelihood: Likelihood,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(source.domain, supervised=False)
        if source.supervised:
            raise BadInput("source classifies; pairs of images are learnt without labels: supervised must be False")
        if not (source.domain.is_image and target.is_image):
            raise BadInput("pairs are learnt of images (n, channels, height, width) in [0, 1] alone")
        if source.shape[1:] != target.shape[1:]:
            sizes = (f"{height}x{width}" for _, height, width in (source.shape, target.shape))
            raise BadInput(f"source and target have unlike sizes ({', '.join(sizes)}); bring both to one size")
        generator = generator or torch.Generator().manual_seed(0)
        check_blueprint(blueprint, source.latent, source.shape, target.shape)
        self.source = source
        self.is_density = source.is_density  # scores are of the source alone
        self.target = target
        self.latent = source.latent
        self.target_decoder = make_network(blueprint, lambda: blueprint.decoder(source.latent, target.shape), generator)
        channels = (source.shape[0] + target.shape[0], target.shape[0])
        self.refine = initialised(lambda: _refinement(*channels), generator)
        self.likelihood = likelihood

    def _structure(self) -> str | None:
        structure = self.source._structure()
        return None if structure is None else f"{structure} to {self.target.shape}"

    # Pairs -----------------------------------------------------------------------------------------------------

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Maximise the ELBO of pairs."""
        if data.target is None:
            raise BadInput("data has no targets; this mixture learns pairs of images, (source, target)")
        objective, pairs = TranslationObjective(self), [data.x, data.target]
        trainer.minimise(objective, pairs, noise=self.latent, recipe=self.source.recipe)
        self.density = density_of_codes(self, self.code, data, weight, self.source.options, trainer.generator)

    def pair_elbo(self, x: Tensor, target: Tensor, noise: Tensor) -> Tensor:
        """Return the ELBO of source and target images in [0, 1], nats per pair."""
        mean, log_variance, _ = self.source.infer(x)
        codes = mean + (0.5 * log_variance).exp() * noise
        of_source = self.source.likelihood.log_prob(self.source.output(codes, no_labels(len(x))), x)
        of_target = self.likelihood.log_prob(self._target_output(codes, x), target)
        return of_source + of_target - kl_to_prior(mean, log_variance)

    @torch.no_grad()
    def mean_pair_elbo(self, pairs: TaskData) -> float:
        """Return the ELBO of pairs at the posterior mean, nats per pair, as the mean over all of them."""
        if pairs.target is None:
            raise BadInput("data has no targets; this mixture learns pairs of images, (source, target)")
        total = 0.0
        for x, target in zip(pairs.x.split(ROWS), pairs.target.split(ROWS), strict=True):
            images = (as_float(x.to(self.device)), as_float(target.to(self.device)))
            noise = torch.zeros(len(x), self.latent, dtype=torch.float32, device=self.device)
            total += float(self.pair_elbo(*images, noise).sum())
        return total / len(pairs)

    def translate(self, x: Tensor) -> Tensor:
        """Return the expected targets of source images, at the posterior mean of the code."""
        return self.likelihood.mean(self._target_output(self.source.code(x), x))

    @torch.no_grad()
    def draw_pairs(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Generate pairs: a source is decoded from a code, its target from both."""
        codes = self.draw_codes(no_labels(n), self.latent, generator)
        sources, targets = [], []
        for chunk in codes.split(ROWS):
            on_device = chunk.to(self.device)
            source = self.domain.project(self.decode(on_device, no_labels(len(chunk))))
            sources.append(source)
            targets.append(self.target.project(self.likelihood.mean(self._target_output(on_device, source))))
        return torch.cat(sources), torch.cat(targets)

    # The source alone ------------------------------------------------------------------------------------------

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score the source: targets are not known when it is asked who answers."""
        return self.source.score(x)

    def score_draws(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Score the source by draws of the code."""
        return self.source.score_draws(x, noise)

    def importance_weighted_elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the importance-weighted bound of the source."""
        return self.source.importance_weighted_elbo(x, noise)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return posterior means of the source's code, and no logits."""
        return self.source.encode(x)

    def rate(self, x: Tensor) -> Tensor:
        """Return the nats that the source's code costs."""
        return self.source.rate(x)

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Return the expected source images of codes."""
        return self.source.decode(codes, positions)

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Generate the source images of pairs."""
        return self.draw_pairs(len(positions), generator)[0]

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Refuse labels: a translation has no classes.

        Raises
        ------
        BadInput
            There is a label.
        """
        if labels:
            raise BadInput(f"labels {list(labels)} given to a translation; pairs of images are learnt without labels")

    def _target_output(self, codes: Tensor, x: Tensor) -> Tensor:
        """Return the output that the target's likelihood takes, in single precision."""
        drafted = self.target_decoder(codes)
        output: Tensor = drafted + self.refine(torch.cat([drafted, x], dim=1))
        return output.float()


@final
class TranslationObjective(nn.Module):
    """The loss of a translation: minus the ELBO of pairs.

    Parameters
    ----------
    component
        The translation that is trained.
    """

    def __init__(self, component: Translation) -> None:
        super().__init__()
        self.component = component

    def forward(self, x: Tensor, target: Tensor, noise: Tensor) -> Tensor:
        """Return the mean loss of a batch, nats per pair; ``target`` is in [0, 1] or bytes."""
        return -self.component.pair_elbo(x, as_float(target), noise).mean()


def _refinement(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, REFINE_WIDTH, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(REFINE_WIDTH, REFINE_WIDTH, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(REFINE_WIDTH, outputs, 3, padding=1),
    )
