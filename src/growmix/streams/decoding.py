"""Decode the images of an Arrow table, in the layout of Hugging Face ``datasets``, to bytes in memory.

The adversary is a stranger's file. Whatever its images hold, reading them ends in images or in one line that names the
row; and no image is decoded before the headers of all were read, so that a few kilobytes can't fill the memory.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageFile, UnidentifiedImageError

from growmix.data.domain import Shape
from growmix.data.task import MOST_PIXELS, UNLABELLED
from growmix.errors import BadInput, shortened
from growmix.system.memory import require_room

Bytes: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")
"""Names by which the Hub's data sets call these columns, the first that is there."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")
"""Formats, as Pillow calls them, whose header says how large the decoded image is.

In others it may not: an icon file holds pictures with headers of their own. And one, EPS, would start a program.
"""

_GRAY = ("L", "1")
_COLOUR = ("RGB", "P")
"""Pillow's modes that lose nothing as bytes in one channel, and in three."""

_ALLOWED_LABELS = "labels are whole numbers from 0 on, or -1 for unlabelled"


@dataclass(frozen=True, eq=False)
class Decoded:
    """Decoded images and their labels.

    Attributes
    ----------
    x
        Images as bytes, shape ``(n, channels, height, width)``.
    y
        Labels, shape ``(n,)``, -1 where an image has none.
    """

    x: Bytes
    y: Labels


