"""Many threads ask one model, or learn in models of their own: answers and weights are those of one thread alone."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from growmix import BadInput, GrowingMixture, Student
from growmix.components.nets import OwnModules
from growmix.learning.gating import Decision, Gate, ThresholdGate
from growmix.learning.model import Model
from growmix.system.compute_threads import torch_threads
from growmix.training.callbacks import Callback, Progress

THREADS = 8
TINY: dict[str, Any] = {
    "hidden": 8, "latent": 2, "epochs": 2, "density_components": 1, "device": "cpu", "precision": "32-true",
    "student_examples": 20, "student_epochs": 1, "student_hidden": 8, "student_latent": 2,
}  # fmt: skip

VERBS: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "predict": lambda model, x: model.predict(x),
    "predict_proba": lambda model, x: model.predict_proba(x),
    "score_samples": lambda model, x: model.score_samples(x),
    "component_scores": lambda model, x: model.component_scores(x).elbo,
    "reconstruct": lambda model, x: model.reconstruct(x),
    "encode": lambda model, x: model.encode(x),
    "interpolate": lambda model, x: model.interpolate(x[0], x[-1], steps=2),
    "classes_": lambda model, x: model.classes_,
    "log_prior": lambda model, x: model.log_prior,
}
OF_A_MIXTURE: dict[str, Callable[[Any, np.ndarray], Any]] = {
    **VERBS,
    "route": lambda model, x: model.route(x),
    "group": lambda model, x: model.route(x, per="group"),
    "novelty": lambda model, x: model.novelty(images(1, len(x) + 8)[0]),
}


def images(kind: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, ``2 * kind`` and the next; kinds have nothing in common."""
    rng = np.random.default_rng(kind)
    templates, which = rng.random((2, 1, 6, 6)) > 0.5, np.arange(n) % 2
    return (0.8 * templates[which] + 0.2 * rng.random((n, 1, 6, 6))).astype(np.float32), which + 2 * kind


QUESTIONS = [images(0, n)[0] for n in (1, 2, 31, 40)]


@functools.cache
def _taught() -> GrowingMixture:
    mixture = GrowingMixture(**TINY, gate="always")
    for kind in range(3):
        mixture.learn(images(kind))
    return mixture


def taught() -> GrowingMixture:
    return copy.deepcopy(_taught())


def weights(model: Model) -> list[bytes]:
    return [t.numpy().tobytes() for c in model.components for t in c.state_dict().values()]


def at_once(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """Do something in several threads that begin together."""
    barrier = threading.Barrier(threads)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


@pytest.mark.parametrize("kind", ["mixture", "student"])
def test_every_verb_answers_in_many_threads_as_in_one_and_destroys_nothing(kind: str) -> None:
    model: Model = taught()
    if kind == "student":
        model = model.distill()  # type: ignore[attr-defined]
    verbs = OF_A_MIXTURE if kind == "mixture" else VERBS
    alone = [{name: verb(model, x) for name, verb in verbs.items()} for x in QUESTIONS]
    fresh, before = copy.deepcopy(model), weights(model)  # whose router is still to be made

    def ask(number: int) -> list[str]:
        wrong = []
        for turn in range(6):
            k = (number + turn) % len(QUESTIONS)
            for name, verb in verbs.items():
                if not equal(verb(fresh, QUESTIONS[k]), alone[k][name]):
                    wrong.append(f"{name} of {len(QUESTIONS[k])}")
        return wrong

    assert at_once(ask) == [[]] * THREADS
    assert weights(fresh) == before


def test_answers_while_another_thread_learns_are_those_before_or_after(recwarn: pytest.WarningsRecorder) -> None:
    stages = [copy.deepcopy(_taught())]
    for kind in (3, 4):
        after = copy.deepcopy(stages[-1])
        after.learn(images(kind))
        stages.append(after)
    x = QUESTIONS[2]
    names = [name for name in OF_A_MIXTURE if name not in ("group", "classes_")]
    allowed = {name: [OF_A_MIXTURE[name](stage, x) for stage in stages] for name in names}
    mixture, done = taught(), threading.Event()

    def learn() -> list[str]:
        for kind in (3, 4):
            mixture.learn(images(kind))
        done.set()
        return []

    def ask() -> list[str]:
        wrong = []
        while True:
            last = done.is_set()
            for name in names:
                answer = OF_A_MIXTURE[name](mixture, x)
                if not any(equal(answer, one) for one in allowed[name]):
                    wrong.append(name)
            if last:
                return wrong

    assert at_once(lambda number: learn() if number == 0 else ask(), 5) == [[]] * 5
    assert weights(mixture) == weights(stages[-1])


def test_threads_that_learn_in_one_mixture_take_turns() -> None:
    mixture = taught()
    decisions = at_once(lambda number: mixture.learn(images(3 + number)), 3)
    assert sorted(decision.component for decision in decisions) == [3, 4, 5]
    assert len(mixture.history) == len(mixture.components) == 6
    assert mixture.examples == 240


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_mixtures_that_learn_side_by_side_learn_what_they_learn_alone(precision: str) -> None:
    def learnt(seed: int) -> list[bytes]:
        mixture = GrowingMixture(**{**TINY, "precision": precision}, seed=seed, threshold=1.0 + seed % 2, patience=1)
        for kind in range(2):
            mixture.learn(images(kind))
        return [*weights(mixture), *weights(mixture.distill())]

    alone, done = [learnt(seed) for seed in range(4)], threading.Event()
    torch.manual_seed(5)
    expected = torch.rand(1_000, 3)
    torch.manual_seed(5)
    drawn = []

    def work(number: int) -> list[bytes]:
        if number < 4:
            try:
                return learnt(number)
            finally:
                done.set()
        while not done.wait(0.001) and len(drawn) < 1_000:
            drawn.append(torch.rand(3))  # from torch's generator, which nobody else may touch
        return []

    assert at_once(work, 5)[:4] == alone
    assert torch.equal(torch.stack(drawn), expected[: len(drawn)])


def test_a_thread_that_begins_beside_work_of_one_thread_computes_with_the_number_of_the_process() -> None:
    class Counts(Gate):
        name = "counts"

        def decide(self, novelty: Sequence[float], counts: Sequence[int], threshold: float) -> Decision:
            found.append(torch.get_num_threads())
            return ThresholdGate().decide(novelty, counts, threshold)

    found: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        mixture = GrowingMixture(gate=Counts(), **TINY)
        with torch_threads(1), ThreadPoolExecutor(1) as pool:  # a new thread begins with the number that was set last
            pool.submit(mixture.learn, images(0)).result()
    finally:
        torch.set_num_threads(before)
    assert found == [2]


def test_a_users_own_modules_wait_for_each_other() -> None:
    def learnt(seed: int) -> list[bytes]:
        own = OwnModules(
            lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.Dropout(0.2)),
            lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 36), nn.Unflatten(1, shape)),
        )
        mixture = GrowingMixture(own, **{**TINY, "hidden": None}, seed=seed)
        mixture.learn(images(0))
        return weights(mixture)

    alone = [learnt(seed) for seed in range(3)]
    state = torch.get_rng_state()
    assert at_once(learnt, 3) == alone
    assert torch.equal(state, torch.get_rng_state())


