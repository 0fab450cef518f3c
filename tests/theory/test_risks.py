"""The risk of a component on data: what it is measured in, and where it can't be measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from followed import make_stream
from growmix.components.construction import make_kind
from growmix.components.nets import MLP
from growmix.components.vae import VAE
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.settings import Settings
from growmix.theory.discrepancy import FEWEST
from growmix.theory.losses import Squared, ZeroOne
from growmix.theory.risks import bounded, check_stream, loss_for, risks


def component_of(*classes: int) -> VAE:
    generator = torch.Generator().manual_seed(0)
    component = make_kind(Settings(latent=2), MLP(8)).make(
        Domain((1, 4, 4)), supervised=bool(classes), target=None, generator=generator
    )
    component.add_classes(list(classes), generator)
    component.freeze()
    assert isinstance(component, VAE)
    return component


def test_a_classifiers_risk_is_its_share_of_wrong_answers_among_the_classes_that_it_learnt() -> None:
    component = component_of(3, 8)
    x = torch.rand(FEWEST + 20, 1, 4, 4)
    with torch.no_grad():
        said = torch.tensor([3, 8])[component(x)[1].argmax(1)]
    y = torch.where(torch.arange(len(x)) < 13, 11 - said, said)  # 13 wrong
    y[-20:-10], y[-10:] = -1, 5  # neither without a label nor of a class that was not learnt
    found = risks(component, TaskData(x, y))
    assert found is not None
    assert (len(found), float(found.sum())) == (FEWEST, 13.0)
    y[0] = -1
    assert risks(component, TaskData(x, y)) is None  # one too few
    assert risks(component, TaskData(x)) is None


def test_without_classes_the_risk_is_the_squared_error_per_number() -> None:
    component, x = component_of(), torch.rand(7, 1, 4, 4)
    with torch.no_grad():
        by_hand = (component.reconstruct(x) - x).square().mean((1, 2, 3))
    torch.testing.assert_close(risks(component, TaskData(x)), by_hand.double())


def test_the_loss_is_the_components() -> None:
    assert isinstance(loss_for(component_of()), Squared)
    for classes, outputs in (((4,), 2), ((4, 5, 6), 3)):
        loss = loss_for(component_of(*classes))
        assert isinstance(loss, ZeroOne) and loss.classes == outputs


def test_numbers_of_any_unit_are_brought_between_0_and_1_in_their_order() -> None:
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e4, 1e-3])
    found = bounded(x, Domain((2,), "real", centre=(0.0, 0.0), scale=(1e4, 1e-3)))
    assert 0.0 < float(found.min()) < float(found.max()) < 1.0
    assert torch.equal(found.argsort(0), x.argsort(0))
    pixels = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    torch.testing.assert_close(bounded(pixels, Domain((1, 1, 3))), torch.tensor([[[[0.0, 0.2, 1.0]]]]))


def test_streams_that_can_not_be_measured_are_refused() -> None:
    stream = make_stream(labelled=False)
    check_stream(stream)
    task = stream[0]
    few = replace(stream, tasks=(replace(task, test=task.test[:49]),))
    with pytest.raises(BadInput, match="49 test examples; at least 50"):
        check_stream(few)
    pairs = replace(task, train=replace(task.train, target=task.train.x), test=replace(task.test, target=task.test.x))
    with pytest.raises(BadInput, match="pairs of images"):
        check_stream(replace(stream, tasks=(pairs,)))
