"""A learner read back is the one that was saved, or a word says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from growmix import BadCheckpoint, BadInput, Settings
from growmix.learning.loading import load_learner
from known_points import Filing, filed, task


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    learner = filed(0, 1)
    learner.sample(3)
    learner.save(tmp_path / "it")
    return tmp_path / "it"


def test_what_was_saved_answers_samples_and_learns_on_as_it_would_have(saved: Path) -> None:
    learner, again = filed(0, 1), load_learner(saved, "filing", Filing)
    learner.sample(3)
    assert again.history == learner.history and again._memory == learner._memory == 2
    x = torch.cat([task(0)[0], task(1)[0]])
    assert torch.equal(again.predict_proba(x), learner.predict_proba(x))
    assert (again.sample(20)[0] == learner.sample(20)[0]).all()
    assert again.learn(task(2)) == learner.learn(task(2)) and again.versions == (1, 1, 1)


def test_names_of_labels_come_back(tmp_path: Path) -> None:
    learner = Filing()
    learner.learn((task(0)[0], ["ant", "bee"] * 4))
    learner.save(tmp_path / "it")
    assert load_learner(tmp_path / "it", "filing", Filing).predict(task(0, 4)[0]).tolist() == ["ant", "bee"] * 2


def test_a_checkpoint_of_another_method_or_blueprint_is_refused(saved: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"is not the checkpoint of a mixture$"):
        load_learner(saved, "mixture", Filing)
    with pytest.raises(BadInput, match=r"^blueprint is 'conv', but this filing was made with 'mlp'$"):
        load_learner(saved, "filing", lambda settings: Filing(settings.replace(blueprint="conv")))


def test_tensors_that_the_method_does_not_keep_are_refused(tmp_path: Path) -> None:
    class Hoarding(Filing):
        def pack(self, memory: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
            return {"tasks": memory}, {"more": torch.zeros(2)}

    learner = Hoarding(Settings(device="cpu"))
    learner.learn(task(0))
    learner.save(tmp_path / "it")
    assert load_learner(tmp_path / "it", "filing", Hoarding).examples == 8
    with pytest.raises(BadCheckpoint, match=r"tensors \['more'\] are not those that 'filing' keeps"):
        load_learner(tmp_path / "it", "filing", Filing)
