"""No image is decoded before the headers of all were read: a few kilobytes must not fill the memory."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFile

from growmix.data.task import MOST_PIXELS
from growmix.errors import BadInput
from growmix.streams.decoding import decode

Table = Callable[..., pa.Table]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claiming(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG of about 70 bytes whose header claims any size; there are no pixels in it."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.fixture
def never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


def refused(table: pa.Table) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BadInput) as caught:
            decode(table, "here")
    return str(caught.value)


@pytest.mark.usefixtures("never_decoded")
@pytest.mark.parametrize(
    ("width", "height", "bits", "colour"),
    [
        (2**13 + 1, 2**13, 8, 0),  # just above our limit
        (4_096, 8_192, 8, 2),  # below it but for its three channels
        (10_000, 9_000, 1, 0),  # where Pillow warns
        (12_000, 12_000, 1, 0),
        (50_000, 50_000, 8, 0),  # where Pillow refuses
        (2**31 - 1, 2**31 - 1, 8, 0),
    ],
)
def test_an_image_that_claims_too_many_pixels_is_refused_by_its_header(
    make_table: Table, width: int, height: int, bits: int, colour: int
) -> None:
    said = refused(make_table([claiming(width, height, bits, colour)], [0]))
    assert "column 'image', row 0 is an image of " in said and "pixels" in said
    assert f"allowed are up to {MOST_PIXELS:,}" in said and "\n" not in said


@pytest.mark.usefixtures("never_decoded")
def test_the_headers_of_all_are_read_before_the_first_is_decoded(
    make_table: Table, encode_png: Callable[..., bytes]
) -> None:
    small = encode_png(np.zeros((4, 4), np.uint8), "L")
    said = refused(make_table([small, small, claiming(9_000, 8_000)], [0, 0, 0]))
    assert "row 2 is an image of 8,000 x 9,000 pixels" in said


@pytest.mark.usefixtures("never_decoded")
@pytest.mark.parametrize("kind", ["ICO", "EPS", "TGA"])
def test_formats_whose_header_does_not_bind_what_is_decoded_are_not_read(make_table: Table, kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, format=kind)
    assert "not a readable image (of no format that is known: PNG, JPEG" in refused(make_table([file.getvalue()], [0]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_every_format_that_is_named_can_be_read(make_table: Table, kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 24), (200, 200, 200)).save(file, format=kind)
    found = decode(make_table([file.getvalue()] * 2, [0, 1]), "here")
    assert found.x.shape == (2, 3, 24, 16) and abs(float(found.x.mean()) - 200) < 3


def test_an_image_of_the_largest_size_is_not_refused_for_it(make_table: Table) -> None:
    said = refused(make_table([claiming(2**13, 2**13)], [0]))
    assert "not a readable image" in said  # its header is fine, its pixels are missing
