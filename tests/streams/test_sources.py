from __future__ import annotations

import io
import struct
import sys
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from growmix.errors import BadInput, DataUnavailable
from growmix.streams import load
from growmix.streams.sources import HUB_IDS
from growmix.system import memory

Write = Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]


class HubSet:
    """As much of ``datasets.Dataset`` as is used."""

    def __init__(self, table: pa.Table, fingerprint: str) -> None:
        self.table = table
        self._fingerprint = fingerprint

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def with_format(self, kind: str) -> HubSet:
        assert kind == "arrow"
        return self

    def __getitem__(self, rows: slice) -> pa.Table:
        assert rows == slice(None)
        return self.table


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, made_root: Path) -> dict[str, Any]:
    """A package ``datasets`` whose Hub holds the made data sets under their Hub names."""
    state: dict[str, Any] = {"asked": [], "fingerprint": "one"}

    def load_dataset(*asked: str) -> dict[str, HubSet]:
        state["asked"].append(asked)
        name = next(name for name, known in HUB_IDS.items() if known == asked)
        return {
            part: HubSet(pq.read_table(made_root / name / f"{part}.parquet"), state["fingerprint"])
            for part in ("train", "test")
        }

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return state


@pytest.mark.parametrize(
    ("stream", "asked"),
    [
        ("split-mnist", [("ylecun/mnist",)]),
        ("split-cifar", [("uoft-cs/cifar10",), ("uoft-cs/cifar100",)]),
        ("msc", [("ylecun/mnist",), ("ufldl-stanford/svhn", "cropped_digits"), ("uoft-cs/cifar10",)]),
    ],
)
def test_the_hub_gives_what_the_folder_gives(
    stream: str, asked: list[tuple[str, ...]], hub: dict[str, Any], made_root: Path
) -> None:
    fetched = load(stream)
    assert hub["asked"] == asked
    for ours, theirs in zip(load(stream, data_root=made_root), fetched, strict=True):
        assert torch.equal(ours.train.x, theirs.train.x)
        assert torch.equal(ours.test.x, theirs.test.x)
        assert ours.classes == theirs.classes


def test_the_argument_goes_before_the_environment_and_both_before_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_set: Write, hub: dict[str, Any]
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    write_set(small, "mnist", side=8)
    write_set(large, "mnist", side=16)
    monkeypatch.setenv("GROWMIX_DATA", str(small))
    assert load("split-mnist").shape == (1, 8, 8)
    assert load("split-mnist", data_root=large).shape == (1, 16, 16)
    assert hub["asked"] == []
    monkeypatch.setenv("GROWMIX_DATA", "")
    assert load("split-mnist").shape == (1, 28, 28)


def test_digits_need_neither_folder_nor_hub(tmp_path: Path) -> None:
    assert len(load("split-digits", data_root=tmp_path / "nowhere")) == 5


def unavailable(**call: Any) -> str:
    with pytest.raises(DataUnavailable) as caught:
        load(**call)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_root_without_the_set_is_named_with_what_it_has(tmp_path: Path, write_set: Write) -> None:
    write_set(tmp_path, "mnist", classes=2)
    said = unavailable(name="domains", tasks="mnits", data_root=tmp_path)
    assert str(tmp_path / "mnits" / "train.parquet") in said
    assert "; did you mean 'mnist'? (data_root is" in said
    assert "which has mnist)" in said
    (tmp_path / "mnist" / "test.parquet").unlink()
    said = unavailable(name="split-mnist", data_root=tmp_path)
    assert str(tmp_path / "mnist" / "test.parquet") in said
    assert "train.parquet" not in said


