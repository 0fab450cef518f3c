from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from growmix.data.task import TaskData, check_data
from growmix.errors import BadInput
from growmix.streams import Stream, Task, from_arrays

RANDOM = np.random.default_rng(0)
X = RANDOM.random((6, 1, 8, 8)).astype(np.float32)
Y = np.array([0, 1, 0, 1, -1, 0])
COLOUR = RANDOM.random((6, 3, 8, 8)).astype(np.float32)


def labelled(y: np.ndarray) -> torch.utils.data.TensorDataset:
    return torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))


def test_arrays_come_back_as_given() -> None:
    stream = from_arrays([(X, Y, X[:2], Y[:2]), (X * 0.5, Y + 2, X[:1], [2])], name="mine")
    assert (stream.name, len(stream), stream.shape) == ("mine", 2, (1, 8, 8))
    assert torch.equal(stream[0].train.x, torch.from_numpy(X))
    assert stream[0].train.y is not None
    assert stream[0].train.y.tolist() == Y.tolist()
    assert stream[0].test.x.shape == (2, 1, 8, 8)
    assert stream[0].classes == (0, 1)
    assert stream.class_names == ("0", "1", "2", "3")


def test_tasks_are_named_by_the_mapping_or_by_number() -> None:
    assert [task.name for task in from_arrays({"a": (X, X), "b": (X, X)})] == ["a", "b"]
    assert [task.name for task in from_arrays([(X, X), (X, X)])] == ["task-1", "task-2"]


def test_tasks_without_labels_have_no_classes() -> None:
    task = from_arrays([(X, X[:1])])[0]
    assert task.train.y is None
    assert task.test.y is None
    assert task.classes == ()


def test_a_second_array_of_images_is_what_the_first_is_translated_to() -> None:
    stream = from_arrays({"a": (X, COLOUR, X[:2], COLOUR[:2]), "b": (X, COLOUR, X[:1], COLOUR[:1])})
    assert (stream.shape, stream.target_shape) == ((1, 8, 8), (3, 8, 8))
    for data, rows in ((stream[0].train, slice(None)), (stream[0].test, slice(2))):
        assert data.y is None
        assert data.target is not None
        assert torch.equal(data.x, torch.from_numpy(X[rows]))
        assert torch.equal(data.target, torch.from_numpy(COLOUR[rows]))
    assert stream[0].classes == ()
    assert stream.class_names == ()
    assert from_arrays([(X, X)]).target_shape is None


@pytest.mark.parametrize(
    ("train_target", "test_target", "said"),
    [
        (torch.zeros(4, 1, 8, 8), None, "has targets in one part only"),
        (None, torch.zeros(4, 1, 8, 8), "has targets in one part only"),
        (
            torch.zeros(4, 1, 8, 8),
            torch.zeros(4, 1, 6, 8),
            "test data: the pairs have sources and targets of unlike size (8x8, 6x8)",
        ),
        (torch.zeros(3, 1, 8, 8), torch.zeros(4, 1, 8, 8), "training data: the pairs have 4 sources and 3 targets"),
    ],
)
def test_a_task_without_a_target_for_each_source_is_refused(
    train_target: torch.Tensor | None, test_target: torch.Tensor | None, said: str
) -> None:
    x = torch.zeros(4, 1, 8, 8)
    with pytest.raises(BadInput) as caught:
        Task("night", TaskData(x, None, train_target), TaskData(x, None, test_target), ())
    assert said in str(caught.value)


def test_a_stream_of_pairs_and_others_is_refused_however_it_is_made() -> None:
    x = torch.zeros(4, 1, 8, 8)
    pairs = Task("pairs", TaskData(x, None, x), TaskData(x, None, x), ())
    single = Task("single", TaskData(x), TaskData(x), ())
    with pytest.raises(BadInput, match="'single' has training targets of shape None"):
        Stream("mine", (pairs, single), ())


def test_bytes_stay_bytes() -> None:
    x = RANDOM.integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)
    assert from_arrays([(x, x)])[0].train.x.dtype == torch.uint8


