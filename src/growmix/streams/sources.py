"""Find data sets and read their images: from scikit-learn, a folder of Parquet files, or the Hugging Face Hub."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from growmix.errors import BadInput, DataUnavailable, did_you_mean
from growmix.streams.cache import DecodedCache
from growmix.streams.decoding import Decoded, columns_of, decode
from growmix.streams.known import DIGITS, HUB_IDS, PARTS, Part, data_folder
from growmix.system.memory import require_room

UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""Exceptions that reading a damaged Parquet file raises; a name in it that is no UTF-8 is a ValueError."""

BYTES_OF_ROW = 32
"""Bytes of memory that any row takes, however well a file packs them."""

STAND_INS = {"svhn": "mnist_m"}
"""For a data set that is hard to come by, the one that is nearest in kind."""


@final
@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set as it was published: both parts, with labels of its own from 0."""

    name: str
    train: Decoded
    test: Decoded

    @property
    def classes(self) -> int:
        """Number of classes: one more than the highest label of either part."""
        return 1 + int(max(self.train.y.max(), self.test.y.max()))


@final
@dataclass(frozen=True, eq=False)
class Source:
    """A data set that was found, of which nothing is decoded yet.

    Attributes
    ----------
    name
        Name of the data set.
    part
        Function that decodes one part: the images of a column (``None`` for the usual one) and the labels.
    """

    name: str
    part: Callable[[Part, str | None], Decoded]

    def read(self, column: str | None = None) -> DataSet:
        """Read both parts, with the images of one column.

        Raises
        ------
        BadInput
            The file is not a table of images and labels, or has no such column.
        DataUnavailable
            A file turns out to be broken.
        """
        train, test = (self.part(part, column) for part in PARTS)
        return DataSet(self.name, train, test)


def locate(names: Sequence[str], data_root: str | os.PathLike[str] | None, cache: DecodedCache) -> dict[str, Source]:
    """Find data sets: scikit-learn's digits, others in the data root, or (when none is set) on the Hub.

    Nothing is decoded, so that it costs little to learn that something is missing; the Hub downloads.

    Parameters
    ----------
    names
        Names of data sets such as ``mnist``, each once.
    data_root
        Folder of ``<name>/{train,test}.parquet``; ``None`` takes the environment's ``GROWMIX_DATA``.
    cache
        Folder that keeps what is decoded later.

    Raises
    ------
    DataUnavailable
        Some data sets can't be had; the message names them all, where each was looked for, and what to do.
    """
    root = data_folder(data_root)
    wanted = [name for name in names if name != DIGITS]
    if not wanted:
        found = {}
    elif root is None:
        found = find_on_hub(wanted, cache)
    else:
        found = find_in_folder(wanted, root, "GROWMIX_DATA" if data_root is None else "data_root", cache)
    return {name: found[name] if name in found else Source(DIGITS, _digits_part) for name in names}


@functools.cache
def read_digits() -> DataSet:
    """Read scikit-learn's handwritten digits: 8x8 pixels, values 0..16 spread over 0..255.

    A fifth of each class is for testing; the cut is the same in every run, whatever its seed.
    """
    digits = load_digits()
    x = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    y = digits.target.astype(np.int64)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    return DataSet(DIGITS, Decoded(x, y), Decoded(x_test, y_test))


def find_in_folder(names: Sequence[str], root: Path, origin: str, cache: DecodedCache) -> dict[str, Source]:
    """Find ``root/<name>/{train,test}.parquet`` of each; ``origin`` says who named the root.

    Raises
    ------
    DataUnavailable
        Files are missing, or are no Parquet files.
    """
    if not root.is_dir():
        raise DataUnavailable(f"{_called(names)}: {origin} is {str(root)!r}, which is not a folder")
    held = sorted(each.parent.name for each in root.glob("*/train.parquet"))
    reasons = {name: reason for name in names if (reason := _why_not_in(root, name, held)) is not None}
    if reasons:
        said = "; ".join(f"{_called([name])}: {reason}" for name, reason in reasons.items())
        has = ", ".join(held) or "no data sets"
        raise DataUnavailable(f"{said} ({origin} is {str(root)!r}, which has {has}){_instead(reasons, held, names)}")
    return {name: _in_folder(name, root / name, cache) for name in names}


def find_on_hub(names: Sequence[str], cache: DecodedCache) -> dict[str, Source]:
    """Fetch from the Hugging Face Hub with the optional package ``datasets``, which keeps the downloads.

    Raises
    ------
    DataUnavailable
        A name is not known there (then nothing is fetched), the package is missing, or the Hub does not answer.
    """
    client = _hub_client()
    fetched: dict[str, Source] = {}
    reasons = {name: reason for name in names if (reason := _why_not_on_hub(name, client)) is not None}
    for name in () if reasons else names:
        try:
            found = client.load_dataset(*HUB_IDS[name])
            fetched[name] = _on_hub(name, {part: found[part] for part in PARTS}, cache)
        except Exception as error:  # the Hub's client raises its own, requests', fsspec's and the system's errors
            reasons[name] = f"the Hugging Face Hub did not give {HUB_IDS[name][0]!r} ({_first_line(error)})"
    if reasons:
        missing = [name for name in names if name in reasons]
        files = ", ".join(f"{name}/{{train,test}}.parquet" for name in missing)
        raise DataUnavailable(
            f"{_called(missing)}: neither data_root nor GROWMIX_DATA is set, and "
            f"{'; '.join(reasons[name] for name in missing)} (known are {', '.join([*HUB_IDS, DIGITS])}); "
            f"set data_root (--data-root) or GROWMIX_DATA to a folder with {files}"
            f"{_instead(missing, tuple(HUB_IDS), names)}"
        )
    return fetched


def _digits_part(part: Part, column: str | None) -> Decoded:
    if column is not None:
        raise BadInput(f"data set {DIGITS!r} has no column {column!r}; it has one kind of images, write {DIGITS!r}")
    digits = read_digits()
    return digits.train if part == "train" else digits.test


def _why_not_in(root: Path, name: str, held: Sequence[str]) -> str | None:
    """Say why a data set can't be read from a folder; ``None`` if it can."""
    paths = [root / name / f"{part}.parquet" for part in PARTS]
    missing = [str(path) for path in paths if not os.path.isfile(path)]  # whatever the system says of it
    if missing:
        return f"no file {' and no '.join(missing)}{did_you_mean(name, [*held, DIGITS])}"
    return next((reason for path in paths if (reason := _why_no_parquet(path)) is not None), None)


