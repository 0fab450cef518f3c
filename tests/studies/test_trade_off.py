from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput
from growmix.studies.runs import Outcome, Trial
from growmix.studies.study import Request
from growmix.studies.trade_off import TradeOff, counts, with_trade_off

ComeOf = Callable[..., list[Outcome]]

CONFIG = RunConfig.of({"stream": "split-digits", "threshold": 0.5, "novelty": "ks", "epochs": 2})


DOCUMENT = {"followed": False, "tasks": [], "chains": [], "coverage": {}, "student": None}


def study(folder: Path, **changes: object) -> TradeOff:
    return TradeOff(RunConfig.of({**CONFIG.to_dict(), **changes}), 4, Request(folder, 1, {}))


def outcome(come_of: ComeOf, trial: Trial, novelty: list[list[float]], components: int) -> Outcome:
    decisions = [{"task": "t", "action": "grow", "component": 0, "novelty": n, "threshold": None} for n in novelty]
    return come_of([trial], lambda _: {"decisions": decisions, "components": components})[0]


def test_first_it_always_grows_then_it_tries_for_every_number_of_components(tmp_path: Path, come_of: ComeOf) -> None:
    sweep = study(tmp_path)
    (always,) = sweep.trials(())
    settings = always.config.settings
    assert (settings.gate, settings.novelty, settings.threshold, settings.epochs) == ("always", "smd", None, 2)
    assert always.config.theory and not always.config.student
    done = [outcome(come_of, always, [[], [4.0], [5.0, 1.0], [9.0, 9.0, 2.0]], 4)]
    tried = sweep.trials(done)
    assert [trial.config.settings.threshold for trial in tried] == [1.5, 3.0, 8.0]  # 3, 2, and 1 component


def test_the_default_threshold_has_a_run_of_its_own_only_where_it_would_not_always_grow(
    tmp_path: Path, come_of: ComeOf
) -> None:
    sweep = study(tmp_path)
    (always,) = sweep.trials(())
    (default,) = sweep.trials([outcome(come_of, always, [[], [4.0], [5.0, 0.1], [9.0, 9.0, 2.0]], 4)])
    assert default.variant == "default"
    assert (default.config.settings.gate, default.config.settings.threshold) == ("threshold", None)


@pytest.mark.parametrize("method", ["limix", "vae-per-task", "er"])
def test_a_method_whose_gate_is_fixed_can_not_be_swept(tmp_path: Path, method: str) -> None:
    with pytest.raises(BadInput, match="needs the method 'mixture'"):
        study(tmp_path, method=method, threshold=None, novelty="rank")


def test_of_many_tasks_a_few_numbers_of_components_are_tried() -> None:
    assert counts(1) == () and counts(2) == (1,) and counts(3) == (2, 1)
    many = counts(100)
    assert len(many) == 8 and many[0] == 99 and many[-1] == 1


def test_a_sweep_whose_results_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"trade-off.results.json"):
        with_trade_off({}, tmp_path)


@pytest.mark.parametrize(
    "content", ["[", "[]", "{}", '{"trade_off": 5}', '{"trade_off": {"points": [1]}}', "[" * 10**5]
)
def test_a_sweep_whose_results_are_none_is_named_and_changes_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "trade-off").mkdir()
    (tmp_path / "trade-off" / "results.json").write_text(content)
    with pytest.raises(BadCheckpoint, match=r"trade-off.results.json"):
        with_trade_off(DOCUMENT, tmp_path)
    assert not (tmp_path / "theory.json").exists()


def test_results_too_large_for_a_sweep_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "trade-off").mkdir()
    with (tmp_path / "trade-off" / "results.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BadCheckpoint, match="allowed are 67,108,864"):
        with_trade_off(DOCUMENT, tmp_path)
