"""What every method that learns task after task must do."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from growmix.checks.promises import keep, refuses, require
from growmix.components.abilities import Codes, WithoutDensity
from growmix.learning.gating import Decision
from growmix.learning.learner import Learner
from growmix.training.callbacks import Callback, FitInfo

_EXAMPLES = 40
_THREADS = 4

Make: TypeAlias = Callable[[], Learner[Any]]
Load: TypeAlias = Callable[[Path], Learner[Any]]


def check_method(make: Make, load: Load | None = None) -> list[str]:
    """Check that a method keeps the contract of :class:`growmix.learning.learner.Learner`; return what was checked.

    The method learns two tasks of 40 pictures of 8 by 8, with two classes each.

    Parameters
    ----------
    make
        Returns a learner that has learnt nothing, on the CPU; each call with the same seed. A small training budget
        makes the check fast.
    load
        Reads a learner back from the folder that ``save`` wrote; without it, what ``save`` writes is not read.

    Raises
    ------
    AssertionError
        A promise is broken; the message says which.
    """
    learner = make()
    require(isinstance(learner, Learner), f"make() must return a Learner; it returned a {type(learner).__name__}")
    first = learner.learn(_task(0))
    grown = isinstance(first, Decision) and (first.action, first.component) == ("grow", 0)
    require(grown, f"the first task must grow component 0; learn() returned {first}")
    learner.learn(_task(1))

    def answers_after_loading(other: Learner[Any]) -> None:
        """What was saved answers as it did, and learns on as it would have."""
        if load is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            other.save(Path(folder) / "it")
            again = load(Path(folder) / "it")
        _require_same(other, again, "a learner that was saved and loaded")
        for each in (other, again):
            each.learn(_task(2))
        _require_same(other, again, "a learner that was saved, loaded and has learnt on")

    def one_seed_gives_one_result(other: Learner[Any]) -> None:
        """Whatever the global random generators are, the settings' seed decides."""
        again = make()
        for kind in (0, 1):
            again.learn(_task(kind))
        _require_same(other, again, "a second learner of the same seed")

    promises = (
        history_and_labels_are_those_of_the_tasks,
        every_verb_answers,
        no_verb_takes_labels,
        a_task_that_fails_changes_nothing,
        a_copy_and_many_threads_answer_alike,
        one_seed_gives_one_result,
        answers_after_loading,
    )
    return keep(promises, lambda: copy.deepcopy(learner))


def history_and_labels_are_those_of_the_tasks(learner: Learner[Any]) -> None:
    """One entry a task, all examples counted, all labels known."""
    require(len(learner.history) == 2, f"two tasks were learnt; the history has {len(learner.history)} entries")
    require(learner.examples == 2 * _EXAMPLES, f"{2 * _EXAMPLES} examples were learnt; examples is {learner.examples}")
    labels = learner.classes_.tolist()
    require(labels == [0, 1, 2, 3], f"the labels 0 to 3 were learnt; classes_ is {labels}")
    share = float(learner.log_prior.exp().sum())
    require(abs(share - 1.0) < 1e-5, f"the components' shares must sum to 1; they sum to {share}")
    moved = any(weight.requires_grad for c in learner.components for weight in c.parameters())
    require(not moved, "components that answer must be frozen")


