from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import load_digits

from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.streams import available, load
from growmix.system import memory

NAMED = [entry.name for entry in available() if entry.tasks and entry.name != "translation"]  # pairs: test_pairs.py
SPLIT = {"split-digits": 5, "split-mnist": 5, "split-fashion": 5, "split-letters": 13, "split-cifar10": 5}


def labels_of(data: TaskData) -> torch.Tensor:
    assert data.y is not None
    return data.y


def rows(data: TaskData) -> set[bytes]:
    return {image.numpy().tobytes() for image in data.x}


@pytest.mark.parametrize("name", NAMED)
def test_every_named_stream_loads_bytes_of_one_shape_and_global_labels(name: str, made_root: Path) -> None:
    stream = load(name, data_root=made_root)
    entry = next(each for each in available() if each.name == name)
    assert [task.name for task in stream] == list(entry.tasks)
    assert stream.notes == ()
    for task in stream:
        for data in (task.train, task.test):
            assert data.x.dtype == torch.uint8
            assert data.shape == stream.shape
            assert labels_of(data).dtype == torch.int64
            assert len(labels_of(data)) == len(data)
            assert set(labels_of(data).tolist()) == set(task.classes)
    labels = {label for task in stream for label in task.classes}
    assert labels == set(range(60 if name == "split-cifar" else len(stream.class_names)))


@pytest.mark.parametrize(("name", "tasks"), SPLIT.items())
def test_a_split_stream_has_two_new_classes_a_task_and_loses_no_example(name: str, tasks: int, made_root: Path) -> None:
    stream = load(name, data_root=made_root)
    data_set = stream[0].name.split("/")[0]
    assert [task.classes for task in stream] == [(2 * i, 2 * i + 1) for i in range(tasks)]
    assert stream.class_names == tuple(f"{data_set}/{i}" for i in range(2 * tasks))
    whole = load("domains", tasks=data_set, data_root=made_root)[0]
    for part in ("train", "test"):
        pieces = [getattr(task, part) for task in stream]
        assert sum(map(len, pieces)) == len(getattr(whole, part))
        assert set.union(*map(rows, pieces)) == rows(getattr(whole, part))


def test_split_cifar_has_six_tasks_of_ten_classes_each(made_root: Path) -> None:
    stream = load("split-cifar", data_root=made_root)
    assert [task.classes for task in stream] == [tuple(range(first, first + 10)) for first in range(0, 60, 10)]
    assert stream.class_names[:11:10] == ("cifar10/0", "cifar100/0")


def test_the_letters_streams_are_32_by_32_in_colour_whatever_replaces_their_sets(made_root: Path) -> None:
    replace = {"mnist": "omniglot", "svhn": "digits", "fashion_mnist": "celeba"}
    stream = load("msfir", data_root=made_root, replace=replace)
    assert stream.shape == (3, 32, 32)
    assert stream.notes == ("mnist replaced by omniglot", "svhn replaced by digits", "fashion_mnist replaced by celeba")
    assert [task.name.split("@")[0] for task in stream] == ["omniglot", "digits", "celeba", "celeba", "omniglot"]
    assert load("cccos", data_root=made_root, replace="imagenet=mnist").shape == (3, 64, 64)


def test_msfirs_inverted_and_turned_tasks_are_what_they_say(made_root: Path) -> None:
    mnist, _, fashion, inverted, turned = load("msfir", data_root=made_root)
    # Bytes are rounded after scaling: of an inverted image, an exact half to the other side.
    assert int((fashion.test.x.int() - (255 - inverted.test.x.int())).abs().max()) <= 1
    assert int((mnist.test.x.rot90(2, (-2, -1)).int() - turned.test.x.int()).abs().max()) <= 1


def test_msc_and_cms_are_one_stream_in_two_orders(made_root: Path) -> None:
    msc, cms = (load(name, data_root=made_root) for name in ("msc", "cms"))
    assert [task.name for task in cms] == [msc[2].name, msc[0].name, msc[1].name]
    assert torch.equal(cms[0].train.x, msc[2].train.x)


def test_a_row_of_the_catalogue_can_name_its_label_space_and_the_user_another(made_root: Path) -> None:
    assert load("msfirc", data_root=made_root).class_names == tuple(map(str, range(10)))
    assert len(load("msfirc", data_root=made_root, label_space="separate").class_names) == 40
    assert len(load("msfir", data_root=made_root).class_names) == 30
    assert len(load("msfir", data_root=made_root, label_space="shared").class_names) == 10


def test_a_replacement_is_in_the_names_and_in_the_notes(made_root: Path) -> None:
    stream = load("split-mnist", data_root=made_root, replace=["mnist=fashion_mnist"])
    plain = load("split-fashion", data_root=made_root)
    assert stream.notes == ("mnist replaced by fashion_mnist",)
    assert stream.class_names == plain.class_names
    for task, expected in zip(stream, plain, strict=True):
        assert task.name == expected.name
        assert torch.equal(task.train.x, expected.train.x)


