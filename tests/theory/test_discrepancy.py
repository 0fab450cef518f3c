from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from growmix.settings import Settings
from growmix.theory.discrepancy import autoencoder, disagreement, plug_in_discrepancy


def test_equal_sets_have_none() -> None:
    x = torch.rand(7, 1, 4, 4)
    assert plug_in_discrepancy(lambda x: x, lambda x: 1 - x, x, x) == 0.0


def test_disagreement_is_the_mean_over_images_of_the_sum_over_pixels() -> None:
    x = torch.rand(5_000, 3, 2, 2)  # more than one piece
    assert disagreement(lambda x: x, lambda x: x + 0.5, x) == pytest.approx(12 * 0.25, rel=1e-5)


def test_an_unlike_set_is_farther_than_another_part_of_the_same() -> None:
    digits = torch.from_numpy(load_digits().images / 16).float()[:, None]
    train, one, other = digits[:900], digits[900:1300], digits[1300:1700]
    settings = Settings(hidden=64, epochs=15, likelihood="gaussian", batch_size=64)
    h, again = autoencoder(train, settings), autoencoder(train, settings.but(seed=1))
    both = autoencoder(torch.cat([train, 1 - train]), settings)
    assert plug_in_discrepancy(h, both, one, 1 - other) > 5 * plug_in_discrepancy(h, again, one, other)
