"""How the runs of a study are laid out, and how their outcomes are put together."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import (
    MOST_SEEDS,
    Request,
    Variant,
    by_task,
    by_variant,
    command_line,
    lay_out,
    mean,
    missing,
    refuse_idle,
)

VARIANTS = (
    Variant("a", "A", {"method": "mixture", "stream": "split-digits"}),
    Variant("b", "B", {"method": "er", "stream": "split-digits"}),
)
ComeOf = Callable[[Sequence[Trial]], list[Outcome]]


def test_an_early_end_leaves_whole_comparisons(tmp_path: Path) -> None:
    trials = lay_out(VARIANTS, {"epochs": 3}, Request(tmp_path, 2, {"epochs": 5}))
    assert [trial.label for trial in trials] == ["a-seed0", "b-seed0", "a-seed1", "b-seed1"]
    assert {trial.config.settings.epochs for trial in trials} == {5}  # what is given counts more
    assert len({trial.config.out for trial in trials}) == 4


@pytest.mark.parametrize("name", ["stream", "seed", "out", "method"])
def test_what_makes_a_variant_can_not_be_given(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"{name} is given, but the study sets it itself; leave --{name} out"):
        lay_out(VARIANTS, {}, Request(tmp_path, 1, {name: "x"}))


def test_a_key_is_refused_only_where_no_run_would_use_it(tmp_path: Path) -> None:
    values = [variant.values for variant in VARIANTS]
    refuse_idle(values, Request(tmp_path, 1, {"buffer_size": 9}))
    with pytest.raises(BadInput, match="buffer_size"):
        refuse_idle(values[:1], Request(tmp_path, 1, {"buffer_size": 9}))


@pytest.mark.parametrize("seeds", [0, MOST_SEEDS + 1, True])
def test_a_study_has_so_many_seeds_that_it_can_be_laid_out(seeds: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="seeds is"):
        Request(tmp_path, seeds, {})


def test_outcomes_are_found_again_by_variant_and_seed(tmp_path: Path, come_of: ComeOf) -> None:
    trials = lay_out(VARIANTS, {}, Request(tmp_path, 3, {}))
    done = come_of([trials[5], trials[0], trials[1]])
    assert {name: [each.trial.label for each in group] for name, group in by_variant(done).items()} == {
        "b": ["b-seed0", "b-seed2"],
        "a": ["a-seed0"],
    }
    assert [trial.label for trial in missing(trials, done)] == ["a-seed1", "b-seed1", "a-seed2"]
    assert [spread.mean for spread in by_task(done, lambda metrics: metrics.reconstruction.mse)] == [10.0, 20.0]


def test_a_task_without_a_figure_leaves_no_mean() -> None:
    assert mean([1.0, 3.0]) == 2.0
    assert mean([1.0, None]) is None


words = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=8)


@settings(max_examples=30)
@given(st.lists(words, max_size=3), words)
def test_what_was_typed_can_be_typed_again(given_words: list[str], value: str) -> None:
    line = command_line("compare", given_words, {"data_root": value, "student": False, "overwrite": True})
    assert shlex.split(line) == [
        "growmix",
        "compare",
        *given_words,
        "--data-root",
        value,
        "--no-student",
        "--overwrite",
    ]
