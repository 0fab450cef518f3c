"""Frechet distance where it is known, and features that tell classes apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix import streams
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.evaluation.frechet import MOST_IMAGES, _lessons, frechet_distance, train_features


def cloud(n: int, d: int, seed: int, scale: float = 1.0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=stream) @ torch.randn(d, d, generator=stream)


@given(st.integers(0, 50), st.integers(1, 6))
def test_it_is_zero_for_equal_sets_symmetric_and_grows_with_a_shift_squared(seed: int, d: int) -> None:
    a, b = cloud(40, d, seed), cloud(30, d, seed + 1)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)
    assert frechet_distance(a, a + 2.0) == pytest.approx(4.0 * d, rel=1e-4)


def test_it_is_the_formula_with_a_matrix_root() -> None:
    a, b = cloud(50, 5, 0), cloud(60, 5, 1)
    c, e = np.cov(a.double().T), np.cov(b.double().T)
    trace = np.trace(c + e - 2 * scipy.linalg.sqrtm(c @ e).real)
    expected = float((a.mean(0) - b.mean(0)).square().sum()) + trace
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_in_one_dimension_it_is_the_difference_of_deviations() -> None:
    a = torch.tensor([[-1.0], [1.0]])
    assert frechet_distance(a, 3 * a) == pytest.approx((3 * math.sqrt(2) - math.sqrt(2)) ** 2)


def test_fewer_images_than_features_are_no_difficulty() -> None:
    assert math.isfinite(frechet_distance(cloud(3, 10, 0), cloud(4, 10, 1)))


@pytest.mark.parametrize(("a", "b"), [((4, 3), (4, 2)), ((4,), (4,)), ((1, 3), (4, 3))])
def test_features_that_do_not_fit_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="features have shapes"):
        frechet_distance(torch.rand(a), torch.rand(b))
    with pytest.raises(BadInput, match="generated is None; allowed is a tensor"):
        frechet_distance(torch.rand(4, 3), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(BadInput, match="generated features hold NaN"):
        frechet_distance(torch.rand(4, 2), torch.full((4, 2), bad))


def test_a_few_labels_among_many_images_are_all_used() -> None:
    n = 2 * MOST_IMAGES
    y = torch.full((n,), -1)
    y[::1_000] = torch.arange(len(y[::1_000])) % 2
    images, labels = _lessons([TaskData(torch.zeros(n, 1, 1, 1, dtype=torch.uint8), y)] * 2, torch.Generator())
    assert len(images) == len(labels) == 2 * len(y[::1_000])
    assert labels.unique().tolist() == [0, 1]


@pytest.fixture(scope="module")
def tasks() -> list[TaskData]:
    return [task.train for task in streams.load("split-digits")]


@pytest.mark.slow
def test_features_tell_digits_apart_and_the_seed_says_which_they_are(tasks: list[TaskData]) -> None:
    features = train_features(tasks, 0, "cpu")
    zeros, ones = (tasks[0].x[tasks[0].y == label] for label in (0, 1))
    near = frechet_distance(features(zeros[::2]), features(zeros[1::2]))
    assert frechet_distance(features(zeros), features(ones)) > 5 * near
    assert torch.equal(train_features(tasks, 0, "cpu")(zeros), features(zeros))
    torch.testing.assert_close(features(zeros / 255.0), features(zeros))


@pytest.mark.slow
def test_without_labels_the_tasks_are_the_classes(tasks: list[TaskData]) -> None:
    plain = [TaskData(task.x) for task in tasks[:2]]
    features = train_features(plain, 0, "cpu")
    one, other = features(plain[0].x), features(plain[1].x)
    near = frechet_distance(one[::2], one[1::2])
    assert frechet_distance(one, other) > 5 * near
    with pytest.raises(BadInput, match="tasks is empty"):
        train_features([], 0)
