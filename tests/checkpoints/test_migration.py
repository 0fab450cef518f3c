"""An older checkpoint is read through one function for each schema, or refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from forging import change_document, tensors_in
from growmix import BadCheckpoint, GrowingMixture
from growmix.checkpoints import migration
from growmix.checkpoints.folders import read_folder, write_folder
from growmix.checkpoints.migration import SCHEMA, STEPS, migrated
from growmix.storage.checkpoint_files import DOCUMENT, TENSORS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "it", {"kind": "made-up", "colour": "green"}, {"number": torch.ones(1)})
    return tmp_path / "it"


def as_of(folder: Path, schema: int, growmix: str) -> None:
    change_document(folder, lambda document: document.update(schema=schema, growmix=growmix))


def with_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up older schema, whose documents said ``colour`` for what is now ``color``."""

    def step(document: dict[str, Any]) -> dict[str, Any]:
        changed = {name: value for name, value in document.items() if name != "colour"}
        return changed | {"schema": SCHEMA, "color": document["colour"]}

    monkeypatch.setattr(migration, "STEPS", {SCHEMA - 1: step})


def test_an_older_document_is_read_as_this_version_writes_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_one_step(monkeypatch)
    as_of(folder, SCHEMA - 1, "0.0.1")
    looked: list[Any] = []
    document, tensors = read_folder(folder, lambda document, _: looked.append(document))
    assert document == looked[0] == {"schema": SCHEMA, "growmix": "0.0.1", "kind": "made-up", "color": "green"}
    assert tensors["number"].tolist() == [1.0]


def test_a_step_changes_nothing_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with_one_step(monkeypatch)
    document = {"schema": SCHEMA - 1, "colour": "green"}
    assert migrated(document) == {"schema": SCHEMA, "color": "green"}
    assert document == {"schema": SCHEMA - 1, "colour": "green"}


def test_an_older_checkpoint_is_replaced_by_one_of_this_schema(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_one_step(monkeypatch)
    as_of(folder, SCHEMA - 1, "0.0.1")
    document, tensors = read_folder(folder, lambda *_: None)
    write_folder(folder, document, tensors)
    monkeypatch.undo()
    assert read_folder(folder, lambda *_: None)[0]["schema"] == SCHEMA


def test_there_is_a_step_from_every_schema_since_the_oldest_that_can_be_read() -> None:
    assert sorted(STEPS) == list(range(min(STEPS, default=SCHEMA), SCHEMA))


@pytest.mark.parametrize(
    ("schema", "advice"), [(1, "learn the tasks again"), (4, "learn the tasks again"), (6, "update")]
)
def test_a_schema_that_can_not_be_read_is_refused_and_says_what_to_do(schema: int, advice: str, folder: Path) -> None:
    as_of(folder, schema, "9.8")
    with pytest.raises(BadCheckpoint, match=rf"{DOCUMENT} has schema {schema}, of growmix '9\.8'.*schema 5.*{advice}"):
        GrowingMixture.load(folder)


def test_a_checkpoint_of_schema_3_is_refused_by_its_name(folder: Path) -> None:
    """Its document had no checksum, and its tensors a fixed name."""
    tensors_in(folder).rename(folder / TENSORS.replace("-*", ""))
    (folder / DOCUMENT).write_text(json.dumps({"schema": 3, "growmix": "0.1.0", "kind": "mixture"}))
    with pytest.raises(BadCheckpoint, match=rf"{DOCUMENT} has schema 3, of growmix '0\.1\.0'.*learn the tasks again"):
        GrowingMixture.load(folder)
