from __future__ import annotations

import math

import pytest
import torch

from growmix.errors import BadInput
from growmix.theory import MLP, Finite, Linear, finite_sample_term, rademacher, thresholds


def test_one_function_fits_random_signs_as_well_as_chance() -> None:
    x = torch.rand(400, 1)
    assert rademacher(thresholds([-1.0]), x, draws=4_000) == pytest.approx(2 * math.sqrt(2 / (math.pi * 400)), rel=0.05)


def test_a_class_that_has_every_labelling_fits_all() -> None:
    every = torch.tensor([[(i >> j) & 1 for j in range(6)] for i in range(64)])
    assert rademacher(Finite(lambda x: every, "all"), torch.rand(6, 1)) == 2.0


def test_richer_classes_are_more_complex_and_more_examples_less() -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    linear, rich = rademacher(Linear(), x, draws=8), rademacher(MLP(64), x, draws=8)
    assert 0.0 < linear < rich <= 2.0
    assert rademacher(Linear(), torch.randn(2_000, 3), draws=8) < linear


def test_the_finite_sample_term_is_the_formula_and_vanishes_slowly() -> None:
    assert finite_sample_term(50, 200, bound=2.0, delta=0.1) == pytest.approx(
        6.0 * (math.sqrt(math.log(20) / 100) + math.sqrt(math.log(20) / 400))
    )
    assert finite_sample_term(400, 400) == pytest.approx(finite_sample_term(100, 100) / 2)


def test_sizes_and_probabilities_out_of_range_are_refused() -> None:
    for wrong in ({"m": 0}, {"n": -1}, {"bound": 0.0}, {"delta": 1.0}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            finite_sample_term(**{"m": 10, "n": 10, **wrong})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="draws"):
        rademacher(Linear(), torch.rand(5, 1), draws=0)
    with pytest.raises(BadInput, match="sample has the shape"):
        rademacher(Linear(), torch.rand(1, 1))