def test_two_sets_can_take_each_others_place(made_root: Path) -> None:
    stream = load("domains", tasks="mnist,svhn@gray", data_root=made_root, replace="mnist=svhn,svhn=mnist")
    assert [task.name for task in stream] == ["svhn", "mnist@gray"]


def test_a_task_that_a_replacement_repeats_is_held_once(made_root: Path) -> None:
    stream = load("msc", data_root=made_root, replace={"svhn": "mnist"})
    assert stream[0].name == stream[1].name
    assert stream[0].train.x.data_ptr() == stream[1].train.x.data_ptr()


@pytest.mark.parametrize(("name", "tasks"), [("permuted-digits", 5), ("permuted-mnist", 10)])
def test_a_permuted_stream_moves_pixels_alike_in_training_and_test_and_keeps_labels(
    name: str, tasks: int, made_root: Path
) -> None:
    stream = load(name, data_root=made_root)
    assert len(stream) == tasks
    data_set = stream[0].name
    assert [task.name for task in stream] == [data_set, *(f"{data_set}@permute{i}" for i in range(1, tasks))]
    orders = []
    for i, task in enumerate(stream):
        order = np.arange(stream.shape[1] * stream.shape[2])
        if i:
            order = np.random.RandomState(i).permutation(order.size)
        orders.append(tuple(order))
        for data, first in ((task.train, stream[0].train), (task.test, stream[0].test)):
            assert torch.equal(data.x.flatten(1), first.x.flatten(1)[:, torch.from_numpy(order)])
            assert torch.equal(labels_of(data), labels_of(first))
    assert len(set(orders)) == tasks


def test_digits_are_scikit_learns_with_a_cut_that_no_seed_moves() -> None:
    digits = load_digits()
    first, second = (load("domains", tasks="digits", seed=seed)[0] for seed in (0, 7))
    assert (len(first.train), len(first.test)) == (1437, 360)
    assert torch.equal(first.test.x, second.test.x)
    assert rows(first.train) == rows(second.train)
    assert not rows(first.train) & rows(first.test)
    counts = torch.bincount(labels_of(first.test))
    assert int(counts.max() - counts.min()) <= 3
    back = torch.cat([first.train.images(), first.test.images()]).double() * 16
    assert float((back - back.round()).abs().max()) <= 16 * 0.5 / 255 + 1e-5
    assert back.round().sum() == digits.images.sum()


def test_a_set_without_labels_has_no_classes_to_choose_from(
    tmp_path: Path, make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes]
) -> None:
    (tmp_path / "plain").mkdir()
    images = [encode_png(np.full((4, 4), value, dtype=np.uint8), "L") for value in range(5)]
    for part in ("train", "test"):
        pq.write_table(make_table(images, [-1] * 5), tmp_path / "plain" / f"{part}.parquet")
    assert load("domains", tasks="plain", data_root=tmp_path)[0].classes == ()
    with pytest.raises(BadInput, match=r"^task 'plain/0': data set 'plain' has no labels$"):
        load("domains", tasks="plain/0", data_root=tmp_path)


def test_the_seed_orders_training_examples_and_leaves_images_with_their_labels(
    tmp_path: Path, write_set: Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]
) -> None:
    x, y = write_set(tmp_path, "mnist")["train"]
    label_of = {image.tobytes(): int(label) for image, label in zip(x, y, strict=True)}
    orders = []
    for seed in (0, 0, 1):
        train = load("domains", tasks="mnist", data_root=tmp_path, seed=seed)[0].train
        labels = labels_of(train).tolist()
        assert [label_of[image.numpy().tobytes()] for image in train.x] == labels
        assert labels != sorted(labels)
        orders.append(labels)
    assert orders[0] == orders[1] != orders[2]


def test_parquet_images_arrive_bit_for_bit(
    tmp_path: Path, write_set: Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]
) -> None:
    for name, mode, side in (("mnist", "L", 28), ("svhn", "RGB", 32), ("omniglot", "1", 105)):
        x, y = write_set(tmp_path, name, mode=mode, side=side)["test"]
        test = load("domains", tasks=name, data_root=tmp_path)[0].test
        assert np.array_equal(test.x.numpy(), x)
        assert np.array_equal(labels_of(test).numpy(), y)


def test_data_sets_bring_their_own_classes_transforms_and_repetitions_share_them(made_root: Path) -> None:
    stream = load("domains", tasks="fashion_mnist,mnist,fashion_mnist@invert,emnist_letters,mnist", data_root=made_root)
    assert stream.class_names[3] == "fashion_mnist/3"
    assert stream.class_names[13] == "mnist/3"
    assert stream.class_names[23] == "emnist_letters/3"
    assert [task.classes[0] for task in stream] == [0, 10, 0, 20, 10]
    assert len(stream.class_names) == 46


