"""Two sets of tensors have one digest exactly where they are the same, byte for byte."""

from __future__ import annotations

import pytest
import torch

from growmix.storage.digests import digest_of

X = torch.arange(6.0).view(2, 3)


def test_what_is_the_same_has_the_same_digest_however_it_lies_in_memory() -> None:
    turned = X.T.contiguous().T
    assert not turned.is_contiguous()
    assert digest_of({"x": X, "y": None}) == digest_of({"x": turned, "y": None})


@pytest.mark.parametrize(
    "other",
    [
        {"y": X},
        {"x": None},
        {"x": X.view(3, 2)},
        {"x": X.double()},
        {"x": X.view(torch.int32)},
        {"x": X, "y": None},
        {"x": torch.nextafter(X, X + 1)},
        {"x": -X.neg().abs()},
    ],
)
def test_what_differs_in_anything_has_another_digest(other: dict[str, torch.Tensor | None]) -> None:
    assert digest_of({"x": X}) != digest_of(other)
