from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from growmix.errors import BadInput
from growmix.report.figures import picture_rows
from growmix.report.pictures import grid, write_grid


def test_a_grid_holds_every_image_in_its_place() -> None:
    rows = [np.full((3, 1, 56, 60), value) for value in (0.0, 0.5)]
    rows[1][2] = 0.25
    picture = grid(rows)
    assert picture.shape == (2 * 57 + 1, 3 * 61 + 1, 1)
    assert {picture[1 + 57 * r, 1 + 61 * c, 0] for r, c in ((0, 0), (0, 2))} == {0}
    assert picture[58, 1, 0] == 128 and picture[58, 123, 0] == 64
    assert (picture[0] == 255).all() and (picture[:, 61] == 255).all()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pictures_are_gray_or_colour(tmp_path: Path, channels: int, mode: str) -> None:
    write_grid([np.zeros((2, channels, 8, 8))], tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == mode


def test_pictures_of_two_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="2 channels"):
        write_grid([np.zeros((2, 2, 8, 8))], tmp_path / "x.png")


def test_vectors_are_not_drawn(tmp_path: Path) -> None:
    vectors = np.zeros((2, 64))
    with pytest.raises(BadInput, match=r"examples have shape \(64,\); only images"):
        write_grid([vectors], tmp_path / "x.png")
    with pytest.raises(BadInput, match=r"examples have shape \(64,\); only images"):
        picture_rows([("a", vectors)], tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
