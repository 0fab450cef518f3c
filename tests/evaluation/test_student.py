from __future__ import annotations

import json
from typing import Any

import pytest

from growmix import BadInput
from growmix.evaluation import evaluate_student


@pytest.mark.slow
def test_a_student_is_measured_by_its_own_verbs(grown: Any) -> None:
    mixture, stream, _ = grown
    student = mixture.distill()
    scores = evaluate_student(student, stream)
    assert scores.task_agnostic is not None and scores.task_aware is not None
    for i, each in enumerate(stream):
        x, y = each.test.x, each.test.y
        assert scores.task_agnostic[i] == (student.predict(x) == y).double().mean()
        assert scores.task_aware[i] == (student.predict(x, classes=each.classes) == y).double().mean()
        error = (student.reconstruct(x) - x).square().sum((1, 2, 3)).mean()
        assert scores.reconstruction[i].mse == pytest.approx(float(error), rel=1e-4)
    assert scores.parameters == sum(p.numel() for p in student.component.parameters())
    document = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert set(document) == {"accuracy", "average", "reconstruction", "translation", "parameters"}
    assert document["accuracy"]["selection"] is None
    assert document["average"]["task_agnostic"] == pytest.approx(sum(a or 0.0 for a in scores.task_agnostic) / 3)
    assert len(evaluate_student(student, stream, tasks=2).reconstruction) == 2
    with pytest.raises(BadInput, match="tasks is 4; allowed is a whole number from 1 to 3"):
        evaluate_student(student, stream, tasks=4)
