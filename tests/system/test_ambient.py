"""Whatever the caller has set in torch, growmix learns and answers the same, and leaves it set."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from growmix import BadInput, GrowingMixture, Settings, Student, evaluate, experiment, streams
from growmix.baselines import METHODS, make_learner
from growmix.config import RunConfig
from growmix.evaluation import evaluate_student
from growmix.evaluation.frechet import train_features
from growmix.evaluation.likelihood import log_likelihood
from growmix.learning.learner import Learner
from growmix.system import ambient
from growmix.theory import MLP, RiskLedger, Search, ZeroOne, discrepancy, rademacher
from growmix.training.callbacks import Callback, Progress

X = np.random.default_rng(0).random((12, 1, 4, 4), dtype=np.float32)
Y = np.arange(12) % 3
TX, TY = torch.from_numpy(X), torch.from_numpy(Y)
TINY: dict[str, Any] = {
    "hidden": 4, "latent": 2, "epochs": 1, "density_components": 1, "device": "cpu",
    "student_examples": 8, "student_epochs": 1, "student_hidden": 4, "student_latent": 2, "precision": "32-true",
}  # fmt: skip


@contextmanager
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def elsewhere() -> Iterator[None]:
    """New tensors are made where there are no values; on a machine with a GPU, it could be that."""
    torch.set_default_device("meta")
    try:
        yield
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)


@contextmanager
def halves() -> Iterator[None]:
    """What is called within computes in bfloat16 where it may."""
    with torch.autocast("cpu", torch.bfloat16):
        yield
        assert torch.is_autocast_enabled("cpu") and torch.is_autocast_cache_enabled()


@contextmanager
def fastest() -> Iterator[None]:
    """A GPU takes whichever way to sum is the fastest at the moment."""
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    try:
        yield
        assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (False, True)
    finally:
        torch.backends.cudnn.benchmark = False


STATES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "doubles": doubles,
    "elsewhere": elsewhere,
    "halves": halves,
    "fastest": fastest,
}


def weights(model: Learner[Any] | Student) -> list[Tensor]:
    return [tensor for component in model.components for tensor in component.state_dict().values()]


def learnt(name: str) -> Learner[Any]:
    learner = make_learner(name, Settings(**TINY, threshold=1.0))
    learner.learn((TX, TY))
    learner.learn((X, Y.tolist()))
    return learner


@functools.cache
def weights_of(name: str) -> list[Tensor]:
    """What a method learns where nothing was set."""
    return weights(learnt(name))


@pytest.fixture(scope="module")
def mixture() -> GrowingMixture:
    made = learnt("mixture")
    assert isinstance(made, GrowingMixture)
    return made


@pytest.fixture(scope="module")
def pairs() -> GrowingMixture:
    made = GrowingMixture(**TINY)
    made.learn((TX, 1 - TX))
    return made


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest) -> AbstractContextManager[None]:
    return STATES[request.param]()


EVERYTHING = "all at once"
"""A name for a state in which a caller has set whatever can be set together."""


def all_at_once() -> AbstractContextManager[None]:
    stack = ExitStack()
    for name in ("no gradients", "doubles", "elsewhere", "halves", "fastest"):
        stack.enter_context(STATES[name]())
    return stack


WHERE_LEARNT = [("mixture", name) for name in STATES] + [(name, EVERYTHING) for name in METHODS]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "what"), WHERE_LEARNT)
def test_every_method_learns_the_same(name: str, what: str) -> None:
    expected = weights_of(name)
    with all_at_once() if what == EVERYTHING else STATES[what]():
        found = weights(learnt(name))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not any(tensor.is_inference() for tensor in found)


def answers(mixture: GrowingMixture, pairs: GrowingMixture, folder: Path) -> list[Any]:
    """Of every verb; of what draws, of a copy."""
    mixture = copy.deepcopy(mixture)
    student = mixture.distill()
    mixture.save(folder / "mixture")
    student.save(folder / "student")
    stream = streams.from_arrays([(X, Y, X, Y)] * 2)
    named = streams.from_arrays([(TX, [f"class {label}" for label in Y.tolist()]) * 2])
    given: list[Any] = [named[0].train.y]
    for model in (GrowingMixture.load(folder / "mixture"), mixture, Student.load(folder / "student"), student):
        given += [model.classes_, model.predict(TX), model.predict(X.tolist()), model.predict_proba(X, component=0)]
        given += [model.score_samples(X), model.component_scores(TX).elbo, model.reconstruct(X), model.encode(TX)]
        given += [*model.sample(3), *model.sample(2, label=1), model.interpolate(X[0], X[1])]
    given += [mixture.route(TX), mixture.route(X, per="group"), mixture.log_prior.cpu(), mixture.novelty(X).values]
    given += [pairs.translate(X), evaluate(mixture, stream).task_agnostic]
    given += [evaluate_student(student, stream).task_agnostic]
    return given


@pytest.fixture(scope="module")
def answered(mixture: GrowingMixture, pairs: GrowingMixture, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the verbs answer somebody who set nothing."""
    return answers(mixture, pairs, tmp_path_factory.mktemp("answered"))


