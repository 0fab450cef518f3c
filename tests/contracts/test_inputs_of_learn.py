"""Any data may be handed to ``learn`` and to streams: they are learnt, or refused and nothing is changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asked import TINY, case, hash_of, made, model_of, refuses, rotated
from growmix import GrowingMixture, GrowmixError, Settings, Student, evaluate
from growmix.baselines import make_learner
from growmix.errors import BadInput
from growmix.evaluation import evaluate_student
from growmix.learning.answers import routing_noise
from growmix.streams import from_arrays
from growmix.system import memory
from growmix.training.callbacks import Callback
from handed_over import (
    BAD_LABELS,
    SHAPE,
    WRAPPINGS,
    WRONG_TASKS,
    WRONG_TYPES,
    Table,
    make_wrong,
    noisy,
    pixel_faults,
    wrong_shapes,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors is in prototype stage"),
]

StateHash = Callable[..., str]

LEARNERS = ("numbers", "names", "images", "pairs", "nothing")
GENERATED = 60
"""Generated cases of the test that has some."""

BEGINS = r"(data|x|y|names|all \d+ examples in data|the pairs|target)"
"""What a message about a task begins with: the argument, or the part of the data."""

LABEL_WRAPPINGS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "table": lambda y: Table(np.array(y)),
}
NUMBER_WRAPPINGS: dict[str, Callable[[list[int]], Any]] = {
    **LABEL_WRAPPINGS,
    "bytes": lambda y: np.array(y, dtype=np.int8),
    "big endian": lambda y: np.array(y, dtype=">i8"),
    "tensor": torch.tensor,
    "short tensor": lambda y: torch.tensor(y, dtype=torch.int16),
    "strided": lambda y: np.repeat(np.array(y), 2)[::2],
}
NAMED = ("0", "both", "cat", "dog", None)


def test_hundreds_of_cases_reach_every_kind_of_learner() -> None:
    assert len(TASKS) + len(WRONG) + 2 * len(BAD_LABELS) + len(WRONG_TYPES) + 2 * GENERATED > 400
    for cases in (TASKS, WRONG):
        assert {name for _, name in cases} == set(LEARNERS)


# Tasks -----------------------------------------------------------------------------------------------------------

TASKS = rotated(WRAPPINGS, LEARNERS, 1)


@pytest.mark.parametrize("name", LEARNERS)
def test_tasks_in_any_form_are_learnt(name: str) -> None:
    for k, (wrapping, learner) in enumerate(TASKS):
        if learner != name:
            continue
        x = np.random.default_rng(k).random((4 + k % 5, *SHAPE)).astype(np.float32)
        model = copy.deepcopy(model_of(name))
        known, tasks = set(model.classes_.tolist()), len(model.history)
        images = x if wrapping == "labelled data set" else WRAPPINGS[wrapping](x)  # not with labels twice
        labels: list[Any] = []
        if name == "pairs":
            task: Any = (images, (x, 1 - x, (1 - x).tolist(), torch.from_numpy(x))[k % 4])
        elif name == "images":
            task = images
        else:
            named = name == "names" or (name == "nothing" and k % 2)
            ways = LABEL_WRAPPINGS if named else NUMBER_WRAPPINGS
            drawn = np.random.default_rng(k).integers(-1, 5, len(x)).tolist()
            labels = [NAMED[label] for label in drawn] if named else drawn
            task = (images, ways[sorted(ways)[k % len(ways)]](labels))
        with case(wrapping, name):
            decision = model.learn(task)
            assert decision is model.decisions[-1]
            assert len(model.history) == tasks + 1
            assert model.examples == sum(part.examples for entry in model.history for part in entry.parts)
            assert set(model.classes_.tolist()) == known | set(labels) - {None, -1}
            assert np.isfinite(model.score_samples(x)).all()


WRONG: list[tuple[str, str]] = [
    *rotated((f"task {each}" for each in WRONG_TASKS), LEARNERS, 3),
    *rotated((f"labels {each}" for each in BAD_LABELS), LEARNERS, 2),
    *rotated((f"examples {each}" for each in WRONG_TYPES), LEARNERS, 1),
    *rotated((f"labelled {each}" for each in WRONG_TYPES), LEARNERS, 1),
]
ANY_SHAPE = ("flat", "table of pixels")
"""Kinds that are wrong for a model of images, but that a first task may have."""


def _wrong_task(kind: str, x: np.ndarray) -> Any:
    what, name = kind.split(" ", 1)
    if what == "task":
        return WRONG_TASKS[name](x)
    if what == "labels":
        return x, BAD_LABELS[name](len(x))
    wrong = make_wrong(name, x)
    return (wrong, [0] * 8) if what == "labelled" else wrong


@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_no_task_is_refused(name: str, state_hash: StateHash) -> None:
    model = copy.deepcopy(model_of(name))
    before = state_hash(model)
    for kind, learner in WRONG:
        if learner == name and not (name == "nothing" and kind.split(" ", 1)[1] in ANY_SHAPE):
            with case(kind, name):
                refuses(lambda kind=kind: model.learn(_wrong_task(kind, noisy(8))), BEGINS)
                assert state_hash(model) == before


@settings(max_examples=GENERATED, deadline=None)
@given(name=st.sampled_from(LEARNERS), x=pixel_faults(), labelled=st.booleans())
def _refuse_faults(state_hash: StateHash, name: str, x: Any, labelled: bool) -> None:
    refuses(lambda: model_of(name).learn((x, [0] * len(x)) if labelled else x), BEGINS)
    assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


def test_numbers_that_are_not_allowed_are_refused(state_hash: StateHash) -> None:
    _refuse_faults(state_hash)


def test_what_can_not_fit_is_refused_with_the_number(
    monkeypatch: pytest.MonkeyPatch, state_hash: Callable[..., str]
) -> None:
    mixture = GrowingMixture(**{**TINY, "hidden": 65_536})
    with pytest.raises(
        GrowmixError, match=r"training 8,5\d\d,\d\d\d,\d\d\d weights .* needs about 128\.\d GiB .* available"
    ):
        monkeypatch.setattr(memory, "available", lambda: 2**36)
        mixture.learn(noisy())
    with pytest.raises(GrowmixError, match=r"1000000000000000 examples of shape \(1, 4, 4\) needs about 170\.5 PiB"):
        made("numbers").sample(10**15)
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 10)
    before = state_hash(made("numbers"))
    for act in (
        lambda: made("numbers").learn((torch.from_numpy(noisy()), [0] * 12)),
        lambda: made("numbers").reconstruct(torch.from_numpy(noisy())),
        lambda: made("pairs").translate(torch.from_numpy(noisy())),
        lambda: made("numbers").sample(1),
        lambda: made("numbers").distill(),
    ):
        with pytest.raises(GrowmixError, match=r"needs about .* of memory, but 10 bytes are available"):
            act()
    assert state_hash(made("numbers")) == before


def test_what_a_training_would_need_in_the_end_is_asked_for_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    with pytest.raises(GrowmixError, match=r"the density of codes of length 65536 needs about 32\.0 GiB"):
        GrowingMixture(**{**TINY, "latent": 65_536}).learn(noisy())
    with pytest.raises(GrowmixError, match="routing_draws of 1000000000 codes of length 2 needs about"):
        routing_noise(10**9, made("numbers").components[0])
    teacher = copy.deepcopy(made("numbers"))
    teacher.settings = teacher.settings.replace(student_examples=2**62)
    with pytest.raises(GrowmixError, match="generated examples for the student needs about"):
        teacher.distill()


@pytest.mark.parametrize("callbacks", [5, None, [5], Callback, [Callback], "ab", iter([]), {}])
def test_callbacks_that_are_none_are_refused(callbacks: Any, state_hash: Callable[..., str]) -> None:
    for act in (lambda: made("numbers").distill(callbacks=callbacks), lambda: _learn(callbacks)):
        with pytest.raises(BadInput, match=r"callbacks is .*; allowed is a list of"):
            act()
    assert state_hash(made("numbers"), sampling=False) == hash_of("numbers", state_hash)


def _learn(callbacks: Any) -> None:
    made("numbers").learn(noisy(), callbacks=callbacks)


@pytest.mark.parametrize("name", ["numbers", "student"])
def test_a_device_that_is_not_there_is_no_fault_of_the_checkpoint(name: str, tmp_path: Path) -> None:
    made(name).save(tmp_path / name)
    for device in ("nonsense", 5):
        with pytest.raises(BadInput, match=f"^device (is )?{device!r}"):
            type(made(name)).load(tmp_path / name, device=device)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda s: evaluate(None, s), "mixture is None"),
        (lambda s: evaluate(made("student"), s), "mixture is .*evaluate_student"),
        (lambda s: evaluate(made("numbers"), None), "stream is None"),
        (lambda s: evaluate(made("numbers"), []), r"stream is \[\]"),
        (lambda s: evaluate(made("numbers"), [1, 2]), r"stream is \[1, 2\]"),
        (lambda s: evaluate_student(None, s), "student is None"),
        (lambda s: evaluate_student(made("student"), 5), "stream is 5"),
        (lambda s: evaluate_student(made("student"), s, tasks="3"), "tasks is '3'; allowed is a whole number"),
        (lambda s: evaluate_student(made("student"), s, tasks=1.5), "tasks is 1.5; allowed is a whole number"),
        (lambda s: evaluate_student(made("student"), s, tasks=0), "tasks is 0; allowed is a whole number"),
        (lambda s: Student(None, Settings(), None), "component is None"),
        (lambda s: make_learner([], Settings()), r"method is \[\]"),
        (lambda s: make_learner("er", None), "settings is a NoneType"),
        (lambda s: GrowingMixture.load("mixture", blueprint=5), "mixture"),
    ],
)
def test_what_can_not_be_measured_or_made_is_refused_by_name(act: Callable[[Any], Any], says: str) -> None:
    x, y = noisy(), [0, 1] * 6
    with pytest.raises(GrowmixError, match=says):
        act(from_arrays([(x, y, x, y)]))


def test_labels_of_the_other_kind_are_refused(state_hash: Callable[..., str]) -> None:
    x = noisy()
    for name, labels in (("numbers", ["cat"] * 12), ("names", [0] * 12)):
        with pytest.raises(GrowmixError, match=r"but the labels learnt are (numbers|names)"):
            made(name).learn((x, labels))
        assert state_hash(made(name), sampling=False) == hash_of(name, state_hash)


# Streams ---------------------------------------------------------------------------------------------------------


@settings(max_examples=GENERATED, deadline=None)
@given(x=pixel_faults() | wrong_shapes(), place=st.sampled_from([0, 2]))
def _refuse_in_streams(x: Any, place: int) -> None:
    _refuse_in_stream(place, x)


def _refuse_in_stream(place: int, bad: Any) -> None:
    x, labels = noisy(6), [0, 1] * 3
    arrays: list[Any] = [x, labels, x, labels]
    arrays[place] = bad
    refuses(lambda: from_arrays([(x, labels, x, labels), tuple(arrays)]), "task 'task-2'")


def test_streams_refuse_what_verbs_refuse() -> None:
    for k, name in enumerate(sorted(WRONG_TYPES)):
        with case(name):
            _refuse_in_stream(2 * (k % 2), make_wrong(name, noisy(6)))
    for k, name in enumerate(sorted(BAD_LABELS)):
        with case(name):
            _refuse_in_stream(1 + 2 * (k % 2), BAD_LABELS[name](6))
    _refuse_in_streams()
