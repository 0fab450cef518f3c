"""Pictures of what a mixture can draw: which rows there are, and what is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from growmix import BadInput, GrowingMixture
from growmix.cli.app import execute
from growmix.cli.drawing import draw, two_unlike
from growmix.cli.words import WRONG_INPUT
from growmix.config import RunConfig
from growmix.data.task import TaskData
from known_points import filed


@pytest.mark.parametrize("command", ["sample", "interpolate"])
@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("x.nope", "out is 'x.nope'; allowed is a file whose name ends in .png"),
        ("x", "out is 'x'; allowed is a file whose name ends in .png"),
        ("nowhere/x.png", "out is 'nowhere/x.png', but there is no folder 'nowhere'; make it first"),
    ],
)
def test_where_a_picture_can_not_be_is_told_before_anything_is_computed(
    command: str, out: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([command, "no-run", "--out", out]) == WRONG_INPUT
    assert capsys.readouterr().err == f"growmix: {said}\n"


@pytest.mark.slow
def test_a_label_of_a_run_without_labels_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixture = GrowingMixture("mlp", hidden=4, latent=2, epochs=1)
    mixture.learn(np.random.default_rng(0).random((12, 1, 4, 4)))
    RunConfig(stream="split-digits", settings=mixture.settings).write(tmp_path / "config.yaml")
    mixture.save(tmp_path / "checkpoint")
    assert execute(["sample", ".", "--label", "1"]) == WRONG_INPUT
    said = "growmix: label is 1, but this mixture learnt without labels; leave --label out\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("component", "label", "rows"),
    [
        (None, None, {0: None, 1: None}),
        (None, 3, {1: [10.0, 1.0]}),
        (1, None, {1: None}),
        (0, 1, {0: [0.0, 1.0]}),
    ],
)
def test_there_is_a_row_for_each_component_that_knows_what_is_asked_for(
    component: int | None, label: int | None, rows: dict[int, Any]
) -> None:
    drawn = draw(filed(0, 1), component, label, 4)
    assert drawn.keys() == rows.keys()
    for k, row in drawn.items():
        assert row.shape == (4, 2) and (row[:, 0] == 10 * k).all()
        assert rows[k] is None or row.tolist() == [rows[k]] * 4


def test_a_label_that_no_component_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BadInput, match=r"^label is 9; allowed are 0, 1, 2, 3$"):
        draw(filed(0, 1), None, 9, 4)


def test_the_ends_of_a_path_are_of_two_classes_where_there_are_two() -> None:
    x = torch.arange(4.0)[:, None, None, None] / 4
    for y, other in ((torch.tensor([5, 5, 7, 5]), 2), (torch.tensor([5, 5, 5, 5]), 1), (None, 1)):
        first, second = two_unlike(TaskData(x, y))
        assert torch.equal(first, x[:1]) and torch.equal(second, x[other : other + 1])
    first, second = two_unlike(TaskData(x[:1], torch.tensor([5])))
    assert torch.equal(first, x[:1]) and torch.equal(second, x[:1])
