"""A learner is made by the name of its method, and read back by no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from growmix import GrowingMixture
from growmix.baselines import load, make_learner
from growmix.errors import BadCheckpoint, BadInput
from growmix.settings import Settings

QUICK = Settings(hidden=8, latent=2, epochs=1)
X, Y = np.random.default_rng(0).random((20, 1, 4, 4)), np.arange(20) % 2


@pytest.mark.parametrize(
    ("name", "settings", "parameters", "said"),
    [
        ("nonsense", QUICK, {}, "method is 'nonsense'; allowed is one of mixture, "),
        ("er", {"hidden": 8}, {}, "settings is a dict; give a Settings"),
        ("dgr", QUICK.replace(supervised=False), {}, "supervised is False; the method 'dgr' needs labels"),
        ("er", QUICK, {"si_strength": 1.0}, "parameter of the method 'er'"),
        ("si", QUICK.replace(precision="16-mixed"), {}, "the method 'si' needs finite gradients"),
    ],
)
def test_what_makes_no_learner_is_refused(name: str, settings: Any, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make_learner(name, settings, **parameters)


def test_a_learner_comes_back_with_the_parameters_that_it_was_made_with(tmp_path: Path) -> None:
    learner = make_learner("er", QUICK, buffer_size=6)
    learner.learn((X, Y))
    learner.save(tmp_path / "er")
    again = load(tmp_path / "er", "er")
    assert again.method == "er" and again.settings == learner.settings
    np.testing.assert_array_equal(again.predict_proba(X), learner.predict_proba(X))
    again.learn((X, Y + 2))
    assert len(again._memory.rehearsal.data) == 6


def test_a_checkpoint_is_read_as_the_method_that_it_is_of_alone(tmp_path: Path) -> None:
    for name, other in (("fine-tuning", "joint"), ("mixture", "vae-per-task"), ("vae-per-task", "batch-ensemble")):
        learner = make_learner(name, QUICK)
        learner.learn((X, Y))
        learner.save(tmp_path / name)
        with pytest.raises(BadCheckpoint):
            load(tmp_path / name, other)
    with pytest.raises(BadCheckpoint, match="other settings than those of the method 'limix'"):
        load(tmp_path / "mixture", "limix")
    assert isinstance(load(tmp_path / "vae-per-task", "vae-per-task"), GrowingMixture)
