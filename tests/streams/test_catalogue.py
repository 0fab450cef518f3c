"""The rows of the catalogue: what each needs, and that its tasks are what its name says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from growmix.errors import BadInput
from growmix.streams import available
from growmix.streams.catalogue import DOMAINS, entry


def test_every_row_of_the_catalogue_says_what_it_needs() -> None:
    assert {entry.name: entry.data_sets for entry in available()} == {
        "split-digits": ("digits",),
        "permuted-digits": ("digits",),
        "split-mnist": ("mnist",),
        "permuted-mnist": ("mnist",),
        "split-fashion": ("fashion_mnist",),
        "split-letters": ("emnist_letters",),
        "split-cifar10": ("cifar10",),
        "split-cifar": ("cifar10", "cifar100"),
        "msfir": ("mnist", "svhn", "fashion_mnist"),
        "msfirc": ("mnist", "svhn", "fashion_mnist", "cifar10"),
        "msc": ("mnist", "svhn", "cifar10"),
        "cms": ("cifar10", "mnist", "svhn"),
        "cccos": ("celeba", "cacd", "chairs", "omniglot", "imagenet"),
        "translation": ("facades", "cifar10", "fashion_mnist"),
        "domains": (),
    }
    assert all(re.fullmatch(r"[^\n]+", entry.description) for entry in available())


@pytest.mark.parametrize(
    ("name", "classes"),
    [("split-digits", 10), ("split-mnist", 10), ("split-fashion", 10), ("split-letters", 26), ("split-cifar10", 10)],
)
def test_a_split_has_every_class_once(name: str, classes: int) -> None:
    ranges = [task.split("/")[1].split("-") for task in entry(name).tasks]
    assert [each for first, last in ranges for each in range(int(first), int(last) + 1)] == list(range(classes))


def test_a_permuted_stream_has_its_data_as_they_are_and_then_another_order_each_time() -> None:
    for name, data_set, tasks in (("permuted-digits", "digits", 5), ("permuted-mnist", "mnist", 10)):
        first, *others = entry(name).tasks
        assert first == data_set
        assert others == [f"{data_set}@permute{i}" for i in range(1, tasks)]


def test_tasks_of_one_stream_differ_and_only_msfirc_shares_its_classes() -> None:
    for row in available():
        assert len(set(row.tasks)) == len(row.tasks) or row.name == DOMAINS
        assert row.label_space == ("shared" if row.name == "msfirc" else "separate")
    assert set(entry("msc").tasks) == set(entry("cms").tasks)
    assert entry("msfirc").tasks[:5] == entry("msfir").tasks


@pytest.mark.parametrize(
    ("name", "said"),
    [("split-minst", "unknown stream 'split-minst'; did you mean 'split-mnist'?"), (None, "unknown stream None")],
)
def test_a_stream_that_there_is_not_is_named_with_those_that_there_are(name: Any, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said) + r".* \(known: split-digits, .*, domains\)"):
        entry(name)
