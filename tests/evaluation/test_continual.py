"""Figures of an accuracy matrix, against numbers worked out by hand and the laws that they keep."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.metrics import average_accuracy, backward_transfer, forgetting, forward_transfer

Rows: TypeAlias = list[list[float | None]]

THREE: Rows = [
    [0.9, None, None],
    [0.8, 1.0, None],
    [0.85, 0.6, 0.7],
]

shares = st.floats(0, 1)


@st.composite
def triangles(draw: st.DrawFn, least: int = 2) -> Rows:
    tasks = draw(st.integers(least, 6))
    return [[draw(shares) if i <= t else None for i in range(tasks)] for t in range(tasks)]


def test_figures_of_three_tasks_are_those_worked_out_by_hand() -> None:
    assert average_accuracy(THREE) == pytest.approx((0.85 + 0.6 + 0.7) / 3)
    assert forgetting(THREE) == pytest.approx(((0.9 - 0.85) + (1.0 - 0.6)) / 2)
    assert backward_transfer(THREE) == pytest.approx(((0.85 - 0.9) + (0.6 - 1.0)) / 2)


def test_forgetting_counts_from_the_best_and_backward_transfer_from_the_diagonal() -> None:
    matrix: Rows = [[0.5, None, None], [0.9, 0.5, None], [0.7, 0.5, 0.5]]
    assert forgetting(matrix) == pytest.approx((0.2 + 0.0) / 2)
    assert backward_transfer(matrix) == pytest.approx((0.2 + 0.0) / 2)


def test_nan_is_none_and_entries_above_the_diagonal_do_not_count() -> None:
    array = np.array([[0.9, 7.0, np.nan], [0.8, 1.0, -3.0], [0.85, 0.6, 0.7]])
    for figure in (average_accuracy, forgetting, backward_transfer):
        assert figure(array) == figure(THREE)


@pytest.mark.parametrize("matrix", [[], [[0.5]], [[None]]])
def test_one_task_has_nothing_to_forget_and_the_figures_say_so(matrix: Rows) -> None:
    assert forgetting(matrix) is None
    assert backward_transfer(matrix) is None


def test_an_unknown_row_makes_a_figure_unknown_and_never_smaller() -> None:
    matrix: Rows = [[0.9, None, None], [None, None, None], [0.5, 0.6, 0.7]]
    assert forgetting(matrix) is None
    assert backward_transfer(matrix) is None
    assert average_accuracy(matrix) == pytest.approx(0.6)


def test_backward_transfer_needs_the_diagonal_alone() -> None:
    matrix: Rows = [[0.9, None, None], [None, 0.8, None], [0.5, 0.6, 0.7]]
    assert backward_transfer(matrix) == pytest.approx((-0.4 - 0.2) / 2)
    assert forgetting(matrix) is None


def test_a_task_without_labels_is_left_out() -> None:
    matrix: Rows = [[None, None, None], [None, 0.9, None], [None, 0.8, 0.6]]
    assert average_accuracy(matrix) == pytest.approx(0.7)
    assert forgetting(matrix) == pytest.approx(0.1)
    assert average_accuracy([[None]]) is None


@given(triangles())
def test_figures_stay_within_their_bounds(matrix: Rows) -> None:
    average, lost, gained = average_accuracy(matrix), forgetting(matrix), backward_transfer(matrix)
    assert average is not None and lost is not None and gained is not None
    assert 0 <= average <= 1
    assert -1 <= lost <= 1
    assert -1 <= gained <= 1
    assert lost >= -gained - 1e-12, "the best is at least the diagonal"


@given(triangles())
def test_tasks_that_never_get_worse_are_not_forgotten(matrix: Rows) -> None:
    rising = [list(row) for row in matrix]
    for t in range(1, len(rising)):
        for i in range(t):
            rising[t][i] = max(rising[t][i] or 0.0, rising[t - 1][i] or 0.0)
    lost, gained = forgetting(rising), backward_transfer(rising)
    assert lost is not None and lost <= 0
    assert gained is not None and gained >= 0


@given(st.integers(2, 6), shares)
def test_figures_that_do_not_move_mean_no_forgetting_at_all(tasks: int, share: float) -> None:
    matrix: Rows = [[share] * (t + 1) for t in range(tasks)]
    assert str(forgetting(matrix)) == "0.0"
    assert str(backward_transfer(matrix)) == "0.0"


def test_forward_transfer_counts_only_tasks_whose_classes_were_known() -> None:
    assert forward_transfer([None, 0.6, 0.3, None], [None, 0.5, 0.1, None]) == pytest.approx(0.15)
    assert forward_transfer([None, np.nan], [None, None]) is None
    assert forward_transfer([], []) is None


@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=6))
def test_forward_transfer_of_guessing_is_zero_and_it_stays_within_its_bounds(
    pairs: list[tuple[float, float]],
) -> None:
    before, chance = [p[0] for p in pairs], [p[1] for p in pairs]
    assert forward_transfer(chance, chance) == 0
    gain = forward_transfer(before, chance)
    assert gain is not None and -1 <= gain <= 1


@pytest.mark.parametrize("matrix", [None, 5, "ab", np.array(0.5), {0: [1.0]}])
def test_what_is_no_matrix_is_refused(matrix: Any) -> None:
    for figure in (average_accuracy, forgetting, backward_transfer):
        with pytest.raises(BadInput, match=r"^matrix is .*; allowed is a list or an array"):
            figure(matrix)
        with pytest.raises(BadInput, match=r"^row 0 of the matrix is .*; allowed is a list or an array"):
            figure([matrix])
    with pytest.raises(BadInput, match=r"^before is .*; allowed is a list"):
        forward_transfer(matrix, [0.5])


@pytest.mark.parametrize("value", ["0.5", True, [0.5], 1j])
def test_what_is_no_figure_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^row 1 of the matrix has .*; allowed are numbers, and None"):
        average_accuracy([[0.5], [0.5, value]])
    with pytest.raises(BadInput, match=r"^chance has .*; allowed are numbers"):
        forward_transfer([0.5], [value])


def test_what_is_no_lower_triangle_is_refused() -> None:
    with pytest.raises(BadInput, match=r"row 1 of the matrix has 1 entries; 2 are needed"):
        forgetting([[0.5], [0.5]])
    with pytest.raises(BadInput, match="before has 2 tasks, but chance has 1"):
        forward_transfer([None, 0.5], [None])
    with pytest.raises(BadInput, match="task 1"):
        forward_transfer([None, 0.5], [None, None])
