"""Images of unlike shape are brought to the largest, and a note says what was done to which."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.streams import transforms
from growmix.streams.fitting import one_shape
from growmix.streams.stream import Task


def images(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (4, *shape), dtype=torch.uint8, generator=generator)


def task(name: str, *shape: int, target: tuple[int, ...] | None = None) -> Task:
    parts = [
        TaskData(images(*shape, seed=seed), target=None if target is None else images(*target, seed=seed))
        for seed in (0, 1)
    ]
    return Task(name, *parts, ())


def test_tasks_of_one_shape_stay_as_they_are() -> None:
    tasks = {name: task(name, 3, 6, 5) for name in ("b", "a")}
    fitted, notes = one_shape(tasks)
    assert list(fitted) == ["b", "a"] and notes == ()
    assert all(torch.equal(fitted[name].train.x, tasks[name].train.x) for name in tasks)


def test_the_goal_is_the_largest_of_each_axis_apart() -> None:
    tasks = {"wide": task("wide", 1, 4, 9), "high": task("high", 1, 8, 3), "colour": task("colour", 3, 2, 2)}
    fitted, notes = one_shape(tasks)
    assert {each.train.shape for each in fitted.values()} == {(3, 8, 9)}
    assert notes == (
        "wide: 1x4x9 brought to 3x8x9 (gray repeated over the colour channels, resized bilinearly)",
        "high: 1x8x3 brought to 3x8x9 (gray repeated over the colour channels, resized bilinearly)",
        "colour: 3x2x2 brought to 3x8x9 (resized bilinearly)",
    )


def test_gray_beside_colour_of_its_size_keeps_every_pixel_in_every_channel() -> None:
    tasks = {"gray": task("gray", 1, 6, 6), "colour": task("colour", 3, 6, 6)}
    fitted, notes = one_shape(tasks)
    gray = fitted["gray"].test.x
    assert all(torch.equal(gray[:, channel], tasks["gray"].test.x[:, 0]) for channel in range(3))
    assert notes == ("gray: 1x6x6 brought to 3x6x6 (gray repeated over the colour channels)",)


def test_sources_and_targets_have_notes_of_their_own() -> None:
    tasks = {"small": task("small", 1, 6, 6, target=(3, 6, 6)), "large": task("large", 1, 8, 8, target=(3, 8, 8))}
    fitted, notes = one_shape(tasks)
    assert {each.train.shape for each in fitted.values()} == {(3, 8, 8)}
    assert {each.test.target_shape for each in fitted.values()} == {(3, 8, 8)}
    assert [note.split(" (")[0] for note in notes] == [
        "small, sources: 1x6x6 brought to 3x8x8",
        "small, targets: 3x6x6 brought to 3x8x8",
        "large, sources: 1x8x8 brought to 3x8x8",
    ]


def test_the_task_for_which_there_is_no_room_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(x: Tensor, height: int, width: int) -> Tensor:
        raise BadInput("too little memory")

    monkeypatch.setattr(transforms, "resize", full)
    with pytest.raises(BadInput, match=r"task 'b', brought to the shape \(1, 5, 4\) of the largest: too little memory"):
        one_shape({"b": task("b", 1, 5, 4), "a": task("a", 1, 3, 3)})
