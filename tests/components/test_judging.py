"""Several scores become one by a weighted sum, and the class is whose word counts."""

from __future__ import annotations

import pytest
import torch

from growmix.components.judging import CLASS_RULES, judge

SCORES = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0))
LOG_PROBA = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).log_softmax(1)
WEIGHTS = torch.tensor([1.0, 0.7])


@pytest.mark.parametrize("rule", CLASS_RULES)
def test_the_score_sums_the_classes_and_does_not_depend_on_the_rule(rule: str) -> None:
    score, log_proba = judge(SCORES, LOG_PROBA, WEIGHTS, rule)  # type: ignore[arg-type]
    expected = (SCORES[..., 0] + 0.7 * SCORES[..., 1]).logsumexp(1)
    assert torch.allclose(score, expected)
    assert torch.allclose(log_proba.exp().sum(1), torch.ones(5))


def test_every_rule_takes_its_own_word_on_the_class() -> None:
    joint = SCORES @ WEIGHTS
    assert torch.equal(judge(SCORES, LOG_PROBA, WEIGHTS, "classifier")[1], LOG_PROBA)
    assert torch.allclose(judge(SCORES, LOG_PROBA, WEIGHTS, "score")[1], joint.log_softmax(1))
    assert torch.allclose(judge(SCORES, LOG_PROBA, WEIGHTS, "both")[1], (joint + LOG_PROBA).log_softmax(1))


def test_without_classes_there_is_one_column_and_no_probability() -> None:
    score, log_proba = judge(SCORES[:, :1], torch.zeros(5, 0), WEIGHTS, "both")
    assert log_proba.shape == (5, 0) and torch.allclose(score, SCORES[:, 0] @ WEIGHTS)
