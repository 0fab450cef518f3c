"""The contract suite of novelty measures says which promise a measure breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
import torch

from growmix.checks import check_novelty
from growmix.learning.novelty import MEASURES, NoveltyMeasure, PoolsExamples
from growmix.learning.ranks import Answered, pooled_gap
from growmix.learning.references import Scores, Statistics


class Broken(NoveltyMeasure):
    """Keeps the contract but for what a test changes."""

    name = "broken"
    default_threshold: float = 0.2

    def distance(self, new: Scores, reference: Statistics) -> float:
        return MEASURES["ks"].distance(new, reference)

    def noise(self, n: int, m: int, scores: int) -> float:
        return MEASURES["ks"].noise(n, m, scores)


def test_the_check_says_which_promise_is_broken() -> None:
    class Near(Broken):
        def distance(self, new: Scores, reference: Statistics) -> float:
            return 0.5 - 0.5 * super().distance(new, reference)

    class Signed(Broken):
        def distance(self, new: Scores, reference: Statistics) -> float:
            return float(new["elbo"].mean()) - reference["elbo"].mean

    class Far(Broken):
        default_threshold = 2.0

    class Sure(Broken):
        def noise(self, n: int, m: int, scores: int) -> float:
            return float(n)

    assert check_novelty(Broken())
    for measure, said in (
        (Near(), "the very data that a component remembers must be nearer"),
        (Signed(), "and data of 60 nats less farther; their distances are -1"),
        (Far(), "fresh data of a known kind must be nearer than the default threshold 2"),
        (Sure(), "must not grow with n"),
    ):
        with pytest.raises(AssertionError, match=said):
            check_novelty(measure)


def test_a_measure_that_pools_examples_is_held_to_more() -> None:
    class AllTogether(Broken, PoolsExamples):
        """Forgets what answers for which example."""

        def pooled(self, parts: Sequence[Answered]) -> float:
            new, known = (torch.cat([getattr(part, name) for part in parts], dim=-1) for name in ("new", "known"))
            return pooled_gap([Answered(new, known.sort(dim=-1).values, torch.ones(new.shape[-1]))])

    class Apart(Broken, PoolsExamples):
        """Is of another unit than its distance."""

        def pooled(self, parts: Sequence[Answered]) -> float:
            return 2.0 * pooled_gap(parts)

    for measure, said in (
        (AllTogether(), "540 and 60 fresh examples of two known kinds must be nearer"),
        (Apart(), "pooled() of one part is"),
    ):
        with pytest.raises(AssertionError, match=re.escape(said)):
            check_novelty(measure)