def every_verb_answers(learner: Learner[Any]) -> None:
    """Answers have the shapes that the verbs promise, and probabilities sum to one."""
    x, n = _questions(), len(_questions())
    proba = learner.predict_proba(x)
    ones = proba.shape == (n, 4) and np.allclose(proba.sum(1), 1.0, atol=1e-4)
    require(ones, f"predict_proba() must have shape {(n, 4)} and rows that sum to 1; its shape is {proba.shape}")
    require(set(learner.predict(x).tolist()) <= {0, 1, 2, 3}, "predict() must answer with labels that were learnt")
    require(set(learner.route(x).tolist()) <= set(range(len(learner.components))), "route() must name components")
    if not _has_density(learner):
        for verb, asked in (("score_samples", x), ("sample", 7)):
            refuses(lambda verb=verb, asked=asked: getattr(learner, verb)(asked), f"{verb}() without a density")  # type: ignore[misc]
        return
    require(bool(np.isfinite(learner.score_samples(x)).all()), "score_samples() must be finite")
    drawn, labels = learner.sample(7)
    require(drawn.shape == (7, *x.shape[1:]), f"sample(7) must have shape {(7, *x.shape[1:])}; it is {drawn.shape}")
    require(drawn.min() >= 0.0 and drawn.max() <= 1.0, "sampled pictures must lie in [0, 1]")
    require(learner.sample(3, label=2)[1].tolist() == [2, 2, 2], "sample(label=2) must draw examples of label 2")
    require(set(labels.tolist()) <= {-1, 0, 1, 2, 3}, "sample() must name labels that were learnt")
    if all(isinstance(component, Codes) for component in learner.components):
        require(learner.reconstruct(x).shape == x.shape, "reconstruct() must have the shape of the examples")


def no_verb_takes_labels(learner: Learner[Any]) -> None:
    """Answers are functions of examples alone."""
    for verb in ("predict", "predict_proba", "score_samples", "route"):
        refuses(lambda verb=verb: getattr(learner, verb)(_task(0)), f"{verb}() of examples with labels")  # type: ignore[misc]


def a_task_that_fails_changes_nothing(learner: Learner[Any]) -> None:
    """Whatever is raised in training, the learner is as it was."""

    class Stop(Exception):
        pass

    class Failing(Callback):
        def on_fit_start(self, fit: FitInfo) -> None:
            raise Stop

    before = copy.deepcopy(learner)
    try:
        learner.learn(_task(1, seed=3), callbacks=[Failing()])
    except Stop:
        _require_same(before, learner, "a learner whose task failed")
    for each in (before, learner):
        each.learn(_task(2))
    refuses(lambda: learner.learn(np.zeros((3, 1, 5, 5))), "learn() of examples of another shape")


def a_copy_and_many_threads_answer_alike(learner: Learner[Any]) -> None:
    """A deep copy is a learner of its own, and any number of threads may ask one."""
    x = _questions()
    expected, other = learner.predict_proba(x), copy.deepcopy(learner)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda _: [other.predict_proba(x) for _ in range(3)], range(_THREADS)))
    same = all(np.array_equal(each, expected) for part in found for each in part)
    require(same, "a copy that several threads ask must answer as the original does")


def _has_density(learner: Learner[Any]) -> bool:
    return not any(isinstance(component, WithoutDensity) for component in learner.components)


def _require_same(one: Learner[Any], other: Learner[Any], what: str) -> None:
    x = _questions()
    decisions = [entry.decision for entry in one.history] == [entry.decision for entry in other.history]
    require(decisions, f"{what} must have made the same decisions")
    states = [
        {f"{k}.{name}": t for k, c in enumerate(each.components) for name, t in c.state_dict().items()}
        for each in (one, other)
    ]
    equal = states[0].keys() == states[1].keys() and all(torch.equal(t, states[1][n]) for n, t in states[0].items())
    require(equal, f"{what} must have the same weights and buffers")
    for verb in ("predict_proba", "route", *(("score_samples",) if _has_density(one) else ())):
        equal = np.array_equal(getattr(one, verb)(x), getattr(other, verb)(x))
        require(equal, f"{what} must answer {verb}() in the same way")


def _task(kind: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy pictures of two classes, ``2 * kind`` and the next; kinds have nothing in common."""
    templates = np.random.default_rng(kind).random((2, 1, 8, 8)) > 0.5
    numbers = np.random.default_rng([seed, kind])
    which = np.arange(_EXAMPLES) % 2
    x = 0.8 * templates[which] + 0.2 * numbers.random((_EXAMPLES, 1, 8, 8))
    return x.astype(np.float32), which + 2 * kind


def _questions() -> np.ndarray:
    return np.concatenate([_task(kind, seed=1)[0][:6] for kind in (0, 1)])