def _why_no_parquet(path: Path) -> str | None:
    try:
        pq.read_schema(path)
    except UNREADABLE as error:
        return f"{path} can't be read as Parquet ({_first_line(error)})"
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _in_folder(name: str, folder: Path, cache: DecodedCache) -> Source:
    def part_of(part: Part, column: str | None) -> Decoded:
        path = (folder / f"{part}.parquet").resolve()
        status = path.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
        return cache.fetch(
            _entry(name, part, column), _of_column(str(path), column), stamp, lambda: _read_parquet(name, path, column)
        )

    return Source(name, part_of)


def _read_parquet(name: str, path: Path, column: str | None) -> Decoded:
    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            require_room(rows * BYTES_OF_ROW, f"{path} with {rows:,} rows")
            table = file.read(columns=list(columns_of(file.schema_arrow.names, str(path), column)))
    except BadInput:
        raise
    except UNREADABLE as error:
        raise DataUnavailable(f"data set {name!r}: {path} can't be read as Parquet ({_first_line(error)})") from error
    return decode(table, str(path), column)


def _on_hub(name: str, parts: Mapping[Part, Any], cache: DecodedCache) -> Source:
    hub_id = " ".join(HUB_IDS[name])

    def part_of(part: Part, column: str | None) -> Decoded:
        place = f"{hub_id} ({part}) of the Hugging Face Hub"
        found = parts[part]
        return cache.fetch(
            _entry(name, part, column),
            _of_column(f"hub {hub_id} {part}", column),
            # the fingerprint changes with the content; its name is private, but every version has had it
            f"{len(found)} {getattr(found, '_fingerprint', '')}",
            lambda: decode(found.with_format("arrow")[:], place, column),
        )

    return Source(name, part_of)


def _entry(name: str, part: Part, column: str | None) -> str:
    """Return what an entry of the cache is called."""
    return f"{name}-{part}" if column is None else f"{name}.{column}-{part}"


def _of_column(source: str, column: str | None) -> str:
    """Return what an entry of the cache belongs to: two columns of a file are two entries."""
    return source if column is None else f"{source} column {column}"


def _hub_client() -> Any:
    """Import the optional package; ``None`` where it is not installed."""
    try:
        import datasets
    except ImportError:
        return None
    return datasets


def _why_not_on_hub(name: str, client: Any) -> str | None:
    """Say why the Hub can't have a data set, before anything is fetched; ``None`` if it may have it."""
    if name not in HUB_IDS:
        return f"{name!r} is none of those known without them{did_you_mean(name, [*HUB_IDS, DIGITS])}"
    if client is None:
        return (
            f"the package 'datasets', which fetches {HUB_IDS[name][0]!r} from the Hugging Face Hub, "
            "is not installed (pip install 'growmix[hub]')"
        )
    return None


def _called(names: Sequence[str]) -> str:
    kind = "data set" if len(names) == 1 else "data sets"
    return f"{kind} {', '.join(map(repr, names))}"


def _instead(missing: Iterable[str], held: Sequence[str], used: Sequence[str]) -> str:
    """Say how to go on without one of the missing sets: with the one nearest to it, or one that is not used yet."""
    names = list(missing)
    near = [(name, STAND_INS[name]) for name in names if STAND_INS.get(name) in held]
    others = [each for each in held if each not in used] or [DIGITS]
    name, other = near[0] if near else (names[0], others[0])
    return f"; or take another data set in the place of one: --replace {name}={other}"
