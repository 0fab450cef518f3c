"""Figures are files that can be opened, the same for the same numbers, and refuse what they can't draw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
