"""Evaluation of a real mixture against its own verbs."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from growmix import GrowingMixture
from growmix.data.task import TaskData
from growmix.evaluation import Evaluator, evaluate


def test_figures_are_those_of_the_verbs_of_the_mixture(grown: Any) -> None:
    mixture, stream, scores = grown
    assert len(mixture.components) == 3
    assert scores.task_agnostic is not None and scores.task_aware is not None
    for i, each in enumerate(stream):
        x, y, owner = each.test.x, each.test.y, mixture.decisions[i].component
        assert scores.task_agnostic[-1][i] == (mixture.predict(x) == y).double().mean()
        given = mixture.predict(x, component=owner, classes=each.classes)
        assert scores.task_aware[-1][i] == (given == y).double().mean()
        assert scores.selection[-1][i] == (mixture.route(x) == owner).double().mean()
        error = (mixture.reconstruct(x) - x).square().sum((1, 2, 3)).mean()
        assert scores.reconstruction[i].mse == pytest.approx(float(error), rel=1e-4)
        nll = -float(mixture.score_samples(x).mean())
        assert scores.reconstruction[i].nll == pytest.approx(nll, rel=1e-4)
    assert scores.average.task_agnostic is not None and scores.average.task_agnostic > 0.6


def test_evaluate_afterwards_finds_the_rows_that_an_evaluator_saw(
    grown: Any,
) -> None:
    mixture, stream, scores = grown
    late = evaluate(mixture, stream)
    errors = [r.mse for r in scores.reconstruction]
    assert (late.task_aware, late.task_agnostic) == (scores.task_aware, scores.task_agnostic)
    assert late.selection == scores.selection
    assert [r.mse for r in late.reconstruction] == pytest.approx(errors, rel=1e-4)


@pytest.mark.parametrize("at", range(1, 7))
def test_a_measurement_that_was_interrupted_is_done_again(grown: Any, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows and three looks at what comes back: each may be the last that is begun."""
    mixture, stream, _ = grown
    whole, evaluator = Evaluator(stream), Evaluator(stream)
    whole.after_task(mixture)
    begun = 0

    def counted(name: str) -> Any:
        work = getattr(Evaluator, name)

        def interrupted(*of: Any) -> Any:
            nonlocal begun
            begun += 1
            if begun == at:
                raise KeyboardInterrupt
            return work(*of)

        return interrupted

    for name in ("_row", "_look"):
        monkeypatch.setattr(Evaluator, name, counted(name))
    with pytest.raises(KeyboardInterrupt):
        evaluator.after_task(mixture)
    evaluator.after_task(mixture)
    again, expected = evaluator.scores(), whole.scores()
    assert replace(again, over_time=()) == replace(expected, over_time=())
    for row, wanted in zip(again.over_time, expected.over_time, strict=True):
        for one, other in zip(row, wanted, strict=True):  # a convolution's last digit depends on where its input lies
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert asdict(one) == pytest.approx(asdict(other), rel=1e-6)


def test_labels_are_compared_and_never_used(grown: Any) -> None:
    mixture, stream, scores = grown
    stirred = torch.Generator().manual_seed(0)
    shuffled = []
    for each in stream:
        assert each.test.y is not None
        order = torch.randperm(len(each.test), generator=stirred)
        shuffled.append(replace(each, test=TaskData(each.test.x, each.test.y[order])))
    other = evaluate(mixture, shuffled)
    errors = [r.mse for r in scores.reconstruction]
    assert other.selection == scores.selection
    assert [r.mse for r in other.reconstruction] == pytest.approx(errors, rel=1e-4)
    assert other.task_agnostic is not None and other.task_agnostic != scores.task_agnostic
    for i, each in enumerate(shuffled):
        assert other.task_agnostic[-1][i] == (mixture.predict(each.test.x) == each.test.y).double().mean()


def test_rows_of_a_component_that_is_reused_are_those_of_its_time(grown: Any) -> None:
    stream = grown.stream[:2]
    mixture = GrowingMixture(None, grown.mixture.settings.replace(threshold=1e9))
    evaluator = Evaluator(stream)
    seen = []
    for each in stream:
        mixture.learn(each.train)
        evaluator.after_task(mixture)
        seen.append(float((mixture.predict(stream[0].test.x) == stream[0].test.y).double().mean()))
    scores = evaluator.scores()
    assert [d.action for d in mixture.decisions] == ["grow", "reuse"]
    assert scores.task_agnostic is not None
    assert [row[0] for row in scores.task_agnostic] == seen
    assert scores.average.forgetting == pytest.approx(seen[0] - seen[1])
    late = evaluate(mixture, stream)
    assert late.task_agnostic == ((None, None), scores.task_agnostic[1])
