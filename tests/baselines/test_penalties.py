"""What holds a network back: elastic weights, synaptic intelligence, the teacher's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from growmix import streams
from growmix.baselines import load, make_learner
from growmix.baselines.consistency import Consistency, gaussian_kl
from growmix.baselines.elastic_weights import ElasticWeights, fisher_information
from growmix.baselines.synaptic_intelligence import DAMPING, SynapticIntelligence
from growmix.components.construction import vae_kind
from growmix.components.nets import MLP
from growmix.components.vae import VAE
from growmix.data.domain import Domain
from growmix.settings import Settings

NOBODY = torch.zeros(0)


class Line(nn.Module):
    """Stands for a component: some weights, of which new classes add rows."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights))

    def add(self, *weights: float) -> None:
        self.w = nn.Parameter(torch.cat([self.w.detach(), torch.tensor(weights)]))


def restrain(penalty: Any, line: Line) -> Any:
    return penalty.restrain(line, None)


def squares(line: Line, information: list[float]) -> Iterator[Tensor]:
    """Two losses of single examples whose squared gradients are, in the mean, the information wanted."""
    for sign in (-1.0, 1.0):
        yield (sign * torch.tensor(information).sqrt() * line.w).sum()


def test_the_fisher_information_of_a_regression_is_the_mean_squared_gradient() -> None:
    w = torch.tensor([1.0, -1.0], requires_grad=True)
    inputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    found = fisher_information({"w": w}, (0.5 * (x @ w - 3.0) ** 2 for x in inputs))["w"]
    by_hand = ((inputs @ w.detach() - 3.0)[:, None] * inputs).square().mean(0)
    torch.testing.assert_close(found, by_hand)


def test_elastic_weights_cost_nothing_before_the_first_task_is_learnt() -> None:
    line = Line(1.0, 2.0)
    springs = restrain(ElasticWeights(1e6), line)
    with torch.no_grad():
        line.w += 5.0
    assert cost(springs) == 0.0


