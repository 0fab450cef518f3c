"""What an account counts, sums and ranks is what the ledger wrote down."""

from __future__ import annotations

import pytest

from growmix import GrowingMixture
from growmix.streams import Stream
from growmix.theory.account import account, coverage, forgetting, rank_correlation
from growmix.theory.ledger import RiskLedger
from growmix.theory.records import METHODS


@pytest.mark.slow
def test_an_account_counts_bounds_and_ranks_forgetting(reused: tuple[Stream, GrowingMixture, RiskLedger]) -> None:
    stream, mixture, ledger = reused
    document = account(ledger, mixture, stream, followed=True)
    assert len(document["between_tasks"]["novelty"]) == 3
    assert [len(row) for row in document["between_tasks"]["discrepancy"]["plug-in"]] == [0, 1, 2]
    for method in METHODS:
        entries = [entry for row in ledger.rows for entry in row]
        above = sum(ledger.bound(entry, method).computable >= entry.observed for entry in entries)
        gone = sum(link.estimates[method] is None for chain in ledger.chains for link in chain[:-1])
        assert coverage(ledger, method)["above"] == above
        assert coverage(ledger, method)["of"] >= 6 - gone > 0
        assert len(forgetting(ledger, method)["points"]) >= 3 - gone
    assert document["accumulated"][-1]["observed"] == pytest.approx(sum(e.observed for e in ledger.rows[-1]))


def test_rank_correlation_needs_three_pairs_that_vary() -> None:
    assert rank_correlation([[0, 1], [1, 2]]) is None
    assert rank_correlation([[0, 1], [0, 2], [0, 3]]) is None
    assert rank_correlation([[0, 1], [1, 5], [2, 9]]) == 1.0
    assert rank_correlation([[0, 3], [1, 2], [2, 1]]) == -1.0


def test_rank_correlation_asks_for_the_order_alone() -> None:
    points = [[1.0, 2.0], [2.0, 1.0], [3.0, 7.0], [4.0, 5.0]]
    assert rank_correlation(points) == rank_correlation([[x**3, 10.0**y] for x, y in points]) == 0.6
