"""Each row of the paper's experiments: its data, its seeds, and the published settings at the paper's scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from growmix.config import RunConfig
from growmix.studies.experiments import EXPERIMENTS, find
from growmix.studies.study import Request

IN_RUNS = [name for name in EXPERIMENTS if name != "discrepancy"]


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


def test_every_experiment_names_its_data() -> None:
    assert find("split-mnist").data_sets == ("mnist",)
    assert set(find("order").data_sets) == {"mnist", "svhn", "cifar10"}
    assert set(find("cccos").data_sets) == {"celeba", "cacd", "chairs", "omniglot", "imagenet"}
    assert find("discrepancy").data_sets[:3] == ("mnist", "mnist_m", "emnist_letters")


def test_values_are_keys_of_a_run() -> None:
    for experiment in EXPERIMENTS.values():
        for values in experiment.values.values():
            RunConfig.of({"stream": "x", **values})
