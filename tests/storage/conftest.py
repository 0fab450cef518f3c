"""A small mixture and its student on disk, made once, for tests that damage copies of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from growmix import GrowingMixture

SETTINGS = {"hidden": 4, "latent": 1, "epochs": 8, "batch_size": 16, "learning_rate": 0.02, "density_components": 1}
SETTINGS |= {"student_hidden": 4, "student_latent": 1, "student_examples": 20, "student_epochs": 2}
SETTINGS |= {"device": "cpu", "precision": "32-true"}


def task(bright: bool) -> tuple[np.ndarray, np.ndarray]:
    """Forty images of 4 x 4, dark or bright, of two classes: brighter above or brighter below."""
    rng = np.random.default_rng(bright)
    y = np.arange(40) % 2
    x = 0.3 * rng.random((40, 1, 4, 4)) + (0.6 if bright else 0.0)
    x[y == 0, :, :2] += 0.1
    return x.astype(np.float32), y + 2 * bright


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints ``mixture`` (of two components) and ``student``; nobody changes them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    mixture = GrowingMixture("mlp", **SETTINGS)
    for bright in (False, True):
        assert mixture.learn(task(bright)).action == "grow"
    mixture.save(folder / "mixture")
    mixture.distill().save(folder / "student")
    return folder
