"""`learn` as a transaction: whatever is raised, wherever, the learner is as it was, and learns on as if nothing was.

Some places are tried each time; ``GROWMIX_TEST_PLACES=all`` tries every line that a `learn` runs, and takes minutes.
"""

from __future__ import annotations

import copy
import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import growmix
from growmix import BadInput, GrowingMixture, NonFiniteLoss, Settings, baselines
from growmix.baselines import METHODS
from growmix.components.abilities import WithoutDensity
from growmix.learning.learner import Learner
from growmix.training.callbacks import Callback, Progress

pytestmark = pytest.mark.slow

SOURCE = str(Path(growmix.__file__).parent)

TINY: dict[str, Any] = {
    "hidden": 4,
    "latent": 2,
    "epochs": 2,
    "batch_size": 16,
    "density_components": 1,
    "device": "cpu",
    "precision": "32-true",
}

BUFFER = {"er": {"buffer_size": 6}}
"""Parameters of the methods that have some."""

PLACES = 24
"""How many places of one `learn` of a mixture raise an exception, for each way of learning."""

FEW = 6
"""How many places of one `learn` of each other method raise an exception."""

EVERY_LINE = os.environ.get("GROWMIX_TEST_PLACES") == "all"
"""Whether each line is such a place, however long that takes."""


class Fault(Exception):
    """Raised where nothing is wrong."""


FAULTS: tuple[Callable[[], BaseException], ...] = (
    lambda: Fault("injected"),
    lambda: KeyboardInterrupt(),
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    lambda: MemoryError("injected"),
)


