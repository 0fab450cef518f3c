"""What every penalty that holds weights has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from growmix.baselines.elastic_weights import ElasticWeights
from growmix.baselines.synaptic_intelligence import SynapticIntelligence
from restrained import Line, cost, restrain, squares, take_steps


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