@pytest.mark.slow
def test_every_verb_answers_the_same(
    state: AbstractContextManager[None],
    mixture: GrowingMixture,
    pairs: GrowingMixture,
    answered: list[Any],
    tmp_path: Path,
) -> None:
    with state:
        found = answers(mixture, pairs, tmp_path)
    for ours, theirs in zip(found, answered, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def measurements(mixture: GrowingMixture) -> list[Any]:
    """Of what trains networks only to measure."""
    search = Search(steps=4, batch=8, restarts=1, learning_rates=(0.1,))
    samples = np.random.default_rng(1).random((2, 50, 3), dtype=np.float32)
    given: list[Any] = [rademacher(MLP(2), torch.from_numpy(samples[0]), draws=2)]
    given += [discrepancy(*samples, MLP(2), ZeroOne(), search=search).estimate]
    many = np.random.default_rng(2).random((60, 1, 4, 4), dtype=np.float32)
    stream = streams.from_arrays([(many, Y.repeat(5), many, Y.repeat(5))])
    own, ledger = GrowingMixture(**TINY), RiskLedger(stream, examples=50, search=search)
    own.learn(stream[0].train)
    ledger.after_task(own)
    ledger.after_student(own.distill())
    given += [str(ledger.pack()[0])]
    tasks = [task.train for task in streams.from_arrays([(X, Y, X, Y)])]
    return [
        *given,
        train_features(tasks, 0, "cpu")(TX),
        log_likelihood(mixture.components, mixture.log_prior, TX, 2, 0),
    ]


@pytest.fixture(scope="module", autouse=True)
def _quick_features(quick_features: None) -> None:
    """They are compared with themselves, however good they are."""


@pytest.fixture(scope="module")
def measured(mixture: GrowingMixture) -> list[Any]:
    """What somebody measures who set nothing."""
    return measurements(mixture)


@pytest.mark.slow
def test_what_is_measured_is_the_same(
    state: AbstractContextManager[None], mixture: GrowingMixture, measured: list[Any]
) -> None:
    with state:
        found = measurements(mixture)
    for ours, theirs in zip(found, measured, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def run(folder: Path) -> dict[str, Any]:
    usual: dict[str, Any] = {"train_examples": 40, "test_examples": 20, "likelihood_draws": 0, "frechet_examples": 0}
    settings = Settings(**{**TINY, "max_steps": 2})
    config = RunConfig(stream="domains", tasks=("digits", "digits@rotate30"), out=folder, settings=settings, **usual)
    return experiment.run(config)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a run of somebody who set nothing."""
    return run(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.slow
def test_a_run_is_the_same(state: AbstractContextManager[None], metrics: dict[str, Any], tmp_path: Path) -> None:
    with state:
        found = run(tmp_path / "run")
        again = experiment.reevaluate(tmp_path / "run")
    for name in ("decisions", "accuracy", "reconstruction"):
        assert found[name] == metrics[name]
    assert found["student"]["accuracy"] == metrics["student"]["accuracy"]
    assert again["reconstruction"] == metrics["reconstruction"]


def test_what_was_set_is_set_again_after_an_error(state: AbstractContextManager[None], mixture: GrowingMixture) -> None:
    with state:
        before = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype())
        with pytest.raises(BadInput):
            mixture.predict(X[:, :, :3])
        assert before == (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype())


def test_a_gpu_sums_in_one_order_while_learning() -> None:
    class Look(Callback):
        def on_epoch_end(self, progress: Progress) -> None:
            seen.append((torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark))

    seen: list[tuple[bool, bool]] = []
    with fastest():
        GrowingMixture(**TINY).learn((TX, TY), callbacks=[Look()])
    assert seen == [(True, False)]


def test_the_order_stays_until_the_last_thread_has_left() -> None:
    def now() -> tuple[bool, bool]:
        return torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark

    with fastest():
        with ExitStack() as one:
            one.enter_context(ambient._one_order())
            with ExitStack() as other:
                other.enter_context(ambient._one_order())
                one.close()  # the first to come is the first to leave
                assert now() == (True, False)
        assert now() == (False, True)


def test_an_interrupt_before_the_order_was_asked_for_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ExitStack):
        """A lock that the first to come is interrupted at."""

        seen = False

        def __enter__(self) -> Interrupted:
            first, self.seen = not self.seen, True
            if first:
                raise KeyboardInterrupt
            return self

    monkeypatch.setattr(ambient, "_lock", Interrupted())
    with fastest(), pytest.raises(KeyboardInterrupt), ambient._one_order():
        pass


def test_images_made_without_gradients_can_be_learnt() -> None:
    with torch.inference_mode():
        x, y = TX.clone(), TY.clone()
    mixture = GrowingMixture(**TINY)
    mixture.learn((x, y))
    assert torch.equal(mixture.predict(x), mixture.predict(TX))


FACTORIES: dict[str, tuple[Callable[[], Tensor], torch.dtype]] = {
    "zeros": (lambda: torch.zeros(2), torch.float32),
    "asked for": (lambda: torch.zeros(2, dtype=torch.float64), torch.float64),
    "nothing asked for": (lambda: torch.empty(2, dtype=None), torch.float32),
    "drawn": (lambda: torch.randn(2, generator=torch.Generator()), torch.float32),
    "between": (lambda: torch.linspace(0, 1, 3), torch.float32),
    "whole": (lambda: torch.arange(3), torch.int64),
    "fractions": (lambda: torch.arange(0.0, 1.0, 0.5), torch.float32),
    "filled": (lambda: torch.full((2,), 0.5), torch.float32),
    "filled with a truth value": (lambda: torch.full((2,), True), torch.bool),
    "of numbers": (lambda: torch.tensor([1, 0.5]), torch.float32),
    "of whole numbers": (lambda: torch.tensor([[1, 2]]), torch.int64),
    "of an array": (lambda: torch.tensor(np.zeros(2)), torch.float64),
    "of arrays": (lambda: torch.as_tensor([np.zeros(2), np.ones(2)]), torch.float64),
    "of nothing": (lambda: torch.tensor([]), torch.float32),
    "of a module": (lambda: torch.nn.Linear(2, 2).weight, torch.float32),
}


@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy:UserWarning")
@pytest.mark.parametrize("name", FACTORIES)
def test_new_tensors_have_single_precision_where_nothing_else_is_said(name: str) -> None:
    make, expected = FACTORIES[name]
    with doubles(), ambient.SinglePrecision():
        assert make().dtype == expected
    assert make().dtype == expected


def test_what_is_set_aside_in_one_thread_stays_set_in_another() -> None:
    inside, look = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        inside.wait()
        seen.append((torch.get_default_dtype(), torch.zeros(1).dtype))
        look.set()

    thread = threading.Thread(target=other)
    with doubles():
        thread.start()
        with ambient.torch_as_it_comes():
            inside.set()
            look.wait()
            assert torch.zeros(1).dtype == torch.float32
    thread.join()
    assert seen == [(torch.float64, torch.float64)]