def test_all_missing_sets_are_named_at_once_before_anything_is_decoded(tmp_path: Path, write_set: Write) -> None:
    root = tmp_path / "data"
    write_set(root, "fashion_mnist")
    write_set(root, "mnist_m", mode="RGB", side=32)
    write_set(root, "mnist")
    (root / "mnist" / "train.parquet").write_text("version https://git-lfs.github.com/spec/v1")
    said = unavailable(name="msfirc", data_root=root)
    for path in ("svhn/train", "svhn/test", "cifar10/train", "cifar10/test"):
        assert f"{root / path}.parquet" in said
    assert f"{root / 'mnist' / 'train'}.parquet can't be read as Parquet" in said
    assert "fashion_mnist':" not in said
    assert "which has fashion_mnist, mnist, mnist_m)" in said
    assert not (tmp_path / "cache").exists()


def test_what_is_said_to_replace_a_missing_set_does_it(tmp_path: Path, write_set: Write) -> None:
    for name in ("mnist", "mnist_m", "cifar10"):
        write_set(tmp_path, name)
    said = unavailable(name="msc", data_root=tmp_path)
    assert said.endswith("--replace svhn=mnist_m")
    assert load("msc", data_root=tmp_path, replace=[said.split()[-1]]).notes == ("svhn replaced by mnist_m",)
    (tmp_path / "mnist_m" / "train.parquet").unlink()
    said = unavailable(name="msc", data_root=tmp_path)
    assert load("msc", data_root=tmp_path, replace=[said.split()[-1]]).shape == (3, 32, 32)


def test_a_missing_replacement_is_the_one_that_is_named(tmp_path: Path, write_set: Write) -> None:
    write_set(tmp_path, "cifar10")
    said = unavailable(name="split-mnist", data_root=tmp_path, replace={"mnist": "kmnist"})
    assert said.startswith("data set 'kmnist': no file")


def test_all_that_the_hub_does_not_have_is_named_and_nothing_fetched(hub: dict[str, Any]) -> None:
    said = unavailable(name="cccos")
    for name in ("celeba", "cacd", "chairs", "omniglot", "imagenet"):
        assert f"'{name}' is none of those known without them" in said
        assert f"{name}/{{train,test}}.parquet" in said
    assert unavailable(name="domains", tasks="mnist,celeba").startswith("data set 'celeba': neither data_root nor")
    assert hub["asked"] == []


def test_all_that_the_hub_refuses_is_named_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: dict[str, Any]
) -> None:
    load_dataset = sys.modules["datasets"].load_dataset

    def refuse(*asked: str) -> dict[str, HubSet]:
        if asked == HUB_IDS["cifar10"]:
            found: dict[str, HubSet] = load_dataset(*asked)
            return found
        raise ConnectionError("no route to host")

    monkeypatch.setattr(sys.modules["datasets"], "load_dataset", refuse)
    said = unavailable(name="cms")
    assert said.startswith("data sets 'mnist', 'svhn': neither data_root nor GROWMIX_DATA is set")
    assert said.count("no route to host") == 2
    assert not (tmp_path / "cache").exists()


def test_a_root_that_is_no_folder_is_named_with_who_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "data_root is" in unavailable(name="split-mnist", data_root=tmp_path / "nowhere")
    monkeypatch.setenv("GROWMIX_DATA", str(tmp_path / "elsewhere"))
    said = unavailable(name="split-mnist")
    assert "GROWMIX_DATA is" in said
    assert str(tmp_path / "elsewhere") in said


def test_without_folder_and_package_the_message_says_how_to_get_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    said = unavailable(name="split-mnist")
    for part in ("ylecun/mnist", "pip install 'growmix[hub]'", "--data-root", "GROWMIX_DATA", "mnist/{train,test}"):
        assert part in said


def test_a_hub_that_does_not_answer_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(hub_id: str) -> None:
        raise ConnectionError("no route to host\nand much more")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    said = unavailable(name="split-mnist")
    assert "ylecun/mnist" in said
    assert "no route to host" in said


