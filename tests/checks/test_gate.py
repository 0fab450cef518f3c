"""The contract suite of gates says which promise a gate breaks."""

from __future__ import annotations

import pytest

from growmix.checks import check_gate
from growmix.learning.gating import Decision, Gate, ThresholdGate


class Broken(Gate):
    """Keeps the contract but for what a test changes."""

    name = "broken"

    def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
        return ThresholdGate().decide(novelty, counts, threshold)  # type: ignore[arg-type]


def test_the_check_says_which_promise_is_broken() -> None:
    class Backwards(Broken):
        def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
            return super().decide(novelty, counts, 1 / (1e-3 + threshold))

    class Numbered(Broken):
        def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
            found = super().decide(novelty, counts, threshold)
            return Decision(found.action, 1 if found.action == "grow" else 0, found.novelty, threshold)

    class Lenient(Broken):
        def decide(self, novelty: list[float], counts: list[int], threshold: float) -> Decision:
            return super().decide([f if f == f else 0.0 for f in novelty], [1] * len(novelty), threshold)

    class Nameless(Broken):
        name = ""

    class Silent(Broken):
        def decide(self, novelty: object, counts: object, threshold: float) -> Decision:
            return None  # type: ignore[return-value]

    assert check_gate(Broken())
    for gate, said in (
        (Backwards(), "must repeat the threshold"),
        (Numbered(), r"decide\(\[\], \[\], 0.0\) must grow component 0"),
        (Lenient(), "must raise growmix.BadInput; it returned Decision"),
        (Silent(), r"decide\(\[\], \[\], 0.0\) must return a Decision; it returned None"),
        (Nameless(), "name must be a text; it is ''"),
    ):
        with pytest.raises(AssertionError, match=said):
            check_gate(gate)
