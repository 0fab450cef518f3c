"""Compiled steps learn what others learn; where they can't be compiled, it is said what to leave out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from growmix import GrowingMixture
from growmix.errors import BadInput
from growmix.training.compiling import compiled, missing_compiler, told_of_compiling

X = (np.random.default_rng(0).random((60, 1, 8, 8)) > 0.5).astype(np.float32)
Y = np.arange(60) % 2
SETTINGS: dict[str, Any] = {"latent": 3, "width": 2, "epochs": 2, "batch_size": 17, "device": "cpu"}


def learnt(**changes: Any) -> dict[str, torch.Tensor]:
    mixture = GrowingMixture("conv", **{**SETTINGS, "precision": "32-true", **changes})
    mixture.learn((X, Y))
    return mixture.components[0].state_dict()


@pytest.mark.slow
@pytest.mark.skipif(missing_compiler() is not None, reason="there is no C++ compiler here")
def test_compiled_steps_learn_what_others_learn_and_keep_the_names_of_all_weights() -> None:
    plain, made = learnt(), learnt(compile=True)
    assert plain.keys() == made.keys()
    for name, values in plain.items():
        torch.testing.assert_close(made[name], values, rtol=1e-2, atol=1e-3)


def test_without_a_compiler_nothing_is_learnt_and_the_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    mixture = GrowingMixture("conv", **SETTINGS, compile=True)
    with pytest.raises(BadInput, match=r"^compile is True, but .* no C\+\+ compiler .*no-compiler.*; install one"):
        mixture.learn((X, Y))
    assert not mixture.components


def test_what_fails_while_it_is_compiled_names_the_setting() -> None:
    from torch._dynamo.exc import InternalTorchDynamoError

    with pytest.raises(BadInput, match=r"^compile is True, but .*; leave it out \(.*torn"), told_of_compiling(True):
        raise InternalTorchDynamoError("torn")
    with pytest.raises(InternalTorchDynamoError), told_of_compiling(False):
        raise InternalTorchDynamoError("torn")


def test_on_a_gpu_the_step_is_captured_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch, "compile", lambda module, **how: asked.append(how) or module)
    compiled(nn.Linear(1, 1), torch.device("cuda"))
    assert asked == [{"mode": "reduce-overhead"}]
