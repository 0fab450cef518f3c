"""What a run has left is read back; what is not there is told apart from what is broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from growmix import BadCheckpoint, BadInput, Student, experiment
from growmix.config import RunConfig
from growmix.experiment.folder import CHECKPOINT, STUDENT
from growmix.experiment.reading import load_learner, load_student, reevaluate
from growmix.settings import Settings

pytestmark = pytest.mark.slow

TINY = Settings(
    gate="always", hidden=16, latent=4, max_steps=4, student_hidden=16, student_epochs=1, student_examples=20
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two tasks, with a student."""
    folder = tmp_path_factory.mktemp("reading") / "run"
    tasks = ("digits/0-1", "digits/2-3")
    experiment.run(
        RunConfig(
            stream="domains",
            tasks=tasks,
            settings=TINY,
            out=folder,
            train_examples=60,
            test_examples=30,
            likelihood_draws=0,
            frechet_examples=0,
        )
    )
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def test_model_and_student_come_back_and_measure_as_the_run_said(finished: Path) -> None:
    said = json.loads((finished / experiment.METRICS).read_text())
    learner, student = load_learner(finished), load_student(finished)
    assert [decision.component for decision in learner.decisions] == said["task_components"]
    assert isinstance(student, Student)
    again = json.loads(json.dumps(reevaluate(finished)))
    assert {name: again[name] for name in ("accuracy", "parameters", "student")} == {
        name: said[name] for name in ("accuracy", "parameters", "student")
    }


def test_the_model_can_be_put_on_the_device_asked_for(finished: Path) -> None:
    learner = load_learner(finished, device="cpu")
    assert {weight.device.type for component in learner.components for weight in component.parameters()} == {"cpu"}
    assert np.isfinite(learner.score_samples(np.zeros((1, *learner.shape), dtype=np.float32))).all()


def test_a_student_that_a_finished_run_taught_and_that_is_gone_is_named(run: Path) -> None:
    shutil.rmtree(run / CHECKPOINT / STUDENT)
    with pytest.raises(BadCheckpoint, match=rf"{STUDENT} is missing, but the run has taught a student"):
        reevaluate(run)


def test_a_checkpoint_that_is_gone_is_told_apart_from_one_that_never_was(run: Path) -> None:
    shutil.rmtree(run / CHECKPOINT)
    with pytest.raises(BadCheckpoint, match="is missing; without it nothing is left"):
        load_learner(run)
    shutil.rmtree(run / "progress", ignore_errors=True)
    (run / experiment.METRICS).unlink()
    (run / experiment.EVENTS).write_text("")
    with pytest.raises(BadInput, match="has learnt no task yet; growmix resume goes on with it"):
        load_learner(run)


def test_a_folder_without_a_run_is_none(tmp_path: Path) -> None:
    for read in (load_learner, reevaluate):
        with pytest.raises(BadInput, match="holds no run"):
            read(tmp_path)
