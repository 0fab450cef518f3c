"""What follows from the sums of a component of Gaussians: densities, codes, and what lies at a code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.components.gaussian.covariance import Gaussians


@dataclass(frozen=True, eq=False)
class Derived:
    """What scores are computed by, which follows from sums.

    Attributes
    ----------
    gaussians
        Means and covariances of all groups.
    directions
        Leading directions of the component's own covariances, each as long as its standard deviation, shape
        ``(1 or groups, d, latent)``: what others learn does not turn them.
    log_weight
        Log share of each group, shape ``(groups,)``.
    """

    gaussians: Gaussians
    directions: Tensor
    log_weight: Tensor

    @property
    def like(self) -> Tensor:
        """A tensor of the device and the precision of all."""
        return self.log_weight

    def joint(self, x: Tensor) -> Tensor:
        """Return log-density plus log share of vectors ``(n, d)`` under every Gaussian, shape ``(n, groups)``."""
        return self.gaussians.log_prob(x) + self.log_weight

    def code(self, x: Tensor, group: Tensor) -> Tensor:
        """Return the codes of vectors under one Gaussian each, shape ``(n, latent)``."""
        gaps = x - self.gaussians.mean[group]
        smallest = torch.finfo(x.dtype).tiny
        scaled = self.directions / self.directions.square().sum(1, keepdim=True).clamp_min(smallest)
        if len(scaled) == 1:
            return gaps @ scaled[0]
        code = gaps.new_empty(len(x), scaled.shape[2])
        for g in group.unique().tolist():
            code[group == g] = gaps[group == g] @ scaled[g]
        return code

    def at(self, codes: Tensor, group: Tensor) -> Tensor:
        """Return the vectors at codes about the means of Gaussians, shape ``(n, d)``."""
        codes = codes.to(self.like)
        directions = self.directions.expand(len(self.gaussians.mean), -1, -1)
        return self.gaussians.mean[group] + torch.stack(
            [directions[g] @ code for g, code in zip(group.tolist(), codes, strict=True)]
        )

    def draw(self, group: Tensor, noise: Tensor) -> Tensor:
        """Return draws of Gaussians ``(n,)`` made of standard normal numbers, both ``(n, d)``."""
        return self.gaussians.sample(group, noise.to(self.like))

    def heaviest(self, modes: int) -> Tensor:
        """Return the Gaussian with most examples: of all first, then of each class."""
        log_weight = self.log_weight.view(-1, modes)
        of_class = torch.arange(len(log_weight), device=self.like.device) * modes + log_weight.argmax(1)
        of_class[0] = self.log_weight.argmax()
        return of_class
