"""What is handed over to every verb: images and labels in each form that is allowed, and all that is none."""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.masked import masked_tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from growmix.data.task import TaskData, check_task

SHAPE = (1, 4, 4)


def noisy(n: int = 12, kind: int = 0) -> np.ndarray:
    """Return images of one of two kinds, dark or bright."""
    return (np.random.default_rng(kind).random((n, *SHAPE)) * 0.5 + 0.5 * (kind % 2)).astype(np.float32)


def rows(n: int = 12, kind: int = 0) -> np.ndarray:
    """Return vectors of 16 numbers of one of two kinds, around 0 or around 100."""
    return (np.random.default_rng(kind).normal(size=(n, 16)) * 10 + 100 * (kind % 2)).astype(np.float32)


class Items(Dataset[Any]):
    def __init__(self, *columns: Any) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, i: int) -> Any:
        row = tuple(column[i] for column in self.columns)
        return row if len(row) > 1 else row[0]


BYTES = np.random.default_rng(0).integers(0, 256, (11, 3, 5, 4), dtype=np.uint8)
FLOATS = BYTES.astype(np.float32) / np.float32(255)
LABELS = np.array([0, 1, 2, -1, 0, 1, 2, -1, 5, 5, 0])
NAMES = ["dog", "cat", "dog", None, "ant", "cat", "ant", None, "dog", "", ""]
NAMES[9] = NAMES[10] = "a b"


class Named(Items):
    def __init__(self, keys: tuple[str, ...], *columns: Any) -> None:
        super().__init__(*columns)
        self.keys = keys

    def __getitem__(self, i: int) -> Any:
        return {key: column[i] for key, column in zip(self.keys, self.columns, strict=True)}


def batches(size: int = 4) -> Iterator[Any]:
    for start in range(0, 11, size):
        yield FLOATS[start : start + size], LABELS[start : start + size]


def iter_of(*pieces: Any) -> IterableDataset[Any]:
    class Given(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter(pieces)

    return Given()


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
    """What is known of a table of pandas or the like: it gives itself as an array when asked."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.ndim = values, values.shape, values.ndim

    def __iter__(self) -> Iterator[str]:
        yield from "columns"

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


def make_wrong(name: str, x: np.ndarray) -> Any:
    """Make one of :data:`WRONG_TYPES`, or ``None`` where this torch makes no such tensor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return WRONG_TYPES[name](x)
        except (AttributeError, RuntimeError, NotImplementedError):
            assert name in UNSURE
            return None  # as bad


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
