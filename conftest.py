"""What tests and examples in docstrings share: what these may use without an import, and what all of them cost."""

from __future__ import annotations

import copy
import functools
import os
import time
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


_BEGAN = time.monotonic()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say what all tests took together: the time that a person waits, and that of all processes on their cores."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    spent = os.times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    print(f"{(time.monotonic() - _BEGAN) / 60:.1f} minutes, {cpu / 60:.1f} CPU minutes")
