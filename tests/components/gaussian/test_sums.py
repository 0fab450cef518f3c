"""Sums are those of all vectors at once, whatever the order and the batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.components.gaussian import sums as sums_module
from growmix.components.gaussian.sums import Form, Sums, sums_of

FORMS: tuple[Form, ...] = ("each", "pooled", "diagonal")
GROUPS = 3


def vectors(seed: int, n: int = 60, far: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    x = torch.randn(n, 4, generator=generator, dtype=torch.float64) @ mixing + far
    return x, torch.randint(GROUPS, (n,), generator=generator)


def parts(sums: Sums) -> tuple[Tensor, ...]:
    return sums.count, sums.mean, sums.scatter


def assert_near(one: Sums, other: Sums, rtol: float = 1e-9, atol: float = 1e-9) -> None:
    for a, b in zip(parts(one), parts(other), strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize("form", FORMS)
def test_sums_are_those_of_numpy(form: Form) -> None:
    x, group = vectors(0)
    found = sums_of(x, group, GROUPS, form)
    covariances = [np.cov(x[group == g].numpy().T, bias=True) * int((group == g).sum()) for g in range(GROUPS)]
    whole = torch.from_numpy(np.stack(covariances))
    wanted = {"each": whole, "pooled": whole.sum(0), "diagonal": whole.diagonal(dim1=1, dim2=2)}[form]
    torch.testing.assert_close(found.scatter, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.mean, torch.stack([x[group == g].mean(0) for g in range(GROUPS)]))
    assert found.count.tolist() == torch.bincount(group, minlength=GROUPS).tolist()


@pytest.mark.parametrize("form", FORMS)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 60), max_size=6), far=st.sampled_from([0.0, 1e6]))
def test_any_order_and_any_batches_give_the_same_sums(form: Form, seed: int, cuts: list[int], far: float) -> None:
    x, group = vectors(seed, far=far)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed + 1))
    ends = [0, *sorted(cuts), len(x)]
    total = Sums.nothing(GROUPS, 4, form)
    for start, end in itertools.pairwise(ends):
        rows = order[start:end]
        total = total.merged(sums_of(x[rows], group[rows], GROUPS, form))
    # far from zero the vectors themselves are rounded: a part in 10^16 of 10^6, squared with gaps of about one
    assert_near(total, sums_of(x, group, GROUPS, form), atol=1e-9 if far == 0.0 else 1e-7)


def test_nothing_is_cancelled_far_from_zero() -> None:
    x, group = vectors(0, n=400)
    shifted = sums_of(x.round(decimals=4) + 2.0**30, group, GROUPS, "each")  # what is added leaves the digits alone
    torch.testing.assert_close(
        shifted.scatter, sums_of(x.round(decimals=4), group, GROUPS, "each").scatter, rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize("form", FORMS)
def test_vectors_are_summed_in_batches(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    x, group = vectors(3)
    whole = sums_of(x, group, GROUPS, form)
    monkeypatch.setattr(sums_module, "BATCH", 7)
    assert_near(sums_of(x, group, GROUPS, form), whole)


def test_sums_of_each_group_give_the_pooled_and_the_diagonal_ones() -> None:
    x, group = vectors(5)
    each = sums_of(x, group, GROUPS, "each")
    assert_near(each.pooled(), sums_of(x, group, GROUPS, "pooled"))
    assert_near(each.diagonal(), sums_of(x, group, GROUPS, "diagonal"))