def images(kind: int, n: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, ``2 * kind`` and the next; kinds have nothing in common."""
    rng = np.random.default_rng([seed, kind])
    levels = np.arange(n) % 2
    x = 0.2 * rng.random((n, 1, 4, 4)) + 0.3 * levels[:, None, None, None] + 0.4 * kind
    return x.clip(0, 1).astype(np.float32), levels + 2 * kind


@functools.cache
def _taught(name: str, **changes: Any) -> Learner[Any]:
    learner = baselines.make_learner(name, Settings(**{**TINY, **changes}), **BUFFER.get(name, {}))
    learner.learn(images(0))
    return learner


def taught(name: str, **changes: Any) -> Learner[Any]:
    """A learner of one task, a copy for each test."""
    return copy.deepcopy(_taught(name, **changes))


Place: TypeAlias = tuple[CodeType, int]
"""A line of a function."""


class Tracer:
    """Sees every line of growmix that runs, in whatever function, and may raise when it first comes to one."""

    def __init__(self, at: Place | None = None, fault: BaseException | None = None) -> None:
        self.places: dict[Place, None] = {}  # in order
        self._at, self._fault = at, fault

    def __enter__(self) -> Tracer:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(SOURCE) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        place = (frame.f_code, frame.f_lineno)
        if event == "line" and place not in self.places:
            self.places[place] = None
            if place == self._at and self._fault is not None:
                raise self._fault
        return self._line


def places_of(learner: Learner[Any], task: Any) -> list[Place]:
    """Every line that one `learn` runs, once, in order; without the last, when the task is learnt and counts."""
    learner = copy_of(learner)
    with Tracer() as tracer:
        learner.learn(task)
    return list(tracer.places)[:-1]


def committing(places: list[Place]) -> list[Place]:
    return [place for place in places if place[0].co_name in ("after", "lesson")]


def copy_of(learner: Learner[Any]) -> Learner[Any]:
    return copy.deepcopy(learner)


def history(learner: Learner[Any]) -> list[Any]:
    """All of its steps but the seconds that they took."""
    return [(s.decision, s.parts, s.log.steps, s.log.examples, s.log.losses) for s in learner.history]


def assert_untouched(learner: Learner[Any], original: Learner[Any], state_hash: Callable[..., str]) -> None:
    assert state_hash(learner) == state_hash(original)
    assert all(not weight.requires_grad for c in learner.components for weight in c.parameters())
    assert all(not c.training for c in learner.components)


def assert_learns_on_as(learner: Learner[Any], untouched: Learner[Any]) -> None:
    for each in (learner, untouched):
        each.learn(images(1, seed=5))
    assert history(learner) == history(untouched)
    x = images(1)[0]
    np.testing.assert_array_equal(learner.component_scores(x).elbo, untouched.component_scores(x).elbo)
    np.testing.assert_array_equal(learner.predict_proba(x), untouched.predict_proba(x))
    if not isinstance(untouched.components[0], WithoutDensity):  # which generates nothing
        np.testing.assert_array_equal(learner.score_samples(x), untouched.score_samples(x))
        np.testing.assert_array_equal(learner.sample(4)[0], untouched.sample(4)[0])


def inject(original: Learner[Any], task: Any, places: list[Place], state_hash: Callable[..., str]) -> None:
    """Raise at every one of the places, in turn each kind of exception."""
    before = state_hash(original)
    for count, place in enumerate(places):
        learner = copy_of(original)
        fault = FAULTS[count % len(FAULTS)]()
        with Tracer(place, fault), pytest.raises((type(fault), BadInput)) as caught:
            learner.learn(task)
        # where the user's own code may run, what it raises is the cause of a BadInput
        assert fault in (caught.value, caught.value.__cause__)
        assert state_hash(learner) == before, place
        if count % 10 == 0:
            assert_untouched(learner, original, state_hash)
            assert_learns_on_as(learner, copy_of(original))


def spread(places: list[Place], count: int) -> list[Place]:
    if EVERY_LINE:
        print(f"{len(places)} lines")  # pytest -rP shows it
        return places
    return [places[round(k * (len(places) - 1) / (count - 1))] for k in range(count)]


WAYS: dict[str, tuple[dict[str, Any], Any]] = {
    "growth": ({"gate": "always"}, images(1)),
    "reuse": ({"threshold": 1.0}, images(0, seed=3)),
    "reuse-with-new-classes": ({"threshold": 1.0}, images(1)),
    "growth-on-a-shared-trunk": ({"gate": "always", "sharing": "trunk"}, images(1)),
    "reuse-with-patience": ({"threshold": 1.0, "patience": 1}, images(0, seed=3)),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_at_any_place_of_learn_changes_nothing(way: str, state_hash: Callable[..., str]) -> None:
    changes, task = WAYS[way]
    original = taught("mixture", **changes)
    after = copy_of(original)
    assert after.learn(task).action == ("grow" if way.startswith("growth") else "reuse")
    places = places_of(original, task)
    assert len(committing(places)) > 4
    chosen = list(dict.fromkeys([*spread(places, PLACES), *committing(places)]))
    assert len(chosen) >= PLACES
    inject(original, task, chosen, state_hash)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "mixture"])
def test_an_exception_at_some_places_changes_no_method(name: str, state_hash: Callable[..., str]) -> None:
    original = taught(name)
    task = images(0, seed=3)
    places = places_of(original, task)
    inject(original, task, [*spread(places, FEW), *committing(places)[::3]], state_hash)


def test_an_exception_in_the_first_task_leaves_a_mixture_that_learnt_nothing(state_hash: Callable[..., str]) -> None:
    original = GrowingMixture(**TINY)
    inject(original, images(1), spread(places_of(original, images(1)), FEW), state_hash)


# What does happen -----------------------------------------------------------------------------------------------


class InTheMiddle(Callback):
    """Does something after the first epoch."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def on_epoch_end(self, progress: Progress) -> None:
        self._act()


def full_disk() -> None:
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as file:
            file.write("events")
    raise OSError(errno.ENOSPC, "No space left on device")


class Broken(Dataset[Any]):
    """Stops to be readable in the middle."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> Any:
        if i == 13:
            raise OSError(errno.EIO, "Input/output error")
        return images(0)[0][i], i % 2


@pytest.mark.parametrize("way", ["growth", "reuse"])
@pytest.mark.parametrize(
    ("expected", "act"),
    [
        (KeyboardInterrupt, lambda: signal.raise_signal(signal.SIGINT)),
        (OSError, full_disk),
        (MemoryError, lambda: np.empty(2**62, dtype=np.uint8)),
    ],
    ids=["ctrl-c", "full-disk", "no-memory"],
)
def test_what_happens_in_the_middle_of_training_changes_nothing(
    way: str, expected: type[BaseException], act: Callable[[], None], state_hash: Callable[..., str]
) -> None:
    changes, task = WAYS[way]
    original = taught("mixture", **changes)
    learner = copy_of(original)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
    try:
        with pytest.raises(expected):
            learner.learn(task, callbacks=[InTheMiddle(act)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert_untouched(learner, original, state_hash)
    assert learner.records == original.records  # type: ignore[attr-defined]
    assert_learns_on_as(learner, original)


@pytest.mark.parametrize("way", ["growth", "reuse"])
def test_a_loss_that_is_not_finite_changes_nothing(way: str, state_hash: Callable[..., str]) -> None:
    changes, task = WAYS[way]
    original = taught("mixture", **changes)
    learner = copy_of(original)
    learner.settings = learner.settings.replace(learning_rate=1e30, gradient_clip=0.0)
    with pytest.raises(NonFiniteLoss, match="nothing was changed"):
        learner.learn(task)
    learner.settings = original.settings
    assert_untouched(learner, original, state_hash)
    assert_learns_on_as(learner, original)


@pytest.mark.parametrize(("name", "workers"), [*((name, 0) for name in METHODS), ("mixture", 1)])
def test_a_loader_that_breaks_in_the_middle_changes_nothing(
    name: str, workers: int, state_hash: Callable[..., str]
) -> None:
    original = taught(name)
    learner = copy_of(original)
    with pytest.raises(BadInput, match=r"data failed at batch 2: .*Input/output error") as caught:
        learner.learn(DataLoader(Broken(), batch_size=6, num_workers=workers))
    assert isinstance(caught.value.__cause__, OSError)
    assert_untouched(learner, original, state_hash)
    assert_learns_on_as(learner, original)


def raise_fault() -> None:
    raise Fault


@pytest.mark.parametrize("name", ["mixture", "er", "generative-classifier"])
def test_of_two_tasks_at_a_time_the_first_to_be_learnt_counts(name: str, tmp_path: Path) -> None:
    learner, alone = taught(name), taught(name)

    def learn_another() -> None:
        if len(learner.history) == 1:
            learner.learn(images(1))

    with pytest.raises(BadInput, match="another task was learnt while data was; this call changed nothing"):
        learner.learn(images(0, seed=3), callbacks=[InTheMiddle(learn_another)])
    alone.learn(images(1))
    assert history(learner) == history(alone)
    learner.save(tmp_path / "it")
    assert_learns_on_as(baselines.load(tmp_path / "it", name), alone)


def test_a_label_of_the_other_kind_is_refused_in_a_short_line() -> None:
    named, numbered = GrowingMixture(**TINY), GrowingMixture(**TINY)
    x = np.random.default_rng(0).random((300, 1, 4, 4), dtype=np.float32)
    named.learn((x, [f"class {k}" for k in range(300)]))
    numbered.learn((x, np.arange(300)))
    for learner, y in ((named, [0] * 300), (numbered, ["cat" * 1_000] * 300)):
        with pytest.raises(BadInput, match=r"but the labels learnt are .*\.\.\.$") as refused:
            learner.learn((x, y))
        assert len(str(refused.value)) < 300


def test_new_names_of_a_task_that_failed_are_forgotten(state_hash: Callable[..., str]) -> None:
    original = GrowingMixture(**TINY)
    original.learn((images(0)[0], ["cat", "dog"] * 12))
    learner = copy_of(original)
    with pytest.raises(Fault):
        learner.learn((images(1)[0], ["eel", "dog"] * 12), callbacks=[InTheMiddle(raise_fault)])
    assert_untouched(learner, original, state_hash)
    assert learner.classes_.tolist() == ["cat", "dog"]
    learner.learn((images(1)[0], ["ant", "dog"] * 12))
    assert learner.classes_.tolist() == ["cat", "dog", "ant"]


def test_what_a_method_keeps_is_its_own(state_hash: Callable[..., str]) -> None:
    for name in METHODS:
        learner = baselines.make_learner(name, Settings(**TINY), **BUFFER.get(name, {}))
        x, y = (torch.tensor(part) for part in images(0))
        learner.learn((x, y))
        before = state_hash(learner)
        x.zero_()
        y.fill_(7)
        assert state_hash(learner) == before, name
