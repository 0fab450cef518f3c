"""Data sets made on the spot, in the layout of the Hugging Face Hub, and a cache folder of each test's own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

PER_CLASS = 5


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROWMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GROWMIX_DATA", raising=False)


def png(pixels: np.ndarray, mode: str) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if image.mode != mode else image).save(file, format="PNG")
    return file.getvalue()


def table_of(
    images: Sequence[bytes | None], labels: Sequence[object], image: str = "image", label: str = "label"
) -> pa.Table:
    """A table as ``datasets`` writes it, with a column that nobody asked for."""
    rows = [{"bytes": each, "path": f"{i}.png"} for i, each in enumerate(images)]
    names = [f"class-{i}" for i in range(3)]
    features = {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"extra": list(range(len(rows))), label: list(labels), image: rows})
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.fixture
def make_table() -> Callable[..., pa.Table]:
    return table_of


@pytest.fixture
def encode_png() -> Callable[[np.ndarray, str], bytes]:
    return png


@pytest.fixture(scope="session")
def write_set() -> Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Write ``root/<name>/{train,test}.parquet``; answers the pixels and labels that went in.

    A column named by ``negative`` holds the same images inverted, row by row.
    """

    def write(
        root: Path,
        name: str,
        classes: int = 10,
        mode: str = "L",
        side: int = 28,
        image: str = "image",
        label: str = "label",
        negative: str | None = None,
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        written = {}
        for seed, part in enumerate(("train", "test")):
            random = np.random.default_rng(seed)
            labels = np.repeat(np.arange(classes), PER_CLASS)  # sorted by class, as folders of images are
            shape = (len(labels), side, side, 3) if mode == "RGB" else (len(labels), side, side)
            pixels = random.integers(0, 256, shape, dtype=np.uint8)
            if mode == "1":
                pixels = (pixels > 127).astype(np.uint8) * 255
            table = table_of([png(each, mode) for each in pixels], labels.tolist(), image, label)
            if negative is not None:
                rows = [{"bytes": png(255 - each, mode), "path": None} for each in pixels]
                table = table.append_column(negative, pa.array(rows))
            path = root / name / f"{part}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
            x = pixels.transpose(0, 3, 1, 2) if mode == "RGB" else pixels[:, None]
            written[part] = (x, labels)
        return written

    return write


@pytest.fixture(scope="session")
def made_root(tmp_path_factory: pytest.TempPathFactory, write_set: Callable[..., object]) -> Path:
    """Every data set that the catalogue names, small; for reading only."""
    root = tmp_path_factory.mktemp("made")
    write_set(root, "mnist")
    write_set(root, "fashion_mnist")
    write_set(root, "emnist_letters", classes=26)
    write_set(root, "cifar10", mode="RGB", side=32, image="img")
    write_set(root, "cifar100", classes=100, mode="RGB", side=32, image="img", label="fine_label")
    write_set(root, "svhn", mode="RGB", side=32)
    for name in ("celeba", "cacd", "chairs", "imagenet"):
        write_set(root, name, classes=2, mode="RGB", side=20)
    write_set(root, "omniglot", classes=4, mode="1", side=105)
    write_set(root, "facades", classes=1, mode="RGB", side=64, negative="condition")
    return root
