"""Checkpoints as a stranger would write them: whatever is in them, their checksums are right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor

from growmix.storage.checkpoint_files import DOCUMENT, TENSORS, state_of, tensors_name, with_checksum

Document = dict[str, Any]
Tensors = dict[str, Tensor]


def document_of(folder: Path) -> Document:
    document = json.loads((folder / DOCUMENT).read_bytes())
    return {name: value for name, value in document.items() if name not in ("sha256", "tensors")}


def tensors_in(folder: Path) -> Path:
    (file,) = folder.glob(TENSORS)
    return file


def change_document(folder: Path, change: Callable[[Document], Any]) -> None:
    document = document_of(folder)
    change(document)
    _put(folder, document, tensors_in(folder))


def change_tensors(folder: Path, change: Callable[[Tensors], Any]) -> None:
    tensors = load_file(tensors_in(folder))
    change(tensors)
    put_tensors(folder, save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def put_document(folder: Path, document: Document) -> None:
    _put(folder, document, tensors_in(folder))


def put_text(folder: Path, text: bytes) -> None:
    """Have ``state.json`` say something that may be no JSON, behind its checksum."""
    (folder / DOCUMENT).write_bytes(with_checksum(text.removeprefix(b"{")))


def put_tensors(folder: Path, content: bytes, zeros: int = 0) -> None:
    """Have the checkpoint name another file of tensors; zeros behind its content take no room on the disk."""
    old, new = tensors_in(folder), folder / "new"
    with new.open("wb") as stream:
        stream.write(content)
        stream.truncate(len(content) + zeros)
    old.unlink()
    _put(folder, document_of(folder), new)


def _put(folder: Path, document: Document, tensors: Path) -> None:
    digest = hashlib.sha256()
    with tensors.open("rb") as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    place = tensors.rename(folder / tensors_name(digest.hexdigest()))
    (folder / DOCUMENT).write_bytes(state_of(document, digest.hexdigest(), place.stat().st_size))
