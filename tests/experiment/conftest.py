"""What all tests of runs share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _quick(quick_features: None, quick_theory: None) -> None:
    """No test here asks how good the features of the Frechet distance are, or what the theory finds."""
