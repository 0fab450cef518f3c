"""Abilities give what follows from them: reconstructions from codes, codes from a density or the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from growmix.components.abilities import CodeDensity, Codes, most_likely
from growmix.components.density import LatentDensity, prior_codes


class Doubling(Codes):
    """Codes a number as its half, and adds the class to what it decodes."""

    latent = 1

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x / 2, torch.cat([-x, x], 1)

    def rate(self, x: Tensor) -> Tensor:
        return x[:, 0]

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        return 2 * codes + positions[:, None]


def test_a_reconstruction_decodes_the_code_with_the_likeliest_class() -> None:
    x = torch.tensor([[3.0], [-4.0]])
    assert Doubling().code(x).tolist() == [[1.5], [-2.0]]
    assert Doubling().reconstruct(x).tolist() == [[4.0], [-4.0]]


def test_the_likeliest_class_of_no_classes_is_none() -> None:
    assert most_likely(torch.zeros(3, 0)).tolist() == [-1, -1, -1]
    assert most_likely(torch.tensor([[0.0, 1.0], [2.0, 1.0]])).tolist() == [1, 0]


def test_codes_come_from_the_density_and_without_one_from_the_prior() -> None:
    owner, positions = CodeDensity(), torch.tensor([0, 0, 0])
    from_prior = owner.draw_codes(positions, 2, torch.Generator().manual_seed(1))
    assert torch.equal(from_prior, prior_codes(3, 2, torch.Generator().manual_seed(1)))
    far = torch.full((1, 2), 50.0)
    owner.density = LatentDensity(torch.ones(1), far, 1e-6 * torch.eye(2)[None], torch.tensor([0]))
    assert float((owner.draw_codes(positions, 2, torch.Generator()) - far).abs().max()) < 1e-3
