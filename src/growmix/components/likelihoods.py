"""Likelihoods of an image given a decoder's output, with all their normalising constants.

Components can only be compared by their densities when every constant is there (the paper's squared
error leaves them out).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.errors import BadInput
from growmix.settings import LikelihoodName

_LOG_2PI = math.log(2.0 * math.pi)

_LOG_VARIANCE_RANGE = (-8.0, 4.0)
"""Learnt log-variances are kept here: a pixel that never changes would otherwise have an unbounded density."""


class Likelihood(nn.Module, ABC):
    """Interface: p(x|z) from the decoder's output, which has the image's shape."""

    @abstractmethod
    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log-density, nats per example summed over pixels; ``(batch, c, h, w)`` twice to ``(batch,)``."""

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """Expected image, in the shape of ``output``."""

    @abstractmethod
    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One image drawn per row of ``output``."""


@final
class Bernoulli(Likelihood):
    """Independent Bernoulli pixels; ``output`` are logits.

    For pixels between 0 and 1 it is the cross-entropy that the field reports, in nats.

    Examples
    --------
    >>> Bernoulli().log_prob(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor([-2.7726])
    """

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Minus the binary cross-entropy, summed over pixels."""
        return -F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Probability of a one."""
        return output.sigmoid()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Zeros and ones."""
        return torch.bernoulli(output.sigmoid(), generator=generator)


@final
class Gaussian(Likelihood):
    """Independent Gaussian pixels around the decoder's mean.

    Parameters
    ----------
    variance
        The variance, or where a learnt one starts. The paper's is 1/2.
    learn
        ``"no"``; ``"image"``: one variance for all pixels of the component's image set; ``"pixel"``: one for each.
    shape
        ``(channels, height, width)``; needed for ``"pixel"``.
    link
        ``"sigmoid"`` keeps means in (0, 1); ``"identity"`` is for data without bounds.

    Raises
    ------
    BadInput
        A variance that is not positive, or ``"pixel"`` without a shape.

    Examples
    --------
    >>> Gaussian(0.5, link="identity").log_prob(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    tensor([-0.5724])
    """

    log_variance: Tensor

    def __init__(
        self,
        variance: float = 0.5,
        learn: Literal["no", "image", "pixel"] = "no",
        shape: tuple[int, ...] | None = None,
        link: Literal["sigmoid", "identity"] = "sigmoid",
    ) -> None:
        super().__init__()
        if not (variance > 0 and math.isfinite(variance)):
            raise BadInput(f"variance is {variance}; it must be positive and finite")
        if learn == "pixel" and shape is None:
            raise BadInput("learn='pixel' needs the shape of the images (channels, height, width)")
        size = shape if learn == "pixel" and shape is not None else (1, 1, 1)
        begin = math.log(variance)
        if learn != "no":  # outside the range its gradient would be zero for ever
            begin = min(max(begin, _LOG_VARIANCE_RANGE[0]), _LOG_VARIANCE_RANGE[1])
        start = torch.full(size, begin)
        if learn == "no":
            self.register_buffer("log_variance", start)
        else:
            self.log_variance = nn.Parameter(start)
        self._bounded = learn != "no"
        self._link = link

    def extra_repr(self) -> str:
        """What its tensors do not show: components of unlike links must not be batched together."""
        return f"link={self._link!r}, learnt={self._bounded}"

    def _log_variance(self) -> Tensor:
        return self.log_variance.clamp(*_LOG_VARIANCE_RANGE) if self._bounded else self.log_variance

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Gaussian log-density, constants included, summed over pixels."""
        log_variance = self._log_variance()
        squared = (x - self.mean(output)) ** 2
        return -0.5 * (squared * (-log_variance).exp() + log_variance + _LOG_2PI).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Mean of every pixel."""
        return output.sigmoid() if self._link == "sigmoid" else output

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean plus noise; not clipped to [0, 1]."""
        mean = self.mean(output)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + (0.5 * self._log_variance()).exp() * noise


def make_likelihood(name: LikelihoodName, variance: float, shape: tuple[int, ...]) -> Likelihood:
    """The likelihood of that name.

    Examples
    --------
    >>> make_likelihood("gaussian-pixel", 0.1, (1, 2, 2)).log_variance.shape
    torch.Size([1, 2, 2])
    """
    if name == "bernoulli":
        return Bernoulli()
    learn: dict[str, Literal["no", "image", "pixel"]] = {
        "gaussian": "no",
        "gaussian-learnt": "image",
        "gaussian-pixel": "pixel",
    }
    if name not in learn:
        raise BadInput(f"likelihood is {name!r}; allowed are bernoulli, {', '.join(learn)}")
    return Gaussian(variance, learn[name], shape)
