"""What metrics.json says of a learner is what the learner did, in plain numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from growmix import GrowingMixture, streams
from growmix.config import RunConfig
from growmix.experiment.description import describe

TINY: dict[str, Any] = {"hidden": 4, "latent": 2, "epochs": 1, "density_components": 1, "device": "cpu"}


@pytest.mark.parametrize("sharing", ["none", "trunk"])
def test_a_learner_is_described_by_its_decisions_and_its_size(sharing: str) -> None:
    rng = np.random.default_rng(0)
    parts = [(rng.random((24, 1, 4, 4)), np.arange(24) % 2 + 2 * k) for k in range(3)]
    stream = streams.from_arrays([(*part, *part) for part in parts], name="noise")
    mixture = GrowingMixture(gate="always", sharing=sharing, **TINY)
    for task in stream[:2]:
        mixture.learn(task.train)
    config = RunConfig(stream="domains", tasks=("digits",), settings=mixture.settings)
    told = describe(config, stream, mixture, {"accuracy": {"selection": [float("nan")]}}, None)
    json.dumps(told, allow_nan=False)
    assert told["accuracy"] == {"selection": [None]}, "null where a number is none"
    assert (told["stream"], told["method"], told["student"]) == ("noise", "mixture", None)
    assert told["tasks"] == [task.name for task in stream][:2], "the third was not learnt"
    assert told["task_components"] == [0, 1] and told["components"] == 2
    assert [decision["action"] for decision in told["decisions"]] == ["grow", "grow"]
    sizes = told["parameters"]
    assert sizes["mixture"] == sum(sizes["per_component"]) + sizes["shared"]
    assert (sizes["shared"] > 0) == (sharing == "trunk")
