from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growmix.config import RunConfig
from growmix.errors import BadInput, DataUnavailable
from growmix.studies.experiments import EXPERIMENTS, find
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Request
from growmix.studies.tables import Table

RunOf = Callable[..., list[Outcome]]
IN_RUNS = [name for name in EXPERIMENTS if name != "discrepancy"]
PICTURES = {"mse": [1.0, 3.0], "ssim": [0.5, 0.7], "psnr": [15.0, 25.0]}
PAIRS = {**PICTURES, "when_learnt": {name: [value / 2 for value in values] for name, values in PICTURES.items()}}
FIVE = {name: [values[0]] * 5 for name, values in PICTURES.items()}
STUDENT = {"average": {}, "reconstruction": {**FIVE, "mse": [7.0] * 5}, "parameters": 50}


def of(trial: Trial) -> dict[str, Any]:
    """Metrics that fit any experiment."""
    tasks = {"split-mnist": 5, "permuted-mnist": 10, "split-cifar": 6}.get(trial.config.stream, 2)
    decided = {"task": "t", "action": "grow", "component": 0, "threshold": 0.2}
    measured = [{**decided, "novelty": [float(i)] if i else []} for i in range(tasks)]
    threshold = trial.config.settings.threshold
    five = {"tasks": list("abcde"), "reconstruction": FIVE} if trial.config.stream in ("msfir", "cccos") else {}
    return {
        **five,
        "translation": PAIRS if trial.config.stream == "translation" else None,
        "student": STUDENT if trial.config.student else None,
        "decisions": measured,
        "components": tasks if threshold is None else 1 + sum(i >= threshold for i in range(1, tasks)),
    }


def column(table: Table, name: str) -> dict[str, str]:
    at = table.columns.index(name)
    return {row[0]: row[at] for row in table.rows}


@pytest.mark.parametrize("scale", ["small", "paper"])
@pytest.mark.parametrize("name", IN_RUNS)
def test_findings_come_of_every_experiment_at_both_scales(name: str, scale: Any, tmp_path: Path, run_of: RunOf) -> None:
    study = EXPERIMENTS[name].at(scale, Request(tmp_path, 2, {"replace": ("svhn=mnist_m",), "max_steps": 3}))
    done = run_of(study, of)
    findings = study.findings(done)
    assert findings.tables
    json.dumps(findings.numbers, allow_nan=False)
    assert "svhn is replaced by mnist_m: its figures are not those of svhn." in findings.tables[0].markdown()
    assert len({outcome.trial.config.out for outcome in done}) == len(done)
    assert all(outcome.trial.config.settings.max_steps == 3 for outcome in done)


@pytest.mark.parametrize("name", IN_RUNS)
def test_the_papers_scale_has_the_published_settings(name: str, tmp_path: Path) -> None:
    for trial in EXPERIMENTS[name].at("paper", Request(tmp_path, 1, {})).trials(()):
        settings = trial.config.settings
        assert (settings.learning_rate, settings.adam_beta1, settings.schedule) == (2e-4, 0.5, "constant")
        assert (settings.batch_size, settings.latent, settings.variance, settings.weight_decay) == (64, 100, 0.5, 0)
        assert settings.epochs in (20, 100, 200) and settings.max_steps is None
        assert (settings.likelihood, settings.blueprint) == ("gaussian", "conv")


def test_the_paper_has_five_seeds_and_small_one() -> None:
    assert {(each.seeds["small"], each.seeds["paper"]) for each in EXPERIMENTS.values()} == {(1, 5)}


def test_what_an_experiment_varies_can_not_be_given(tmp_path: Path) -> None:
    for name, key in (("msfir", "sharing"), ("order", "method"), ("translation", "sharing"), ("msfirc", "seed")):
        with pytest.raises(BadInput, match=f"{key} is given"):
            find(name).at("small", Request(tmp_path, 1, {key: "x"}))


def test_a_student_may_be_left_out_of_msfir(tmp_path: Path, run_of: RunOf) -> None:
    study = find("msfir").at("small", Request(tmp_path, 1, {"student": False}))
    assert "its student" not in study.findings(run_of(study, of)).tables[0].markdown()


def test_msfir_has_ours_the_student_and_the_published_in_one_table(tmp_path: Path, run_of: RunOf) -> None:
    study = find("msfir").at("small", Request(tmp_path, 1, {}))
    mse, ssim, _, cost = study.findings(run_of(study, of)).tables
    assert column(mse, "mean")["growing mixture"] == "1.00"
    assert column(mse, "mean")["its student"] == "7.00"
    assert column(mse, "b")["published: one VAE per task"] == "29.00"
    assert column(mse, "mean")["published: LGM"] == "897.00" and column(mse, "b")["published: LGM"] == "-"
    assert column(ssim, "a")["published: one VAE per task"] == "0.900"
    assert column(cost, "of a whole one")["growing mixture, adapter"] == "100.0%"
    assert column(cost, "parameters")["its student"] == "50"


def test_the_risk_of_an_order_is_the_sum_over_the_tasks_so_far(tmp_path: Path, run_of: RunOf) -> None:
    study = find("order").at("small", Request(tmp_path, 1, {}))
    msc, cms = study.findings(run_of(study, of)).tables
    assert column(msc, "after a")["growing mixture"] == "8.00"
    assert column(cms, "after b")["BatchEnsemble"] == "30.00"  # 10 and 20 after the second task


def test_translations_are_shown_when_learnt_and_at_last(tmp_path: Path, run_of: RunOf) -> None:
    study = find("translation").at("small", Request(tmp_path, 1, {}))
    mse = study.findings(run_of(study, of)).tables[0]
    assert column(mse, "mean")["growing mixture, when learnt"] == "1.00"
    assert column(mse, "b")["growing mixture, trunk, after the last task"] == "3.00"


def test_published_tables_fit_the_streams_they_are_for() -> None:
    from growmix.streams.catalogue import entry

    for name, tasks in (("split-mnist", 5), ("permuted-mnist", 10), ("split-cifar", 6), ("msfir", 5), ("msfirc", 6)):
        assert len(entry(name).tasks) == tasks


def test_every_experiment_names_its_data() -> None:
    assert find("split-mnist").data_sets == ("mnist",)
    assert set(find("order").data_sets) == {"mnist", "svhn", "cifar10"}
    assert set(find("cccos").data_sets) == {"celeba", "cacd", "chairs", "omniglot", "imagenet"}


def test_the_discrepancy_of_missing_data_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="emnist_letters"):
        find("discrepancy").at("small", Request(tmp_path, 1, {"data_root": tmp_path}))


def test_values_are_keys_of_a_run() -> None:
    for experiment in EXPERIMENTS.values():
        for values in experiment.values.values():
            RunConfig.of({"stream": "x", **values})