def test_a_stream_is_a_sequence_and_a_slice_of_it_a_stream() -> None:
    stream = from_arrays({"a": (X, X), "b": (X, X), "c": (X, X)})
    assert stream[-1].name == "c"
    assert [task.name for task in stream[1:]] == ["b", "c"]
    assert stream[1:].shape == stream.shape
    assert stream[0] in stream
    with pytest.raises(IndexError):
        stream[3]


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ({}, "has no task"),
        ({"night": (X, Y)}, "two items, and the second has one axis, as labels have"),
        ({"night": (X, Y[:3], X, Y)}, "'night', training data: y has shape (3,)"),
        ({"night": (X, Y, X, Y[:3])}, "'night', test data: y has shape (3,)"),
        ({"night": (X, Y - 1, X, Y)}, "label -2"),
        ({"night": (X, Y * 1.0, X, Y)}, "labels are integers"),
        ({"night": (X, Y, X * np.nan, Y)}, "'night', test data: x has NaN"),
        ({"night": (X * 300, Y, X, Y)}, "floats must be in [0, 1]"),
        ({"night": (X[:0], X)}, "x is empty"),
        ({"night": (X[:1], X)}, "1 example"),
        ({"night": (X * 0, X)}, "alike"),
        ({"night": (X, Y, X)}, "'night' is 3 items"),
        ({"night": (X, COLOUR[:5], X, COLOUR)}, "'night', training data: the pairs have 6 sources and 5 targets"),
        (
            {"night": (X, COLOUR, X, COLOUR[..., :4])},
            "'night', test data: the pairs have sources and targets of unlike",
        ),
        ({"night": (X, COLOUR, X, Y)}, "'night' has targets in one part only"),
        ({"night": (X, Y, X, COLOUR)}, "'night' has targets in one part only"),
        ({"night": (X, COLOUR, X, COLOUR[..., 0, 0, 0])}, "'night', test data: y is of type float32; labels"),
        (
            {"night": (labelled(Y), None, X, Y)},
            "'night', training data: data is a pair of x and None, but x has labels",
        ),
        ({"night": (labelled(Y), {5})}, "'night', test data: data is a set"),
        (5, "tasks is 5; allowed is a list of tasks"),
        (None, "tasks is None"),
        ("night", "tasks is 'night'"),
        ([5], "'task-1' is a int"),
        ({"day": (X, COLOUR, X, COLOUR), "night": (X, X)}, "'night' has training targets of shape None"),
        ({"day": (X, X), "night": (X, COLOUR, X, COLOUR)}, "'day' have None (None: no pairs)"),
        ({"day": (X, COLOUR, X, COLOUR), "night": (X, X, X, X)}, "'night' has training targets of shape (1, 8, 8)"),
        ({"night": X}, "'night' is a ndarray"),
        (
            {"day": (X, X), "night": (X[..., :4], X[..., :4])},
            "as training data images of shape (1, 8, 4), but task 'day' has images",
        ),
        ({"night": (X, X[..., :4])}, "'night' has as test data images of shape (1, 8, 4)"),
        ({"night": (X, abs(Y) * 10**9, X, Y)}, "label 1000000000"),
    ],
)
def test_wrong_arrays_are_refused_with_the_tasks_name(tasks: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_arrays(tasks)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_data_sets_and_loaders_bring_their_labels() -> None:
    parts = (labelled(Y), torch.utils.data.DataLoader(labelled(Y + 1), batch_size=4))
    task = from_arrays([parts])[0]
    assert task.train.y is not None and task.test.y is not None
    assert (task.train.y.tolist(), task.test.y.tolist(), task.classes) == (Y.tolist(), (Y + 1).tolist(), (0, 1, 2))


GIVEN: dict[str, Callable[[Any, Any], Any]] = {
    "images": lambda x, y: (x, x),
    "with labels": lambda x, y: ((x, y), (x, y)),
    "checked": lambda x, y: (check_data((x, y)), check_data((x, y))),
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_tensors_are_the_streams_own(given: Callable[[Any, Any], Any]) -> None:
    x, y = torch.from_numpy(X.copy()), torch.from_numpy(Y.copy())

    def tasks() -> Iterator[Any]:
        for shift in (0, 1):
            x.copy_((torch.from_numpy(X) + shift) / 2)
            y.copy_(torch.from_numpy(Y) + shift)
            yield given(x, y)

    stream = from_arrays(tasks())
    assert [float(task.train.x.max()) <= 0.5 for task in stream] == [True, False]
    assert [task.classes for task in stream] == ([(), ()] if given is GIVEN["images"] else [(0, 1), (0, 1, 2)])


def test_an_exception_of_the_tasks_own_says_where() -> None:
    def tasks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield X, X
        raise KeyError("lost")

    with pytest.raises(BadInput, match="tasks raised an exception after 1 tasks: KeyError: 'lost'") as caught:
        from_arrays(tasks())
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("names", [5, "ab", [None, "a"], ["a", "a"], ["a", ""], [0, 1]])
def test_names_of_classes_are_different_words(names: Any) -> None:
    with pytest.raises(BadInput, match=r"^class_names is "):
        from_arrays([(X, Y, X, Y)], class_names=names)
    with pytest.raises(BadInput, match=r"^class_names is "):
        Stream("mine", from_arrays([(X, X)]).tasks, names)


DATA = TaskData(torch.zeros(4, 1, 8, 8))
ZEROS = torch.zeros(4, dtype=torch.int64)


WHOLE = torch.arange(250, 254)[:, None, None, None].expand(4, 1, 8, 8)


@pytest.mark.parametrize(("given", "means"), [(DATA.x.double(), DATA.x), (DATA.x > 0.5, DATA.x), (WHOLE, WHOLE.byte())])
def test_a_task_has_its_images_in_the_form_that_is_learnt(given: torch.Tensor, means: torch.Tensor) -> None:
    task = Task("a", DATA, TaskData(given, [0, 1, -1, 0]), (0, 1))  # type: ignore[arg-type]
    assert task.test.x.dtype == means.dtype and torch.equal(task.test.x, means)
    assert task.test.y is not None and task.test.y.tolist() == [0, 1, -1, 0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((None, DATA, DATA, ()), "name is None"),
        (("a", None, DATA, ()), "task 'a': train is None; allowed is a TaskData"),
        (("a", DATA, X, ()), "task 'a': test is array"),
        (("a", DATA, TaskData([[0.5]] * 4), ()), "task 'a': test is TaskData"),
        (("a", DATA, TaskData(torch.zeros(4, 8, 8)), ()), "task 'a', test data: x has shape (4, 8, 8); images are"),
        (("a", DATA, TaskData(DATA.x, support="all"), ()), "task 'a', test data: support is 'all'; allowed are"),
        (("a", DATA, DATA, 5), "task 'a': classes is 5"),
        (("a", DATA, DATA, (0.5,)), "task 'a': classes is (0.5,)"),
        (("a", DATA, TaskData(DATA.x, ZEROS[:3]), (0,)), "task 'a', test data: y has shape (3,)"),
        (("a", TaskData(DATA.x, ZEROS[:, None]), DATA, (0,)), "task 'a', training data: y has shape (4, 1)"),
        (("a", DATA, TaskData(DATA.x, ZEROS - 7), (0,)), "task 'a', test data: y has the label -7"),
        (("a", DATA, TaskData(DATA.x, ZEROS.double()), (0,)), "task 'a', test data: y is of type torch.float64"),
        (("a", DATA, TaskData(DATA.x + 2, ZEROS), (0,)), "task 'a', test data: x has numbers from 2.0 to 2.0"),
        (("a", DATA, TaskData(DATA.x, ZEROS + 5), (0, 1)), "task 'a': classes is (0, 1), but y has the labels [5]"),
    ],
)
def test_what_makes_no_task_is_refused(values: tuple[Any, ...], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        Task(*values)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((5, (Task("a", DATA, DATA, ()),), ()), "name is 5"),
        (("mine", 5, ()), "tasks is 5; allowed is a list"),
        (("mine", [DATA], ()), "tasks is [TaskData"),
        (("mine", (), ()), "stream 'mine' has no task"),
        (("mine", (Task("a", DATA, DATA, (0, 7)),), ("a", "b")), "class_names has 2 names, but y has the label 7"),
    ],
)
def test_what_makes_no_stream_is_refused(values: tuple[Any, ...], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        Stream(*values)
    assert str(caught.value).startswith(said)


def test_every_label_needs_a_name() -> None:
    assert from_arrays([(X, Y, X, Y)], class_names=["cat", "dog"]).class_names == ("cat", "dog")
    with pytest.raises(BadInput, match="class_names has 1 names, but y has the label 1"):
        from_arrays([(X, Y, X, Y)], class_names=["cat"])
