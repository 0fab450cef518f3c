"""Models of every kind, the verbs that answer for examples, and what an answer must be."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import pytest
from torch import Tensor

from growmix import BadInput, GrowingMixture, Novelty
from growmix.learning.routing import ComponentScores
from handed_over import noisy, rows

TINY: dict[str, Any] = {
    "hidden": 4,
    "latent": 2,
    "epochs": 1,
    "density_components": 1,
    "device": "cpu",
    "precision": "32-true",
    "student_examples": 8,
    "student_epochs": 1,
    "student_hidden": 4,
    "student_latent": 2,
}

Verb = Callable[[Any, Any], Any]
T = TypeVar("T")


@functools.cache
def made(name: str) -> Any:
    """Models of every kind; no test changes them."""
    if name == "student":
        return made("numbers").distill()
    if name == "student of vectors":
        return made("vectors").distill()
    mixture = GrowingMixture(gate="always", **TINY)
    for kind in (0, 1):
        x = rows(kind=kind) if name == "vectors" else noisy(kind=kind)
        if name == "pairs":
            mixture.learn((x, 1 - x))
        elif name == "images":
            mixture.learn(x)
        elif name == "names":
            mixture.learn((x, np.array([f"{kind}", None, "both"], dtype=object)[np.arange(12) % 3]))
        else:
            mixture.learn((x, np.arange(12) % 3 - 1 + kind))
    return mixture


MODELS = ("numbers", "names", "images", "pairs", "student", "nothing")
LABELLED = ("numbers", "names", "student")


def model_of(name: str) -> Any:
    return GrowingMixture(**TINY) if name == "nothing" else made(name)


@functools.cache
def hash_of(name: str, state_hash: Callable[..., str]) -> str:
    return state_hash(model_of(name), sampling=False)


def _one(model: Any) -> np.ndarray:
    """Return one example of the kind that a model learnt."""
    vectors = bool(model.components) and len(model.shape) == 1
    example: np.ndarray = rows()[0] if vectors else noisy()[0]
    return example


VERBS: dict[str, Verb] = {
    "predict": lambda model, x: model.predict(x),
    "predict_proba": lambda model, x: model.predict_proba(x),
    "score_samples": lambda model, x: model.score_samples(x),
    "component_scores": lambda model, x: model.component_scores(x),
    "reconstruct": lambda model, x: model.reconstruct(x),
    "encode": lambda model, x: model.encode(x),
    "translate": lambda model, x: model.translate(x),
    "interpolate": lambda model, x: model.interpolate(x, _one(model), 3),
    "interpolate to": lambda model, x: model.interpolate(_one(model), x, 3),
    "route": lambda model, x: model.route(x),
    "novelty": lambda model, x: model.novelty(x),
}


def is_answer(verb: str, model: Any, n: int, answer: Any) -> bool:
    """Whether an answer is what the docstring of the verb says, for so many examples."""
    components, classes = len(model.components), len(model.classes_)
    if verb == "novelty":
        shares = isinstance(answer, Novelty) and len(answer.shares) == components and abs(sum(answer.shares) - 1) < 1e-9
        return shares and len(answer.values) == components and all(value >= 0 for value in answer.values)
    if verb == "component_scores":
        return isinstance(answer, ComponentScores) and answer.elbo.shape == (n, components)
    values = answer.numpy() if isinstance(answer, Tensor) else answer
    if verb == "predict":
        return values.shape == (n,) and set(values.tolist()) <= set(model.classes_.tolist())
    if verb == "route":
        return values.shape == (n,) and set(values.tolist()) <= set(range(components))
    if verb == "predict_proba":
        return values.shape == (n, classes) and bool(np.allclose(values.sum(1), 1, atol=1e-4))
    if verb in ("score_samples", "encode"):
        return values.shape == ((n,) if verb == "score_samples" else (n, 2)) and bool(np.isfinite(values).all())
    least, most = (0, 1) if model.domain.support == "unit" else (-np.inf, np.inf)
    right_shape = values.shape == (3 if verb.startswith("interpolate") else n, *model.shape)
    return right_shape and bool(np.isfinite(values).all()) and least <= values.min() <= values.max() <= most


def applies(verb: str, name: str) -> bool:
    """Whether a model can have an answer."""
    if name == "nothing" or (verb in ("route", "novelty") and name == "student"):
        return False
    if verb == "translate":
        return name == "pairs"
    return verb not in ("predict", "predict_proba") or name in LABELLED


PAIRS = [(name, verb) for name in MODELS for verb in VERBS if applies(verb, name)]
NAME = {"interpolate": "a", "interpolate to": "b", "novelty": "(x|data)"}
"""What the argument is called, if not x."""


def rotated(cases: Iterable[str], partners: Sequence[T], times: int) -> list[tuple[str, T]]:
    """Pair each case with several partners, which take turns: so all meet many, but not each meets each."""
    names = sorted(cases)
    return [
        (name, partners[(k * times + turn) % len(partners)]) for k, name in enumerate(names) for turn in range(times)
    ]


@contextmanager
def case(*words: object) -> Iterator[None]:
    """Say in a failure which of many cases it was."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        raise AssertionError(f"case {', '.join(map(str, words))}: {error}") from error


def refuses(act: Callable[[], Any], begins: str) -> None:
    """Input is what is wrong, and the message says in one short line which, and what is allowed or to be done."""
    with pytest.raises(BadInput) as caught:
        act()
    message = str(caught.value)
    assert re.match(rf"{begins}(?!\w)", message), message
    assert "\n" not in message
    assert len(message) < 500
    said = message.split(" data: ", 1)[-1]  # which task of a stream it is of comes before
    assert re.search(r"\S(; |, but |: )\S", said), said
