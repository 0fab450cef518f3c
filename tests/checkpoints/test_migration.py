"""Checkpoints of every schema there was load, and answer as they did when they were written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from growmix import BadCheckpoint, GrowingMixture, Student
from growmix.checkpoints.migration import SCHEMA, STEPS, migrated
from growmix.checkpoints.persistence import DOCUMENT, TENSORS
from growmix.storage.sealing import SEAL

FIXTURES = Path(__file__).parent.parent / "fixtures" / "checkpoints"


@pytest.fixture(params=range(1, SCHEMA + 1))
def folder(request: pytest.FixtureRequest) -> Path:
    return FIXTURES / f"schema{request.param}"


def expected(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "expected.json").read_text(encoding="utf-8")))


def assert_answers(model: Any, x: np.ndarray, answers: dict[str, Any]) -> None:
    for verb, answer in answers.items():
        np.testing.assert_allclose(getattr(model, verb)(x), answer, rtol=1e-4, atol=1e-5, err_msg=verb)


def test_a_mixture_of_every_schema_answers_as_it_did(folder: Path) -> None:
    known = expected(folder)
    x, answers = np.array(known["x"], dtype=np.float32), known["mixture"]
    mixture = GrowingMixture.load(folder / "mixture")
    assert [decision.component for decision in mixture.decisions] == answers.pop("decisions")
    assert_answers(mixture, x, answers)
    assert (mixture.versions, mixture.examples, mixture.classes_.tolist()) == ((1, 1), 80, [0, 1, 2, 3])
    assert [record.examples for record in mixture.records] == [40, 40]


def test_a_student_of_every_schema_answers_as_it_did(folder: Path) -> None:
    known = expected(folder)
    assert_answers(Student.load(folder / "student"), np.array(known["x"], dtype=np.float32), known["student"])


def test_a_mixture_of_every_schema_learns_on_and_is_saved_in_this_one(folder: Path, tmp_path: Path) -> None:
    mixture = GrowingMixture.load(folder / "mixture")
    mixture.learn((np.random.default_rng(0).random((40, 1, 4, 4)).astype(np.float32), np.full(40, 7)))
    mixture.save(tmp_path / "it")
    assert json.loads((tmp_path / "it" / DOCUMENT).read_text())["schema"] == SCHEMA
    assert GrowingMixture.load(tmp_path / "it").examples == 120


def test_an_older_checkpoint_can_be_replaced(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "mixture", tmp_path / "it")
    GrowingMixture.load(tmp_path / "it").save(tmp_path / "it")
    assert sorted(file.name for file in (tmp_path / "it").iterdir()) == [SEAL, DOCUMENT, TENSORS]


@pytest.mark.parametrize("schema", range(1, SCHEMA))
def test_files_of_an_older_checkpoint_that_are_cut_are_named(schema: int, tmp_path: Path) -> None:
    for name in (DOCUMENT, TENSORS):
        shutil.copytree(FIXTURES / f"schema{schema}" / "mixture", tmp_path / name)
        content = (tmp_path / name / name).read_bytes()
        (tmp_path / name / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(BadCheckpoint, match=name):
            GrowingMixture.load(tmp_path / name)


def test_there_is_a_way_from_every_schema_and_it_changes_nothing_that_it_is_given() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA))
    for schema in range(1, SCHEMA + 1):
        text = (FIXTURES / f"schema{schema}" / "mixture" / DOCUMENT).read_text()
        document = json.loads(text)
        assert migrated(document)["schema"] == SCHEMA
        assert document == json.loads(text)


def test_checksums_that_were_taken_away_are_missed(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / f"schema{SCHEMA}" / "mixture", tmp_path / "it")
    (tmp_path / "it" / SEAL).unlink()
    with pytest.raises(BadCheckpoint, match=SEAL):
        GrowingMixture.load(tmp_path / "it")


def test_a_newer_schema_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "schema2" / "mixture", tmp_path / "it")
    file = tmp_path / "it" / DOCUMENT
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema": SCHEMA + 1, "growmix": "9.0"}))
    with pytest.raises(BadCheckpoint, match=rf"{DOCUMENT} has schema {SCHEMA + 1}, of growmix '9\.0'.*update"):
        GrowingMixture.load(tmp_path / "it")
