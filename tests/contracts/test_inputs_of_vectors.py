"""Where vectors were learnt, every verb takes any finite numbers in any form, and refuses images and all else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from asked import NAME, TINY, VERBS, case, hash_of, is_answer, made, model_of, refuses, rotated
from growmix import GrowingMixture
from growmix.errors import BadInput
from growmix.streams import from_arrays
from handed_over import BAD_LABELS, WRAPPINGS, WRONG_TYPES, make_wrong, noisy, rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors is in prototype stage"),
]

StateHash = Callable[..., str]

VECTOR_VERBS = [verb for verb in VERBS if verb != "translate"]
PAIRS = [("vectors", verb) for verb in VECTOR_VERBS] + [
    ("student of vectors", verb) for verb in VECTOR_VERBS if verb not in ("route", "novelty")
]
FORMS = [
    each
    for each in WRAPPINGS
    # these are of four axes, and these labels are names where numbers were learnt
    if each not in ("strided", "transposed tensor", "task", "labelled data set")
]
"""Forms of an array that vectors may have as well as images."""

UNBOUNDED = ("array", "double", "list", "tensor", "table", "data set", "loader", "generator", "fortran", "memory map")
"""Forms that any numbers may have; others make bytes or the like of numbers in [0, 1]."""

NOT_VECTORS: dict[str, Callable[[np.ndarray], Any]] = {
    "images": lambda x: x.reshape(len(x), 1, 4, 4),
    "other images": lambda x: noisy(len(x))[:, :, :3],
    "three axes": lambda x: x.reshape(len(x), 4, 4),
    "fewer numbers": lambda x: x[:, :9],
    "more numbers": lambda x: np.concatenate([x, x], 1),
    "one axis too few": lambda x: x[0, :9],
    "five axes": lambda x: x.reshape(len(x), 1, 4, 2, 2),
    "data set of images": lambda x: torch.utils.data.TensorDataset(torch.from_numpy(noisy(len(x)))),
    "batches of images": lambda x: iter([noisy(len(x))]),
    "nan": lambda x: np.where(x == x[0, 0], np.nan, x),
    "infinite": lambda x: np.where(x == x[0, 0], -np.inf, x),
    "beyond single precision": lambda x: np.where(x == x[0, 0], 1e39, x.astype(float)),
    "tensor with nan": lambda x: torch.from_numpy(np.where(x == x[0, 0], np.nan, x)),
    "empty": lambda x: x[:0],
    "without numbers": lambda x: x[:, :0],
}

OF_VECTORS = ("flat", "table of pixels")
"""Kinds that are wrong for images, but are vectors of 16 numbers."""


def test_vectors_in_any_form_are_answered(state_hash: StateHash) -> None:
    cases = rotated(FORMS, PAIRS, 3)
    assert {pair for _, pair in cases} == set(PAIRS)
    for k, (form, (name, verb)) in enumerate(cases):
        n = 1 if verb.startswith("interpolate") else 4 + k % 5
        x = rows(n, kind=2 * k) if form in UNBOUNDED else np.random.default_rng(k).random((n, 16), dtype=np.float32)
        with case(form, name, verb):
            given = WRAPPINGS[form](x)
            answer = VERBS[verb](model_of(name), given)
            assert is_answer(verb, model_of(name), n, answer)
            if verb not in ("novelty", "component_scores", "interpolate to"):
                assert isinstance(answer, Tensor if isinstance(given, Tensor) else np.ndarray)
            assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


@pytest.mark.parametrize("value", [1e30, -3e38, 3.4e38, 1e-45, 2**62, -(2**62), 255])
def test_numbers_of_any_size_have_finite_answers(value: float, state_hash: StateHash) -> None:
    for name, verb in PAIRS:
        x = rows(1 if verb.startswith("interpolate") else 5)
        x = np.where(x == x[0, 3], value, x).astype(np.int64 if isinstance(value, int) else np.float64)
        with case(value, name, verb):
            assert is_answer(verb, model_of(name), len(x), VERBS[verb](model_of(name), x))
    assert state_hash(model_of("vectors"), sampling=False) == hash_of("vectors", state_hash)


def test_what_is_no_vector_is_refused(state_hash: StateHash) -> None:
    wrong = [each for each in WRONG_TYPES if each not in OF_VECTORS]
    for kind, (name, verb) in [*rotated(NOT_VECTORS, PAIRS, 5), *rotated(wrong, PAIRS, 1)]:
        n = 1 if kind in NOT_VECTORS and verb.startswith("interpolate") else 5
        with case(kind, name, verb):
            x = NOT_VECTORS[kind](rows(n)) if kind in NOT_VECTORS else make_wrong(kind, noisy(5))
            refuses(lambda verb=verb, name=name, x=x: VERBS[verb](model_of(name), x), NAME.get(verb, "x"))
            assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


@pytest.mark.parametrize("name", ["numbers", "names", "images", "pairs"])
def test_vectors_are_refused_where_images_were_learnt(name: str, state_hash: StateHash) -> None:
    before = state_hash(made(name))
    for x in (rows(), noisy().reshape(12, 16), noisy().reshape(12, 16).tolist(), iter(rows()), iter([rows()])):
        with pytest.raises(BadInput, match=r"x has 12 vectors of 16 numbers, but images of .* were learnt; reshape"):
            made(name).learn(x)
    assert state_hash(made(name)) == before


def test_tasks_of_vectors_in_any_form_are_learnt() -> None:
    for form in FORMS:
        model = copy.deepcopy(model_of("vectors"))
        with case(form):
            model.learn((WRAPPINGS[form](rows(6, kind=2).clip(0, 1)), [0, 1, 2, -1, 7, 7]))
            assert len(model.history) == 3
            assert set(model.classes_.tolist()) == {0, 1, 2, 7}
            assert np.isfinite(model.score_samples(rows())).all()


def test_tasks_that_are_not_of_vectors_are_refused(state_hash: StateHash) -> None:
    model = copy.deepcopy(model_of("vectors"))
    before = state_hash(model)
    for kind in NOT_VECTORS:
        for labelled in (False, True):
            with case(kind, labelled):
                x = NOT_VECTORS[kind](rows(5))
                refuses(lambda x=x, labelled=labelled: model.learn((x, [0] * 5) if labelled else x), "(data|x|y)")
                assert state_hash(model) == before
    for kind, make in BAD_LABELS.items():
        with case(kind):
            refuses(lambda make=make: model.learn((rows(5), make(5))), "(y|x|data|the pairs)")
            assert state_hash(model) == before


def test_a_first_task_of_vectors_fixes_the_domain() -> None:
    mixture = GrowingMixture(**TINY)
    mixture.learn(rows())
    assert (mixture.shape, mixture.domain.support) == ((16,), "real")
    with pytest.raises(BadInput, match=r"images of .*, but vectors of 16 numbers were learnt; reshape them"):
        mixture.learn(noisy())


def test_the_setting_support_replaces_what_the_number_of_axes_says() -> None:
    shares = GrowingMixture(**TINY, support="unit")
    with pytest.raises(BadInput, match=r"x has numbers from .*floats must be in \[0, 1\]"):
        shares.learn(rows())
    shares.learn(rows().clip(0, 1))
    assert shares.domain.support == "unit"
    assert 0 <= shares.sample(20)[0].min() <= shares.sample(20)[0].max() <= 1
    spectra = GrowingMixture(**TINY, support="real")
    spectra.learn(noisy() * 40 - 20)
    assert (spectra.domain.support, spectra.domain.is_image) == ("real", False)
    assert np.isfinite(spectra.score_samples(noisy() * 40 - 20)).all()


def test_streams_have_one_shape_and_one_support() -> None:
    x, images, labels = rows(), noisy(), [0, 1] * 6
    assert from_arrays([(x, labels, x, labels)]).domain == from_arrays([(x, x)]).domain
    assert from_arrays([(x.clip(0, 1), x.clip(0, 1))], support="unit").domain.support == "unit"
    for tasks, says in (
        ([(x, images)], "'task-1' has as test data images of shape .*, but task 'task-1' has vectors of 16 numbers"),
        ([(x, x), (images, images)], "'task-2' has as training data images of shape"),
        ([(images, images), (x, x)], "'task-2' has as training data vectors of 16 numbers"),
        ([(x, labels, np.full((3, 16), np.nan), [0] * 3)], "'task-1', test data: x has NaN or infinite"),
        ([(x.reshape(12, 4, 4), x.reshape(12, 4, 4))], r"'task-1', training data: x has shape \(12, 4, 4\)"),
    ):
        with pytest.raises(BadInput, match=says):
            from_arrays(tasks)
    with pytest.raises(BadInput, match=r"task 'task-1', training data: x has numbers from .*support='real'"):
        from_arrays([(x, x)], support="unit")
    with pytest.raises(BadInput, match=r"^support is 'bytes'"):
        from_arrays([(x, x)], support="bytes")  # type: ignore[arg-type]
