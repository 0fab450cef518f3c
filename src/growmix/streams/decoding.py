"""Encoded images of an Arrow table, in the layout of Hugging Face ``datasets``, to bytes in memory."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from growmix.data import UNLABELLED
from growmix.errors import BadInput

Bytes: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")
"""Names by which the Hub's data sets call these columns, the first that is there."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images ``(n, channels, height, width)`` as bytes, and labels ``(n,)``, -1 where unlabelled."""

    x: Bytes
    y: Labels


def columns_of(names: list[str], place: str, image: str | None = None) -> tuple[str, str]:
    """Which columns of a table hold images and labels.

    Parameters
    ----------
    names
        Of all columns.
    place
        Where they come from, for messages.
    image
        The column of images that is asked for; ``None`` takes the first of the usual names.

    Raises
    ------
    BadInput
        If either is missing.

    Examples
    --------
    >>> columns_of(["label", "img"], "here")
    ('img', 'label')
    >>> columns_of(["label", "image", "condition"], "here", "condition")
    ('condition', 'label')
    """
    found = []
    for wanted in (IMAGE_COLUMNS if image is None else (image,), LABEL_COLUMNS):
        column = next((name for name in wanted if name in names), None)
        if column is None:
            raise BadInput(f"{place} has the columns {', '.join(names)}; {' or '.join(map(repr, wanted))} is needed")
        found.append(column)
    return found[0], found[1]


def decode(table: Any, place: str, image: str | None = None) -> Decoded:
    """Decode all images of one column of an Arrow table.

    Parameters
    ----------
    table
        A ``pyarrow.Table`` with a column of structs ``{bytes, path}`` and one of integer labels.
    place
        Where it comes from, for messages.
    image
        Name of the column of images; ``None`` takes the first of the usual names.

    Returns
    -------
    Decoded
        Gray images have one channel, colour ones three; where both occur, gray is repeated over three.

    Raises
    ------
    BadInput
        A column is missing or of another type; there is no row; an image can't be read, is of a mode that
        would lose something (transparency, 16 bits), or differs in size from the others.
    """
    image_column, label_column = columns_of(table.column_names, place, image)
    if table.num_rows == 0:
        raise BadInput(f"{place} has no rows; at least one is needed")
    encoded = _encoded(table[image_column], place, image_column)
    images = [_image(each, place, row) for row, each in enumerate(encoded)]
    sizes = {image.shape[:2] for image in images}
    if len(sizes) > 1:
        some = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:4])
        raise BadInput(f"{place} has images of {len(sizes)} sizes ({some}); all images of a data set must be alike")
    if len({image.ndim for image in images}) > 1:
        images = [image if image.ndim == 3 else np.stack([image] * 3, axis=-1) for image in images]
    x = np.stack(images)
    x = x[:, None] if x.ndim == 3 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return Decoded(x, _labels(table[label_column], place, label_column))


def _encoded(column: Any, place: str, name: str) -> list[bytes | None]:
    kind = column.type
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise BadInput(f"{place}: column {name!r} is of type {kind}; a struct of encoded 'bytes' and 'path' is needed")
    encoded: list[bytes | None] = pc.struct_field(column, "bytes").to_pylist()
    return encoded


def _image(encoded: bytes | None, place: str, row: int) -> Bytes:
    if encoded is None:
        raise BadInput(f"{place}: row {row} holds no image; the encoded image must be in the file itself")
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
            if image.mode in ("L", "RGB") and "transparency" not in image.info:
                return np.asarray(image)
            if image.mode == "1":
                return np.asarray(image.convert("L"))
            if image.mode == "P" and "transparency" not in image.info:
                return np.asarray(image.convert("RGB"))
            mode = image.mode
    # Pillow answers a broken PNG with SyntaxError.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{place}: row {row} is not a readable image ({error})") from error
    raise BadInput(
        f"{place}: row {row} is an image of mode {mode!r} or with transparency; "
        "allowed are opaque images of 8 bits a channel, gray or RGB"
    )


def _labels(column: Any, place: str, name: str) -> Labels:
    if not pa.types.is_integer(column.type) or column.null_count:
        what = f"{column.null_count} empty rows" if column.null_count else f"the type {column.type}"
        raise BadInput(f"{place}: column {name!r} has {what}; labels are integers, with -1 for unlabelled")
    labels: Labels = column.to_numpy().astype(np.int64)
    if int(labels.min()) < UNLABELLED:
        raise BadInput(
            f"{place}: column {name!r} has the label {labels.min()}; labels are 0 or above, or -1 for unlabelled"
        )
    return labels
