"""What metrics.json says of a learner is what the learner did, in plain numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from growmix import GrowingMixture, streams
from growmix.config import RunConfig
from growmix.experiment.description import describe
from several_scores import SeveralKind, task

TINY: dict[str, Any] = {"hidden": 4, "latent": 2, "epochs": 1, "density_components": 1, "device": "cpu"}


@pytest.mark.parametrize("sharing", ["none", "trunk"])
def test_a_learner_is_described_by_its_decisions_and_its_size(sharing: str) -> None:
    rng = np.random.default_rng(0)
    parts = [(rng.random((24, 1, 4, 4)), np.arange(24) % 2 + 2 * k) for k in range(3)]
    stream = streams.from_arrays([(*part, *part) for part in parts], name="noise")
    mixture = GrowingMixture(gate="always", sharing=sharing, **TINY)
    for each in stream[:2]:
        mixture.learn(each.train)
    config = RunConfig(stream="domains", tasks=("digits",), settings=mixture.settings)
    told = describe(config, stream, mixture, {"accuracy": {"selection": [float("nan")]}}, None)
    json.dumps(told, allow_nan=False)
    assert told["accuracy"] == {"selection": [None]}, "null where a number is none"
    assert (told["stream"], told["method"], told["student"]) == ("noise", "mixture", None)
    assert told["tasks"] == [each.name for each in stream][:2], "the third was not learnt"
    assert told["task_components"] == [0, 1] and told["components"] == 2
    assert [decision["action"] for decision in told["decisions"]] == ["grow", "grow"]
    sizes = told["parameters"]
    assert sizes["mixture"] == sum(sizes["per_component"]) + sizes["shared"]
    assert (sizes["shared"] > 0) == (sharing == "trunk")
    assert told["score_weights"] is None, "null where components have one score"


def test_what_several_scores_count_is_told_by_their_names() -> None:
    mixture = GrowingMixture(component=SeveralKind(), device="cpu", score_weights="preset")
    mixture.learn(task(0))
    stream = streams.from_arrays([(*task(0), *task(0, seed=1))], name="vectors")
    config = RunConfig(stream="domains", tasks=("digits",))
    told = describe(config, stream, mixture, {}, None)["score_weights"]
    assert told == {"weights": {"plain": 1.0, "telling": 0.0, "noise": 1.0}, "class_rule": "score"}
