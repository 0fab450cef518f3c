"""Writes sheets of images as PNG files, pixel by pixel; a room for images, so it knows their four axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from growmix.errors import BadInput
from growmix.system.paths import writing_to

GAP = 1
"""White pixels between images, before enlargement."""

SMALLEST = 56
"""Least width of an image in pixels; smaller ones are enlarged whole times, so that 8x8 digits can be seen."""


def grid(rows: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Arrange rows of images in one picture.

    Parameters
    ----------
    rows
        Images in [0, 1], each row of shape ``(n, channels, height, width)`` with 1 or 3 channels.

    Returns
    -------
    array
        The picture as bytes, ``uint8`` of shape ``(height, width, channels)``.

    Examples
    --------
    >>> grid([np.zeros((4, 1, 28, 28))] * 2).shape
    (118, 234, 1)
    """
    images = np.stack(rows)
    height, width = images.shape[-2:]
    framed = np.pad(images, [(0, 0)] * 3 + [(GAP, 0), (GAP, 0)], constant_values=1.0)
    across, down = images.shape[1], images.shape[0]
    tiled = framed.transpose(0, 3, 1, 4, 2).reshape(down * (height + GAP), across * (width + GAP), -1)
    closed = np.pad(tiled, [(0, GAP), (0, GAP), (0, 0)], constant_values=1.0)
    zoom = -(-SMALLEST // width)
    picture: np.ndarray[Any, Any] = np.rint(closed * 255).astype(np.uint8).repeat(zoom, 0).repeat(zoom, 1)
    return picture


def write_grid(rows: Sequence[np.ndarray[Any, Any]], file: Path) -> None:
    """Write rows of images as a PNG.

    Parameters
    ----------
    rows
        Images in [0, 1], each row of shape ``(n, channels, height, width)``.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The rows are no images, or have neither 1 nor 3 channels, or the file can't be written.
    """
    require_images(rows)
    picture = grid(rows)
    channels = picture.shape[2]
    if channels not in (1, 3):
        raise BadInput(f"images have {channels} channels; a PNG shows 1 (gray) or 3 (colour)")
    with writing_to(file):
        Image.fromarray(picture[:, :, 0] if channels == 1 else picture).save(file, format="PNG")


def require_images(rows: Sequence[np.ndarray[Any, Any]]) -> None:
    """Refuse to draw what are no images, such as vectors.

    Raises
    ------
    BadInput
        A row has other axes than those of images.
    """
    for images in rows:
        if images.ndim != 4:
            raise BadInput(
                f"examples have shape {images.shape[1:]}; only images, (channels, height, width), can be drawn"
            )
