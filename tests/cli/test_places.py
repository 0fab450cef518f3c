"""Where the data of a stream would come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from growmix.cli.app import execute
from growmix.cli.places import in_words, place_of
from growmix.cli.words import DONE


def test_streams_tell_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "test"):
        (tmp_path / "mnist").mkdir(exist_ok=True)
        (tmp_path / "mnist" / f"{part}.parquet").touch()

    def found(*options: str) -> dict[str, str]:
        assert execute(["streams", *options]) == DONE
        cells = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
        return {row[1].strip(): row[5].strip() for row in cells if row[1].strip()}

    assert found()["split-digits"] == "with scikit-learn"
    monkeypatch.setattr("growmix.cli.places.find_spec", lambda name: None)
    assert found()["split-mnist"] == "with growmix[hub]"  # brackets are no markup
    monkeypatch.setattr("growmix.cli.places.find_spec", lambda name: name)
    assert found()["split-mnist"] == "on the Hub"
    assert found()["split-letters"] == "no: emnist_letters"
    there = found("--data-root", str(tmp_path))
    assert there["split-mnist"] == "yes" and there["split-fashion"] == "no: fashion_mnist"
    monkeypatch.setenv("GROWMIX_DATA", str(tmp_path))
    assert found()["permuted-mnist"] == "yes"


def test_both_parts_of_a_data_set_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train.parquet").touch()
    assert place_of("mnist", tmp_path) == f"no: not in {tmp_path}"
    (tmp_path / "mnist" / "test.parquet").touch()
    assert place_of("mnist", tmp_path) == "yes"
    assert place_of("digits", tmp_path) == "with scikit-learn"


def test_a_stream_is_found_only_where_all_of_its_data_sets_are() -> None:
    assert in_words({"a": "yes", "b": "no: not in x", "c": "no: needs --data-root"}) == "no: b, c"
    assert in_words({"a": "yes", "b": "on the Hub", "c": "yes"}) == "yes, on the Hub"
    assert in_words({}) == ""
