"""A folder is read as it was written, or refused with the name of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from growmix import BadCheckpoint, BadInput
from growmix.checkpoints.folders import exists, read_document, read_folder, write_folder
from growmix.checkpoints.migration import SCHEMA

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "none": torch.zeros(0, 4), "yes": torch.tensor(True)}


def anything(document: dict[str, object], shapes: dict[str, Tensor]) -> None:
    """Look at nothing."""


def everything(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_folder(tmp_path / "it", {"kind": "test", "numbers": [1, 2.5, None]}, TENSORS)
    return tmp_path / "it"


def test_what_was_written_is_read_back(written: Path) -> None:
    document, tensors = read_folder(written, anything)
    assert document["kind"] == "test" and document["numbers"] == [1, 2.5, None] and document["schema"] == SCHEMA
    assert read_document(written) == document
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype


def test_tensors_are_looked_at_by_shape_before_memory_is_taken_for_them(written: Path) -> None:
    met: dict[str, Tensor] = {}

    def refuse(document: dict[str, object], shapes: dict[str, Tensor]) -> None:
        met.update(shapes)
        raise BadCheckpoint("no")

    with pytest.raises(BadCheckpoint, match=r"^no$"):
        read_folder(written, refuse)
    assert {name: (t.shape, t.is_meta) for name, t in met.items()} == {n: (t.shape, True) for n, t in TENSORS.items()}


def test_another_checkpoint_takes_the_place_of_the_first_and_of_what_was_inside(written: Path) -> None:
    write_folder(written / "student", {"kind": "inner"}, {})
    write_folder(written, {"kind": "second"}, {"weight": torch.zeros(1)})
    assert read_document(written)["kind"] == "second"
    assert len(everything(written)) == 2 and not exists(written / "student")


@pytest.mark.parametrize(
    ("document", "tensors", "said"),
    [
        ({"loss": float("nan")}, {}, "can't be written as JSON and read back"),
        ({"what": {1, 2}}, {}, "can't be written as JSON and read back"),
        ({}, {"c": torch.zeros(2, dtype=torch.complex64)}, "tensor 'c' is of torch.complex64, which no checkpoint"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    written: Path, document: dict[str, object], tensors: dict[str, Tensor], said: str
) -> None:
    before = everything(written)
    with pytest.raises(BadInput, match=said):
        write_folder(written, document, tensors)
    assert everything(written) == before


def test_a_folder_with_anything_else_in_it_is_left_alone(written: Path, tmp_path: Path) -> None:
    (written / "thesis.tex").touch()
    with pytest.raises(BadInput, match=r"holds 'thesis.tex', no checkpoint's; give a new folder"):
        write_folder(written, {}, {})
    (tmp_path / "link").symlink_to(written)
    with pytest.raises(BadInput, match="is a symbolic link; give the folder that it leads to"):
        write_folder(tmp_path / "link", {}, {})
    with pytest.raises(BadCheckpoint, match="is a symbolic link"):
        read_document(tmp_path / "link")
    assert read_document(written)["kind"] == "test"


def test_a_changed_byte_anywhere_is_told_with_the_name_of_the_file(written: Path) -> None:
    for file in sorted(written.iterdir()):
        content = file.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(BadCheckpoint, match=file.name):
                read_folder(written, anything)
        file.write_bytes(content)
    assert read_folder(written, anything)


def test_a_missing_folder_is_told_and_is_no_checkpoint(tmp_path: Path) -> None:
    assert not exists(tmp_path)
    with pytest.raises(BadCheckpoint, match=r"state\.json"):
        read_document(tmp_path)