def columns_of(names: list[str], place: str, image: str | None = None) -> tuple[str, str]:
    """Tell which columns of a table hold the images and the labels.

    Parameters
    ----------
    names
        Names of all columns of the table.
    place
        Where the table comes from, for messages.
    image
        Name of the column of images; ``None`` takes the first of the usual names.

    Raises
    ------
    BadInput
        One of the two columns is missing, or there twice.

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
            held = shortened(", ".join(names), 300)
            raise BadInput(f"{place} has the columns {held}; {' or '.join(map(repr, wanted))} is needed")
        if names.count(column) > 1:
            raise BadInput(f"{place} has {names.count(column)} columns {column!r}; one is needed")
        found.append(column)
    return found[0], found[1]


def decode(table: Any, place: str, image: str | None = None) -> Decoded:
    """Decode all images of one column of an Arrow table.

    Parameters
    ----------
    table
        A ``pyarrow.Table`` with a column of structs ``{bytes, path}`` and one of labels, which are whole numbers.
    place
        Where the table comes from, for messages.
    image
        Name of the column of images; ``None`` takes the first of the usual names.

    Returns
    -------
    Decoded
        Gray images have one channel, colour ones three; where both occur, gray is repeated over three.

    Raises
    ------
    BadInput
        A column is missing, there twice or of another type; there is no row; a label or an image is missing; an image
        can't be read, would lose something (frames, transparency, 16 bits), has too many pixels, or differs in size
        from the others; or there is too little memory for all.
    """
    image_column, label_column = columns_of(table.column_names, place, image)
    if table.num_rows == 0:
        raise BadInput(f"{place} has no rows; at least one is needed")
    labels = _labels(table[label_column], f"{place}: column {label_column!r}")
    place = f"{place}: column {image_column!r}"
    encoded = _encoded(table[image_column], place)
    with warnings.catch_warnings():
        # Pillow warns of a size that is above our limit; either way the row is refused in our own words
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        shape = _shape_of_all(encoded, place)
        require_room(table.num_rows * math.prod(shape), f"{place}: {table.num_rows} images of shape {shape}")
        return Decoded(_pixels_of_all(encoded, (table.num_rows, *shape), place), labels)


def _labels(column: Any, place: str) -> Labels:
    if not pa.types.is_integer(column.type):
        raise BadInput(f"{place} has the type {shortened(str(column.type))}; {_ALLOWED_LABELS}")
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise BadInput(f"{place}, row {row} is empty ({column.null_count} such rows); {_ALLOWED_LABELS}")
    labels = column.to_numpy()
    wrong = np.flatnonzero((labels < UNLABELLED) | (labels > np.iinfo(np.int64).max))  # uint64 has larger numbers
    if len(wrong):
        raise BadInput(f"{place}, row {wrong[0]} has the label {labels[wrong[0]]}; {_ALLOWED_LABELS}")
    return np.asarray(labels, dtype=np.int64)


def _encoded(column: Any, place: str) -> Any:
    kind = column.type
    index = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
    if index < 0 or not (
        pa.types.is_binary(kind.field(index).type) or pa.types.is_large_binary(kind.field(index).type)
    ):
        raise BadInput(
            f"{place} is of type {shortened(str(kind))}; a struct of encoded 'bytes' (binary) and 'path' is needed"
        )
    return pc.struct_field(column, "bytes")


def _shape_of_all(encoded: Any, place: str) -> Shape:
    """Read channels, height and width of all images from their headers; nothing is decoded."""
    shapes: set[tuple[int, int, int]] = set()
    for row, each in enumerate(encoded):
        with _opened(each, place, row) as image:
            shape = (1 if image.mode in _GRAY else 3, image.height, image.width)
        if math.prod(shape) > MOST_PIXELS:
            size = f"{image.height:,} x {image.width:,}"
            raise BadInput(f"{place}, row {row} is an image of {size} pixels; {_allowed_size()}")
        shapes.add(shape)
    sizes = sorted({shape[1:] for shape in shapes})
    if len(sizes) > 1:
        some = ", ".join(f"{height}x{width}" for height, width in sizes[:4])
        raise BadInput(f"{place} has images of {len(sizes)} sizes ({some}); all images of a data set must be alike")
    return max(shapes)


def _allowed_size() -> str:
    return f"allowed are up to {MOST_PIXELS:,}, times the channels"


def _pixels_of_all(encoded: Any, shape: tuple[int, ...], place: str) -> Bytes:
    """Decode images whose headers say that they make an array of this shape."""
    x = np.empty(shape, np.uint8)
    for row, each in enumerate(encoded):
        pixels = _pixels(each, place, row)
        if pixels.shape[0] > shape[1] or pixels.shape[1:] != shape[2:]:
            raise BadInput(f"{place}, row {row} is an image of another size or mode than its header says")
        x[row] = pixels
    return x


def _pixels(encoded: Any, place: str, row: int) -> Bytes:
    """Decode one image to bytes of shape ``(1 or 3, height, width)``."""
    with _opened(encoded, place, row) as image:
        frames = getattr(image, "n_frames", 1)
        # Pillow's mode is RGB for 16 bits a channel too; how the file is read tells them apart.
        deep = any(";16" in str(tile.args) for tile in image.tile)
        image.load()
        mode = image.mode
        if frames == 1 and not deep and mode in (*_GRAY, *_COLOUR) and "transparency" not in image.info:
            pixels = np.asarray(image.convert("L" if mode in _GRAY else "RGB"))
            return pixels[None] if mode in _GRAY else pixels.transpose(2, 0, 1)
    if frames > 1:
        raise BadInput(f"{place}, row {row} is an image of {frames} frames or pages; allowed is one")
    depth = " in 16 bits" if deep else ""
    raise BadInput(
        f"{place}, row {row} is an image of mode {mode!r}{depth} or with transparency; "
        "allowed are opaque images of 8 bits a channel, gray or RGB"
    )


@contextmanager
def _opened(encoded: Any, place: str, row: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image, of which only the header is read; whatever goes wrong within is put down to its row."""
    content = encoded.as_py()
    if content is None:
        raise BadInput(f"{place}, row {row} holds no image; the encoded image must be in the file itself")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise BadInput(f"{place}, row {row} is an image of too many pixels ({error}); {_allowed_size()}") from error
    except UnidentifiedImageError as error:  # its own text says where in memory the bytes are
        known = ", ".join(FORMATS)
        raise BadInput(f"{place}, row {row} is not a readable image (of no format that is known: {known})") from error
    except Exception as error:  # of any kind: each of Pillow's formats answers damage with an error of its own
        raise BadInput(f"{place}, row {row} is not a readable image ({shortened(str(error))})") from error
