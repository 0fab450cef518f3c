"""All experiments by name: findings come of every one, and what it varies is not to be given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadInput
from growmix.streams.catalogue import entry
from growmix.studies.experiments import EXPERIMENTS, find
from growmix.studies.runs import Outcome
from growmix.studies.study import Findings, Request

Found = Callable[..., tuple[list[Outcome], Findings]]
IN_RUNS = [name for name in EXPERIMENTS if name != "discrepancy"]


@pytest.mark.parametrize("scale", ["small", "paper"])
@pytest.mark.parametrize("name", IN_RUNS)
def test_findings_come_of_every_experiment_at_both_scales(name: str, scale: Any, found: Found) -> None:
    done, findings = found(name, scale, seeds=2, replace=("svhn=mnist_m",), max_steps=3)
    assert findings.tables
    json.dumps(findings.numbers, allow_nan=False)
    assert "svhn is replaced by mnist_m: its figures are not those of svhn." in findings.tables[0].markdown()
    assert len({outcome.trial.config.out for outcome in done}) == len(done)
    assert all(outcome.trial.config.settings.max_steps == 3 for outcome in done)


def test_what_an_experiment_varies_can_not_be_given(tmp_path: Path) -> None:
    for name, key in (("msfir", "sharing"), ("order", "method"), ("translation", "sharing"), ("msfirc", "seed")):
        with pytest.raises(BadInput, match=f"{key} is given"):
            find(name).at("small", Request(tmp_path, 1, {key: "x"}))


def test_published_tables_fit_the_streams_they_are_for() -> None:
    for name, tasks in (("split-mnist", 5), ("permuted-mnist", 10), ("split-cifar", 6), ("msfir", 5), ("msfirc", 6)):
        assert len(entry(name).tasks) == tasks
