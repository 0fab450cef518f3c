from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from growmix import GrowingMixture, streams
from growmix.evaluation.likelihood import bits_per_dim
from growmix.evaluation.quality import frechet_scores, likelihood_scores
from growmix.streams import Stream


def learnt(shape: tuple[int, ...], **settings: Any) -> tuple[GrowingMixture, Stream]:
    rng = np.random.default_rng(0)
    x, y = rng.random((40, *shape), dtype=np.float32), np.arange(40) % 2
    if len(shape) == 1:
        x = 100 * x
    stream = streams.from_arrays([(x, y, x, y), (x[::-1].copy(), y + 2, x, y + 2)])
    mixture = GrowingMixture("mlp", hidden=8, latent=2, epochs=1, device="cpu", gate="always", **settings)
    for task in stream:
        mixture.learn(task.train)
    return mixture, stream


@pytest.mark.parametrize(
    ("likelihood", "meaning"), [("bernoulli", "discrete"), ("gaussian", "density"), ("gaussian-learnt", "density")]
)
def test_bits_of_pixels_follow_from_what_the_likelihood_is(likelihood: str, meaning: Any) -> None:
    mixture, stream = learnt((1, 4, 4), likelihood=likelihood)
    scores = likelihood_scores(mixture, stream, draws=2, examples=30, seed=0)
    assert scores["bits_per_dim"] == [bits_per_dim(nats, 16, meaning) for nats in scores["nats"]]
    assert (scores["draws"], scores["examples"]) == (2, 30)


def test_vectors_have_a_likelihood_but_no_bits_and_no_frechet_distance() -> None:
    mixture, stream = learnt((5,), likelihood="gaussian-learnt")
    scores = likelihood_scores(mixture, stream, draws=2, examples=30, seed=0)
    assert all(math.isfinite(nats) for nats in scores["nats"])
    assert scores["bits_per_dim"] == [None, None]
    assert frechet_scores(mixture, stream, examples=20, seed=0) is None


@pytest.mark.slow
def test_pictures_have_a_frechet_distance_for_every_task() -> None:
    mixture, stream = learnt((1, 8, 8))
    scores = frechet_scores(mixture, stream, examples=20, seed=0)
    assert scores is not None
    assert [distance > 0 for distance in (*scores["distance"], scores["all"])] == [True] * 3