def test_a_set_unknown_to_the_hub_table_asks_for_a_folder(hub: dict[str, Any]) -> None:
    said = unavailable(name="domains", tasks="fashion_mnits")
    assert "did you mean 'fashion_mnist'?" in said
    assert "--data-root" in said
    assert hub["asked"] == []


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path, write_set: Write) -> None:
    write_set(tmp_path, "mnist", classes=2)
    (tmp_path / "mnist" / "train.parquet").write_text("version https://git-lfs.github.com/spec/v1")
    assert str(tmp_path / "mnist" / "train.parquet") in unavailable(name="split-mnist", data_root=tmp_path)


def gray(value: int, height: int = 4, width: int = 4) -> np.ndarray:
    return np.full((height, width), value, dtype=np.uint8)


@pytest.fixture
def broken(tmp_path: Path, write_set: Write) -> Callable[[pa.Table], str]:
    """Put a table in the place of a training part; answers what is said about it."""

    def say(table: pa.Table) -> str:
        write_set(tmp_path, "mnist", classes=2)
        pq.write_table(table, tmp_path / "mnist" / "train.parquet")
        with pytest.raises(BadInput) as caught:
            load("domains", tasks="mnist", data_root=tmp_path)
        assert str(tmp_path / "mnist" / "train.parquet") in str(caught.value)
        return str(caught.value)

    return say


def test_tables_that_are_not_images_and_labels_are_refused(
    broken: Callable[[pa.Table], str], make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes]
) -> None:
    good = encode_png(gray(1), "L")
    assert "has the columns extra, label, photo; 'image' or 'img' is needed" in broken(
        make_table([good], [0], image="photo")
    )
    assert "'label' or 'fine_label' is needed" in broken(make_table([good], [0], label="target"))
    assert "has no rows" in broken(make_table([good], [0]).slice(0, 0))
    assert "of type int64" in broken(pa.table({"image": [1], "label": [0]}))
    assert "column 'label' has the type double" in broken(make_table([good], [0.5]))
    assert "column 'label', row 1 is empty (2 such rows)" in broken(make_table([good] * 3, [0, None, None]))
    assert "column 'label', row 1 has the label -2" in broken(make_table([good] * 2, [0, -2]))


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.list_(pa.int64()), pa.struct([("x", pa.binary())])])
def test_a_column_of_something_else_than_encoded_images_is_refused(
    broken: Callable[[pa.Table], str], kind: pa.DataType
) -> None:
    images = pa.array([{"bytes": None, "path": "0.png"}], pa.struct([("bytes", kind), ("path", pa.string())]))
    said = broken(pa.table({"image": images, "label": [0]}))
    assert "column 'image' is of type struct<bytes: " in said and "(binary) and 'path' is needed" in said


@pytest.mark.parametrize("name", ["image", "label"])
def test_a_column_that_is_there_twice_is_refused(
    broken: Callable[[pa.Table], str], make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes], name: str
) -> None:
    table = make_table([encode_png(gray(1), "L")], [0])
    assert f"has 2 columns '{name}'; one is needed" in broken(table.append_column(name, table[name]))


@pytest.mark.parametrize("label", [2**63, 2**64 - 1])
def test_a_label_beyond_64_bits_does_not_become_one_below_zero(
    broken: Callable[[pa.Table], str], make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes], label: int
) -> None:
    table = make_table([encode_png(gray(1), "L")] * 2, [0, 1])
    column = table.column_names.index("label")
    said = broken(table.set_column(column, "label", pa.array([0, label], pa.uint64())))
    assert f"column 'label', row 1 has the label {label}" in said


def test_a_label_that_is_an_id_is_refused_before_a_name_is_made_for_each_below(
    tmp_path: Path, write_set: Write, make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes]
) -> None:
    write_set(tmp_path, "mnist", classes=2)
    pq.write_table(make_table([encode_png(gray(1), "L")], [10**12]), tmp_path / "mnist" / "train.parquet")
    with pytest.raises(BadInput, match="'mnist' has the label 1000000000000; its classes must be numbered from 0"):
        load("domains", tasks="mnist", data_root=tmp_path)


