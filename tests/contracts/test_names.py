"""Labels that are names go all the way: through learning, answers, checkpoints and the student."""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asked import TINY, made
from forging import document_of, put_document
from growmix import BadCheckpoint, GrowingMixture, GrowmixError
from growmix.learning.model import Model
from handed_over import noisy

pytestmark = pytest.mark.slow


def test_members_of_an_enumeration_are_what_they_equal() -> None:
    class Animal(str, enum.Enum):
        CAT, DOG = "cat", "dog"

    mixture = GrowingMixture(**TINY)
    mixture.learn((noisy(), [Animal.CAT, Animal.DOG] * 6))
    assert mixture.classes_.tolist() == ["cat", "dog"]
    assert mixture.predict(noisy(3), classes=[Animal.DOG]).tolist() == ["dog"] * 3
    assert mixture.sample(2, label=Animal.CAT)[1].tolist() == ["cat"] * 2


def test_names_go_all_the_way(tmp_path: Path, state_hash: Callable[..., str]) -> None:
    mixture = copy.deepcopy(made("names"))
    assert mixture.classes_.tolist() == ["0", "both", "1"]
    assert mixture.predict(noisy(3)).dtype.kind == "U"
    assert mixture.predict(torch.from_numpy(noisy(3)), classes=["1"]).tolist() == ["1"] * 3
    proba = mixture.predict_proba(noisy(3), classes=["1", "0"])
    np.testing.assert_allclose(mixture.predict_proba(noisy(3), classes=["0", "1"])[:, ::-1], proba)
    drawn, labels = copy.deepcopy(mixture).sample(30)
    assert set(labels) <= {"0", "1", "both", None}
    assert copy.deepcopy(mixture).sample(2, label="both")[1].tolist() == ["both"] * 2
    for ask in (
        lambda: mixture.predict(noisy(3), classes=["cat"]),
        lambda: mixture.predict_proba(noisy(3), classes=[0]),
        lambda: mixture.sample(2, label="cat"),
    ):
        with pytest.raises(GrowmixError, match=r"allowed are .*\['0', 'both', '1'\]"):
            ask()
    with pytest.raises(GrowmixError, match=r"label is '1'; component 0 knows \['0', 'both'\]"):
        mixture.sample(2, component=0, label="1")
    mixture.save(tmp_path / "mixture")
    again = GrowingMixture.load(tmp_path / "mixture")
    assert state_hash(again) == state_hash(mixture)
    assert again.classes_.tolist() == mixture.classes_.tolist()
    again.learn((drawn, labels))
    again.learn((noisy(), ["new", "0"] * 6))
    assert again.classes_.tolist() == ["0", "both", "1", "new"]
    student = mixture.distill()
    student.save(tmp_path / "student")
    for each in (student, type(student).load(tmp_path / "student")):
        assert each.classes_.tolist() == ["0", "both", "1"]
        assert set(each.predict(noisy())) <= {"0", "both", "1"}


def test_checkpoints_from_before_names_are_read_and_those_with_wrong_names_are_not(tmp_path: Path) -> None:
    for model, load in ((made("numbers"), GrowingMixture.load), (made("student"), type(made("student")).load)):
        folder = tmp_path / type(model).__name__
        model.save(folder)
        document = document_of(folder)
        assert document.pop("names") == []
        put_document(folder, document)
        loaded: Model = load(folder)
        assert loaded.classes_.tolist() == model.classes_.tolist()
        for wrong in (["a"], [1, 2, 3], ["a", "a", "b"], "abc", 3, None, {"a": 0}):
            put_document(folder, {**document, "names": wrong})
            with pytest.raises(BadCheckpoint):
                load(folder)
