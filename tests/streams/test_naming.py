from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.streams import available
from growmix.streams.naming import parse_replacements, parse_task

data_sets = st.sampled_from(("mnist", "mnist_m", "fashion-mnist", "m"))
columns = st.sampled_from(("", ".condition", ".image.png"))
classes = st.sampled_from(("", "/3", "/0-4"))
transforms = st.lists(st.sampled_from(("invert", "rotate90", "gray", "size32")), max_size=3).map(
    lambda words: "".join(f"@{word}" for word in words)
)


@st.composite
def task_names(draw: st.DrawFn) -> str:
    data_set, chosen = draw(data_sets), draw(classes)
    sides = [f"{data_set}{draw(columns)}{chosen}{draw(transforms)}" for _ in range(draw(st.integers(1, 2)))]
    return ":".join(sides)


@given(task_names())
def test_a_name_that_is_read_is_written_again_the_same(name: str) -> None:
    assert parse_task(name).name == name


@given(task_names(), data_sets)
def test_a_replacement_changes_the_data_set_and_nothing_else(name: str, other: str) -> None:
    before = parse_task(name)
    after = before.replaced({before.source.data_set: other})
    assert parse_task(after.name) == after
    assert {each.data_set for each in after.images} == {other}
    for old, new in zip(before.images, after.images, strict=True):
        assert (new.column, new.classes, new.transforms) == (old.column, old.classes, old.transforms)
    assert before.replaced({"another": other}) == before


def test_a_pair_has_columns_and_transforms_of_either_side() -> None:
    spec = parse_task("facades.condition/0@size32:facades/0@gray")
    assert spec.target is not None
    assert spec.source.origin == ("facades", "condition")
    assert spec.target.origin == ("facades", None)
    assert [each.classes for each in spec.images] == [(0, 0), (0, 0)]
    assert [[each.text for each in side.transforms] for side in spec.images] == [["size32"], ["gray"]]


def test_every_task_of_the_catalogue_is_understood() -> None:
    for entry in available():
        assert [parse_task(task).name for task in entry.tasks] == list(entry.tasks)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnist:fashion_mnist", "pairs 'mnist' with 'fashion_mnist'; both sides of a pair must be the same classes"),
        ("mnist/0-4:mnist", "pairs 'mnist/0-4' with 'mnist'"),
        ("mnist/3:mnist/4", "pairs 'mnist/3' with 'mnist/4'"),
        ("mnist:mnist:mnist", "has 2 colons"),
        ("mnist:", "'mnist:' is not understood"),
        (":mnist", "':mnist' is not understood"),
        ("facades.:facades", "not understood"),
        (".condition", "not understood"),
        ("../mnist", "not understood"),
        ("mnist@gray:mnist@grey", "task 'mnist@gray:mnist@grey': unknown transform 'grey'; did you mean 'gray'"),
    ],
)
def test_a_name_that_is_not_understood_is_named(name: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_task(name)
    assert said in str(caught.value)


def test_replacements_are_read_from_texts_and_mappings_alike() -> None:
    expected = {"svhn": "mnist_m", "celeba": "cifar10"}
    for given_as in (
        ["svhn=mnist_m", "celeba=cifar10"],
        ("svhn = mnist_m", " celeba=cifar10"),
        "svhn=mnist_m,celeba=cifar10",
        {"svhn": "mnist_m", "celeba": "cifar10"},
        ["svhn=mnist_m", "celeba=cifar10", "svhn=mnist_m"],
    ):
        assert parse_replacements(given_as) == expected
    assert parse_replacements(()) == {}


@pytest.mark.parametrize(
    ("replace", "said"),
    [
        (["svhn"], "replace is 'svhn'; allowed is NAME=OTHER"),
        (["svhn="], "replace is 'svhn='; allowed is NAME=OTHER"),
        (["=mnist_m"], "replace is '=mnist_m'"),
        (["svhn=mnist=mnist_m"], "replace is 'svhn=mnist=mnist_m'"),
        (["svhn=mnist@invert"], "replace is 'svhn=mnist@invert'"),
        (["svhn=../mnist"], "replace is 'svhn=../mnist'"),
        ("svhn", "replace is 'svhn'"),
        ("", "replace is ''"),
        ({"svhn": ""}, "replace is 'svhn='"),
        (["svhn=svhn"], "another data set than 'svhn'"),
        (["svhn=mnist", "svhn=mnist_m"], "svhn=mnist and svhn=mnist_m; allowed is one data set for each"),
    ],
)
def test_a_replacement_that_is_none_is_named_with_what_is_allowed(replace: object, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_replacements(replace)  # type: ignore[arg-type]
    assert said in str(caught.value)