def test_images_that_would_lose_something_are_refused(
    broken: Callable[[pa.Table], str], make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes]
) -> None:
    good = encode_png(gray(1), "L")
    assert "column 'image', row 1 is not a readable image" in broken(make_table([good, good[:40]], [0, 1]))
    assert "row 0 is not a readable image" in broken(make_table([b"hello"], [0]))
    assert "row 1 holds no image" in broken(make_table([good, None], [0, 1]))
    assert "sizes (4x4, 5x4)" in broken(make_table([good, encode_png(gray(1, 5), "L")], [0, 1]))
    assert "mode 'RGBA'" in broken(make_table([encode_png(gray(1), "RGBA")], [0]))
    assert "mode 'I;16'" in broken(make_table([encode_png(gray(1).astype(np.uint16), "I;16")], [0]))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_an_image_of_several_frames_is_not_its_first(
    broken: Callable[[pa.Table], str], make_table: Callable[..., pa.Table], kind: str
) -> None:
    file = io.BytesIO()
    first, *others = (Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (0, 100, 200))
    first.save(file, format=kind, save_all=True, append_images=others)
    assert "row 0 is an image of 3 frames or pages; allowed is one" in broken(make_table([file.getvalue()], [0]))


def test_colours_of_16_bits_are_not_taken_for_8(
    broken: Callable[[pa.Table], str], make_table: Callable[..., pa.Table]
) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)  # width, height, bits, RGB
    pixels = zlib.compress(4 * (b"\0" + bytes(range(24))))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    assert Image.open(io.BytesIO(png)).mode == "RGB"
    assert "row 0 is an image of mode 'RGB' in 16 bits" in broken(make_table([png], [0]))


def test_what_is_no_image_is_told_without_an_address(
    broken: Callable[[pa.Table], str], make_table: Callable[..., pa.Table]
) -> None:
    said = broken(make_table([b"hello"], [0]))
    assert said.endswith(
        "row 0 is not a readable image (of no format that is known: PNG, JPEG, WEBP, GIF, BMP, TIFF, PPM, JPEG2000)"
    )


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError, KeyError, MemoryError])
def test_whatever_a_format_says_of_damage_names_the_row(
    broken: Callable[[pa.Table], str],
    make_table: Callable[..., pa.Table],
    encode_png: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    def damaged(self: Image.Image) -> None:
        raise error("broken\nfor ever " + "and ever " * 100)

    table = make_table([encode_png(gray(1), "L")], [0])
    monkeypatch.setattr(PngImageFile, "load", damaged)
    said = broken(table)
    assert "column 'image', row 0 is not a readable image (" in said
    assert "\n" not in said and len(said) < 400


def test_images_are_not_decoded_where_there_is_no_room_for_all(
    broken: Callable[[pa.Table], str],
    make_table: Callable[..., pa.Table],
    encode_png: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 20 * 2**20)
    table = make_table([encode_png(gray(1, 3_000, 3_000), "L")] * 12, [0] * 12)  # 100 KB on the disk
    assert "column 'image': 12 images of shape (1, 3000, 3000) needs about 103.0 MiB of memory" in broken(table)


def test_gray_among_colour_is_repeated_and_palettes_are_looked_up(
    tmp_path: Path, make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes]
) -> None:
    (tmp_path / "mixed").mkdir()
    colour = np.random.default_rng(0).integers(0, 2, (4, 4, 3), dtype=np.uint8) * 255
    images = [encode_png(gray(9), "L"), encode_png(colour, "RGB"), encode_png(colour, "P"), encode_png(gray(0), "1")]
    for part in ("train", "test"):
        pq.write_table(make_table(images, [0, 1, 1, 0]), tmp_path / "mixed" / f"{part}.parquet")
    x = load("domains", tasks="mixed", data_root=tmp_path)[0].test.x
    assert x.shape == (4, 3, 4, 4)
    assert torch.equal(x[0], torch.full((3, 4, 4), 9, dtype=torch.uint8))
    assert np.array_equal(x[1].permute(1, 2, 0).numpy(), colour)
    assert torch.equal(x[1], x[2])
