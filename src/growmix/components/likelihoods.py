"""Likelihoods of an example given a decoder's output, with all their normalising constants.

Components can only be compared by their densities when every constant is there (the paper's squared error leaves them
out). A likelihood is chosen by name or handed in as an object.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.data.domain import Domain, Shape, Support
from growmix.errors import BadInput

_LOG_2PI = math.log(2.0 * math.pi)

_LOG_VARIANCE_RANGE = (-8.0, 4.0)
"""Range of learnt log-variances: a number that never changes would otherwise have an unbounded density."""


class Likelihood(nn.Module, ABC):
    """Interface of p(x|z), computed from the decoder's output, which has the shape of an example.

    Its parameters, if it has any, are trained with the component; every component gets a copy of its own. Examples of
    real support arrive centred and scaled.

    Attributes
    ----------
    supports
        Which numbers the likelihood is a density of.
    """

    supports: tuple[Support, ...] = ("unit", "real")
    is_density: bool = True
    """Whether ``log_prob`` is the logarithm of a density; otherwise it is that of a probability."""

    @abstractmethod
    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the log-density in nats per example, summed over its numbers; ``(batch, *shape)`` to ``(batch,)``."""

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """Return the expected example, in the shape of ``output``."""

    @abstractmethod
    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one example for each row of ``output``."""


@final
class Bernoulli(Likelihood):
    """Independent Bernoulli numbers; ``output`` are logits.

    For pixels between 0 and 1 it is the cross-entropy that the field reports, in nats.

    Examples
    --------
    >>> Bernoulli().log_prob(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor([-2.7726])
    """

    supports = ("unit",)
    is_density = False

    def as_settings(self) -> dict[str, str]:
        """Return the settings that name this likelihood."""
        return {"likelihood": "bernoulli"}

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Return minus the binary cross-entropy, summed over the numbers of an example."""
        return -F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Return the probability of a one."""
        return output.sigmoid()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw zeros and ones."""
        return torch.bernoulli(output.sigmoid(), generator=generator)


@final
class Gaussian(Likelihood):
    """Independent Gaussian numbers around the decoder's mean.

    Parameters
    ----------
    variance
        The variance, or where a learnt one starts. The paper's is 1/2.
    learn
        ``"no"``; ``"image"``: one variance for all numbers of an example; ``"pixel"``: one for each.
    shape
        Axes of one example, needed for ``"pixel"``.
    link
        ``"sigmoid"`` keeps means in (0, 1); ``"identity"`` is for data without bounds.

    Raises
    ------
    BadInput
        The variance is not positive, or ``"pixel"`` comes without a shape.

    Examples
    --------
    >>> Gaussian(0.5, link="identity").log_prob(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    tensor([-0.5724])
    >>> Gaussian(0.5, link="identity").log_prob(torch.zeros(7, 3), torch.zeros(7, 3)).shape
    torch.Size([7])
    """

    log_variance: Tensor

    def __init__(
        self,
        variance: float = 0.5,
        learn: Literal["no", "image", "pixel"] = "no",
        shape: Shape | None = None,
        link: Literal["sigmoid", "identity"] = "sigmoid",
    ) -> None:
        super().__init__()
        if not (variance > 0 and math.isfinite(variance)):
            raise BadInput(f"variance is {variance}; it must be positive and finite")
        if learn == "pixel" and shape is None:
            raise BadInput("learn='pixel' needs the shape of an example, such as (channels, height, width)")
        begin = math.log(variance)
        if learn != "no":  # outside the range its gradient would be zero for ever
            begin = min(max(begin, _LOG_VARIANCE_RANGE[0]), _LOG_VARIANCE_RANGE[1])
        size = shape if learn == "pixel" and shape is not None else ()
        start = torch.full(size, begin, dtype=torch.float32)
        if learn == "no":
            self.register_buffer("log_variance", start)
        else:
            self.log_variance = nn.Parameter(start)
        self._bounded = learn != "no"
        self._link = link

    def extra_repr(self) -> str:
        """Tell what its tensors do not show: components of unlike links must not be batched together."""
        return f"link={self._link!r}, learnt={self._bounded}"

    def _log_variance(self) -> Tensor:
        return self.log_variance.clamp(*_LOG_VARIANCE_RANGE) if self._bounded else self.log_variance

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the Gaussian log-density, constants included, summed over the numbers of an example."""
        log_variance = self._log_variance()
        squared = (x - self.mean(output)) ** 2
        return -0.5 * (squared * (-log_variance).exp() + log_variance + _LOG_2PI).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Return the mean of every number."""
        return output.sigmoid() if self._link == "sigmoid" else output

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the mean plus noise, which may leave [0, 1]."""
        mean = self.mean(output)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + (0.5 * self._log_variance()).exp() * noise


def _gaussian(learn: Literal["no", "image", "pixel"]) -> Callable[[float, Domain], Likelihood]:
    def make(variance: float, domain: Domain) -> Likelihood:
        return Gaussian(variance, learn, domain.shape, "sigmoid" if domain.support == "unit" else "identity")

    return make


LIKELIHOODS: dict[str, Callable[[float, Domain], Likelihood]] = {
    "bernoulli": lambda variance, domain: Bernoulli(),
    "gaussian": _gaussian("no"),
    "gaussian-learnt": _gaussian("image"),
    "gaussian-pixel": _gaussian("pixel"),
}
"""From a name to a likelihood for a variance and a domain."""

DEFAULTS: dict[Support, str] = {"unit": "bernoulli", "real": "gaussian-pixel"}
"""Name of the likelihood that is taken where none is asked for."""


def make_likelihood(choice: str | Likelihood | None, variance: float, domain: Domain) -> Likelihood:
    """Return a new likelihood for a domain.

    Parameters
    ----------
    choice
        Name of a likelihood, an object to be copied, or ``None`` for the default of the domain's support.
    variance
        Variance of a Gaussian, or where a learnt one starts.
    domain
        Shape and support of the examples.

    Raises
    ------
    BadInput
        There is no likelihood of that name, or it is no density of such numbers.

    Examples
    --------
    >>> make_likelihood("gaussian-pixel", 0.1, Domain((1, 2, 2))).log_variance.shape
    torch.Size([1, 2, 2])
    >>> make_likelihood(None, 0.1, Domain((5,), "real"))
    Gaussian(link='identity', learnt=True)
    """
    if isinstance(choice, Likelihood):
        likelihood, name = copy.deepcopy(choice), type(choice).__name__
    else:
        name = DEFAULTS[domain.support] if choice is None else choice
        if name not in LIKELIHOODS:
            raise BadInput(f"likelihood is {name!r}; allowed are {', '.join(LIKELIHOODS)}")
        likelihood = LIKELIHOODS[name](variance, domain)
    if domain.support not in likelihood.supports:
        others = ", ".join(other for other in LIKELIHOODS if other != "bernoulli")
        raise BadInput(
            f"likelihood is {name!r}, which is for numbers in [0, 1], but the data are any numbers (support 'real'); "
            f"allowed are {others}"
        )
    return likelihood
