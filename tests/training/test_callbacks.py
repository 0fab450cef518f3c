"""Callbacks may leave out what is of no interest to them; keepers and followers may not."""

from __future__ import annotations

import pytest

from growmix.training.callbacks import Callback, FitInfo, Follower, Keeper, Progress, TrainingLog


def test_a_callback_that_overrides_nothing_hears_everything() -> None:
    callback = Callback()
    callback.on_fit_start(FitInfo("component", 0, epochs=1, steps=2, examples=3))
    callback.on_epoch_end(Progress(1, 1, 2, 2, loss=1.0, examples_per_second=3.0, held_out=None))
    callback.on_fit_end(TrainingLog(1, 2, 3, 0.1, (1.0,)))


@pytest.mark.parametrize(("interface", "member"), [(Keeper, "recall"), (Follower, "restore")])
def test_an_interface_that_misses_a_member_can_not_be_made(interface: type, member: str) -> None:
    with pytest.raises(TypeError, match=member):
        interface()
