"""What a run keeps of its measurements: it comes back as it was, and grows with the tasks alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from growmix import GrowingMixture, Settings, streams
from growmix.evaluation.evaluator import Evaluator

TINY = Settings(
    gate="always", hidden=16, latent=4, epochs=4, batch_size=32, density_components=3, novelty_examples=50, device="cpu"
)


def test_what_is_kept_of_measurements_grows_with_the_tasks_not_with_their_square() -> None:
    stream = streams.load("split-digits", train_examples=60, test_examples=30)
    mixture, evaluator, sizes = GrowingMixture(None, TINY), Evaluator(stream), []
    for task in stream:
        mixture.learn(task.train)
        evaluator.after_task(mixture)
        sizes.append(sum(tensor.nbytes for tensor in evaluator.pack()[1].values()))
    steps = np.diff(sizes)
    assert len(mixture.components) == 5
    assert steps.max() < 1.2 * steps.min()


def test_what_was_measured_comes_back_as_it_was() -> None:
    stream = streams.load("split-digits", train_examples=60, test_examples=30)
    mixture, evaluator = GrowingMixture(None, TINY.replace(gate="threshold", threshold=1.0)), Evaluator(stream)
    for task in stream[:3]:
        mixture.learn(task.train)
        evaluator.after_task(mixture)
    document, tensors = evaluator.pack()
    again = Evaluator.unpack(stream, mixture, json.loads(json.dumps(document)), tensors)
    assert again.scores() == evaluator.scores()
    with pytest.raises(ValueError, match="followed is 4"):
        Evaluator.unpack(stream, mixture, {**document, "followed": 4}, tensors)
