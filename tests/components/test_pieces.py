"""Answers for many examples are those for each piece, put together on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from growmix.components import pieces
from growmix.components.kinds import VAEKind
from growmix.components.nets import MLP
from growmix.data.domain import Domain


def test_pieces_bound_the_memory_and_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "ROWS", 3)
    generator = torch.Generator().manual_seed(0)
    component = VAEKind(MLP(hidden=4)).make(Domain((2,)), supervised=False, target=None, generator=generator)
    seen: list[int] = []

    def doubled(x: Tensor) -> Tensor:
        seen.append(len(x))
        return 2 * x

    x = torch.randint(0, 256, (7, 2), dtype=torch.uint8)
    assert torch.equal(pieces.in_pieces(component, doubled, x), 2 * x.float() / 255)
    assert seen == [3, 3, 1]
