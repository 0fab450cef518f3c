from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.streams import load

Write = Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]


def target_of(data: TaskData) -> torch.Tensor:
    assert data.target is not None
    return data.target


def parts(data: TaskData) -> tuple[torch.Tensor, torch.Tensor]:
    return data.x, target_of(data)


def test_sources_and_targets_lie_in_one_order(made_root: Path) -> None:
    """The made label maps are the photographs inverted, so every row tells whether it has its own target."""
    (task,) = load("domains", tasks="facades.condition:facades", data_root=made_root)
    plain, condition = load("domains", tasks="facades,facades.condition", data_root=made_root)
    for data, whole, other in ((task.train, plain.train, condition.train), (task.test, plain.test, condition.test)):
        source, target = parts(data)
        assert source.dtype == target.dtype == torch.uint8
        assert torch.equal(source, 255 - target)
        assert torch.equal(target, whole.x)
        assert torch.equal(source, other.x)


def test_pairs_are_learnt_without_labels_and_have_no_classes(made_root: Path) -> None:
    stream = load("domains", tasks="mnist@invert:mnist", data_root=made_root)
    task = stream[0]
    assert task.train.y is None
    assert task.test.y is None
    assert task.classes == ()
    assert stream.class_names == ()


def test_either_side_has_its_own_transforms(made_root: Path) -> None:
    stream = load("domains", tasks="cifar10@fliplr@invert:cifar10", data_root=made_root)
    source, target = parts(stream[0].test)
    assert torch.equal(source, 255 - target.flip(-1))


def test_some_classes_are_chosen_by_the_labels_that_are_not_learnt(made_root: Path) -> None:
    pairs = load("domains", tasks="mnist/3-4@invert:mnist/3-4", data_root=made_root)[0]
    labelled = load("domains", tasks="mnist/3-4", data_root=made_root)[0]
    assert torch.equal(target_of(pairs.train), labelled.train.x)
    assert torch.equal(target_of(pairs.test), labelled.test.x)


def test_a_part_of_the_examples_keeps_each_source_with_its_target(made_root: Path) -> None:
    stream = load("domains", tasks="mnist@invert:mnist", data_root=made_root, train_examples=7)
    source, target = parts(stream[0].train)
    assert len(source) == 7
    assert torch.equal(source, 255 - target)


def test_sources_and_targets_of_all_tasks_are_brought_to_one_shape(made_root: Path) -> None:
    stream = load("domains", tasks="cifar10@gray:cifar10,mnist@invert:mnist", data_root=made_root)
    assert stream.shape == stream.target_shape == (3, 32, 32)
    assert [note.split(" (")[0] for note in stream.notes] == [
        "cifar10@gray:cifar10, sources: 1x32x32 brought to 3x32x32",
        "mnist@invert:mnist, sources: 1x28x28 brought to 3x32x32",
        "mnist@invert:mnist, targets: 1x28x28 brought to 3x32x32",
    ]
    gray = stream[0].test.x
    assert torch.equal(gray[:, 0], gray[:, 2])
    for task in stream:
        for data in (task.train, task.test):
            assert data.shape == data.target_shape == (3, 32, 32)


def test_the_translation_stream_has_three_tasks_of_one_size(made_root: Path) -> None:
    stream = load("translation", data_root=made_root)
    assert [task.name for task in stream] == [
        "facades.condition@size32:facades@size32",
        "cifar10@gray:cifar10",
        "fashion_mnist@invert:fashion_mnist",
    ]
    assert stream.shape == stream.target_shape == (3, 32, 32)


def test_a_replaced_data_set_is_replaced_on_both_sides(made_root: Path) -> None:
    stream = load("translation", data_root=made_root, replace=["cifar10=svhn"])
    assert stream[1].name == "svhn@gray:svhn"
    assert stream.notes[0] == "cifar10 replaced by svhn"


def test_a_repeated_pair_is_held_once_in_memory(made_root: Path) -> None:
    first, _, third = load("domains", tasks="mnist@invert:mnist,mnist:mnist,mnist@invert:mnist", data_root=made_root)
    for one, other in zip(parts(first.train), parts(third.train), strict=True):
        assert one.data_ptr() == other.data_ptr()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            {"tasks": "mnist@size20:mnist"},
            "'mnist@size20:mnist', training data: the pairs have sources and targets of unlike size (20x20, 28x28); "
            "bring both to one size",
        ),
        ({"tasks": "facades.condition:facades@size32"}, "sources and targets of unlike size (64x64, 32x32)"),
        ({"tasks": "mnist:mnist,mnist"}, "has pairs (such as 'mnist:mnist') and others (such as 'mnist')"),
        ({"tasks": "mnist:mnist/3"}, "both sides of a pair must be the same classes of one data set"),
        ({"tasks": "mnist:mnist", "label_fraction": 0.5}, "label_fraction is 0.5, but the tasks are pairs"),
        ({"tasks": "facades.mask:facades"}, "extra, label, image, condition; 'mask' is needed"),
        ({"tasks": "facades.label:facades"}, "column 'label' is of type int64; a struct of encoded 'bytes'"),
        ({"tasks": "digits.ink:digits"}, "data set 'digits' has no column 'ink'"),
    ],
)
def test_what_makes_no_pairs_is_named(call: dict[str, Any], said: str, made_root: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load("domains", data_root=made_root, **call)
    assert said in str(caught.value)


def test_real_facades_are_each_beside_the_label_map_of_their_own_row(data_root: Path) -> None:
    stream = load("domains", tasks="facades.condition:facades", data_root=data_root)
    assert stream.shape == stream.target_shape == (3, 64, 64)
    assert (len(stream[0].train), len(stream[0].test)) == (500, 106)
    rows = pq.read_table(data_root / "facades" / "test.parquet").slice(17, 1).to_pylist()[0]
    for column, images in (("condition", stream[0].test.x), ("image", target_of(stream[0].test))):
        expected = np.asarray(Image.open(io.BytesIO(rows[column]["bytes"])))
        assert np.array_equal(images[17].permute(1, 2, 0).numpy(), expected)
    # A label map has its facade's outlines: the gray of the one says more of the other's in the right order.
    assert agreement(stream[0].train, 0) > 2 * agreement(stream[0].train, 1)


def agreement(pairs: TaskData, shift: int) -> float:
    """Mean correlation of edges of each source with those of the target some rows away."""
    flat = []
    for images in (pairs.x, target_of(pairs).roll(shift, 0)):
        gray = images.float().mean(1)
        edges = (gray[:, :, 1:] - gray[:, :, :-1]).abs().flatten(1)
        centred = edges - edges.mean(1, keepdim=True)
        flat.append(centred / centred.norm(dim=1, keepdim=True))
    return float((flat[0] * flat[1]).sum(1).mean())
