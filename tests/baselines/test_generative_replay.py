"""Deep generative replay: an autoencoder without labels, and a solver that shares nothing with it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from growmix.baselines.generative_replay import SolvedKind, SolvedVAE, SolverLabelled, solver_labels
from growmix.components.nets import MLP
from growmix.components.objectives import TaskObjective
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.settings import Settings


def solved(labels: Sequence[int] = (3, 5)) -> SolvedVAE:
    torch.manual_seed(0)
    component = SolvedKind(Settings(latent=2), MLP(16)).make(
        Domain((1, 8, 8)), supervised=True, target=None, generator=torch.Generator()
    )
    component.add_classes(labels, torch.Generator())
    assert isinstance(component, SolvedVAE)
    return component


def test_autoencoder_and_solver_share_no_gradient() -> None:
    component = solved()
    x, positions = torch.rand(6, 1, 8, 8), torch.tensor([0, 1] * 3)
    elbo, logits = component.elbo(x, positions, torch.randn(6, 2))
    elbo.sum().backward(retain_graph=True)
    assert all(weight.grad is None for name, weight in component.named_parameters() if name.startswith("solver"))
    component.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(logits, positions).backward()
    assert all((weight.grad is None) == name.startswith("autoencoder") for name, weight in component.named_parameters())


def test_the_generator_knows_no_labels() -> None:
    component = solved()
    x, noise = torch.rand(6, 1, 8, 8), torch.randn(6, 2)
    one, other = (component.elbo(x, positions, noise)[0] for positions in (torch.zeros(6).long(), torch.ones(6).long()))
    assert torch.equal(one, other)
    codes = torch.randn(4, 2)
    assert torch.equal(component.decode(codes, torch.zeros(4).long()), component.decode(codes, torch.ones(4).long()))
    assert component.autoencoder.classes == ()


def test_unlabelled_examples_teach_the_autoencoder_and_not_the_solver() -> None:
    component = solved()
    objective = TaskObjective(component, 1.0, unlabelled=True)
    objective(torch.rand(6, 1, 8, 8), torch.full((6,), -1), torch.randn(6, 2)).backward()
    gradients = {name: weight.grad for name, weight in component.named_parameters()}
    assert float(gradients["autoencoder.posterior.weight"].abs().max()) > 0  # type: ignore[union-attr]
    solver = [gradient for name, gradient in gradients.items() if name.startswith("solver")]
    assert all(gradient is None or not bool(gradient.any()) for gradient in solver)


def test_the_solver_is_of_the_autoencoders_size() -> None:
    component = solved()
    assert [tuple(w.shape) for w in component.solver.parameters()] == [
        tuple(w.shape) for w in component.autoencoder.encoder.parameters()
    ]


def test_the_labels_of_deep_generative_replay_are_the_solvers() -> None:
    teacher = solved([4, 6, 8])
    teacher.freeze()
    new = TaskData(torch.rand(50, 1, 8, 8), torch.full((50,), 9))
    recalled = SolverLabelled().recall(new, teacher, 200, torch.Generator().manual_seed(0))
    assert recalled.y is not None
    with torch.no_grad():
        said = torch.tensor([4, 6, 8])[teacher.logits(recalled.x).argmax(1)]
    assert torch.equal(recalled.y, said)
    assert torch.equal(solver_labels(teacher, recalled.x), said)
    teacher.solver_bias += torch.tensor([0.0, 1e6, 0.0])  # the images stay, the labels follow the solver
    again = SolverLabelled().recall(new, teacher, 200, torch.Generator().manual_seed(0))
    assert torch.equal(again.x, recalled.x)
    assert again.y is not None and set(again.y.tolist()) == {6}


def test_a_solver_needs_something_to_solve() -> None:
    with pytest.raises(BadInput, match="data has no labels; the method 'dgr' needs them"):
        SolvedKind(Settings(latent=2), MLP(8)).make(
            Domain((1, 8, 8)), supervised=False, target=None, generator=torch.Generator()
        )


def test_a_new_class_leaves_what_the_solver_says_of_the_others() -> None:
    component, x = solved(), torch.rand(6, 1, 8, 8)
    before = component.logits(x)
    component.add_classes([5, 9], torch.Generator())
    assert component.classes == (3, 5, 9)
    assert torch.equal(component.logits(x)[:, :2], before)
