"""Where a data set's images come from: scikit-learn, a folder of Parquet files, or the Hugging Face Hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from growmix.errors import DataUnavailable
from growmix.streams.cache import DecodedCache
from growmix.streams.decoding import Decoded, columns_of, decode

Part: TypeAlias = Literal["train", "test"]

DIGITS = "digits"

HUB_IDS = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
"""Data sets that the Hub has with the same classes and the same parts; a new one is a new row."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set as it was published: both parts, with its own labels from 0."""

    name: str
    train: Decoded
    test: Decoded

    @property
    def classes(self) -> int:
        """One more than the highest label of either part."""
        return 1 + int(max(self.train.y.max(), self.test.y.max()))


def find(name: str, data_root: str | os.PathLike[str] | None, cache: DecodedCache) -> DataSet:
    """Get a data set: scikit-learn's digits, else from the data root, else (when none is set) from the Hub.

    Parameters
    ----------
    name
        Such as ``mnist``.
    data_root
        Folder of ``<name>/{train,test}.parquet``; ``None`` takes the environment's ``GROWMIX_DATA``.
    cache
        Keeps what was decoded.

    Raises
    ------
    DataUnavailable
        If it can't be had; the message names where it was looked for and what to do.
    BadInput
        If it is there, but is not a table of images and labels.
    """
    if name == DIGITS:
        return read_digits()
    root, origin = (
        (data_root, "data_root") if data_root is not None else (os.environ.get("GROWMIX_DATA"), "GROWMIX_DATA")
    )
    if root:
        return read_folder(name, Path(root).expanduser(), origin, cache)
    return read_hub(name, cache)


def read_digits() -> DataSet:
    """Take scikit-learn's handwritten digits: 8x8, values 0..16 spread over 0..255.

    A fifth of each class is for testing; the cut is the same in every run, whatever its seed.
    """
    digits = load_digits()
    x = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    y = digits.target.astype(np.int64)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    return DataSet(DIGITS, Decoded(x, y), Decoded(x_test, y_test))


def read_folder(name: str, root: Path, origin: str, cache: DecodedCache) -> DataSet:
    """Read ``root/<name>/{train,test}.parquet``; ``origin`` says who named the root."""
    if not root.is_dir():
        raise DataUnavailable(f"data set {name!r}: {origin} is {str(root)!r}, which is not a folder")
    folder = root / name
    missing = [
        str(folder / f"{part}.parquet") for part in ("train", "test") if not (folder / f"{part}.parquet").is_file()
    ]
    if missing:
        held = sorted(each.parent.name for each in root.glob("*/train.parquet"))
        close = get_close_matches(name, [*held, DIGITS], n=1)
        raise DataUnavailable(
            f"data set {name!r}: no file {' and no '.join(missing)} ({origin} is {str(root)!r}"
            + (f", which has {', '.join(held)}" if held else ", which has no data sets")
            + (f"); did you mean {close[0]!r}?" if close and close[0] != name else ")")
        )
    return DataSet(
        name,
        _read_parquet(name, "train", folder / "train.parquet", cache),
        _read_parquet(name, "test", folder / "test.parquet", cache),
    )


def _read_parquet(name: str, part: Part, path: Path, cache: DecodedCache) -> Decoded:
    path = path.resolve()
    status = path.stat()

    def read() -> Decoded:
        try:
            with pq.ParquetFile(path) as file:
                table = file.read(columns=list(columns_of(file.schema_arrow.names, str(path))))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataUnavailable(f"data set {name!r}: {path} can't be read as Parquet ({reason})") from error
        return decode(table, str(path))

    return cache.fetch(f"{name}-{part}", str(path), f"{status.st_size} {status.st_mtime_ns}", read)


def read_hub(name: str, cache: DecodedCache) -> DataSet:
    """Fetch from the Hugging Face Hub with the optional package ``datasets``, which keeps the download."""
    looked = f"data set {name!r}: neither data_root nor GROWMIX_DATA is set, and"
    instead = f"set data_root (--data-root) or GROWMIX_DATA to a folder with {name}/{{train,test}}.parquet"
    hub_id = HUB_IDS.get(name)
    if hub_id is None:
        close = get_close_matches(name, [*HUB_IDS, DIGITS], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        known = ", ".join([*HUB_IDS, DIGITS])
        raise DataUnavailable(f"{looked} it is none of those known without them ({known}){hint}; {instead}")
    try:
        import datasets
    except ImportError as error:
        raise DataUnavailable(
            f"{looked} the package 'datasets', which fetches {hub_id!r} from the Hugging Face Hub, "
            f"is not installed; pip install 'growmix[hub]', or {instead}"
        ) from error
    try:
        found = datasets.load_dataset(hub_id)
        parts = {part: found[part] for part in ("train", "test")}
    except Exception as error:  # the Hub's client raises its own, requests', fsspec's and the system's errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataUnavailable(f"{looked} the Hugging Face Hub did not give {hub_id!r} ({reason}); {instead}") from error

    def part_of(part: Part) -> Decoded:
        place = f"{hub_id} ({part}) of the Hugging Face Hub"
        return cache.fetch(
            f"{name}-{part}",
            f"hub {hub_id} {part}",
            # The fingerprint changes with the content; its name is private, but every version has had it.
            f"{len(parts[part])} {getattr(parts[part], '_fingerprint', '')}",
            lambda: decode(parts[part].with_format("arrow")[:], place),
        )

    return DataSet(name, part_of("train"), part_of("test"))
