"""Sums over what components learnt: exact whatever the order, and what a checkpoint may say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix import BadCheckpoint
from growmix.components.gaussian import sums as of_vectors
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.learning import sums as of_sums
from growmix.learning.sums import NUMBERS, ProjectedSums, numbers_of, pack_sums, project, unpack_sums, with_task
from known_points import DOMAIN, point

IMAGES = Domain((1, 8, 9))

FIRST_SIGNS = "1111011011011010"
SIGNS_ABOVE_ZERO = 2_335


def task(seed: int, n: int, labels: int = 3) -> TaskData:
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 2)).astype(np.float32) * 3 + 5)
    return TaskData(x, torch.from_numpy(rng.integers(-1, labels, n)), support="real")


def assert_same(found: ProjectedSums, expected: ProjectedSums) -> None:
    assert (found.labels, found.counts) == (expected.labels, expected.counts)
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.scatter, expected.scatter, rtol=1e-10, atol=1e-10)


def test_sums_are_count_mean_and_scatter_of_every_label() -> None:
    data = task(0, 50)
    sums = ProjectedSums.of(data, DOMAIN)
    assert data.y is not None
    x, y = data.x.double().numpy(), data.y.numpy()
    scatter = sum(np.cov(x[y == label].T, bias=True) * (y == label).sum() for label in (-1, 0, 1, 2))
    assert sums.labels == (-1, 0, 1, 2) and sums.examples == 50
    for j, label in enumerate(sums.labels):
        assert sums.counts[j] == (y == label).sum()
        np.testing.assert_allclose(sums.mean[j], x[y == label].mean(0))
    np.testing.assert_allclose(sums.scatter, scatter)


@given(st.integers(0, 1_000), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.randoms())
def test_sums_add_up_whatever_the_parts_and_their_order(seed: int, parts: list[int], order: Any) -> None:
    whole = task(seed, sum(parts))
    pieces = [TaskData(x, y, support="real") for x, y in zip(whole.x.split(parts), whole.y.split(parts), strict=True)]  # type: ignore[union-attr]
    order.shuffle(pieces)
    found = ProjectedSums.of(pieces[0], DOMAIN)
    for piece in pieces[1:]:
        found = found.plus(ProjectedSums.of(piece, DOMAIN))
    assert_same(found, ProjectedSums.of(whole, DOMAIN))


def test_many_examples_are_summed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    data = task(1, 23)
    whole = ProjectedSums.of(data, DOMAIN)
    for module in (of_sums, of_vectors):  # one projects and the other adds up
        monkeypatch.setattr(module, "BATCH", 5)
    assert_same(ProjectedSums.of(data, DOMAIN), whole)


def test_nothing_adds_nothing() -> None:
    sums = ProjectedSums.of(task(2, 9), DOMAIN)
    assert_same(ProjectedSums.nothing(2).plus(sums), sums)
    assert_same(sums.plus(ProjectedSums.nothing(2)), sums)


def test_an_update_leaves_all_other_sums_and_adds_to_its_own() -> None:
    first, second, third = (task(seed, 12) for seed in range(3))
    sums = with_task(with_task((), 0, first, DOMAIN), 1, second, DOMAIN)
    after = with_task(sums, 0, third, DOMAIN)
    assert after[1] is sums[1] and sums[0].examples == 12
    assert_same(after[0], ProjectedSums.of(first, DOMAIN).plus(ProjectedSums.of(third, DOMAIN)))


def test_the_projection_is_by_signs_that_never_change() -> None:
    one = torch.eye(72).view(72, 1, 8, 9)
    signs = project(one, IMAGES) * 8
    assert signs.shape == (72, NUMBERS) and bool((signs.abs() == 1).all())
    bits = (signs > 0).int().numpy()
    assert "".join(map(str, bits[0, :16])) == FIRST_SIGNS and int(bits.sum()) == SIGNS_ABOVE_ZERO
    assert abs(float(signs.mean())) < 0.05  # neither sign is more frequent


def test_an_example_of_any_size_is_projected_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(5, 1, 8, 9, generator=torch.Generator().manual_seed(0))
    whole = project(x, IMAGES)
    monkeypatch.setattr(of_sums, "_BLOCK", 10)
    torch.testing.assert_close(project(x, IMAGES), whole)


def test_small_examples_stay_as_they_are_and_real_numbers_are_scaled() -> None:
    domain = Domain((2,), "real", (1.0, 0.0), (2.0, 4.0))
    assert project(torch.tensor([[3.0, 8.0]]), domain).tolist() == [[1.0, 2.0]] and numbers_of(domain) == 2
    pixels = torch.arange(72, dtype=torch.uint8).view(1, 1, 8, 9)
    assert torch.equal(project(pixels, IMAGES), project(pixels.float() / 255, IMAGES)) and numbers_of(IMAGES) == 64


COMPONENTS = (point(0), point(1))
LEARNT = tuple(
    ProjectedSums.of(TaskData(task(k, 8).x, torch.arange(8) % 2 + 2 * k, support="real"), DOMAIN) for k in range(2)
)


def test_what_was_packed_comes_back() -> None:
    again = unpack_sums(*pack_sums(LEARNT), COMPONENTS, (8, 8))
    for found, expected in zip(again, LEARNT, strict=True):
        assert_same(found, expected)
    unknown = unpack_sums(*pack_sums((ProjectedSums.nothing(2), LEARNT[1])), COMPONENTS, (8, 8))
    assert unknown[0].labels == () and unknown[1].labels == (2, 3)


def test_of_a_checkpoint_without_sums_nothing_is_known_and_nothing_is_written() -> None:
    nothing = unpack_sums([], {}, COMPONENTS, (8, 8))
    assert [each.labels for each in nothing] == [(), ()] and pack_sums(nothing) == ([], {})
    assert unpack_sums([], {}, (), ()) == ()


def spoil_scatter(tensors: dict[str, Tensor], i: int, j: int, value: float) -> None:
    tensors["scatter"] = tensors["scatter"].clone()
    tensors["scatter"][0, i, j] = value


SPOILT: dict[str, Callable[[Any, dict[str, Tensor]], Any]] = {
    "a component too few": lambda d, t: d.pop(),
    "labels of nobody": lambda d, t: d[0].update(labels=[0, 9]),
    "labels twice": lambda d, t: d[0].update(labels=[0, 0]),
    "labels in no order": lambda d, t: d[0].update(labels=[1, 0]),
    "another number of examples": lambda d, t: d[0].update(counts=[4, 5]),
    "fewer than no examples": lambda d, t: d[0].update(counts=[9, -1]),
    "a count too many": lambda d, t: d[0].update(counts=[4, 2, 2]),
    "no numbers": lambda d, t: d[0].update(counts=["4", 4]),
    "a mean too few": lambda d, t: t.update(mean=t["mean"][:3]),
    "single precision": lambda d, t: t.update(mean=t["mean"].float()),
    "no mean": lambda d, t: t.pop("mean"),
    "a mean that is no number": lambda d, t: t.update(mean=t["mean"] * torch.nan),
    "of other examples": lambda d, t: t.update(scatter=t["scatter"][:, :1, :1]),
    "an infinite scatter": lambda d, t: spoil_scatter(t, 0, 0, torch.inf),
    "a negative scatter": lambda d, t: spoil_scatter(t, 1, 1, -1.0),
    "a skew scatter": lambda d, t: spoil_scatter(t, 0, 1, 1.0),
    "correlations above one": lambda d, t: (spoil_scatter(t, 0, 1, 1e6), spoil_scatter(t, 1, 0, 1e6)),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_sums_that_no_examples_have_are_refused(spoil: Callable[[Any, dict[str, Tensor]], Any]) -> None:
    document, tensors = pack_sums(LEARNT)
    spoil(document, tensors)
    with pytest.raises((ValueError, BadCheckpoint)):
        unpack_sums(document, tensors, COMPONENTS, (8, 8))


def test_sums_are_looked_at_before_they_have_memory() -> None:
    document, tensors = pack_sums(LEARNT)
    outlines = {name: tensor.to("meta") for name, tensor in tensors.items()}
    with torch.device("meta"):
        found = unpack_sums(document, outlines, COMPONENTS, (8, 8))
        assert pack_sums(found)[0] == document