def test_a_shared_label_space_merges_equal_numbers(made_root: Path) -> None:
    stream = load("domains", tasks="mnist,emnist_letters", data_root=made_root, label_space="shared")
    assert stream.class_names == tuple(map(str, range(26)))
    assert [task.classes for task in stream] == [tuple(range(10)), tuple(range(26))]


def test_some_classes_of_a_data_set_keep_their_labels(made_root: Path) -> None:
    stream = load("domains", tasks="mnist,fashion_mnist/3,fashion_mnist/7-9@invert", data_root=made_root)
    assert [task.classes for task in stream] == [tuple(range(10)), (13,), (17, 18, 19)]
    assert stream.class_names[17] == "fashion_mnist/7"


def test_unlabelled_rows_stay_unlabelled(
    tmp_path: Path, make_table: Callable[..., object], encode_png: Callable[..., bytes]
) -> None:
    import pyarrow.parquet as pq

    images = [encode_png(np.full((4, 4), i, dtype=np.uint8), "L") for i in range(5)]
    (tmp_path / "b").mkdir()
    for part in ("train", "test"):
        pq.write_table(make_table(images, [0, 1, -1, 1, -1]), tmp_path / "b" / f"{part}.parquet")
    stream = load("domains", tasks="digits,b", data_root=tmp_path)
    assert labels_of(stream[1].test).tolist() == [10, 11, -1, 11, -1]
    assert stream[1].classes == (10, 11)


def test_unlike_shapes_are_brought_to_the_largest_and_the_notes_say_so(
    tmp_path: Path, write_set: Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]
) -> None:
    x, _ = write_set(tmp_path, "mnist")["test"], write_set(tmp_path, "cifar10", mode="RGB", side=32)
    stream = load("domains", tasks="mnist,cifar10,cifar10@gray,mnist@size40", data_root=tmp_path)
    assert stream.shape == (3, 40, 40)
    assert [note.split(" (")[0] for note in stream.notes] == [
        "mnist: 1x28x28 brought to 3x40x40",
        "cifar10: 3x32x32 brought to 3x40x40",
        "cifar10@gray: 1x32x32 brought to 3x40x40",
        "mnist@size40: 1x40x40 brought to 3x40x40",
    ]
    for task in (stream[0], stream[2], stream[3]):
        assert torch.equal(task.test.x[:, 0], task.test.x[:, 2])
    alone = load("domains", tasks="mnist", data_root=tmp_path)
    assert alone.notes == ()
    assert np.array_equal(alone[0].test.x.numpy(), x[0])


