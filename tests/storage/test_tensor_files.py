"""Files of tensors are looked at before they are read; what safetensors lets through is refused too."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from growmix import BadCheckpoint
from growmix.storage.tensor_files import DTYPES, outlines, read_tensors
from growmix.storage.untrusted import open_file


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


HEADERS: dict[str, Any] = {
    "no-object": [],
    "a-word": "x",
    "entry-none": {"a": None},
    "entry-list": {"a": []},
    "no-type": {"a": {"shape": [2], "data_offsets": [0, 8]}},
    "type-unknown": {"a": entry(dtype="F4")},
    "type-list": {"a": entry(dtype=[])},
    "type-of-objects": {"a": entry(dtype="O")},
    "shape-large": {"a": entry(shape=[10**12])},
    "shape-overflow": {"a": entry(shape=[2**32, 2**32])},
    "shape-overflow-empty": {"a": entry(shape=[0, 2**62, 2**62], data_offsets=[0, 0]), "b": entry()},
    "shape-negative": {"a": entry(shape=[-1, -2])},
    "shape-of-floats": {"a": entry(shape=[2.0])},
    "shape-of-truths": {"a": entry(shape=[True, 2])},
    "shape-word": {"a": entry(shape="2")},
    "shape-deep": {"a": entry(shape=[1] * 10_000 + [2])},
    "offsets-none": {"a": entry(data_offsets=None)},
    "offsets-three": {"a": entry(data_offsets=[0, 4, 8])},
    "offsets-turned": {"a": entry(data_offsets=[8, 0])},
    "offsets-negative": {"a": entry(data_offsets=[-8, 0])},
    "offsets-behind": {"a": entry(data_offsets=[8, 16])},
    "offsets-past-the-end": {"a": entry(shape=[2**40], data_offsets=[0, 2**42])},
    "gap": {"a": entry(shape=[1], data_offsets=[4, 8])},
    "overlap": {"a": entry(), "b": entry()},
    "too-little": {"a": entry(shape=[1], data_offsets=[0, 4])},
    "nothing": {},
    "meta-only": {"__metadata__": {"a": "b"}},
}


def written(folder: Path, header: bytes, data: bytes, length: int | None = None) -> Path:
    file = folder / "file.safetensors"
    file.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return file


def assert_refused(path: Path) -> None:
    with open_file(path) as file, pytest.raises(BadCheckpoint, match=r"file\.safetensors"):
        outlines(file)


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_does_not_fit_its_file_is_refused(tmp_path: Path, header: str) -> None:
    assert_refused(written(tmp_path, json.dumps(HEADERS[header]).encode(), bytes(8)))


@pytest.mark.parametrize("length", [0, 1, 9, 2**24 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_header_of_absurd_length_is_refused(tmp_path: Path, length: int) -> None:
    assert_refused(written(tmp_path, b"{}", b"1234", length))


@pytest.mark.parametrize("length", range(8))
def test_a_file_that_ends_in_its_first_bytes_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "file.safetensors").write_bytes(bytes(length))
    assert_refused(tmp_path / "file.safetensors")


@pytest.mark.parametrize("header", [b"{" * 500_000, b'{"a":' * 100_000, b'{"a": 1, "a": 2}', b"\xff\xff", b"{}}"])
def test_a_header_that_is_no_json_is_refused(tmp_path: Path, header: bytes) -> None:
    assert_refused(written(tmp_path, header, b""))


def test_a_name_that_comes_twice_is_refused_though_safetensors_takes_the_last(tmp_path: Path) -> None:
    one, other = (json.dumps(each) for each in (entry(shape=[99], data_offsets=[0, 396]), entry()))
    file = written(tmp_path, f'{{"a": {one}, "a": {other}}}'.encode(), bytes(8))
    with open_file(file) as opened, pytest.raises(BadCheckpoint, match="a name twice"):
        outlines(opened)


def test_a_header_of_very_many_tensors_is_not_parsed(tmp_path: Path) -> None:
    header = b'{"a":' + b" " * 2**24 + b"1}"
    with (
        open_file(written(tmp_path, header, b"")) as file,
        pytest.raises(BadCheckpoint, match=f"a header of {len(header)} bytes"),
    ):
        outlines(file)


def test_every_type_is_read_by_its_name(tmp_path: Path) -> None:
    tensors = {name: torch.ones(2, 3).to(dtype) for name, dtype in DTYPES.items()}
    save_file(tensors, tmp_path / "file")
    with open_file(tmp_path / "file") as file:
        shapes, read = outlines(file), read_tensors(file)
    assert shapes.keys() == read.keys() == DTYPES.keys()
    for name, outline in shapes.items():
        assert (outline.dtype, outline.shape, outline.device.type) == (DTYPES[name], (2, 3), "meta")
        assert torch.equal(read[name], tensors[name])


def test_what_was_read_does_not_change_with_the_file(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1_000)}, tmp_path / "file")
    with open_file(tmp_path / "file") as file:
        read = read_tensors(file)["a"]
    with (tmp_path / "file").open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(struct.pack("<f", 1.0))
    assert not read.any()


def test_truth_values_are_zeros_and_ones(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}}).encode()
    with open_file(written(tmp_path, header, bytes([0, 1, 5]))) as file:
        assert outlines(file)["a"].dtype == torch.bool
        with pytest.raises(BadCheckpoint, match="'a' has truth values"):
            read_tensors(file)
