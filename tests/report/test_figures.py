"""Figures are files that can be opened, the same for the same numbers, and refuse what they can't draw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from growmix.errors import BadInput
from growmix.report import figures

POINT = {"components": 5, "threshold": 0.0, "parameters": 13e6, "grouped": 0.995, "task_agnostic": 0.98}
ROWS = [
    ("mixture", (0.98, 0.001), (0.998, None)),
    ("unlabelled", (None, None), (None, None)),
    ("er", (0.9, 0.0), (1, 0)),
]
PICTURES = [("gray\nsource", np.zeros((3, 1, 8, 8))), ("colour", np.ones((2, 3, 8, 8)))]

FIGURES: dict[str, Callable[[Path], None]] = {
    "comparison": partial(figures.comparison, ROWS),
    "sweep": partial(figures.sweep, [POINT, {**POINT, "components": 4, "grouped": None}], {5: 0.99}),
    "order": partial(figures.order_study, {"MSC": {"none": [1.0, 2.0], "trunk": [1.0, 3.0]}, "CMS": {"none": [2.0]}}),
    "over-time": partial(figures.over_time, [[1.0, None], [2.0, 1.0]], ["a", "b"], "squared error"),
    "pictures": partial(figures.picture_rows, PICTURES),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_picture_and_the_same_numbers_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    once, again = tmp_path / "a.png", tmp_path / "b.png"
    for file in (once, again):
        FIGURES[name](file)
    with Image.open(once) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.std() > 5, "something is drawn"
    assert once.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_a_place_that_can_not_be_written_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        FIGURES[name](tmp_path / "nowhere" / "a.png")


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    for draw in (figures.order_study, figures.picture_rows):
        with pytest.raises(BadInput, match="is empty"):
            empty: Any = {}
            draw(empty, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are about to be written."""
    kept: list[Figure] = []
    monkeypatch.setattr(figures, "write_figure", lambda figure, file: kept.append(figure))
    return kept


def test_every_point_of_every_order_lies_within_its_panel(drawn: list[Figure]) -> None:
    figures.order_study({"MSC": {"none": [1.0, 2.0]}, "CMS": {"none": [5.0, 9.0], "trunk": [2.0, None]}}, Path("a.png"))
    tops = [panel.get_ylim()[1] for panel in drawn[0].axes]
    assert min(tops) >= 9.0


def test_a_kind_of_sharing_looks_the_same_in_every_panel_and_is_in_the_legend(drawn: list[Figure]) -> None:
    figures.order_study({"MSC": {"adapter": [1.0]}, "CMS": {"none": [2.0], "adapter": [3.0]}}, Path("a.png"))
    looks = [{line.get_label(): line.get_color() for line in panel.lines} for panel in drawn[0].axes]
    assert looks[0]["adapter"] == looks[1]["adapter"] != looks[1]["none"]
    assert {text.get_text() for text in drawn[0].legends[0].get_texts()} == {"none", "adapter"}


def test_a_risk_that_is_not_known_leaves_a_gap_and_moves_no_other(drawn: list[Figure]) -> None:
    figures.order_study({"MSC": {"none": [1.0, None, 3.0]}}, Path("a.png"))
    x, y = drawn[0].axes[0].lines[0].get_data()
    assert list(x) == [1, 2, 3]
    np.testing.assert_array_equal(y, [1.0, np.nan, 3.0])


def test_a_method_without_a_figure_keeps_its_line(drawn: list[Figure]) -> None:
    figures.comparison(ROWS, Path("a.png"))
    axes = drawn[0].axes[0]
    low, high = axes.get_ylim()
    places = dict(zip((text.get_text() for text in axes.get_yticklabels()), axes.get_yticks(), strict=True))
    assert all(low < place < high for place in places.values())
    assert places["mixture"] > places["er"] > places["unlabelled"]


def test_an_accuracy_of_zero_is_drawn_with_its_error(drawn: list[Figure]) -> None:
    figures.sweep([{**POINT, "grouped": 0.0, "grouped_error": 0.01}], {}, Path("a.png"))
    ((line, _, (bars,)), *_) = drawn[0].axes[0].containers
    assert list(line.get_ydata()) == [0.0]
    assert np.ptp(bars.get_segments()[0][:, 1]) == pytest.approx(2.0)


def test_ten_tasks_have_ten_looks(drawn: list[Figure]) -> None:
    figures.over_time([[float(i) for i in range(10)]] * 2, [f"t{i}" for i in range(10)], "error", Path("a.png"))
    looks = {(line.get_color(), line.get_marker()) for line in drawn[0].axes[0].lines}  # the last is a single point
    assert len(looks) == 10


def test_images_that_are_neither_gray_nor_colour_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'two' has 2 channels"):
        figures.picture_rows([("two", np.zeros((1, 2, 4, 4)))], tmp_path / "a.png")


def test_images_keep_their_values_and_places(tmp_path: Path) -> None:
    dark, bright = np.zeros((1, 1, 4, 4)), np.ones((1, 1, 4, 4))
    figures.picture_rows(
        [("", np.concatenate([dark, bright])), ("", np.concatenate([bright, dark]))], tmp_path / "a.png"
    )
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("L"))
    height, width = pixels.shape
    right = pixels[:, int(width * 1.7 / (1.7 + 0.75 * 2)) :]
    top, bottom = right[height // 4], right[3 * height // 4]
    first, second = right.shape[1] // 4, 3 * right.shape[1] // 4
    assert (top[first], bottom[second]) == (0, 0)
    assert (top[second], bottom[first]) == (255, 255)
