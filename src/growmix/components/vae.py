"""The variational autoencoder, the component that a mixture is made of by default."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.component import Component, most_likely
from growmix.components.likelihoods import Likelihood
from growmix.components.nets import Blueprint
from growmix.data.task import UNLABELLED, Shape
from growmix.errors import BadInput

LABEL_CODE = 16
"""Length of the learnt code of a class, which the decoder gets behind the latent; new classes only add rows."""

_MAX_LOG_VARIANCE = 10.0  # an untrained encoder on a far outlier would overflow exp()


@final
class VAE(Component):
    """Variational autoencoder; supervised, its decoder also gets the class.

    Parameters
    ----------
    blueprint
        Makes the networks.
    shape
        Channels, height, width.
    features
        What the blueprint's encoder gives, see :func:`growmix.components.nets.check_blueprint`.
    latent
        Length of a code.
    likelihood
        Of an image given the decoder's output.
    supervised
        Whether to have a classifier and a class-conditional decoder.

    References
    ----------
    Kingma and Welling 2014; class-conditional with missing labels: Kingma et al. 2014 (M2). Here q(z|x) does not
    depend on the class, so that one pass of the encoder serves all classes.

    Examples
    --------
    >>> from growmix.components.nets import MLP
    >>> from growmix.components.likelihoods import Bernoulli
    >>> vae = VAE(MLP(hidden=8), (1, 4, 4), 8, 2, Bernoulli(), supervised=True)
    >>> vae.add_classes([3, 7])
    >>> elbo, logits = vae.elbo(torch.rand(5, 1, 4, 4), torch.tensor([0, 1, 0, 1, 1]), torch.randn(5, 2))
    >>> elbo.shape, logits.shape
    (torch.Size([5]), torch.Size([5, 2]))
    """

    def __init__(
        self,
        blueprint: Blueprint,
        shape: Shape,
        features: int,
        latent: int,
        likelihood: Likelihood,
        *,
        supervised: bool,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.latent = latent
        self.classes = ()
        self.structure = f"{blueprint!r} {likelihood!r}" if blueprint.batchable else None
        # copied: a user's blueprint may hand out one module twice, and components must not share weights or buffers
        self.encoder = copy.deepcopy(blueprint.encoder(shape))
        self.posterior = nn.Linear(features, 2 * latent)
        self.decoder = copy.deepcopy(blueprint.decoder(latent + (LABEL_CODE if supervised else 0), shape))
        self.likelihood = likelihood
        self.classifier_weight = nn.Parameter(torch.empty(0, features)) if supervised else None
        self.classifier_bias = nn.Parameter(torch.empty(0)) if supervised else None
        self.label_code = nn.Parameter(torch.empty(0, LABEL_CODE)) if supervised else None
        self.register_buffer("class_counts", torch.zeros(0))
        self.register_buffer("unlabelled_count", torch.zeros(()))

    @property
    def supervised(self) -> bool:
        """Whether it has a classifier."""
        return self.label_code is not None

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Component.elbo`."""
        mean, log_variance, logits = self.infer(x)
        codes = mean + (0.5 * log_variance).exp() * noise
        log_likelihood = self.likelihood.log_prob(self.output(codes, positions), x)
        return log_likelihood - kl_to_prior(mean, log_variance), logits

    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over classes of q(y|x) [log p(x|y) bound + log p(y) - log q(y|x)]."""
        mean, log_variance, logits = self.infer(x)
        codes = mean + (0.5 * log_variance).exp() * noise
        kl = kl_to_prior(mean, log_variance)
        if not self.classes:
            return self.likelihood.log_prob(self.output(codes, _none(codes)), x) - kl, logits
        n, k = logits.shape
        positions = torch.arange(k, device=x.device).repeat_interleave(n)
        outputs = self.output(codes.repeat(k, 1), positions)
        log_likelihood = self.likelihood.log_prob(outputs, x.repeat(k, 1, 1, 1)).view(k, n).T
        log_q = logits.log_softmax(1)
        return (log_q.exp() * (log_likelihood + self.class_log_prior() - log_q)).sum(1) - kl, logits

    def score(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Bound with q(y|x) at the classifier's most likely class: one pass of the decoder per draw.

        It is a bound of log p(x) = log sum over y of p(y) p(x|y) like the marginal one, and costs one decoding
        instead of one per class.
        """
        mean, log_variance, logits = self.infer(x)
        positions = most_likely(logits)
        deviation = (0.5 * log_variance).exp()
        draws = [self.likelihood.log_prob(self.output(mean + deviation * row, positions), x) for row in noise.unbind(0)]
        elbo = torch.stack(draws).mean(0) - kl_to_prior(mean, log_variance)
        if self.classes:
            elbo = elbo + self.class_log_prior()[positions]
        return elbo, logits.log_softmax(1)

    def importance_weighted_bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """See :meth:`Component.importance_weighted_elbo`."""
        mean, log_variance, _ = self.infer(x)
        k = max(1, len(self.classes))
        rows = []
        for row in noise.unbind(0):
            codes = mean + (0.5 * log_variance).exp() * row
            log_ratio = 0.5 * (row**2 + log_variance - codes**2).sum(1)  # log p(z) - log q(z|x)
            per_class = [
                self.likelihood.log_prob(self.output(codes, torch.full_like(_none(codes), y)), x)
                + self.class_log_prior()[y]
                if self.classes
                else self.likelihood.log_prob(self.output(codes, _none(codes)), x)
                for y in range(k)
            ]
            rows.append(torch.stack(per_class).logsumexp(0) + log_ratio)
        return torch.stack(rows).logsumexp(0) - math.log(len(rows))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Component.encode`."""
        mean, _, logits = self.infer(x)
        return mean, logits

    def rate(self, x: Tensor) -> Tensor:
        """See :meth:`Component.rate`."""
        mean, log_variance, _ = self.infer(x)
        return kl_to_prior(mean, log_variance)

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """See :meth:`Component.decode`."""
        return self.likelihood.mean(self.output(codes, positions))

    def add_classes(self, labels: Sequence[int]) -> None:
        """See :meth:`Component.add_classes`."""
        new = [label for label in labels if label not in self.classes]
        if not new:
            return
        if self.classifier_weight is None or self.classifier_bias is None or self.label_code is None:
            raise BadInput(f"labels {new} given to an unsupervised component; start the mixture with supervised=True")
        rows = nn.Linear(self.classifier_weight.shape[1], len(new)).to(self.label_code.device)
        codes = torch.randn(len(new), LABEL_CODE).to(self.label_code.device)
        self.classifier_weight = _with_rows(self.classifier_weight, rows.weight)
        self.classifier_bias = _with_rows(self.classifier_bias, rows.bias)
        self.label_code = _with_rows(self.label_code, codes)
        self.class_counts = torch.cat([self.class_counts, self.class_counts.new_zeros(len(new))])
        self.classes = (*self.classes, *new)

    def infer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Posterior means and log-variances, ``(batch, latent)`` each, and class logits ``(batch, classes)``."""
        # a user's own modules may change what they are given, and x is compared with the output, or the caller's
        features = self.encoder(x.clone() if self.structure is None else x)
        mean, log_variance = self.posterior(features).float().chunk(2, dim=1)
        if self.classifier_weight is None or not self.classes:
            logits = features.new_zeros(features.shape[0], 0, dtype=torch.float32)
        else:
            logits = F.linear(features, self.classifier_weight, self.classifier_bias).float()
        return mean, log_variance.clamp(max=_MAX_LOG_VARIANCE), logits

    def output(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Decoder's output ``(batch, *shape)`` in single precision; a class position of -1 has the code zero."""
        if self.label_code is not None:
            if self.classes:
                known = (positions != UNLABELLED)[:, None]
                label = self.label_code[positions.clamp_min(0)] * known
            else:
                label = codes.new_zeros(codes.shape[0], LABEL_CODE)
            codes = torch.cat([codes, label], dim=1)
        output: Tensor = self.decoder(codes)
        return output.float()


def kl_to_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, exp(log_variance)) to N(0, I), nats, ``(batch, latent)`` to ``(batch,)``.

    Examples
    --------
    >>> kl_to_prior(torch.ones(1, 2), torch.zeros(1, 2))
    tensor([1.])
    """
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).sum(1)


def _none(codes: Tensor) -> Tensor:
    return torch.full((codes.shape[0],), UNLABELLED, dtype=torch.int64, device=codes.device)


def _with_rows(old: nn.Parameter, new: Tensor) -> nn.Parameter:
    return nn.Parameter(torch.cat([old.detach(), new.detach()]))
