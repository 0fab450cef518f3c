"""A training can only be in a state that some training leads to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from growmix.training.state import LoopState, adamw_outline, check_scaler, full_names

STATE = LoopState(finished=False, done=5, done_in_epoch=1, seen=40, losses=(2.0, 1.0), seconds=0.5)
SCALER = {"scale": 1024.0, "growth_factor": 2.0, "growth_interval": 2_000, "_growth_tracker": 3}


def test_a_state_within_its_ranges_passes() -> None:
    STATE.check(steps=10)
    replace(STATE, finished=True, done=10).check(steps=10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"done": 0},
        {"done": 11},
        {"done_in_epoch": 6},
        {"seen": -1},
        {"seconds": -0.1},
        {"finished": True, "losses": ()},
    ],
    ids=str,
)
def test_a_number_out_of_its_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(STATE, **wrong).check(steps=10)  # type: ignore[arg-type]


def test_of_a_scaler_only_scale_and_tracker_may_move() -> None:
    check_scaler(SCALER | {"scale": 2.0, "_growth_tracker": 0}, SCALER)
    for wrong in ({"growth_factor": 3.0}, {"scale": 0.0}, {"_growth_tracker": 2_001}, {"scale": 2}):
        with pytest.raises(ValueError):
            check_scaler(SCALER | wrong, SCALER)
    with pytest.raises(ValueError):
        check_scaler(None, SCALER)


def test_tensors_are_named_by_part_and_an_empty_part_by_nothing() -> None:
    one = torch.zeros(2)
    assert full_names({"a": {"x": one}, "b": {}}) == {"a.x": one}
    outline = adamw_outline(torch.nn.Parameter(torch.zeros(3, 2)))
    assert {name: tuple(t.shape) for name, t in outline.items()} == {
        "step": (),
        "exp_avg": (3, 2),
        "exp_avg_sq": (3, 2),
    }
