"""Figures over a stream become the blocks of ``metrics.json``."""

from __future__ import annotations

import json
import math

from growmix.evaluation.images import PictureScores, ReconstructionScores
from growmix.evaluation.scores import Scores, StudentScores, columns

FIRST, SECOND = ReconstructionScores(1.0, 0.5, 20.0, nll=3.0), ReconstructionScores(2.0, 1.0, math.inf, nll=4.0)


def scores(**changes: object) -> Scores:
    agnostic = ((1.0, None), (0.5, 0.75))
    made = {
        "task_aware": None,
        "task_agnostic": agnostic,
        "selection": ((1.0, None), (1.0, 0.5)),
        "grouped": ((1.0, None), (0.0, 1.0)),
        "before": (None, 0.5),
        "chance": (None, 0.25),
        "reconstruction": (FIRST, SECOND),
        "over_time": ((FIRST, None), (SECOND, FIRST)),
        "translation": None,
        "translation_over_time": None,
    }
    return Scores(**{**made, **changes})  # type: ignore[arg-type]


def test_averages_are_over_the_last_row_and_transfer_is_of_task_agnostic_accuracy() -> None:
    average = scores().average
    assert average.task_aware is None
    assert (average.task_agnostic, average.selection, average.grouped) == (0.625, 0.75, 0.5)
    assert (average.forgetting, average.backward_transfer, average.forward_transfer) == (0.5, -0.5, 0.25)


def test_each_figure_has_one_column_and_infinity_is_none() -> None:
    assert columns([FIRST, SECOND]) == {"mse": [1.0, 2.0], "ssim": [0.5, 1.0], "psnr": [20.0, None], "nll": [3.0, 4.0]}
    assert columns([]) == {"mse": [], "ssim": [], "psnr": []}


def test_the_document_is_json_with_null_where_a_figure_does_not_apply() -> None:
    document = json.loads(json.dumps(scores().to_dict(), allow_nan=False))
    assert document["accuracy"]["task_aware"] is None and document["translation"] is None
    assert document["accuracy"]["task_agnostic"] == [[1.0, None], [0.5, 0.75]]
    assert document["reconstruction_over_time"]["mse"] == [[1.0, None], [2.0, 1.0]]
    assert document["reconstruction_over_time"]["psnr"] == [[20.0, None], [None, 20.0]]


def test_translations_are_told_as_they_are_and_as_they_were_when_learnt() -> None:
    then, now, late = PictureScores(1.0, 0.9, 10.0), PictureScores(4.0, 0.5, 5.0), PictureScores(2.0, 0.8, 8.0)
    found = scores(translation=(now, late), translation_over_time=((then, None), (now, late))).to_dict()["translation"]
    assert found["mse"] == [4.0, 2.0] and found["when_learnt"]["mse"] == [1.0, 2.0]
    assert set(found) == {"mse", "ssim", "psnr", "when_learnt"}


def test_a_student_has_one_row_and_neither_history_nor_components() -> None:
    student = StudentScores((0.5, None), (0.25, 0.75), (FIRST, SECOND), None, parameters=7)
    average = student.average
    assert (average.task_aware, average.task_agnostic) == (0.5, 0.5)
    assert (average.selection, average.grouped, average.forgetting) == (None, None, None)
    document = student.to_dict()
    assert document["accuracy"] == {
        "task_aware": [0.5, None],
        "task_agnostic": [0.25, 0.75],
        "selection": None,
        "grouped": None,
    }
    assert document["parameters"] == 7
    assert StudentScores(None, None, (), None, 1).average.task_agnostic is None
