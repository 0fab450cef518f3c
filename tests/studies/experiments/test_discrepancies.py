"""The study of discrepancies looks at its data first, and compares test images of one set with those of each other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from growmix import streams
from growmix.config import RunConfig
from growmix.errors import BadInput, DataUnavailable
from growmix.studies.experiments import find
from growmix.studies.experiments.discrepancies import ITSELF, RATE, RESTARTS, estimates, search_of
from growmix.studies.study import Request
from growmix.theory import Search


def test_the_discrepancy_of_missing_data_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="emnist_letters"):
        find("discrepancy").at("small", Request(tmp_path, 1, {"data_root": tmp_path}))


@pytest.mark.parametrize(("name", "value"), [("seed", 1), ("stream", "split-digits"), ("out", "x")])
def test_what_the_study_sets_itself_can_not_be_given(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"{name} is given, but the study sets it itself"):
        find("discrepancy").at("small", Request(tmp_path, 1, {name: value}))


def test_hypotheses_are_sought_in_the_steps_and_batches_of_a_run() -> None:
    config = RunConfig.of({"stream": "split-digits", "max_steps": 7, "batch_size": 9, "seed": 3})
    assert search_of(config) == Search(steps=7, batch=9, restarts=RESTARTS, learning_rates=(RATE,), seed=3)
    usual = search_of(RunConfig.of({"stream": "split-digits"}))
    assert (usual.steps, usual.batch) == (Search().steps, Search().batch)


def test_a_set_is_compared_with_other_images_of_its_own_and_with_the_test_images_of_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gap(p: torch.Tensor, q: torch.Tensor, *_: object, method: str, search: object) -> SimpleNamespace:
        sign = -1 if method == "plug-in" else 1
        return SimpleNamespace(estimate=sign * round(float(p.mean() - q.mean()), 4))

    monkeypatch.setattr("growmix.theory.discrepancy", gap)
    pattern = np.resize([-0.0625, 0.0625], (60, 1, 4, 4)).astype(np.float32)
    pattern[::2] *= -1
    a, a_test, b, b_test = (pattern + level for level in (0.5, 0.75, 0.25, 0.125))
    found = estimates(streams.from_arrays({"a": (a, a_test), "b": (b, b_test)}), Search())
    assert found == {
        ITSELF: {"plug-in": -0.25, "adversarial": 0.25},
        "b": {"plug-in": -0.625, "adversarial": 0.625},
    }