def test_no_two_threads_draw_the_same_sample() -> None:
    mixture, alone = taught(), taught()
    drawn = [row for part in at_once(lambda number: [mixture.sample(3)[0] for _ in range(4)]) for row in part]
    expected = [alone.sample(3)[0] for _ in drawn]
    assert {each.tobytes() for each in drawn} == {each.tobytes() for each in expected}
    assert len({each.tobytes() for each in drawn}) == 4 * THREADS


def test_a_callback_that_learns_stops_the_task_that_it_watches() -> None:
    class Learns(Callback):
        def on_epoch_end(self, progress: Progress) -> None:
            if len(mixture.history) == 3:
                mixture.learn(images(3))

    mixture = taught()
    with pytest.raises(BadInput, match="another task was learnt"):
        mixture.learn(images(4), callbacks=[Learns()])
    assert mixture.classes_.tolist() == list(range(8))


def test_saving_while_learning_keeps_one_state(tmp_path: Any) -> None:
    mixture, done = taught(), threading.Event()

    def work(number: int) -> list[int]:
        if number == 0:
            for kind in (3, 4):
                mixture.learn(images(kind))
            done.set()
            return [5]
        found = []
        while not done.is_set():
            mixture.save(tmp_path / "it")
            saved = GrowingMixture.load(tmp_path / "it")
            assert len(saved.components) == len(saved.history) == len(saved.records)
            found.append(len(saved.components))
        return found

    for found in at_once(work, 2):
        assert set(found) <= {3, 4, 5}


@pytest.mark.parametrize("kind", ["mixture", "student"])
def test_a_copy_and_a_pickle_answer_and_draw_alike(kind: str) -> None:
    mixture = taught()
    model: GrowingMixture | Student = mixture.distill() if kind == "student" else mixture
    x = QUESTIONS[1]
    model.predict(x)  # a router is made, and is not carried
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for other in copies:
        assert equal(other.predict_proba(x), model.predict_proba(x))
    first = model.sample(4)[0]
    for other in copies:
        assert equal(other.sample(4)[0], first)
        if isinstance(other, GrowingMixture):
            assert other.learn(images(3)).component == 3


def _answer(model: GrowingMixture, x: np.ndarray) -> Any:
    torch.set_num_threads(1)
    decision = model.learn(images(3))
    return model.predict_proba(x), decision


@pytest.mark.slow
def test_a_mixture_can_be_sent_to_a_spawned_process() -> None:
    mixture, x = taught(), QUESTIONS[2]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        proba, decision = pool.apply(_answer, (mixture, x))
    assert mixture.learn(images(3)) == decision
    np.testing.assert_allclose(mixture.predict_proba(x), proba, rtol=1e-5)


def test_another_thread_may_change_the_default_type_at_any_time() -> None:
    expected, x = taught(), QUESTIONS[2]
    answers = [verb(expected, x) for verb in OF_A_MIXTURE.values()]
    learnt = copy.deepcopy(expected)
    learnt.learn(images(3))
    done = threading.Event()

    def turn() -> bool:
        try:
            while not done.is_set():
                torch.set_default_dtype(torch.float64)
                torch.set_default_dtype(torch.float32)
        finally:
            torch.set_default_dtype(torch.float32)
        return True

    def work() -> bool:
        try:
            mixture = taught()
            right = [equal(verb(mixture, x), a) for verb, a in zip(OF_A_MIXTURE.values(), answers, strict=True)]
            mixture.learn(images(3))
            return all(right) and weights(mixture) == weights(learnt)
        finally:
            done.set()

    for _ in range(3):
        done.clear()
        assert at_once(lambda number: turn() if number == 0 else work(), 2) == [True, True]