def test_a_repeated_task_is_held_once_in_memory(made_root: Path) -> None:
    stream = load("domains", tasks=["mnist, fashion_mnist", "mnist"], data_root=made_root)
    assert [task.name for task in stream] == ["mnist", "fashion_mnist", "mnist"]
    assert stream[0].train.x.data_ptr() == stream[2].train.x.data_ptr()
    assert stream[0].test.x.data_ptr() == stream[2].test.x.data_ptr()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"name": "split-minst"}, "did you mean 'split-mnist'? (known: split-digits, "),
        ({"name": "nonsense"}, "permuted-mnist"),
        ({"name": "split-digits", "tasks": "digits"}, "goes with 'domains'"),
        ({"name": "domains"}, "needs one or more task names"),
        ({"name": "domains", "tasks": "digits,,digits"}, "needs one or more task names"),
        ({"name": "domains", "tasks": ""}, "needs one or more task names"),
        ({"name": "domains", "tasks": []}, "needs one or more task names"),
        ({"name": "domains", "tasks": "digits@invrt"}, "task 'digits@invrt': unknown transform 'invrt'; did you"),
        ({"name": "domains", "tasks": "digits@"}, "unknown transform ''"),
        ({"name": "domains", "tasks": "digits/8-10"}, "has the classes 0 to 9"),
        ({"name": "domains", "tasks": "digits/3-1"}, "must not be above"),
        ({"name": "domains", "tasks": "digits/x"}, "'digits/x' is not understood"),
        ({"name": "domains", "tasks": "../digits"}, "not understood"),
        ({"name": "split-digits", "label_space": "common"}, "'separate' and 'shared'"),
        ({"name": "split-digits", "seed": -1}, "seed is -1"),
        ({"name": ["x"]}, "unknown stream ['x'] (known: split-digits, "),
        ({"name": None}, "unknown stream None"),
        ({"name": "x" * 5_000}, "xxx... (known: split-digits, "),
        ({"name": "domains", "tasks": 5}, "tasks is 5; stream 'domains' needs one or more task names"),
        ({"name": "domains", "tasks": [1]}, "tasks is [1]; stream"),
        ({"name": "domains", "tasks": "digits" + "@" * 5_000}, "@@@...: unknown transform ''"),
        ({"name": "split-digits", "seed": "a"}, "seed is 'a'; allowed is a whole number of 0 or more"),
        ({"name": "split-digits", "seed": 1.5}, "seed is 1.5"),
        ({"name": "split-digits", "seed": None}, "seed is None"),
        ({"name": "split-digits", "train_examples": "5"}, "train_examples is '5'; allowed is a whole number of 4"),
        ({"name": "split-digits", "label_fraction": np.eye(40)}, "label_fraction is array"),
        ({"name": "split-digits", "label_space": np.eye(2)}, "label_space is array"),
        ({"name": "split-digits", "data_root": 5}, "data_root is 5; allowed is a path"),
        ({"name": "split-digits", "data_root": ""}, "data_root is ''; allowed is a path"),
        ({"name": "split-digits", "data_root": "~no-such-user/x"}, "data_root is '~no-such-user/x'"),
        ({"name": "split-digits", "cache_dir": 5}, "cache_dir is 5; allowed is a path"),
        ({"name": "split-digits", "replace": 5}, "replace is 5; allowed is a mapping, or a list of NAME=OTHER"),
        ({"name": "split-digits", "replace": None}, "replace is None"),
        ({"name": "split-digits", "replace": [5]}, "replace is 5; allowed is NAME=OTHER"),
        (
            {"name": "msc", "replace": ["fashion_mnist=mnist"]},
            "replace is 'fashion_mnist=mnist', but stream 'msc' does not use 'fashion_mnist'; allowed is to replace "
            "one of mnist, svhn, cifar10",
        ),
        ({"name": "msc", "replace": ["svhn"]}, "replace is 'svhn'; allowed is NAME=OTHER"),
        ({"name": "split-mnist", "replace": "mnist=digits.image"}, "allowed is NAME=OTHER"),
    ],
)
def test_a_wrong_name_is_named_with_what_is_allowed(call: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(**call)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_of_which_nothing_can_be_learnt_is_refused(
    tmp_path: Path, make_table: Callable[..., pa.Table], encode_png: Callable[..., bytes]
) -> None:
    (tmp_path / "few").mkdir()
    images = [encode_png(np.full((4, 4), value, dtype=np.uint8), "L") for value in (0, 1, 2)]
    for part in ("train", "test"):
        pq.write_table(make_table(images, [0, 0, 0]), tmp_path / "few" / f"{part}.parquet")
    with pytest.raises(BadInput, match="task 'few': data has 3 examples; learning needs at least 4"):
        load("domains", tasks="few", data_root=tmp_path)


@pytest.mark.slow
def test_real_data_load_as_their_readme_says(data_root: Path) -> None:
    """The small ones; the whole of MNIST is learnt elsewhere."""
    stream = load("domains", tasks="mnist_m,omniglot@invert@size32,facades@size32", data_root=data_root)
    assert stream.shape == (3, 32, 32)
    assert [(len(task.train), len(task.test)) for task in stream] == [(12000, 2000), (3872, 968), (500, 106)]
    assert len(stream.class_names) == 10 + 242 + 1
    assert torch.bincount(labels_of(stream[0].test)).tolist() == [200] * 10
    # Black ink on white becomes white on black: mostly dark.
    assert float(stream[1].test.images().mean()) < 0.2
    assert load("domains", tasks="omniglot", data_root=data_root).shape == (1, 105, 105)


@pytest.mark.slow
def test_real_data_take_the_place_of_what_is_missing(data_root: Path) -> None:
    replace = ("mnist=omniglot", "svhn=mnist_m", "cifar10=facades")
    stream = load("msc", data_root=data_root, replace=replace, train_examples=200, label_fraction=0.1)
    assert [task.name for task in stream] == ["omniglot@size32@rgb", "mnist_m@size32@rgb", "facades@size32@rgb"]
    assert [(len(task.train), len(task.test)) for task in stream] == [(200, 968), (200, 2000), (200, 106)]
    assert stream.shape == (3, 32, 32)
    assert int((labels_of(stream[2].train) >= 0).sum()) == 20
    assert len(stream.notes) == 5


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ("digits@size256", r"task 'digits@size256': 1437 images of shape \(1, 256, 256\) needs about"),
        ("digits,digits/0@size200", r"task 'digits', brought to the shape \(1, 200, 200\) of the largest: 1437 images"),
    ],
)
def test_a_stream_that_does_not_fit_into_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch, tasks: str, said: str
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 50 * 2**20)
    with pytest.raises(BadInput, match=said):
        load("domains", tasks=tasks)
