"""What follows from a component's four members, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from growmix.components.component import Component, Trainer
from growmix.data.domain import Domain
from growmix.data.task import TaskData


class Constant(Component):
    """Explains everything alike, by a number that it learns."""

    def __init__(self) -> None:
        super().__init__(Domain((2,), "real"), supervised=True)
        self.level = nn.Parameter(torch.zeros(()))
        self.fixed = nn.Parameter(torch.zeros(()), requires_grad=False)

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        with torch.no_grad():
            self.level += weight.sum()

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.level.expand(len(x)), torch.zeros(len(x), len(self.classes))

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        return torch.zeros(len(positions), 2)

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        self.classes = (*self.classes, *labels)
        self.class_counts = torch.zeros(len(self.classes))


@pytest.fixture
def component() -> Constant:
    component = Constant()
    component.add_classes([7, 3], torch.Generator())
    return component


def data(labels: list[int]) -> TaskData:
    return TaskData(torch.zeros(len(labels), 2), torch.tensor(labels), support="real")


def test_labels_are_counted_by_their_position_and_those_without_apart(component: Constant) -> None:
    component.count(data([3, 3, -1, 7, 3]))
    assert component.positions_of(data([3, -1, 7])).tolist() == [1, -1, 0]
    assert (component.class_counts.tolist(), float(component.unlabelled_count)) == ([1.0, 3.0], 1.0)
    assert component.class_log_prior().exp().tolist() == pytest.approx([2 / 6, 4 / 6])


def test_a_thawed_component_trains_what_it_trained_before_and_nothing_else(component: Constant) -> None:
    component.train().freeze()
    assert not component.training
    assert not any(weight.requires_grad for weight in component.parameters())
    component.thaw()
    assert (component.level.requires_grad, component.fixed.requires_grad) == (True, False)


def test_a_kind_that_says_nothing_of_its_structure_is_batched_with_nobody(component: Constant) -> None:
    assert component.batch_key() == component.batch_key()
    assert component.batch_key() != Constant().batch_key()


def test_without_draws_of_the_code_noise_changes_no_score(component: Constant) -> None:
    x = torch.zeros(3, 2)
    assert torch.equal(component(x, torch.randn(4, 1))[0], component(x)[0])
