"""The variational autoencoder, the component that a mixture is made of by default."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.abilities import (
    CodeDensity,
    Codes,
    GaussianCode,
    SampledElbo,
    Shared,
    SoftLabels,
    most_likely,
)
from growmix.components.component import Component, Trainer
from growmix.components.density import LatentDensity, fit_density, no_labels
from growmix.components.likelihoods import Likelihood
from growmix.components.nets import Blueprint, check_blueprint, initialised, make_network, recipe_of, with_rows
from growmix.components.objectives import DistillationObjective, TaskObjective
from growmix.components.pieces import ROWS, in_pieces
from growmix.components.scaling import Scaling
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, TaskData

LABEL_CODE = 16
"""Length of the learnt code of a class, which the decoder gets behind the latent; new classes only add rows."""

_MAX_LOG_VARIANCE = 10.0  # an untrained encoder on a far outlier would overflow exp()


@dataclass(frozen=True)
class VAEOptions:
    """Numbers that say how a variational autoencoder is built and trained.

    Attributes
    ----------
    latent
        Length of a code.
    classification_weight
        Weight of the classifier's cross-entropy against the ELBO.
    gaussians
        Most Gaussians per class in the density that codes are drawn from.
    from_prior
        Whether codes are drawn from the prior N(0, I) instead of such a density.
    shift
        Share of its sides that an image is moved by at most before it is classified, where soft labels are learnt.
    """

    latent: int = 24
    classification_weight: float = 1.0
    gaussians: int = 20
    from_prior: bool = False
    shift: float = 0.0


@final
class VAE(Component, Codes, GaussianCode, SampledElbo, CodeDensity, SoftLabels, Shared):
    """Variational autoencoder; a supervised one has a classifier, and its decoder also gets the class.

    Parameters
    ----------
    domain
        Shape and support of the examples, with the statistics of the first task.
    blueprint
        Makes the networks.
    likelihood
        Density of an example given the decoder's output.
    options
        How it is built and trained.
    supervised
        Whether to have a classifier and a class-conditional decoder.
    generator
        Generator on the CPU that the first weights are drawn from; ``None`` takes one of seed 0.

    Raises
    ------
    BadInput
        The blueprint's networks do not fit such examples.

    References
    ----------
    Kingma and Welling 2014; class-conditional with missing labels: Kingma et al. 2014 (M2). Here q(z|x) does not
    depend on the class, so that one pass of the encoder serves all classes.

    Examples
    --------
    >>> from growmix.nets import MLP
    >>> from growmix.components.likelihoods import Bernoulli
    >>> vae = VAE(Domain((1, 4, 4)), MLP(hidden=8), Bernoulli(), VAEOptions(latent=2), supervised=True)
    >>> vae.add_classes([3, 7], torch.Generator().manual_seed(0))
    >>> elbo, logits = vae.elbo(torch.rand(5, 1, 4, 4), torch.tensor([0, 1, 0, 1, 1]), torch.randn(5, 2))
    >>> elbo.shape, logits.shape
    (torch.Size([5]), torch.Size([5, 2]))
    """

    networks = ("encoder", "posterior", "decoder")

    def __init__(
        self,
        domain: Domain,
        blueprint: Blueprint,
        likelihood: Likelihood,
        options: VAEOptions,
        *,
        supervised: bool,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(domain, supervised=supervised)
        generator = generator or torch.Generator().manual_seed(0)
        self.latent = options.latent
        self.options = options
        inputs = options.latent + (LABEL_CODE if supervised else 0)
        self.features = features = check_blueprint(blueprint, inputs, domain.shape)
        self.encoder = make_network(blueprint, lambda: blueprint.encoder(domain.shape), generator)
        self.posterior = initialised(lambda: nn.Linear(features, 2 * options.latent), generator)
        self.decoder = make_network(blueprint, lambda: blueprint.decoder(inputs, domain.shape), generator)
        self.likelihood = likelihood
        self.is_density = likelihood.is_density
        self.scaling = Scaling(domain)
        self.classifier_weight = nn.Parameter(_empty(0, features)) if supervised else None
        self.classifier_bias = nn.Parameter(_empty(0)) if supervised else None
        self.label_code = nn.Parameter(_empty(0, LABEL_CODE)) if supervised else None
        self.recipe = recipe_of(blueprint)
        self._batchable = f"{blueprint!r} {likelihood!r}" if blueprint.batchable else None

    def _structure(self) -> str | None:
        return self._batchable

    # Learning --------------------------------------------------------------------------------------------------

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Maximise the ELBO, and minimise the classifier's cross-entropy where there are labels."""
        positions = self.positions_of(data)
        unlabelled = bool((positions < 0).any())
        objective = TaskObjective(self, self.options.classification_weight, unlabelled=unlabelled)
        trainer.minimise(objective, [data.x, positions], noise=self.latent, recipe=self.recipe)
        self.density = density_of_codes(self, self.code, data, weight, self.options, trainer.generator)

    def fit_soft(self, data: TaskData, soft: Tensor, trainer: Trainer) -> None:
        """Maximise the ELBO of generated examples, and match the teacher's class probabilities."""
        objective = DistillationObjective(self, self.options.classification_weight, self.options.shift)
        lessons = [data.x, self.positions_of(data), soft]
        trainer.minimise(objective, lessons, noise=self.latent + objective.extra, recipe=self.recipe)
        weight = torch.ones(len(data), dtype=torch.float32)
        self.density = density_of_codes(self, self.code, data, weight, self.options, trainer.generator)

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Add a row to the classifier and to the label codes for each new label."""
        new = self.new_labels(labels)
        if not new:
            return
        assert self.classifier_weight is not None and self.classifier_bias is not None and self.label_code is not None
        features = self.classifier_weight.shape[1]
        reach = features**-0.5
        codes, weight, bias = _empty(len(new), LABEL_CODE), _empty(len(new), features), _empty(len(new))
        if not codes.is_meta:
            codes.normal_(generator=generator)
            for values in (weight, bias):
                values.uniform_(-reach, reach, generator=generator)
        self.classifier_weight = with_rows(self.classifier_weight, weight)
        self.classifier_bias = with_rows(self.classifier_bias, bias)
        self.label_code = with_rows(self.label_code, codes)
        self.take_in(new)

    # Scores ----------------------------------------------------------------------------------------------------

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the evidence lower bound of examples whose class is known, with one draw of the code each.

        Parameters
        ----------
        x
            Examples, shape ``(batch, *shape)``.
        positions
            Class positions, -1 for no class, shape ``(batch,)``.
        noise
            Standard normal, shape ``(batch, latent)``.

        Returns
        -------
        elbo
            :math:`\log p(x|y) \ge E_{q(z|x)} \log p(x|z,y) - KL(q(z|x)\|p(z))`, nats, shape ``(batch,)``.
        logits
            Outputs of the classifier, shape ``(batch, classes)``.
        """
        mean, log_variance, logits = self.infer(x)
        codes = mean + (0.5 * log_variance).exp() * noise
        return self._log_prob(codes, positions, x) - kl_to_prior(mean, log_variance), logits

    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sum q(y|x) [log p(x|y) + log p(y) - log q(y|x)] over the classes; shapes as of :meth:`elbo`."""
        mean, log_variance, logits = self.infer(x)
        codes = mean + (0.5 * log_variance).exp() * noise
        kl = kl_to_prior(mean, log_variance)
        if not self.classes:
            return self._log_prob(codes, _none(codes), x) - kl, logits
        n, k = logits.shape
        positions = torch.arange(k, device=x.device).repeat_interleave(n)
        repeated = x.repeat(k, *[1] * (x.ndim - 1))
        log_likelihood = self._log_prob(codes.repeat(k, 1), positions, repeated).view(k, n).T
        log_q = logits.log_softmax(1)
        return (log_q.exp() * (log_likelihood + self.class_log_prior() - log_q)).sum(1) - kl, logits

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score examples at the posterior mean, see :meth:`score_draws`.

        It leaves out the expectation over the code: above the ELBO by a little, without noise, and better at choosing
        components.
        """
        return self.score_draws(x, torch.zeros(1, self.latent, dtype=torch.float32, device=x.device))

    def score_draws(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Score examples by an ELBO with q(y|x) at the classifier's most likely class: one decoding per draw.

        It bounds log p(x) = log sum over y of p(y) p(x|y) like the marginal one, and costs one decoding instead of one
        per class.
        """
        mean, log_variance, logits = self.infer(x)
        positions = most_likely(logits)
        deviation = (0.5 * log_variance).exp()
        draws = [self._log_prob(mean + deviation * row, positions, x) for row in noise.unbind(0)]
        elbo = torch.stack(draws).mean(0) - kl_to_prior(mean, log_variance)
        if self.classes:
            elbo = elbo + self.class_log_prior()[positions]
        return elbo, logits.log_softmax(1)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the terms of the score at the posterior mean, with the class that the classifier gives.

        Returns
        -------
        log_likelihood
            log p(x|z, y), nats, shape ``(batch,)``.
        rate
            KL divergence of the posterior to the prior, nats, shape ``(batch,)``.
        logits
            Outputs of the classifier, shape ``(batch, classes)``.
        """
        mean, log_variance, logits = self.infer(x)
        return self._log_prob(mean, most_likely(logits), x), kl_to_prior(mean, log_variance), logits

    def importance_weighted_elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        """Weight draws of the code by p(x, z) / q(z|x), summed over the classes."""
        mean, log_variance, _ = self.infer(x)
        k = max(1, len(self.classes))
        rows = []
        for row in noise.unbind(0):
            codes = mean + (0.5 * log_variance).exp() * row
            log_ratio = 0.5 * (row**2 + log_variance - codes**2).sum(1)  # log p(z) - log q(z|x)
            per_class = [
                self._log_prob(codes, torch.full_like(_none(codes), y), x) + self.class_log_prior()[y]
                if self.classes
                else self._log_prob(codes, _none(codes), x)
                for y in range(k)
            ]
            rows.append(torch.stack(per_class).logsumexp(0) + log_ratio)
        return torch.stack(rows).logsumexp(0) - math.log(len(rows))

    def rate(self, x: Tensor) -> Tensor:
        """Return the KL divergence of the posterior to the prior, nats, shape ``(batch,)``."""
        mean, log_variance, _ = self.infer(x)
        return kl_to_prior(mean, log_variance)

    # Codes and examples ----------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return posterior means of the code and class logits."""
        mean, _, logits = self.infer(x)
        return mean, logits

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Return the expected examples of codes with class positions."""
        return self.scaling.undo(self.likelihood.mean(self.output(codes, positions)))

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Decode codes drawn from the density, or from the prior where there is none."""
        codes = self.draw_codes(positions, self.latent, generator)
        positions = self.with_classes(positions, generator)  # a decoder that knows classes needs one
        chunks = zip(codes.split(ROWS), positions.split(ROWS), strict=True)
        decoded = [self.decode(code.to(self.device), position.to(self.device)) for code, position in chunks]
        return self.domain.project(torch.cat(decoded))

    def infer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return posterior means and log-variances, ``(batch, latent)`` each, and class logits ``(batch, classes)``."""
        scaled = self.scaling(x)
        # a user's own modules may change what they are given, and x is compared with the output, or the caller's
        features = self.encoder(scaled.clone() if self._batchable is None else scaled)
        mean, log_variance = self.posterior(features).float().chunk(2, dim=1)
        if self.classifier_weight is None or not self.classes:
            logits = features.new_zeros(features.shape[0], 0, dtype=torch.float32)
        else:
            logits = F.linear(features, self.classifier_weight, self.classifier_bias).float()
        return mean, log_variance.clamp(max=_MAX_LOG_VARIANCE), logits

    def output(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Return the decoder's output ``(batch, *shape)`` in single precision; position -1 has the label code zero."""
        if self.label_code is not None:
            if self.classes:
                known = (positions != UNLABELLED)[:, None]
                label = self.label_code[positions.clamp_min(0)] * known
            else:
                label = codes.new_zeros(codes.shape[0], LABEL_CODE)
            codes = torch.cat([codes, label], dim=1)
        output: Tensor = self.decoder(codes)
        return output.float()

    def _log_prob(self, codes: Tensor, positions: Tensor, x: Tensor) -> Tensor:
        """Return log p(x|z, y) in the unit of the examples, nats, shape ``(batch,)``."""
        return self.likelihood.log_prob(self.output(codes, positions), self.scaling(x)) - self.scaling.log_volume


def density_of_codes(
    component: Component,
    code: Callable[[Tensor], Tensor],
    data: TaskData,
    weight: Tensor,
    options: VAEOptions,
    generator: torch.Generator,
) -> LatentDensity | None:
    """Fit where the codes of what a component has just learnt lie; ``None`` where codes are drawn from the prior.

    Parameters
    ----------
    component, code
        The component that was trained, and its method that codes examples.
    data, weight
        What it was trained on, and how many examples each row stands for.
    options
        How the component is built.
    generator
        Generator on the CPU.
    """
    if options.from_prior:
        return None
    codes = in_pieces(component, code, data.x)
    return fit_density(codes, component.positions_of(data), weight, options.gaussians, generator)


def kl_to_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence of N(mean, exp(log_variance)) to N(0, I), nats; ``(batch, latent)`` to ``(batch,)``.

    Examples
    --------
    >>> kl_to_prior(torch.ones(1, 2), torch.zeros(1, 2))
    tensor([1.])
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).sum(1)


def _none(codes: Tensor) -> Tensor:
    return no_labels(codes.shape[0]).to(codes.device)


def _empty(*size: int) -> Tensor:
    return torch.empty(*size, dtype=torch.float32)