@given(
    st.lists(st.tuples(*[st.floats(-3, 3), st.floats(0, 4), st.floats(-3, 3), st.floats(0, 4)]), min_size=1, max_size=4)
)
def test_elastic_weights_pull_like_one_spring_for_every_task(tasks: list[tuple[float, ...]]) -> None:
    penalty, line = ElasticWeights(10.0), Line(0.0, 0.0)
    for a, f, b, g in tasks:
        with torch.no_grad():
            line.w.copy_(torch.tensor([a, b]))
        penalty = restrain(penalty, line).keep(squares(line, [f, g]))
    with torch.no_grad():
        line.w.copy_(torch.tensor([0.7, -1.3]))
    restrain(penalty, line).loss(torch.zeros(3), NOBODY).backward()
    by_hand = [
        10.0 * sum(f * (at - anchor) for anchor, f in pairs)
        for at, pairs in ((0.7, [(a, f) for a, f, _, _ in tasks]), (-1.3, [(b, g) for _, _, b, g in tasks]))
    ]
    torch.testing.assert_close(line.w.grad, torch.tensor(by_hand), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("make", [ElasticWeights, SynapticIntelligence])
def test_weights_of_new_classes_are_free(make: Callable[[float], Any]) -> None:
    line = Line(1.0)
    restraint = restrain(make(1.0), line)
    take_steps(line, restraint, lambda: ((line.w - 3.0) ** 2).sum(), steps=5)
    penalty = restraint.keep(squares(line, [4.0]))
    line.add(7.0)
    restraint = restrain(penalty, line)
    with torch.no_grad():
        line.w += torch.tensor([0.0, 100.0])
    assert cost(restraint) == 0.0
    with torch.no_grad():
        line.w += torch.tensor([1.0, 0.0])
    assert cost(restraint) > 0.0


def cost(restraint: Any) -> float:
    return float(restraint.loss(torch.zeros(3), NOBODY).detach())


def take_steps(line: Line, restraint: Any, loss: Callable[[], Tensor], steps: int, rate: float = 0.01) -> None:
    """Gradient descent on a task's loss and the penalty, as training does it."""
    for _ in range(steps):
        line.w.grad = None
        (loss() + restraint.loss(torch.zeros(3), NOBODY)).backward()
        with torch.no_grad():
            line.w -= rate * line.w.grad
        restraint.after_step()


def test_contributions_add_up_to_the_decrease_of_the_loss() -> None:
    line, slope, rate = Line(2.0, -1.0), torch.tensor([1.0, 3.0]), 1e-3
    before = 0.5 * (slope * line.w.detach() ** 2)
    restraint = restrain(SynapticIntelligence(1.0), line)
    take_steps(line, restraint, lambda: 0.5 * (slope * line.w**2).sum(), steps=500, rate=rate)
    decrease = before - 0.5 * (slope * line.w.detach() ** 2)
    # gradient descent on a parabola overshoots the path integral by exactly 2 / (2 - rate * slope)
    torch.testing.assert_close(restraint.contributions()["w"], decrease * 2 / (2 - rate * slope), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_penalty_does_not_count_as_the_tasks() -> None:
    line = Line(2.0, -1.0)
    penalty = SynapticIntelligence(3.0, {"w": torch.tensor([0.5, 4.0])})
    restraint, by_hand = restrain(penalty, line), torch.zeros(2)
    target = torch.tensor([1.0, 1.0])
    for _ in range(20):
        before = line.w.detach().clone()
        take_steps(line, restraint, lambda: ((line.w - target) ** 2).sum(), steps=1, rate=0.02)
        by_hand -= 2 * (before - target) * (line.w.detach() - before)
    torch.testing.assert_close(restraint.contributions()["w"], by_hand, rtol=1e-4, atol=1e-5)


def test_importance_is_the_contribution_over_the_damped_way_and_never_negative() -> None:
    line = Line(2.0, 0.0)
    restraint = restrain(SynapticIntelligence(1.0, {"w": torch.tensor([0.0, 0.25])}), line)
    line.w.grad = torch.tensor([1.0, 1.0])
    with torch.no_grad():
        line.w += torch.tensor([-0.5, 0.5])  # the second moved against its task
    restraint.after_step()
    kept = restraint.keep(iter(())).importance["w"]
    torch.testing.assert_close(kept, torch.tensor([0.5 / (0.25 + DAMPING), 0.25]))


def test_synaptic_intelligence_pulls_towards_where_the_last_task_ended() -> None:
    line = Line(2.0)
    restraint = restrain(SynapticIntelligence(3.0, {"w": torch.tensor([0.5])}), line)
    assert cost(restraint) == 0.0
    with torch.no_grad():
        line.w += 2.0
    assert cost(restraint) == pytest.approx(3.0 * 0.5 * 4.0)
    free = restrain(SynapticIntelligence(3.0), line)
    assert cost(free) == 0.0


def codes(seed: int) -> VAE:
    generator = torch.Generator().manual_seed(seed)
    return vae_kind(Settings(latent=3), MLP(8)).autoencoder(Domain((1, 4, 4)), supervised=False, generator=generator)


def test_consistency_is_zero_while_the_student_is_the_teacher() -> None:
    x, replayed = torch.rand(6, 1, 4, 4), torch.tensor([True, False] * 3)
    assert float(Consistency().restrain(codes(0), codes(0)).loss(x, replayed).detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(Consistency().restrain(codes(0), codes(1)).loss(x, replayed).detach()) > 1e-3


def test_consistency_counts_replayed_images_alone_and_moves_the_student_alone() -> None:
    x, student, teacher = torch.rand(6, 1, 4, 4), codes(0), codes(1)
    restraint = Consistency().restrain(student, teacher)
    assert float(restraint.loss(x, torch.zeros(6, dtype=torch.bool)).detach()) == 0.0
    each = [float(restraint.loss(image[None], torch.ones(1, dtype=torch.bool)).detach()) for image in x]
    loss = restraint.loss(x, torch.tensor([True, True, False, False, False, True]))
    assert float(loss.detach()) == pytest.approx((each[0] + each[1] + each[5]) / 6, rel=1e-4)
    loss.backward()
    assert student.posterior.weight.grad is not None
    assert teacher.posterior.weight.grad is None


def test_consistency_outlives_the_first_task() -> None:
    penalty = Consistency().restrain(codes(0), None).keep(iter(()))
    assert isinstance(penalty, Consistency)
    assert float(Consistency().restrain(codes(0), None).loss(torch.rand(2, 1, 4, 4), torch.ones(2).bool())) == 0.0


numbers = st.lists(st.floats(-2, 2), min_size=3, max_size=3)


@given(numbers, numbers, numbers, numbers)
def test_the_divergence_of_codes_is_that_of_gaussians(
    a: list[float], b: list[float], c: list[float], d: list[float]
) -> None:
    mean, log_variance, to_mean, to_log_variance = (torch.tensor([values]) for values in (a, b, c, d))
    one, other = Normal(mean, (0.5 * log_variance).exp()), Normal(to_mean, (0.5 * to_log_variance).exp())
    found = gaussian_kl(mean, log_variance, to_mean, to_log_variance)
    torch.testing.assert_close(found, kl_divergence(one, other).sum(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [ElasticWeights, SynapticIntelligence])
def test_what_is_packed_comes_back(make: Callable[[float], Any]) -> None:
    line = Line(1.0, 2.0)
    restraint = restrain(make(2.0), line)
    take_steps(line, restraint, lambda: (line.w**2).sum(), steps=3)
    penalty = restraint.keep(squares(line, [4.0, 1.0]))
    again = make(2.0).unpack(penalty.pack(), dict(line.named_parameters()))
    assert penalty.pack()
    assert penalty.pack().keys() == again.pack().keys()
    assert all(torch.equal(again.pack()[name], tensor) for name, tensor in penalty.pack().items())


class Several(nn.Module):
    """Stands for a component with many weights, whose numbers a seed chooses."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        for name in "abcdefgh":
            self.register_parameter(name, nn.Parameter(torch.randn(5, generator=generator)))


@pytest.mark.parametrize("make", [ElasticWeights, SynapticIntelligence])
def test_a_penalty_is_the_same_to_the_bit_in_whatever_order_a_file_gave_its_tensors(
    make: Callable[[float], Any],
) -> None:
    for seed in range(30):
        network = Several(seed)
        weights = dict(network.named_parameters())
        restraint = make(1.0).restrain(network, None)
        for weight in weights.values():
            weight.grad = weight.detach() ** 2
        with torch.no_grad():
            for weight in weights.values():
                weight -= 0.1 * weight.grad
        restraint.after_step()
        packed = restraint.keep(sum((w * k).sum() for w in weights.values()) for k in (1.0, 2.0)).pack()
        losses = []
        for order in (list(packed), list(reversed(packed))):
            penalty = make(1.0).unpack({name: packed[name] for name in order}, weights)
            again = Several(seed)
            restraint = penalty.restrain(again, None)
            with torch.no_grad():
                for weight in again.parameters():
                    weight += 0.3 * weight**2
            losses.append(cost(restraint))
        assert losses[0] == losses[1] > 0.0


def test_elastic_weights_that_were_saved_and_read_go_on_with_the_losses_that_they_would_have_had(
    tmp_path: Path,
) -> None:
    stream = streams.load("split-digits")
    learner = make_learner("ewc", Settings(hidden=32, latent=4, epochs=3))
    for task in stream[:2]:
        learner.learn(task.train)
    learner.save(tmp_path / "saved")
    again = load(tmp_path / "saved", "ewc")
    for each in (learner, again):
        each.learn(stream[2].train)
    assert again.history[-1].log.losses == learner.history[-1].log.losses
