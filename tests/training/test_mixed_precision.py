"""Mixed precision is one of operations: what a batch holds and what a loss is keep all their digits."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from growmix.settings import Settings
from growmix.training.fabric import make_fabric
from growmix.training.mixed_precision import BFloatOperations, HalfOperations, backward

KINDS = [BFloatOperations("cpu"), HalfOperations("16-mixed", "cpu")]


@pytest.mark.parametrize("precision", KINDS, ids=["bf16", "fp16"])
def test_a_batch_keeps_its_digits_and_operations_do_not(precision: BFloatOperations | HalfOperations) -> None:
    x = torch.tensor([[1.001, 2.003]])
    assert torch.equal(precision.convert_input(x), x)
    with precision.forward_context():
        product = x @ x.T
    assert product.dtype in (torch.bfloat16, torch.float16)
    assert precision.convert_output(product).dtype == torch.float32


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_threads_compute_gradients_side_by_side(precision: str) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        fabric = make_fabric(Settings(device="cpu", precision=precision))  # type: ignore[arg-type]
        module = nn.Linear(3, 1)
        wrapped, _ = fabric.setup(module, torch.optim.SGD(module.parameters(), lr=0.1))
        try:
            for _ in range(20):
                backward(fabric, wrapped(torch.ones(4, 3)).mean())
        except RuntimeError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
