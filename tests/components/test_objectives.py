"""The losses, in nats per example, by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from growmix.components.objectives import DistillationObjective, TaskObjective


class Known(torch.nn.Module):
    """An autoencoder whose answers are given: an ELBO of minus the first number, the logits behind it."""

    def __init__(self, classes: tuple[int, ...]) -> None:
        super().__init__()
        self.classes = classes

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        return -x[:, 0], x[:, 1:]

    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        return -10 * x[:, 0], x[:, 1:]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x[:, 1:]


class Seen(Known):
    """An autoencoder whose logits are two pixels of the image, and whose ELBO is minus its first pixel."""

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        assert noise.shape[1] == 1
        return -x[:, 0, 0, 0], x.flatten(1)[:, :2]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.flatten(1)[:, :2]


X = torch.tensor([[3.0, 0.0, 0.0], [5.0, math.log(3.0), 0.0]])
NOISE = torch.zeros(2, 1)


def test_a_labelled_example_costs_its_elbo_and_its_cross_entropy() -> None:
    loss = TaskObjective(Known((4, 7)), 2.0, unlabelled=False)(X, torch.tensor([0, 0]), NOISE)
    expected = ((3 + 2 * math.log(2)) + (5 + 2 * math.log(4 / 3))) / 2
    torch.testing.assert_close(loss, torch.tensor(expected))


def test_an_example_without_a_label_costs_the_elbo_with_the_class_summed_out() -> None:
    loss = TaskObjective(Known((4, 7)), 2.0, unlabelled=True)(X, torch.tensor([0, -1]), NOISE)
    torch.testing.assert_close(loss, torch.tensor(((3 + 2 * math.log(2)) + 50) / 2))


def test_without_classes_the_elbo_is_all() -> None:
    loss = TaskObjective(Known(()), 2.0, unlabelled=True)(X, torch.tensor([-1, -1]), NOISE)
    torch.testing.assert_close(loss, torch.tensor(4.0))


def test_a_student_matches_class_probabilities() -> None:
    soft = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    loss = DistillationObjective(Known((4, 7)), 2.0)(X, torch.tensor([0, 0]), soft, NOISE)
    torch.testing.assert_close(loss, torch.tensor(((3 + 2 * math.log(2)) + (5 + 2 * math.log(4 / 3))) / 2))


def test_a_student_classifies_moved_images_and_bounds_them_as_they_are() -> None:
    objective = DistillationObjective(Seen((4, 7)), 2.0, shift=0.4)
    x = torch.tensor([[[[3.0, 0.0, 9.0]]]])
    soft, positions = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    assert objective.extra == 2
    for right, logits in ((-9.0, (0.0, 3.0)), (0.0, (3.0, 0.0)), (9.0, (0.0, 9.0))):
        expected = 3.0 + 2.0 * math.log(1.0 + math.exp(logits[1] - logits[0]))
        loss = objective(x, positions, soft, torch.tensor([[0.3, 0.0, right]]))  # the first number is the code's
        torch.testing.assert_close(loss, torch.tensor(expected))
    still = DistillationObjective(Seen((4, 7)), 2.0, shift=0.3)  # less than a pixel of three
    torch.testing.assert_close(
        still(x, positions, soft, torch.full((1, 3), 9.0)), torch.tensor(3.0 + 2.0 * math.log1p(math.exp(-3.0)))
    )
    assert DistillationObjective(Seen(()), 2.0, shift=0.4).extra == 0
