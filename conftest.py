"""What the examples in docstrings may use without an import: ``np``, ``torch`` and a mixture that has learnt."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest
import torch


@functools.cache
def _learnt() -> Any:
    from growmix import GrowingMixture

    rng = np.random.default_rng(0)
    dark, bright = rng.random((60, 1, 8, 8)) * 0.3, 1 - rng.random((60, 1, 8, 8)) * 0.3
    mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=3, student_examples=20, student_epochs=1)
    for first, images in enumerate((dark, bright)):
        mixture.learn((images, np.arange(60) % 2 + 2 * first))
    return mixture


@pytest.fixture(autouse=True)
def _examples(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace |= {"np": np, "torch": torch, "learnt_example": lambda: copy.deepcopy(_learnt())}
