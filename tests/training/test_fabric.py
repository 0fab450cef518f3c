"""Hardware that is not there is refused in one line, and a precision is chosen that the machine has."""

from __future__ import annotations

import pytest
import torch

from growmix.errors import BadInput
from growmix.settings import Settings
from growmix.training.fabric import make_fabric, native_precision


@pytest.mark.parametrize(
    ("name", "value"), [("device", "abacus"), ("strategy", "luck"), ("precision", "3-bit"), ("device", "tpu")]
)
def test_hardware_that_is_not_there_is_refused_in_one_line_that_names_it(name: str, value: str) -> None:
    with pytest.raises(BadInput, match=repr(value)) as caught:
        make_fabric(Settings(**{name: value}))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_known_is_met_with_those_that_are() -> None:
    with pytest.raises(BadInput, match=r"^device 'abacus' can't be used here; allowed are auto, cpu, cuda, gpu, mps$"):
        make_fabric(Settings(device="abacus"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_missing_gpu_is_refused_in_one_line() -> None:
    with pytest.raises(BadInput, match="'cuda'"):
        make_fabric(Settings(device="cuda"))


def test_the_precision_chosen_is_one_that_fabric_knows() -> None:
    assert native_precision("mps") == "32-true"
    for device in ("cpu", "auto"):
        assert native_precision(device) in ("32-true", "bf16-mixed")
    assert make_fabric(Settings(device="cpu", precision="32-true")).device.type == "cpu"
