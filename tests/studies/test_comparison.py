from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growmix.baselines import METHODS
from growmix.errors import BadInput
from growmix.studies.comparison import PUBLISHED, Comparison
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Request

RunOf = Callable[..., list[Outcome]]


def compared(folder: Path, *methods: str, seeds: int = 2, stream: str = "split-mnist", **given: Any) -> Comparison:
    return Comparison(stream, methods, Request(folder, seeds, given))


def test_all_means_every_method_once_for_each_seed(tmp_path: Path) -> None:
    trials = compared(tmp_path, "all", seeds=3).trials(())
    assert sorted(trial.label for trial in trials) == sorted(
        f"{name}-seed{seed}" for name in METHODS for seed in range(3)
    )
    assert len({trial.config.out for trial in trials}) == len(trials)


def test_runs_differ_in_method_and_seed_alone(tmp_path: Path) -> None:
    trials = compared(tmp_path, "all", max_steps=7).trials(())
    alike = {t.config.changed(method="mixture", out=None, settings=t.config.settings.replace(seed=0)) for t in trials}
    assert len(alike) == 1 and alike.pop().settings.max_steps == 7


def test_the_table_has_mean_and_standard_error(tmp_path: Path, run_of: RunOf) -> None:
    def by_seed(trial: Trial) -> dict[str, Any]:
        agnostic = {"er": (0.5, 0.75), "joint": (0.9, 0.9)}[trial.variant][trial.config.seed]
        return {"average": {"task_agnostic": agnostic, "task_aware": 0.9, "grouped": None, "forgetting": 0.1}}

    study = compared(tmp_path, "er", "joint")
    findings = study.findings(run_of(study, by_seed))
    (table,) = findings.tables
    er, joint = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert er["method"] == "er" and er["task_agnostic"] == "0.6250 ± 0.1250"
    assert joint["task_agnostic"] == "0.9000 ± 0.0000" and joint["grouped"] == "-" and joint["published"] == "0.982"
    assert er["mse"] == "15.00 ± 0.00" and er["parameters"] == "300" and er["examples seen"] == "1,000"
    assert findings.numbers["methods"]["er"]["task_agnostic"] == {"mean": 0.625, "error": 0.125}


def test_one_seed_has_no_standard_error(tmp_path: Path, run_of: RunOf) -> None:
    study = compared(tmp_path, "er", seeds=1)
    assert study.findings(run_of(study)).tables[0].rows[0][1] == "0.7500"


def test_what_is_published_is_published_for_methods_there_are() -> None:
    assert all(set(figures) <= set(METHODS) for figures in PUBLISHED.values())


def test_no_figure_is_called_accuracy_alone(tmp_path: Path, run_of: RunOf) -> None:
    study = compared(tmp_path, "all")
    assert "accuracy" not in study.findings(run_of(study)).tables[0].markdown().lower()


@pytest.mark.parametrize(
    ("methods", "given", "message"),
    [
        (("er", "ewx"), {}, "'ewx'; allowed are all, or names .* ewc, si"),
        (("er", "er"), {}, "'er' twice"),
        (("er", "all"), {}, "'all'"),
        ((), {}, "methods is empty"),
        (("er",), {"seed": 3}, "seed is given"),
        (("er",), {"method": "ewc"}, "method is given"),
        (("er",), {"epochs": 0}, "epochs is 0"),
    ],
)
def test_what_can_not_be_compared_is_refused(
    tmp_path: Path, methods: tuple[str, ...], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        compared(tmp_path, *methods, **given)


@pytest.mark.parametrize("seeds", [0, -1, True, 1.5])
def test_there_is_at_least_one_seed(tmp_path: Path, seeds: Any) -> None:
    with pytest.raises(BadInput, match="seeds is"):
        compared(tmp_path, "er", seeds=seeds)
