"""Anything may be handed to any verb: what comes back is what is documented, or an error of growmix's own.

Never an exception of torch or numpy from the depths, and never a model that is changed by it.
"""

from __future__ import annotations

import copy
import enum
import functools
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.masked import masked_tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from growmix import BadInput, GrowingMixture, GrowmixError, NotLearnt, Settings, Student, evaluate
from growmix.baselines import make_learner
from growmix.components.nets import OwnModules
from growmix.data.task import TaskData, check_task
from growmix.evaluation import evaluate_student
from growmix.learning.answers import routing_noise
from growmix.learning.model import Model
from growmix.learning.routing import ComponentScores
from growmix.streams import from_arrays
from growmix.system import memory
from growmix.training.loop import Callback

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors is in prototype stage"),
]

SHAPE = (1, 4, 4)
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

CASES = {
    "good images": 150,
    "bad images": 450,
    "other arguments": 250,
    "good tasks": 60,
    "bad tasks": 250,
    "streams": 250,
}
"""Generated cases of each test."""

PLANS_CARRIED_OUT: list[str] = []
"""Of which of them there is a test."""

Verb = Callable[[Any, Any], Any]


def cases(what: str, **strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test of generated cases, so many of which must have gone through it to its end."""

    PLANS_CARRIED_OUT.append(what)

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        def test(state_hash: Callable[..., str]) -> None:
            done = 0
            wanted = CASES[what] * settings().max_examples // 100  # of hypothesis's own 100, more in a search

            # the models are made before, and the same for all cases
            @settings(max_examples=wanted, deadline=None, suppress_health_check=list(HealthCheck))
            @given(**strategies)
            def each(**case: Any) -> None:
                nonlocal done
                check(state_hash, **case)
                done += 1

            each()
            assert done >= wanted

        functools.update_wrapper(test, check)
        del test.__wrapped__  # type: ignore[attr-defined]  # pytest would ask for its arguments
        return test

    return decorate


def noisy(n: int = 12, kind: int = 0) -> np.ndarray:
    return (np.random.default_rng(kind).random((n, *SHAPE)) * 0.5 + 0.5 * (kind % 2)).astype(np.float32)


@functools.cache
def made(name: str) -> Any:
    """Models of every kind; no test changes them."""
    if name == "student":
        return made("numbers").distill()
    mixture = GrowingMixture(gate="always", **TINY)
    for kind in (0, 1):
        x = noisy(kind=kind)
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


VERBS: dict[str, Verb] = {
    "predict": lambda model, x: model.predict(x),
    "predict_proba": lambda model, x: model.predict_proba(x),
    "score_samples": lambda model, x: model.score_samples(x),
    "component_scores": lambda model, x: model.component_scores(x),
    "reconstruct": lambda model, x: model.reconstruct(x),
    "encode": lambda model, x: model.encode(x),
    "translate": lambda model, x: model.translate(x),
    "interpolate": lambda model, x: model.interpolate(x, noisy()[0], 3),
    "interpolate to": lambda model, x: model.interpolate(noisy()[0], x, 3),
    "route": lambda model, x: model.route(x),
    "novelty": lambda model, x: model.novelty(x),
}


def is_answer(verb: str, model: Any, n: int, answer: Any) -> bool:
    """Whether an answer is what the docstring of the verb says, for so many images."""
    components, classes = len(model.components), len(model.classes_)
    if verb == "novelty":
        return len(answer) == components and all(value >= 0 for value in answer)
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
    shown = (3 if verb.startswith("interpolate") else n, *SHAPE)
    return values.shape == shown and bool((values >= 0).all()) and bool((values <= 1).all())


def applies(verb: str, name: str) -> bool:
    """Whether a model can have an answer."""
    if name == "nothing" or (verb in ("route", "novelty") and name == "student"):
        return False
    if verb == "translate":
        return name == "pairs"
    return verb not in ("predict", "predict_proba") or name in LABELLED


PAIRS = [(name, verb) for name in MODELS for verb in VERBS if applies(verb, name)]
NAME = {"interpolate": "a", "interpolate to": "b", "novelty": "(x|data|all .* data)"}
"""What the argument is called, if not x."""


# What is handed over ---------------------------------------------------------------------------------------------


class Items(Dataset[Any]):
    def __init__(self, *columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, i: int) -> Any:
        row = tuple(column[i] for column in self.columns)
        return row if len(row) > 1 else row[0]


class OwnTensor(Tensor):
    pass


class SpitefulTensor(Tensor):
    @classmethod
    def __torch_function__(cls, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("spite")


class SpitefulTable:
    def __init__(self, x: np.ndarray) -> None:
        self.ndim = x.ndim

    def to_numpy(self) -> np.ndarray:
        raise ZeroDivisionError("spite")


class SpitefulProperty:
    @property
    def to_numpy(self) -> Any:
        raise ZeroDivisionError("spite")


class Table:
    def __init__(self, values: np.ndarray) -> None:
        self.values, self.ndim = values, values.ndim

    def to_numpy(self) -> np.ndarray:
        return self.values


def column(values: list[Any]) -> Table:
    """A table's column of objects, such as images."""
    objects = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        objects[place] = value
    return Table(objects)


class Spiteful:
    """Raises whatever is asked of it."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("spite")

    def __len__(self) -> int:
        raise ZeroDivisionError("spite")

    def __iter__(self) -> Any:
        raise ZeroDivisionError("spite")


def strided(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((len(x), 1, 8, 8), dtype=x.dtype)
    wide[:, :, ::2, ::-2] = x
    return wide[:, :, ::2, ::-2]


def locked(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.setflags(write=False)
    return x


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="growmix-test-")  # removed when Python ends


def mapped(x: np.ndarray) -> np.ndarray:
    file = Path(_folder().name) / f"{len(x)}-{abs(hash(x.tobytes()))}.npy"
    np.save(file, x)
    read: np.ndarray = np.load(file, mmap_mode="r")
    return read


WRAPPINGS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda x: x,
    "half": lambda x: x.astype(np.float16),
    "double": lambda x: x.astype(np.float64),
    "long double": lambda x: x.astype(np.longdouble),
    "bytes": lambda x: (x * 255).astype(np.uint8),
    "whole numbers": lambda x: (x * 255).astype(np.int32) + 0,
    "big endian": lambda x: x.astype(">f8"),
    "fortran": np.asfortranarray,
    "strided": strided,
    "read-only": locked,
    "memory map": mapped,
    "masked without a mask": np.ma.MaskedArray,
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "list of tensors": lambda x: list(torch.from_numpy(x)),
    "tensor": torch.from_numpy,
    "double tensor": lambda x: torch.from_numpy(x).double(),
    "bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
    "16-bit unsigned": lambda x: torch.from_numpy((x * 255).astype(np.uint16)),
    "with gradient": lambda x: torch.from_numpy(x).requires_grad_(),
    "parameter": lambda x: torch.nn.Parameter(torch.from_numpy(x)),
    "tensor of an own class": lambda x: torch.from_numpy(x).as_subclass(OwnTensor),
    "tensor of a spiteful class": lambda x: torch.from_numpy(x).as_subclass(SpitefulTensor),
    "transposed tensor": lambda x: torch.from_numpy(np.ascontiguousarray(x.swapaxes(2, 3))).transpose(2, 3),
    "negated view": lambda x: torch.complex(torch.from_numpy(x), torch.from_numpy(-x)).conj().imag,
    "column": lambda x: column(list(x)),
    "column of tensors": lambda x: column(list(torch.from_numpy(x).requires_grad_())),
    "data set": Items,
    "tensor data set": lambda x: TensorDataset(torch.from_numpy(x)),
    "labelled data set": lambda x: Items(x, ["anything"] * len(x)),
    "loader": lambda x: DataLoader(Items(x), batch_size=3),
    "generator": lambda x: (x[k : k + 2] for k in range(0, len(x), 2)),
    "task": lambda x: TaskData(torch.from_numpy(x)),
}
"""Every way to hand over images that is allowed."""

good_arrays = st.builds(
    lambda n, seed: np.random.default_rng(seed).random((n, *SHAPE)).astype(np.float32),
    st.integers(4, 9),
    st.integers(0, 10_000),
)


def spoilt(x: np.ndarray, value: float, place: int) -> np.ndarray:
    x = x.astype(np.float64)
    x[0].flat[place % x[0].size] = value
    return x


def pixel_faults() -> st.SearchStrategy[Any]:
    values = st.one_of(
        st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e-3, -1e-50, 1.00000001, 1.5, 255.0]),
        st.floats(max_value=-1e-3, allow_nan=False),
        st.floats(min_value=1.001, allow_nan=False),
    )
    return st.builds(spoilt, good_arrays, values, st.integers(0, 10_000))


@st.composite
def wrong_shapes(draw: st.DrawFn) -> Any:
    shape = tuple(draw(st.lists(st.integers(0, 6), max_size=6)))
    if shape[1:] == SHAPE or shape == SHAPE:  # the last is one image, which interpolation takes
        shape = (*shape[:-1], shape[-1] + 1)
    x = np.zeros(shape, dtype=draw(st.sampled_from([np.float32, np.uint8, np.float64])))
    return draw(st.sampled_from([x, torch.from_numpy(x), x.tolist()]))


WRONG_TYPES: dict[str, Callable[[np.ndarray], Any]] = {
    "complex": lambda x: x.astype(np.complex64),
    "complex tensor": lambda x: torch.from_numpy(x).to(torch.complex64),
    "text": lambda x: x.astype(str),
    "bytes of text": lambda x: x.astype("S8"),
    "objects": lambda x: np.full(x.shape, None),
    "numbers as objects": lambda x: x.astype(object),
    "dates": lambda x: (x * 1000).astype(np.int64).astype("M8[s]"),
    "records": lambda x: np.zeros(len(x), dtype=[("a", "f4")]),
    "masked": lambda x: np.ma.MaskedArray(x, x > np.median(x)),
    "wide whole numbers": lambda x: (x * 1e15).astype(np.int64) + 256,
    "huge unsigned": lambda x: np.full(x.shape, 2**64 - 1, dtype=np.uint64),
    "huge unsigned tensor": lambda x: torch.from_numpy(np.full(x.shape, 2**64 - 1, dtype=np.uint64)),
    "negative bytes": lambda x: np.full(x.shape, -1, dtype=np.int8),
    "ragged": lambda x: [*x.tolist(), [[[0.5]]]],
    "ragged tensors": lambda x: [*torch.from_numpy(x), torch.zeros(1)],
    "mixed list": lambda x: [*x.tolist(), "image"],
    "mixed list of tensors": lambda x: [*torch.from_numpy(x).requires_grad_(), 0.5],
    "huge number": lambda x: [[10**400] * 16] * 4,
    "sparse": lambda x: torch.from_numpy(x).to_sparse(),
    "compressed": lambda x: torch.from_numpy(x.reshape(len(x), -1)).to_sparse_csr(),
    "nested": lambda x: torch.nested.nested_tensor([torch.zeros(1, 4, 4), torch.zeros(1, 3, 4)]),
    "jagged": lambda x: torch.nested.nested_tensor([torch.zeros(3), torch.zeros(4)], layout=torch.jagged),
    "quantised": lambda x: torch.quantize_per_tensor(torch.from_numpy(x), 0.1, 0, torch.quint8),
    "meta": lambda x: torch.from_numpy(x).to("meta"),
    "list of meta": lambda x: [torch.from_numpy(x).to("meta")] * 2,
    "eight bits": lambda x: torch.from_numpy(x).to(torch.float8_e4m3fn),
    "vast": lambda x: np.broadcast_to(np.float32(0.5), (10**13, *SHAPE)),
    "vast bytes": lambda x: np.broadcast_to(np.uint8(5), (10**13, *SHAPE)),
    "vast tensor": lambda x: torch.zeros(1).expand(10**13, *SHAPE),
    "vast double tensor": lambda x: torch.zeros(1, dtype=torch.float64).expand(10**13, *SHAPE),
    "vast images": lambda x: np.broadcast_to(np.float32(0.5), (4, 1, 10**7, 10**6)),
    "generator of words": lambda x: iter(["a", "b"]),
    "generator of nothing": lambda x: iter(()),
    "generator of rags": lambda x: iter([x, x[:, :, :3]]),
    "generator of triples": lambda x: iter([(x, x, x)]),
    "endless recursion": lambda x: _recursive(),
    "set": lambda x: set(x.flat),
    "frozen set": lambda x: frozenset(x.flat),
    "dictionary": lambda x: {"x": x},
    "none": lambda x: None,
    "word": lambda x: "mnist",
    "raw": lambda x: x.tobytes(),
    "number": lambda x: 0.5,
    "truth": lambda x: True,
    "class": lambda x: np.ndarray,
    "function": lambda x: len,
    "object": lambda x: object(),
    "path": lambda x: Path("images.npy"),
    "spiteful": lambda x: Spiteful(),
    "spiteful list": lambda x: [Spiteful()] * 4,
    "spiteful table": lambda x: SpitefulTable(x),
    "spiteful property": lambda x: SpitefulProperty(),
    "column of truth and bytes": lambda x: column([x[0] > 0.5, *(x[1:] * 255).astype(np.uint8)]),
    "column of floats and bytes": lambda x: column([x[0], *(x[1:] > 0.5).astype(np.uint8)]),
    "column of masked": lambda x: column(list(np.ma.MaskedArray(x, x > np.median(x)))),
    "column with none": lambda x: column([*x[1:], None]),
    "list of spiteful tables": lambda x: [SpitefulTable(x)] * 4,
    "list of masked": lambda x: list(np.ma.MaskedArray(x, x > np.median(x))),
    "tuple of masked": lambda x: tuple(np.ma.MaskedArray(x, x > np.median(x))),
    "masked tensor": lambda x: masked_tensor(torch.from_numpy(x), torch.from_numpy(x > 0.5)),
    "truth and bytes": lambda x: [x[0] > 0.5, *(x[1:] * 255).astype(np.uint8)],
    "pieces of truth and bytes": lambda x: iter([x > 0.5, (x * 255).astype(np.uint8)]),
    "floats and bytes": lambda x: [*torch.from_numpy(x), torch.ones(SHAPE, dtype=torch.uint8)],
    "truth in nested lists": lambda x: [[[True, 2], [0, 1]]] * 4,
    "channels last": lambda x: np.zeros((4, 8, 8, 4), dtype=np.float32),
    "loader of lists": lambda x: DataLoader(Items(torch.from_numpy(x)), batch_size=2, collate_fn=list),
    "lists of two images": lambda x: iter([[x[0], x[1]], [x[2], x[3]]]),
    "flat": lambda x: x.reshape(len(x), -1),
    "without channels": lambda x: x[:, 0],
    "table of pixels": lambda x: Table(x.reshape(len(x), -1)),
    "lists of two gray images": lambda x: Items([[x[0, 0], x[1, 0]], [x[2, 0], x[3, 0]]]),
    "lists of two rows": lambda x: Items([[x[0].ravel(), x[1].ravel()]] * 4),
    "data set of lists of images": lambda x: Items([[x[0], x[1]], [x[2], x[3]]] * 2),
    "loader of lists alone": lambda x: DataLoader(Items([[*torch.from_numpy(x[:2])]] * 4), batch_size=None),
    "nested lists of two images": lambda x: iter([x[:2].tolist(), x[2:4].tolist()]),
    "data set of none": lambda x: Items([None] * 4),
    "data set without length": lambda x: Dataset(),
    "data set that lies": lambda x: Lying(),
    "loader of words": lambda x: DataLoader(Items(["a"] * 4), batch_size=2),
    "loader of rags": lambda x: DataLoader(Items([x[0], x[0, :, :2]] * 2), batch_size=4),
    "empty": lambda x: x[:0],
    "empty list": lambda x: [],
    "list of empty lists": lambda x: [[], []],
    "empty tensor": lambda x: torch.zeros(0),
    "task of junk": lambda x: TaskData("junk"),  # type: ignore[arg-type]
}
"""Everything that is no images of the right kind."""


class Lying(Dataset[Any]):
    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, i: int) -> Any:
        return [noisy()[0]][i]


def _recursive() -> list[Any]:
    x: list[Any] = []
    x.append(x)
    return x


UNSURE = {"compressed", "nested", "jagged", "quantised", "eight bits", "masked tensor"}
"""Kinds of tensor that not every torch makes."""


def _make(name: str, x: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return WRONG_TYPES[name](x)
        except (AttributeError, RuntimeError, NotImplementedError):
            assert name in UNSURE
            return None  # as bad


wrong_types = st.builds(_make, st.sampled_from(sorted(WRONG_TYPES)), good_arrays)
bad_images = st.one_of(wrong_types, wrong_types, pixel_faults(), wrong_shapes())


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


# Images ----------------------------------------------------------------------------------------------------------


@cases("good images", pair=st.sampled_from(PAIRS), wrapping=st.sampled_from(sorted(WRAPPINGS)), x=good_arrays)
def test_images_in_any_form_are_answered(
    state_hash: Callable[..., str], pair: tuple[str, str], wrapping: str, x: np.ndarray
) -> None:
    name, verb = pair
    alone = verb.startswith("interpolate")
    x = x[:1] if alone else x
    if (name, verb, wrapping) == ("pairs", "novelty", "labelled data set"):
        return  # with labels it is another kind of task, as for learn
    given_x = WRAPPINGS[wrapping](x)
    answer = VERBS[verb](model_of(name), given_x)
    assert is_answer(verb, model_of(name), len(x), answer)
    if verb not in ("novelty", "component_scores", "interpolate to") and pair != ("names", "predict"):
        assert isinstance(answer, Tensor if isinstance(given_x, Tensor) else np.ndarray)
    assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


@cases("bad images", pair=st.sampled_from(PAIRS), x=bad_images)
def test_what_is_no_images_is_refused(state_hash: Callable[..., str], pair: tuple[str, str], x: Any) -> None:
    name, verb = pair
    if verb.startswith("interpolate") and isinstance(x, np.ndarray) and x.shape[1:] == SHAPE and len(x) < 10:
        x = x[:1]  # more than one would be refused for that alone
    refuses(lambda: VERBS[verb](model_of(name), x), NAME.get(verb, "x"))
    assert state_hash(model_of(name), sampling=False) == hash_of(name, state_hash)


@pytest.mark.parametrize("verb", VERBS)
def test_a_model_that_learnt_nothing_says_so(verb: str) -> None:
    with pytest.raises(NotLearnt, match="nothing was learnt yet"):
        VERBS[verb](model_of("nothing"), noisy(1))


@pytest.mark.parametrize("name", ["images", "pairs"])
@pytest.mark.parametrize("ask", ["predict", "predict_proba", "sample"])
def test_a_model_without_labels_says_so(name: str, ask: str) -> None:
    with pytest.raises(BadInput, match="learnt without labels"):
        model_of(name).sample(2, label=0) if ask == "sample" else VERBS[ask](model_of(name), noisy(1))


@pytest.mark.parametrize("name", ["numbers", "names", "images", "student"])
def test_a_model_without_pairs_says_so(name: str) -> None:
    with pytest.raises(BadInput, match="learnt no pairs"):
        model_of(name).translate(noisy(1))


# All other arguments ---------------------------------------------------------------------------------------------

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.integers(min_value=10**15),  # nothing in between: what fits into memory would be made
    st.integers(max_value=-4),
    st.sampled_from([2**63, 10**400, -(10**400), 10**5_000]),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["0", "1", "01", "both", "example", "group", "cat"]),
    st.builds(object),
    st.just(Spiteful()),
    st.just(np.eye(40)),
    st.just(np.arange(4)),
    st.just(np.arange(2)),
    st.just(torch.arange(2)),
    st.just(np.array(1)),
    st.just(torch.tensor(1)),
    st.just(np.int64(1)),
    st.just(np.bool_(True)),
    st.just(np.array(["example", "group"])),
    st.just({0, 1}),
    st.just({"both": 1}),
    st.builds(iter, st.just([0])),
    st.lists(st.one_of(st.integers(-2, 3), st.sampled_from(["0", "1", "both"]), st.none(), st.just([1])), max_size=4),
    st.tuples(st.integers(-1, 2), st.integers(-1, 2)),
)

OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "predict component": lambda model, value: model.predict(noisy(3), component=value),
    "predict classes": lambda model, value: model.predict(noisy(3), classes=value),
    "predict_proba component": lambda model, value: model.predict_proba(noisy(3), component=value),
    "predict_proba classes": lambda model, value: model.predict_proba(noisy(3), classes=value),
    "component_scores components": lambda model, value: model.component_scores(noisy(3), value),
    "score_samples scores": lambda model, value: model.score_samples(noisy(3), scores=value),
    "reconstruct component": lambda model, value: model.reconstruct(noisy(3), component=value),
    "encode component": lambda model, value: model.encode(noisy(3), component=value),
    "translate component": lambda model, value: model.translate(noisy(3), component=value),
    "interpolate component": lambda model, value: model.interpolate(noisy()[0], noisy()[1], 3, component=value),
    "interpolate steps": lambda model, value: model.interpolate(noisy()[0], noisy()[1], value),
    "sample n": lambda model, value: model.sample(value),
    "sample component": lambda model, value: model.sample(2, component=value),
    "sample label": lambda model, value: model.sample(2, label=value),
    "route per": lambda model, value: model.route(noisy(3), per=value),
}


def takes(which: str, name: str) -> bool:
    """Whether a model can have an answer, if the argument is right."""
    verb, argument = which.split()
    labels = argument in ("classes", "label")
    return name in LABELLED if labels else verb == "sample" or applies(verb, name)


def whole(value: Any, least: int, below: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= value < below


def several(value: Any) -> list[Any] | None:
    """What is a list, array or set of one or more; a string is none."""
    if isinstance(value, (list, tuple, set)):
        return list(value) or None
    return value.tolist() if isinstance(value, (np.ndarray, Tensor)) and value.ndim else None


def allowed(which: str, model: Any, value: Any) -> bool:
    """Whether the documentation allows a value."""
    argument, components, labels = which.split()[1], len(model.components), model.classes_.tolist()
    if argument in ("n", "steps"):
        return whole(value, 1 if argument == "n" else 2, 10**15)
    if argument == "per":
        return isinstance(value, str) and value in ("example", "group")
    if value is None:
        return True
    if argument == "component":
        ends = value if isinstance(value, tuple) and len(value) == 2 and which.startswith("interpolate") else [value]
        return all(whole(end, 0, components) for end in ends)
    if argument == "label":
        return (isinstance(value, str) or whole(value, 0, 10)) and value in labels
    asked = several(value)
    if argument == "scores" or asked is None:
        return False
    if argument == "components":
        return all(whole(k, 0, components) for k in asked)
    known = [isinstance(k, str) or whole(k, 0, 10) for k in asked]
    return all(known) and len(set(asked)) == len(asked) and set(asked) <= set(labels)


@cases(
    "other arguments",
    pair=st.sampled_from([(name, which) for which in OTHERS for name in MODELS[:-1] if takes(which, name)]),
    value=anything,
)
def test_any_other_argument_is_understood_or_refused(
    state_hash: Callable[..., str], pair: tuple[str, str], value: Any
) -> None:
    name, which = pair
    model = copy.deepcopy(model_of(name)) if which.startswith("sample") else model_of(name)
    before = state_hash(model)
    if not allowed(which, model, value):
        too_many = whole(value, 10**15, 2**63) and which in ("sample n", "interpolate steps")
        refuses(lambda: OTHERS[which](model, value), "(generating|interpolating)" if too_many else which.split()[1])
        assert state_hash(model) == before
        return
    asked = several(value)
    answer = OTHERS[which](model, value)
    if which == "predict classes" and asked:
        assert set(answer.tolist()) <= set(asked)
    elif which == "predict_proba classes" and asked:
        assert answer.shape == (3, len(asked))
    elif which == "component_scores components" and asked:
        assert answer.elbo.shape == (3, len(asked))
    elif which == "interpolate steps":
        assert len(answer) == value
    elif which == "sample n":
        assert len(answer[0]) == len(answer[1]) == value
    elif which == "sample label" and value is not None:
        assert list(answer[1]) == [value] * 2
    assert state_hash(model, sampling=False) == hash_of(name, state_hash)


# Tasks -----------------------------------------------------------------------------------------------------------

label_lists = st.lists(st.integers(-1, 5), min_size=9, max_size=9)
name_lists = st.one_of(
    st.just([None] * 9), st.lists(st.sampled_from(["0", "both", "cat", "dog", None]), min_size=9, max_size=9)
)

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


@cases(
    "good tasks",
    name=st.sampled_from(["numbers", "names", "images", "pairs", "nothing"]),
    wrapping=st.sampled_from(sorted(WRAPPINGS)),
    x=good_arrays,
    data=st.data(),
)
def test_tasks_in_any_form_are_learnt(
    _: Callable[..., str], name: str, wrapping: str, x: np.ndarray, data: st.DataObject
) -> None:
    model = copy.deepcopy(model_of(name))
    known, tasks = set(model.classes_.tolist()), len(model.history)
    images = x if wrapping == "labelled data set" else WRAPPINGS[wrapping](x)  # with labels twice it would be no task
    labels: list[Any] | None = None
    if name == "pairs":
        task: Any = (images, data.draw(st.sampled_from([x, 1 - x, (1 - x).tolist(), torch.from_numpy(x)])))
    elif name == "names" or (name == "nothing" and data.draw(st.booleans())):
        labels = data.draw(name_lists)[: len(x)]
        task = (images, LABEL_WRAPPINGS[data.draw(st.sampled_from(sorted(LABEL_WRAPPINGS)))](labels))
    elif name == "images":
        task = images
    else:
        labels = data.draw(label_lists)[: len(x)]
        task = (images, NUMBER_WRAPPINGS[data.draw(st.sampled_from(sorted(NUMBER_WRAPPINGS)))](labels))
    decision = model.learn(task)
    assert decision is model.decisions[-1]
    assert len(model.history) == tasks + 1
    assert model.examples == sum(part.examples for step in model.history for part in step.parts)
    assert set(model.classes_.tolist()) == known | {label for label in labels or () if label not in (None, -1)}
    assert np.isfinite(model.score_samples(x)).all()


BAD_LABELS: dict[str, Callable[[int], Any]] = {
    "too few": lambda n: np.zeros(n - 1, dtype=int),
    "too many": lambda n: [1] * (n + 1),
    "too few names": lambda n: ["cat"] * (n - 1),
    "column": lambda n: np.zeros((n, 1), dtype=int),
    "column of names": lambda n: np.array([["cat"]] * n),
    "floats": lambda n: np.zeros(n),
    "nan": lambda n: [np.nan] * n,
    "truths": lambda n: [True] * n,
    "truth among numbers": lambda n: [True, *[2] * (n - 1)],
    "truth of a tensor among numbers": lambda n: [torch.tensor(True), *[torch.tensor(2)] * (n - 1)],
    "names with nul": lambda n: ["cat\0"] * n,
    "vast names": lambda n: np.broadcast_to("cat", (2**58,)),
    "masked tensor": lambda n: masked_tensor(torch.arange(n), torch.arange(n) > 1),
    "below -1": lambda n: torch.full((n,), -2),
    "huge": lambda n: np.full(n, 2**64 - 1, dtype=np.uint64),
    "beyond numbers": lambda n: [10**30] * n,
    "complex": lambda n: np.ones(n, dtype=complex),
    "complex tensor": lambda n: torch.ones(n, dtype=torch.complex64),
    "meta": lambda n: torch.zeros(n, dtype=torch.int64, device="meta"),
    "sparse": lambda n: torch.zeros(n, dtype=torch.int64).to_sparse(),
    "masked": lambda n: np.ma.MaskedArray(np.arange(n), np.arange(n) > 1),
    "numbers and none": lambda n: [None, *[1] * (n - 1)],
    "names and numbers": lambda n: ["cat", *[1] * (n - 1)],
    "names and nan": lambda n: np.array(["cat", *[np.nan] * (n - 1)], dtype=object),
    "an empty name": lambda n: ["", *["cat"] * (n - 1)],
    "raw names": lambda n: [b"cat"] * n,
    "ragged": lambda n: [[0], *[[0, 1]] * (n - 1)],
    "ragged names": lambda n: [["cat"], *[["cat", "dog"]] * (n - 1)],
    "objects": lambda n: [object()] * n,
    "dates": lambda n: np.zeros(n, dtype="M8[s]"),
    "spiteful": lambda n: Spiteful(),
    "spiteful list": lambda n: [Spiteful()] * n,
    "one name": lambda n: "cat",
    "one number": lambda n: 3,
    "set": lambda n: set(range(n)),
    "dictionary": lambda n: dict.fromkeys(range(n)),
    "generator": lambda n: (k for k in range(n)),
    "vast": lambda n: np.broadcast_to(np.int8(1), (10**15,)),
    "empty": lambda n: [],
    "images of another size": lambda n: np.zeros((n, 1, 3, 3)),
    "images of another number": lambda n: np.zeros((n + 1, *SHAPE)),
    "images with nan": lambda n: np.full((n, *SHAPE), np.nan),
}

WRONG_TASKS: dict[str, Callable[[np.ndarray], Any]] = {
    "too few": lambda x: x[:3],
    "all alike": lambda x: np.repeat(x[:1], 5, axis=0),
    "triple": lambda x: (x, x, x),
    "lone": lambda x: (x,),
    "half labelled": lambda x: Items([(x[0], 1), *x[1:]]),
    "two kinds of labels": lambda x: Items(x, ["cat", *[1] * (len(x) - 1)]),
    "pieces of two kinds": lambda x: iter([x, (x * 255).astype(np.uint8)]),
    "batches of two kinds of labels": lambda x: iter([(x, ["cat"] * len(x)), (x, [1] * len(x))]),
    "batches too long": lambda x: iter([(x, [1] * (len(x) + 1)), (x, [1] * len(x))]),
    "lengths that make up for each other": lambda x: iter([(x, [0] * (len(x) - 1)), (x, [1] * (len(x) + 1))]),
    "names that make up for each other": lambda x: iter([(x, ["a"] * (len(x) - 1)), (x, ["b"] * (len(x) + 1))]),
    "truth and numbers": lambda x: iter([(x, np.ones(len(x), dtype=bool)), (x, np.ones(len(x), dtype=int))]),
    "labels and none": lambda x: (Items(x, [0] * len(x)), None),
    "labels twice": lambda x: (Items(x, [0] * len(x)), [1] * len(x)),
    "labels of a loader and others": lambda x: (DataLoader(Items(x, [0] * len(x)), batch_size=3), [1] * len(x)),
    "labels of a task and others": lambda x: (check_task((x, [0] * len(x))), np.ones(len(x), dtype=int)),
    "labels and targets of pieces": lambda x: (Items(x, [0] * len(x)), x),
    "a name of its own for labels": lambda x: iter([{"image": x, "lable": [0] * len(x)}]),
    "one name twice": lambda x: TaskData(torch.from_numpy(x), torch.zeros(len(x), dtype=torch.int64), names=("a", "a")),
    "words": lambda x: ("images", "labels"),
    "nothing": lambda x: (None, None),
    "task with names that lack": lambda x: TaskData(torch.from_numpy(x), torch.full((len(x),), 3), names=("cat",)),
    "task of junk labels": lambda x: TaskData(torch.from_numpy(x), "junk"),  # type: ignore[arg-type]
    "labels and targets": lambda x: TaskData(
        torch.from_numpy(x), torch.zeros(len(x), dtype=torch.int64), torch.from_numpy(x)
    ),
}


@cases(
    "bad tasks",
    name=st.sampled_from(["numbers", "names", "images", "pairs", "nothing"]),
    case=st.one_of(
        # images that are none, with labels or without; what has any shape may be learnt as a first task
        st.tuples(st.just("images"), st.one_of(wrong_types, pixel_faults()), st.booleans()),
        st.tuples(st.just("labels"), st.sampled_from(sorted(BAD_LABELS)), good_arrays),
        st.tuples(st.just("task"), st.sampled_from(sorted(WRONG_TASKS)), good_arrays),
    ),
)
def test_what_is_no_task_is_refused(state_hash: Callable[..., str], name: str, case: tuple[str, Any, Any]) -> None:
    model = copy.deepcopy(model_of(name))
    kind, what, x = case
    if kind == "images":
        task: Any = (what, [0] * 8) if x else what
    elif kind == "labels":
        task = (x, BAD_LABELS[what](len(x)))
    else:
        task = WRONG_TASKS[what](x)
    refuses(lambda: model.learn(task), r"(data|x|y|names|all \d+ examples in data|the pairs|target)")
    assert state_hash(model) == state_hash(model_of(name))


def test_what_can_not_fit_is_refused_with_the_number(
    monkeypatch: pytest.MonkeyPatch, state_hash: Callable[..., str]
) -> None:
    mixture = GrowingMixture(**{**TINY, "hidden": 65_536})
    with pytest.raises(
        GrowmixError, match=r"training 8,5\d\d,\d\d\d,\d\d\d weights .* needs about 128\.\d GiB .* available"
    ):
        monkeypatch.setattr(memory, "available", lambda: 2**36)
        mixture.learn(noisy())
    with pytest.raises(GrowmixError, match=r"1000000000000000 images of shape \(1, 4, 4\) needs about 170\.5 PiB"):
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
    with pytest.raises(GrowmixError, match="routing_draws of 10000 codes of length 65536 needs about"):
        routing_noise(10_000, 65_536)
    teacher = copy.deepcopy(made("numbers"))
    teacher.settings = teacher.settings.replace(student_examples=2**62)
    with pytest.raises(GrowmixError, match="generated images for the student needs about"):
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


def test_a_users_own_modules_can_not_change_what_was_handed_over() -> None:
    class Halving(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.mul_(0.5).flatten(1)

    decoder = nn.Linear(2, 16)
    own = OwnModules(lambda shape: Halving(), lambda inputs, shape: nn.Sequential(decoder, nn.Unflatten(1, shape)))
    mixture = GrowingMixture(own, **TINY)
    mixture.learn(noisy())
    x = torch.from_numpy(noisy(3))
    for ask in (mixture.route, mixture.score_samples, mixture.reconstruct, mixture.encode, mixture.novelty):
        ask(x if ask != mixture.novelty else torch.cat([x, x]))
    mixture.interpolate(x[0], x[1], 3)
    assert torch.equal(x, torch.from_numpy(noisy(3)))


def test_labels_of_the_other_kind_are_refused(state_hash: Callable[..., str]) -> None:
    x = noisy()
    for name, labels in (("numbers", ["cat"] * 12), ("names", [0] * 12)):
        with pytest.raises(GrowmixError, match=r"but the labels learnt are (numbers|names)"):
            made(name).learn((x, labels))
        assert state_hash(made(name), sampling=False) == hash_of(name, state_hash)


# Streams ---------------------------------------------------------------------------------------------------------


@cases(
    "streams",
    bad=st.one_of(bad_images, st.sampled_from(sorted(BAD_LABELS))),
    place=st.integers(0, 3),
    x=good_arrays,
)
def test_streams_refuse_what_verbs_refuse(_: Callable[..., str], bad: Any, place: int, x: np.ndarray) -> None:
    labels = [k % 2 for k in range(len(x))]
    arrays: list[Any] = [x, labels, x, labels]
    by_labels = isinstance(bad, str) and bad in BAD_LABELS
    if by_labels:
        arrays[1 if place % 2 else 3] = BAD_LABELS[bad](len(x))
    else:
        arrays[0 if place % 2 else 2] = bad
    refuses(lambda: from_arrays([(x, labels, x, labels), tuple(arrays)]), "task 'task-2'")


# Names -----------------------------------------------------------------------------------------------------------


def test_members_of_an_enumeration_are_what_they_equal() -> None:
    class Animal(str, enum.Enum):
        CAT, DOG = "cat", "dog"

    mixture = GrowingMixture(**TINY)
    mixture.learn((noisy(), [Animal.CAT, Animal.DOG] * 6))
    assert mixture.classes_.tolist() == ["cat", "dog"]
    assert mixture.predict(noisy(3), classes=[Animal.DOG]).tolist() == ["dog"] * 3
    assert mixture.sample(2, label=Animal.CAT)[1].tolist() == ["cat"] * 2


def test_names_go_all_the_way(tmp_path: Path, state_hash: Callable[..., str]) -> None:
    mixture = copy.deepcopy(made("names"))
    assert mixture.classes_.tolist() == ["0", "both", "1"]
    assert mixture.predict(noisy(3)).dtype.kind == "U"
    assert mixture.predict(torch.from_numpy(noisy(3)), classes=["1"]).tolist() == ["1"] * 3
    proba = mixture.predict_proba(noisy(3), classes=["1", "0"])
    np.testing.assert_allclose(mixture.predict_proba(noisy(3), classes=["0", "1"])[:, ::-1], proba)
    drawn, labels = copy.deepcopy(mixture).sample(30)
    assert set(labels) <= {"0", "1", "both", None}
    assert copy.deepcopy(mixture).sample(2, label="both")[1].tolist() == ["both"] * 2
    for ask in (
        lambda: mixture.predict(noisy(3), classes=["cat"]),
        lambda: mixture.predict_proba(noisy(3), classes=[0]),
        lambda: mixture.sample(2, label="cat"),
    ):
        with pytest.raises(GrowmixError, match=r"allowed are .*\['0', 'both', '1'\]"):
            ask()
    with pytest.raises(GrowmixError, match=r"label is '1'; component 0 knows \['0', 'both'\]"):
        mixture.sample(2, component=0, label="1")
    mixture.save(tmp_path / "mixture")
    again = GrowingMixture.load(tmp_path / "mixture")
    assert state_hash(again) == state_hash(mixture)
    assert again.classes_.tolist() == mixture.classes_.tolist()
    again.learn((drawn, labels))
    again.learn((noisy(), ["new", "0"] * 6))
    assert again.classes_.tolist() == ["0", "both", "1", "new"]
    student = mixture.distill()
    student.save(tmp_path / "student")
    for each in (student, type(student).load(tmp_path / "student")):
        assert each.classes_.tolist() == ["0", "both", "1"]
        assert set(each.predict(noisy())) <= {"0", "both", "1"}


def test_checkpoints_from_before_names_are_read_and_those_with_wrong_names_are_not(tmp_path: Path) -> None:
    from forging import document_of, put_document
    from growmix import BadCheckpoint

    for model, load in ((made("numbers"), GrowingMixture.load), (made("student"), type(made("student")).load)):
        folder = tmp_path / type(model).__name__
        model.save(folder)
        document = document_of(folder)
        assert document.pop("names") == []
        put_document(folder, document)
        loaded: Model = load(folder)
        assert loaded.classes_.tolist() == model.classes_.tolist()
        for wrong in (["a"], [1, 2, 3], ["a", "a", "b"], "abc", 3, None, {"a": 0}):
            put_document(folder, {**document, "names": wrong})
            with pytest.raises(BadCheckpoint):
                load(folder)


def test_a_thousand_cases_are_planned_and_each_plan_has_its_test() -> None:
    assert sum(CASES.values()) >= 1_000  # each test says itself whether it went through all of its own
    assert sorted(PLANS_CARRIED_OUT) == sorted(CASES)
