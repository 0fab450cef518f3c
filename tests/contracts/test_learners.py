"""What every method that learns task after task must do."""

from __future__ import annotations

import copy
import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from growmix import Settings, baselines, evaluate
from growmix.baselines import METHODS, MIXTURES
from growmix.checks import check_method
from growmix.errors import BadCheckpoint, BadInput
from growmix.learning.learner import Learner
from growmix.learning.state import LearnerState
from growmix.streams import from_arrays
from growmix.training.callbacks import Callback, FitInfo, Progress

pytestmark = pytest.mark.slow

TINY: dict[str, Any] = {
    "hidden": 16,
    "latent": 2,
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "density_components": 2,
    "device": "cpu",
    "precision": "32-true",
}
WITHOUT_LABELS = [name for name, method in METHODS.items() if method.labels == "optional"]


def images(kind: int, n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy classes, ``2 * kind`` and the next; kinds have nothing in common."""
    templates = np.random.default_rng(kind).random((2, 1, 8, 8)) > 0.5
    rng = np.random.default_rng([seed, kind])
    which = rng.permutation(np.arange(n) % 2)
    return (0.8 * templates[which] + 0.2 * rng.random((n, 1, 8, 8))).astype(np.float32), which + 2 * kind


def make(name: str, **changes: Any) -> Learner[Any]:
    parameters = {"er": {"buffer_size": 12}, "pec": {"pec_teacher_hidden": 100}}.get(name, {})
    return baselines.make_learner(name, Settings(**{**TINY, **changes}), **parameters)


_taught: dict[str, Learner[Any]] = {}


def taught(name: str) -> Learner[Any]:
    """A learner of two tasks, a copy for each test."""
    if name not in _taught:
        learner = make(name)
        for kind in (0, 1):
            learner.learn(images(kind))
        _taught[name] = learner
    return copy.deepcopy(_taught[name])


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answers(learner: Learner[Any]) -> dict[str, Any]:
    x = np.concatenate([images(kind, 10, seed=1)[0] for kind in (0, 1)])
    said = {"proba": learner.predict_proba(x), "route": learner.route(x), "scores": learner.component_scores(x).elbo}
    if METHODS[learner.method].generative:
        said |= {"elbo": learner.score_samples(x), "images": learner.reconstruct(x)}
    return said


def state(learner: Learner[Any]) -> dict[str, Any]:
    """All that further learning depends on."""
    document, tensors = learner.pack(learner._memory)
    weights = {f"{k}.{n}": t for k, c in enumerate(learner.components) for n, t in c.state_dict().items()}
    return copy.deepcopy({"document": document, "steps": learner.history, **tensors, **weights})


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, (np.ndarray, Tensor)):
            assert np.array_equal(value, other[key]), key
        else:
            assert value == other[key], key


def without_seconds(learner: Learner[Any]) -> list[Any]:
    return [(s.decision, s.parts, s.log.steps, s.log.examples, s.log.losses) for s in learner.history]


def test_every_method_keeps_the_contract_that_a_users_own_is_checked_against(name: str) -> None:
    kept = check_method(lambda: make(name), load=lambda path: baselines.load(path, name))
    assert len(kept) == 7


def test_another_seed_gives_other_numbers(name: str) -> None:
    learners = [make(name, seed=seed) for seed in (0, 1)]
    for learner in learners:
        learner.learn(images(0))
    assert without_seconds(learners[0]) != without_seconds(learners[1])


@pytest.mark.parametrize("name", WITHOUT_LABELS)
def test_images_alone_can_be_learnt(name: str) -> None:
    learner = make(name)
    for kind in (0, 1):
        learner.learn(images(kind)[0])
    x, _ = images(0, 9)
    assert learner.supervised is False
    assert learner.reconstruct(x).shape == x.shape
    assert learner.sample(4)[1].tolist() == [-1] * 4
    with pytest.raises(BadInput, match="without labels"):
        learner.predict(x)


def test_a_method_that_needs_labels_says_so_and_takes_some_for_all_where_it_can() -> None:
    for name, method in METHODS.items():
        x, y = images(0)
        some = np.where(np.arange(len(y)) % 3 == 0, -1, y)
        if method.labels != "optional":
            with pytest.raises(BadInput, match="label"):
                make(name).learn(x)
            with pytest.raises(BadInput, match="supervised"):
                make(name, supervised=False)
        if method.labels == "all":
            with pytest.raises(BadInput, match="20 of 60 examples"):
                make(name).learn((x, some))
        else:
            learner = make(name, epochs=1)
            learner.learn((x, some))
            assert learner.classes_.tolist() == [0, 1], name


def test_what_was_saved_answers_and_learns_on_in_the_same_way(name: str, tmp_path: Path) -> None:
    learner = taught(name)
    learner.save(tmp_path / "it")
    again = baselines.load(tmp_path / "it", name)
    assert again.method == learner.method and repr(again) == repr(learner)
    assert_equal(state(again), state(learner))
    assert_equal(answers(again), answers(learner))
    if METHODS[name].generative:
        np.testing.assert_array_equal(again.sample(3)[0], learner.sample(3)[0])
    for each in (learner, again):
        each.learn(images(2, seed=2))
    assert without_seconds(again) == without_seconds(learner)
    assert_equal(answers(again), answers(learner))


def test_a_checkpoint_is_read_by_its_own_method_alone(name: str, tmp_path: Path) -> None:
    taught(name).save(tmp_path / "it")
    for other in METHODS:
        if other not in (name, "mixture") or (other == "mixture" and name not in MIXTURES):
            with pytest.raises(BadCheckpoint):
                baselines.load(tmp_path / "it", other)


class _Stop(Exception):
    pass


class _Interruption(Callback):
    """Raises in the last but one epoch of the last fit that is allowed."""

    def __init__(self, fits: int) -> None:
        self._left = fits

    def on_fit_start(self, fit: FitInfo) -> None:
        self._left -= 1

    def on_epoch_end(self, progress: Progress) -> None:
        if self._left <= 0 and progress.epoch == 2:
            raise _Stop


@pytest.mark.parametrize("where", ["training", "afterwards"])
def test_a_failed_task_changes_nothing(name: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = taught(name)
    before, said = state(learner), answers(learner)
    callbacks = []
    if where == "training":
        callbacks = [_Interruption(2 if METHODS[name].labels == "all" else 1)]
    else:

        def fail(*args: Any, **kwargs: Any) -> None:
            raise _Stop

        monkeypatch.setattr(LearnerState, "after", fail)
    x, y = images(1, seed=3)  # classes that are known: those are updated, where a method updates
    with pytest.raises(_Stop):
        learner.learn((x, y), callbacks=callbacks)
    monkeypatch.undo()
    assert_equal(state(learner), before)
    assert_equal(answers(learner), said)
    undisturbed = taught(name)
    for each in (learner, undisturbed):
        each.learn(images(2, seed=2))
    assert without_seconds(learner) == without_seconds(undisturbed)


def test_no_answer_asks_for_a_label_or_a_task(name: str) -> None:
    learner = taught(name)
    for verb in ("predict", "predict_proba", "route", "component_scores", "score_samples", "reconstruct", "encode"):
        assert not {"y", "label", "labels", "task", "tasks"} & set(inspect.signature(getattr(learner, verb)).parameters)


@functools.cache
def steps_of(name: str, max_steps: int | None) -> list[int]:
    """Steps taken for tasks of three sizes."""
    learner = make(name, max_steps=max_steps, epochs=3)
    for kind, n in enumerate((40, 120, 60)):
        learner.learn(images(kind, n))
    return [step.log.steps for step in learner.history]


def test_every_method_takes_the_steps_of_a_new_component_at_every_task(name: str) -> None:
    if name in ("mixture", "limix"):  # a component that they update is trained on its replay as well
        pytest.skip("what a new component takes is what vae-per-task takes")
    assert steps_of(name, None) == steps_of("vae-per-task", None) == [6, 18, 9]
    assert steps_of(name, 5) == steps_of("vae-per-task", 5) == [5, 5, 5]


def test_the_evaluator_measures_what_the_learner_predicts(name: str) -> None:
    arrays = [(*images(kind), *images(kind, 20, seed=1)) for kind in (0, 1)]
    learner = taught(name)
    scores = evaluate(learner, from_arrays(arrays))
    assert scores.task_agnostic is not None
    for kind, (_, _, x, y) in enumerate(arrays):
        assert scores.task_agnostic[-1][kind] == pytest.approx(float((learner.predict(x) == y).mean()))
    if len(learner.components) == 1:
        assert scores.selection[-1] == (1.0, 1.0)


def test_pairs_are_refused_by_all_but_mixtures(name: str) -> None:
    x, _ = images(0)
    if name not in MIXTURES:
        with pytest.raises(BadInput, match="pairs"):
            make(name).learn((x, 1.0 - x))
        with pytest.raises(BadInput, match="patience"):
            make(name, patience=2)


def test_every_method_says_what_it_is(name: str) -> None:
    method = METHODS[name]
    assert method.name == name
    assert method.title
    assert method.description.endswith(".")
    assert any(year in method.citation for year in ("20", "none: the")), method.citation


def test_an_unknown_method_is_refused_with_all_names_and_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean vae-per-task") as refused:
        baselines.make_learner("vae-per-tsk", Settings())
    assert all(name in str(refused.value) for name in METHODS)
