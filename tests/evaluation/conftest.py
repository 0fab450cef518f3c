"""A small mixture that learnt real digits, shared by the tests of this room."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from growmix import GrowingMixture
from growmix.data.task import TaskData
from growmix.evaluation import Evaluator
from growmix.evaluation.scores import Scores
from growmix.streams import Task


def digits(*classes: int) -> Task:
    x, y = load_digits(return_X_y=True)
    rows = np.isin(y, classes)
    images = torch.tensor(x[rows] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    labels = torch.tensor(y[rows], dtype=torch.int64)
    data = TaskData(images, labels)
    return Task(str(classes), data[: len(data) * 2 // 3], data[len(data) * 2 // 3 :], classes)


class Grown(NamedTuple):
    """A mixture of three components, the stream that it learnt, and what an evaluator saw of it."""

    mixture: GrowingMixture
    stream: list[Task]
    scores: Scores


@pytest.fixture(scope="session")
def grown() -> Grown:
    stream = [digits(0, 1), digits(2, 3), digits(4, 5)]
    settings: dict[str, Any] = {"student_hidden": 32, "student_examples": 200}
    mixture = GrowingMixture("mlp", hidden=48, latent=4, epochs=8, **settings)
    evaluator = Evaluator(stream)
    for each in stream:
        mixture.learn(each.train)
        evaluator.after_task(mixture)
    return Grown(mixture, stream, evaluator.scores())
