"""Losses: means over pairs, and stand-ins with gradients that are the loss itself where both are certain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from growmix.errors import BadInput
from growmix.theory.losses import Absolute, Loss, Squared, ZeroOne, bound_of

LOSSES: tuple[Loss, ...] = (ZeroOne(), ZeroOne(3), Absolute(), Squared())


def outputs(loss: Loss, *leading: int) -> Tensor:
    """What networks of random weights might say of examples of four numbers."""
    return torch.randn(*leading, loss.outputs(4), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loss", LOSSES)
def test_means_are_those_of_every_pair(loss: Loss) -> None:
    answers = loss.answer(outputs(loss, 5, 20))
    by_hand = torch.stack([torch.stack([loss.between(a, b).mean() for b in answers]) for a in answers])
    found = loss.means(answers)
    torch.testing.assert_close(found, by_hand.double(), atol=1e-6, rtol=1e-5)
    assert 0.0 <= float(found.min()) < float(found.max()) <= bound_of(loss)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_stand_in_is_the_loss_where_both_are_certain_and_has_gradients(loss: Loss) -> None:
    one, other = (1e4 * each for each in outputs(loss, 2, 20))
    torch.testing.assert_close(loss.smooth(one, other), loss.between(loss.answer(one), loss.answer(other)))
    unsure = outputs(loss, 20).requires_grad_()
    loss.smooth(unsure, other).sum().backward()
    assert unsure.grad is not None and float(unsure.grad.abs().max()) > 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_target_is_learnt_by_going_down(loss: Loss) -> None:
    right = loss.answer(10 * outputs(loss, 20))
    assert float(loss.to_target(10 * outputs(loss, 20), right).mean()) < float(
        loss.to_target(-10 * outputs(loss, 20), right).mean()
    )
    assert loss.to_target(outputs(loss, 20), right).shape == (20,)


@pytest.mark.parametrize(
    ("loss", "answers", "said"),
    [
        (ZeroOne(3), [[0.0, 3.0]], "answers of hypotheses are not all classes; allowed are whole numbers 0 to 2"),
        (ZeroOne(), [[0.5, 1.0]], "not all classes"),
        (Absolute(), [[0.0, 1.5]], r"answers outside of \[0, 1\], within which the loss 'absolute' is bounded"),
        (Squared(), [[torch.nan, 0.0]], r"answers outside of \[0, 1\]"),
        (Squared(), [[]], r"answers outside of \[0, 1\]"),
    ],
)
def test_answers_that_no_bound_holds_for_are_refused(loss: Loss, answers: list[list[float]], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        loss.checked(torch.tensor(answers))


@pytest.mark.parametrize("classes", [1, 0, 2.0, "2"])
def test_a_classifier_tells_at_least_two_classes_apart(classes: Any) -> None:
    with pytest.raises(BadInput, match="classes is"):
        ZeroOne(classes)


@pytest.mark.parametrize("bound", [None, 0.0, -1.0, float("inf"), float("nan")])
def test_without_a_finite_bound_there_is_no_discrepancy(bound: float | None) -> None:
    loss = Squared()
    loss.bound = bound  # type: ignore[assignment]
    with pytest.raises(BadInput, match="loss 'squared' has the bound"):
        bound_of(loss)
