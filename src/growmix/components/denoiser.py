"""The denoiser: a component that explains an image by how well it can tell it from noise, at many levels of noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.abilities import Bounded, Cheap, Described, Evidence, Limited, Shared, most_likely
from growmix.components.classifier import FEATURES, ConvClassifier
from growmix.components.component import Component, Trainer
from growmix.components.denoiser_options import DenoiserOptions, Plan
from growmix.components.diffusion import (
    Denoise,
    Ends,
    balanced,
    heun,
    likelihood_bound,
    network_target,
    preconditioned,
    score_weights,
    squared_errors,
    stratified,
)
from growmix.components.judging import ClassRule
from growmix.components.nets import with_rows
from growmix.components.pieces import ROWS
from growmix.components.unet import folding, make_unet
from growmix.data.domain import Domain, Shape
from growmix.data.task import UNLABELLED, TaskData, as_float

NOISE_SEED = 20_220_601
"""Seed of the noise that images are judged by: one for all components, so that what it adds to scores cancels."""

MOST_MEASURED = 1_024
"""Images that the variance at the lowest noise is measured on after a training."""

LEAST_VARIANCE = 1e-6
"""Smallest variance of a pixel in [-1, 1], so that images that are all alike have a density too."""

_BOUND_NODES = 16
_BOUND_DRAWS = 2
_EXTRA = 3  # numbers of noise beside those of the image: order and place of its noise level, and whether it is mirrored
_AT_ONCE = {"cpu": 2**21, "other": 2**23}  # numbers of the finest features: a CPU's caches, and a GPU's units, are full


@final
class Denoiser(Component, Evidence, Described, Bounded, Cheap, Shared, Limited):
    r"""Class-conditional denoiser of images, with a small classifier beside it where there are labels.

    An image, scaled to [-1, 1], is judged by
    :math:`S(u,c)=-\sum_\sigma\Delta\log\sigma\,\|u-D(u+\sigma\varepsilon,\sigma,c)\|^2/\sigma^{2a}`, over a
    few levels of noise that is the same for all images and components. With a = 1 this is a bound of the density but
    for constants; a smaller exponent chooses components better.

    Parameters
    ----------
    domain
        Shape and support of the images.
    options
        How the denoiser is built and asked.
    supervised
        Whether to have a classifier, and a code of the class that the network is told.
    generator
        Generator on the CPU that the first weights are drawn from.

    References
    ----------
    Karras, Aittala, Aila, Laine 2022 (EDM): preconditioning and sampler. A weighted sum of errors as a bound of the
    likelihood of noised images: Kingma and Gao 2023. Classes by the errors of a denoiser: Li et al. 2023.

    Examples
    --------
    >>> denoiser = Denoiser(Domain((1, 8, 8)), DenoiserOptions(width=8), supervised=True, generator=torch.Generator())
    >>> denoiser.add_classes([3, 7], torch.Generator().manual_seed(0))
    >>> score, class_log_proba = denoiser.score(torch.rand(5, 1, 8, 8))
    >>> score.shape, class_log_proba.shape
    (torch.Size([5]), torch.Size([5, 2]))
    """

    sources = ("denoiser",)
    preset = (1.0,)
    preset_rule: ClassRule = "both"

    mean: Tensor
    variance: Tensor
    decoder_variance: Tensor

    def __init__(
        self, domain: Domain, options: DenoiserOptions, *, supervised: bool, generator: torch.Generator
    ) -> None:
        super().__init__(domain, supervised=supervised)
        self.options = options
        self.plan = plan = Plan.of(options, domain.shape)
        self.unet = make_unet(domain.shape, plan.widths, plan.context, generator)
        self.classifier = ConvClassifier(domain.shape, generator) if supervised else None
        self.label_code = nn.Parameter(torch.empty(0, plan.context, dtype=torch.float32)) if supervised else None
        self.networks = ("unet", "classifier.features") if supervised else ("unet",)
        # the Gaussian that stands for the images at the highest noise: means of all, and of each class
        self.register_buffer("mean", torch.zeros(1, *domain.shape, dtype=torch.float32))
        self.register_buffer("variance", torch.tensor(plan.deviation**2, dtype=torch.float32))
        self.register_buffer("decoder_variance", torch.ones((), dtype=torch.float32))

    def _structure(self) -> str | None:
        return f"{self.options!r} {self.shape} {self.supervised}"

    def limits(self) -> Mapping[str, tuple[Tensor, float]]:
        """Return the Gaussian at the highest noise and the variance at the lowest."""
        variances = {"variance": self.variance, "decoder_variance": self.decoder_variance}
        smallest = 0.5 * LEAST_VARIANCE
        return {"mean": (self.mean, -math.inf), **{name: (values, smallest) for name, values in variances.items()}}

    # Learning --------------------------------------------------------------------------------------------------

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Minimise the squared error of the U-net, and the classifier's cross-entropy where there are labels."""
        positions = self.positions_of(data)
        self._take_means(data.x, positions, weight)
        width = self.domain.size + _EXTRA
        trainer.minimise(DenoisingObjective(self), [data.x, positions], noise=width, recipe=self.plan.recipe)
        self._measure_lowest(data.x, positions)

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Add a code, a row of the classifier and a mean for each new label."""
        new = self.new_labels(labels)
        if not new:
            return
        assert self.classifier is not None and self.label_code is not None  # it classifies, or none is new
        codes = torch.empty(len(new), self.plan.context, dtype=torch.float32)
        if not codes.is_meta:
            codes.normal_(generator=generator)
        self.label_code = with_rows(self.label_code, codes)
        self.classifier.add_classes(len(new), generator)
        self.mean = torch.cat([self.mean, self.mean.new_zeros(len(new), *self.shape)])
        self.take_in(new)

    def loss(self, images: Tensor, positions: Tensor, noise: Tensor, log_sigma: Tensor) -> Tensor:
        """Return the mean squared error of the network's output for each image, shape ``(batch,)``.

        Parameters
        ----------
        images
            Images in [-1, 1], shape ``(batch, *shape)``.
        positions
            Class positions, -1 for no class, shape ``(batch,)``.
        noise, log_sigma
            Standard normal in the shape of the images, and the logarithm of each image's standard deviation.
        """
        noised = images + log_sigma.exp().view(-1, 1, 1, 1) * noise
        codes = self._label_codes(positions)
        output, _ = preconditioned(lambda z, s: self.unet(z, s, codes), noised, log_sigma, self.plan.deviation)
        target = network_target(images, noised, log_sigma, self.plan.deviation)
        return (output - target).square().flatten(1).mean(1)

    def _take_means(self, x: Tensor, positions: Tensor, weight: Tensor) -> None:
        """Keep the mean of all images and of each class, and the mean variance of a pixel around these."""
        sums = torch.zeros(len(self.mean), self.domain.size, dtype=torch.float64)
        counts = torch.zeros(len(self.mean), dtype=torch.float64)
        squares = 0.0
        for rows in torch.arange(len(x)).split(ROWS):
            images = (2.0 * as_float(x[rows]) - 1.0).flatten(1).double()
            heavy = weight[rows].double()
            sums.index_add_(0, positions[rows] + 1, heavy[:, None] * images)
            counts.index_add_(0, positions[rows] + 1, heavy)
            squares += float(heavy @ images.square().sum(1))
        within = squares - float((sums.square().sum(1) / counts.clamp_min(1e-12)).sum())
        sums[0], counts[0] = sums.sum(0), counts.sum()  # the first row is of all, not of those without a class alone
        known = counts > 0
        means = (sums[known] / counts[known, None]).view(-1, *self.shape)
        self.mean[known.to(self.device)] = means.to(self.mean)
        self.variance.fill_(max(within / float(counts[0] * self.domain.size), LEAST_VARIANCE))

    @torch.no_grad()
    def _measure_lowest(self, x: Tensor, positions: Tensor) -> None:
        """Keep the mean squared error of a pixel at the lowest noise, which makes errors a density."""
        chosen = torch.linspace(0, len(x) - 1, min(len(x), MOST_MEASURED), dtype=torch.float64).long()
        images = as_float(x[chosen].to(self.device))
        errors = self._errors(images, positions[chosen].to(self.device)[:, None], [0], 1)
        self.decoder_variance.fill_((errors.mean() / self.domain.size).clamp_min(LEAST_VARIANCE))

    # Scores ----------------------------------------------------------------------------------------------------

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score images by the errors over all levels and classes, see :class:`Denoiser`."""
        return self.by_preset(*self.evidence(x))

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score of every class, shape ``(batch, classes, 1)``, and what the classifier says."""
        n, k = len(x), len(self.classes)
        positions = torch.arange(k, device=x.device) if k else torch.tensor([UNLABELLED], device=x.device)
        scores = self._score_of(x, positions.expand(n, -1), range(self.options.levels), self.plan.draws)
        return scores[:, :, None], self._logits(x).log_softmax(1)

    def cheap(self, x: Tensor) -> Tensor:
        """Score images at the two middle levels alone, as the class that the classifier gives."""
        last = self.options.levels - 1
        middle = sorted({last // 2, (last + 1) // 2})
        return self._score_of(x, most_likely(self._logits(x))[:, None], middle, 1)[:, 0]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the errors at some levels, and of the classifier's features where there is one."""
        errors = tuple(f"error{level}" for level in self._described_levels())
        return errors if self.classifier is None else (*errors, *(f"feature{j}" for j in range(FEATURES)))

    def describe(self, x: Tensor) -> Tensor:
        """Return squared errors of images as the class that the classifier gives, and the classifier's features."""
        levels = self._described_levels()
        errors = self._errors(x, most_likely(self._logits(x))[:, None], levels, 1).flatten(1)
        return errors if self.classifier is None else torch.cat([errors, self.classifier(2.0 * x - 1.0)], dim=1)

    def bound(self, x: Tensor) -> Tensor:
        """Return :func:`growmix.components.diffusion.likelihood_bound` of the class that the classifier gives.

        To the nats of that come the class's log share, and log 2 for each number, because pixels lie in [0, 1] and not
        in [-1, 1]. The expectation over the noise is that of one draw and its negative, the same for all images.
        """
        positions = most_likely(self._logits(x))
        noise = balanced(fixed_noise(self.shape, _BOUND_DRAWS // 2, _BOUND_NODES + 1)).to(x.device)
        bounds = []
        for rows in self._pieces(len(x), _BOUND_DRAWS * (_BOUND_NODES + 1)):
            own = positions[rows]
            ends = Ends(self.decoder_variance, self.mean[own + 1], self.variance)
            denoise = self._denoiser(own.repeat_interleave(_BOUND_DRAWS * (_BOUND_NODES + 1)))
            bounds.append(likelihood_bound(denoise, 2.0 * x[rows] - 1.0, noise, self.plan.within, ends, _BOUND_NODES))
        log_share = self.class_log_prior()[positions] if self.classes else 0.0
        return torch.cat(bounds) + log_share + self.domain.size * math.log(2.0)

    # Images ----------------------------------------------------------------------------------------------------

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Generate images from noise; a class that is not asked for is drawn by the classes' shares."""
        positions = self.with_classes(positions, generator)
        levels = self.plan.within.log_levels(self.options.sampling_steps).flip(0).to(self.device)
        images = []
        for some in positions.split(ROWS):
            noise = torch.randn(len(some), *self.shape, generator=generator, dtype=torch.float32).to(self.device)
            own = some.to(self.device)
            start = self.mean[own + 1] + (self.plan.within.highest**2 + self.variance).sqrt() * noise
            for rows in self._pieces(len(own), 1):
                images.append(heun(self._denoiser(own[rows]), start[rows], levels))
        return self.domain.project(0.5 * (torch.cat(images) + 1.0))

    # How it is done --------------------------------------------------------------------------------------------

    def _described_levels(self) -> list[int]:
        """Return the indices of three levels across the range whose errors describe an image, or of all if fewer."""
        n = self.options.levels
        return sorted({n // 4, n // 2, 3 * n // 4})

    def _logits(self, x: Tensor) -> Tensor:
        """Return the classifier's logits of images in [0, 1], shape ``(batch, classes)``."""
        if self.classifier is None:
            return x.new_zeros(len(x), 0)
        return self.classifier.logits(2.0 * x - 1.0)

    def _label_codes(self, positions: Tensor) -> Tensor:
        """Return the code of each class position, zeros for no class, shape ``(n, context)``."""
        if self.label_code is None or not self.classes:
            return torch.zeros(len(positions), self.plan.context, dtype=torch.float32, device=positions.device)
        return self.label_code[positions.clamp_min(0)] * (positions != UNLABELLED)[:, None]

    def _denoiser(self, positions: Tensor) -> Denoise:
        """Return the denoiser of images of these classes."""
        codes = self._label_codes(positions)

        def denoise(noised: Tensor, log_sigma: Tensor) -> Tensor:
            return preconditioned(lambda z, s: self.unet(z, s, codes), noised, log_sigma, self.plan.deviation)[1]

        return denoise

    def _score_of(self, x: Tensor, positions: Tensor, levels: Sequence[int], draws: int) -> Tensor:
        """Return the scores of classes ``(n, classes)``, as if from all levels, with the log share of each class."""
        log_levels = self.plan.within.log_levels(self.options.levels).to(x.device)
        weights = score_weights(log_levels, self.options.exponent)[list(levels)]
        errors = self._errors(x, positions, levels, draws).mean(2)
        scores = -(errors @ weights) * (self.options.levels / len(levels))
        return scores + self.class_log_prior()[positions] if self.classes else scores

    def _errors(self, x: Tensor, positions: Tensor, levels: Sequence[int], draws: int) -> Tensor:
        """Return squared errors at some levels.

        Parameters
        ----------
        x
            Images in [0, 1], shape ``(n, *shape)``.
        positions
            Class positions that each image is tried with, shape ``(n, classes)``.
        levels
            Indices of the levels, from that of the lowest noise.
        draws
            Draws of noise; every second one judges the mirrored image where such were learnt.

        Returns
        -------
        Tensor
            Squared errors, shape ``(n, classes, draws, levels)``.
        """
        k, m = positions.shape[1], draws * len(levels)
        noise = fixed_noise(self.shape, draws, self.options.levels)[:, list(levels)].flatten(0, 1).to(x.device)
        log_levels = self.plan.within.log_levels(self.options.levels)[list(levels)].repeat(draws).to(x.device)
        found = []
        for rows in self._pieces(len(x), k * m):
            images = 2.0 * x[rows] - 1.0
            seen = [images.flip(-1) if self.plan.flips and draw % 2 else images for draw in range(draws)]
            each = torch.stack(seen, dim=1).repeat_interleave(k, 0).repeat_interleave(len(levels), 1)
            denoise = self._denoiser(positions[rows].flatten().repeat_interleave(m))
            found.append(squared_errors(denoise, each, noise, log_levels))
        return torch.cat(found).view(len(x), k, draws, len(levels))

    def _pieces(self, n: int, each: int) -> Iterator[slice]:
        """Yield slices of examples of which the U-net gets ``each`` noised ones, few enough for the memory."""
        fold = folding(self.shape)
        numbers = self.plan.widths[0] * (self.domain.size // self.shape[0]) // fold**2
        room = _AT_ONCE["cpu" if self.device.type == "cpu" else "other"]
        rows = max(1, room // (numbers * each))
        for start in range(0, n, rows):
            yield slice(start, min(n, start + rows))


@final
class DenoisingObjective(nn.Module):
    """Squared error of the network's output at a random noise level, plus the classifier's cross-entropy.

    The noise levels of a batch are spread evenly over the logarithm of the range. Everything random comes from the
    noise that the training hands over: what is not of the image says which image gets which level, and whether it is
    mirrored.

    Parameters
    ----------
    component
        The denoiser that is trained.
    """

    def __init__(self, component: Denoiser) -> None:
        super().__init__()
        self.component = component

    def forward(self, x: Tensor, positions: Tensor, noise: Tensor) -> Tensor:
        """Mean loss of a batch: images ``(batch, *shape)``, class positions ``(batch,)``, noise with extra columns."""
        component = self.component
        pixels, (order, offset, mirror) = noise[:, :-_EXTRA].reshape(x.shape), noise[:, -_EXTRA:].unbind(1)
        images = 2.0 * x - 1.0
        if component.plan.flips:
            images = torch.where((mirror > 0.0).view(-1, 1, 1, 1), images.flip(-1), images)
        log_sigma = component.plan.within.at(stratified(order, offset[0]))
        loss = component.loss(images, positions, pixels, log_sigma).mean()
        if component.classifier is None or not component.classes:
            return loss
        logits = component.classifier.logits(images)
        return loss + F.cross_entropy(logits, positions, ignore_index=UNLABELLED, reduction="sum") / len(x)


@lru_cache(maxsize=16)
def fixed_noise(shape: Shape, draws: int, levels: int) -> Tensor:
    """Return the noise that all components judge by, shape ``(draws, levels, *shape)``; the first draws are the same.

    Examples
    --------
    >>> bool((fixed_noise((1, 4, 4), 1, 8) == fixed_noise((1, 4, 4), 2, 8)[:1]).all())
    True
    """
    # numpy's old generator: its numbers are promised to stay as they are, and it can be asked within torch's vmap
    numbers = np.random.RandomState(NOISE_SEED).standard_normal((draws, levels, *shape))
    return torch.from_numpy(numbers.astype(np.float32))
