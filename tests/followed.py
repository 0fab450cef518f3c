"""Small mixtures and the ledgers that follow them, learnt in a moment."""

from __future__ import annotations

import numpy as np

from growmix import GrowingMixture, streams
from growmix.streams import Stream
from growmix.theory.discrepancy import Search
from growmix.theory.ledger import RiskLedger

QUICK = Search(steps=10, batch=32, restarts=2)
SETTINGS = {"hidden": 16, "latent": 2, "epochs": 4, "student_hidden": 8, "student_examples": 60, "student_epochs": 1}


def make_stream(*, labelled: bool) -> Stream:
    """Dark, bright and half-dark images, in two classes each."""
    rng = np.random.default_rng(0)
    tasks = []
    for t, level in enumerate((0.1, 0.8, 0.3)):
        y = rng.integers(0, 2, 160)
        x = level + 0.1 * rng.random((160, 1, 8, 8))
        x[:, :, :4] += 0.1 * y[:, None, None, None]
        tasks.append((x[:80], y[:80] + 2 * t, x[80:], y[80:] + 2 * t) if labelled else (x[:80], x[80:]))
    return streams.from_arrays(tasks)


def followed(stream: Stream, **settings: object) -> tuple[GrowingMixture, RiskLedger]:
    mixture = GrowingMixture("mlp", **{**SETTINGS, **settings})
    ledger = RiskLedger(stream, examples=60, search=QUICK)
    for task in stream:
        mixture.learn(task.train)
        ledger.after_task(mixture)
    return mixture, ledger
