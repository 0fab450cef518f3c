from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadInput
from growmix.studies.experiments.sweeps import Sweep, ThresholdSweep
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Request
from growmix.studies.thresholds import TRIES

RunOf = Callable[..., list[Outcome]]
SWEEP = Sweep("split-mnist", 5, {5: 0.99, 4: 0.97, 3: 0.91})


def swept(folder: Path, seeds: int = 1, **given: Any) -> ThresholdSweep:
    return ThresholdSweep(SWEEP, {}, Request(folder, seeds, given))


def decisions(measured: Sequence[float]) -> list[dict[str, Any]]:
    decided = {"task": "t", "action": "grow", "component": 0, "threshold": 0.2}
    return [{**decided, "novelty": novelty} for novelty in [[], *([value, 99.0] for value in measured)]]


def grows(measured: Sequence[float], threshold: float | None) -> int:
    """Components of a mixture whose tasks are that new."""
    return 1 + sum(threshold is None or value >= threshold for value in measured)


def test_first_every_task_grows_and_no_threshold_is_given(tmp_path: Path) -> None:
    (first,) = swept(tmp_path).trials(())
    assert first.config.settings.gate == "always" and first.config.settings.threshold is None
    assert first.config.settings.novelty == "smd"


def test_novelties_that_stay_need_one_try_for_each_number(tmp_path: Path, run_of: RunOf) -> None:
    measured = [3.0, 1.0, 4.0, 2.0]

    def of(trial: Trial) -> dict[str, Any]:
        return {
            "decisions": decisions(measured),
            "components": grows(measured, trial.config.settings.threshold),
        }

    study = swept(tmp_path)
    done = run_of(study, of)
    assert [each.trial.variant for each in done] == ["always", "want4-try1", "want3-try1"]
    (table,) = study.findings(done).tables
    assert [row[:3] for row in table.rows] == [("5", "1", "always"), ("4", "1", "1.5"), ("3", "1", "2.5")]
    assert [row[-1] for row in table.rows] == ["0.9900", "0.9700", "0.9100"]


def test_novelties_that_move_are_followed(tmp_path: Path, run_of: RunOf) -> None:
    def measured(threshold: float | None) -> list[float]:
        # a component that learnt two tasks is nearer to everything
        return [3.0, 1.0, 4.0, 2.0] if threshold is None else [3.0, 1.0, 2.2, 1.4]

    def of(trial: Trial) -> dict[str, Any]:
        threshold = trial.config.settings.threshold
        return {"decisions": decisions(measured(threshold)), "components": grows(measured(threshold), threshold)}

    study = swept(tmp_path)
    done = run_of(study, of)
    assert [each.trial.variant for each in done] == ["always", "want4-try1", "want3-try1", "want4-try2"]
    assert done[1].metrics.components == 3  # too few, but what is wanted next
    assert {row[0] for row in study.findings(done).tables[0].rows} >= {"5", "4", "3"}


def test_a_number_that_is_not_come_to_is_given_up_and_said(tmp_path: Path, run_of: RunOf) -> None:
    def of(trial: Trial) -> dict[str, Any]:
        grown = trial.config.settings.gate == "always"
        return {"decisions": decisions([3.0, 1.0, 4.0, 2.0]), "components": 5 if grown else 2}

    study = swept(tmp_path)
    done = run_of(study, of)
    tried = [each.trial.config.settings.threshold for each in done if each.trial.variant.startswith("want4")]
    assert len(tried) == TRIES == len(set(tried))
    (table,) = study.findings(done).tables
    assert [row[0] for row in table.rows] == ["5", "2"]
    assert "Seed 0: 4 components were not reached; thresholds tried: 3, which gave 2, 2, 2." in table.notes


def test_seeds_are_searched_apart(tmp_path: Path, run_of: RunOf) -> None:
    def of(trial: Trial) -> dict[str, Any]:
        measured = [value * (1 + trial.config.seed) for value in (3.0, 1.0, 4.0, 2.0)]
        return {"decisions": decisions(measured), "components": grows(measured, trial.config.settings.threshold)}

    study = swept(tmp_path, seeds=2)
    (table,) = study.findings(run_of(study, of)).tables
    assert [row[:3] for row in table.rows] == [("5", "2", "always, always"), ("4", "2", "1.5, 3"), ("3", "2", "2.5, 5")]


def test_another_measure_may_be_asked_for_and_is_named(tmp_path: Path, run_of: RunOf) -> None:
    study = swept(tmp_path, novelty="paper")
    assert study.configs[0].settings.novelty == "paper"
    done = run_of(study, lambda trial: {"decisions": decisions([3.0, 1.0, 4.0, 2.0]), "components": 5})
    assert "Measure of novelty: paper." in study.findings(done).tables[0].notes


@pytest.mark.parametrize("name", ["threshold", "gate", "method", "seed"])
def test_what_the_sweep_finds_can_not_be_given(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=f"{name} is given"):
        swept(tmp_path, **{name: "x"})
