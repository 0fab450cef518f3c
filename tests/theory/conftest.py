"""Mixtures that were followed, which no test changes."""

from __future__ import annotations

import pytest

from followed import followed, make_stream
from growmix import GrowingMixture
from growmix.streams import Stream
from growmix.theory.ledger import RiskLedger


@pytest.fixture(scope="session", params=[True, False], ids=["labelled", "images"])
def labelled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="session")
def reused(labelled: bool) -> tuple[Stream, GrowingMixture, RiskLedger]:
    stream = make_stream(labelled=labelled)
    return stream, *followed(stream, threshold=2.0)  # KS is at most 1: everything goes to one component


@pytest.fixture(scope="session")
def grown(labelled: bool) -> tuple[Stream, GrowingMixture, RiskLedger]:
    stream = make_stream(labelled=labelled)
    return stream, *followed(stream, gate="always")
