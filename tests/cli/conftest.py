"""What all tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _quick(quick_features: None, quick_theory: None) -> None:
    """No test here asks how good the features of the Frechet distance are, or what the theory finds."""


@pytest.fixture(autouse=True)
def _away_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROWMIX_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
