from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from growmix import GrowingMixture
from growmix.components.nets import OwnModules
from growmix.evaluation import Evaluator
from growmix.streams import from_arrays


class Far(nn.Module):
    """An encoder that is out of its depth where images are bright."""

    def __init__(self, beyond: float) -> None:
        super().__init__()
        self.beyond, self.layer = beyond, nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer(x.flatten(1))
        return torch.where(x.mean((1, 2, 3), keepdim=True)[:, 0, 0] > 0.9, torch.tensor(self.beyond), features)


@pytest.mark.parametrize("beyond", [math.inf, math.nan])
def test_an_image_that_the_model_says_no_number_of_stops_nothing(beyond: float) -> None:
    x, y = np.random.default_rng(0).random((24, 1, 4, 4), dtype=np.float32), np.arange(24) % 2
    bright = x.copy()
    bright[0] = 1.0
    stream = from_arrays([(x, y, bright, y)])

    def decoder(inputs: int, shape: tuple[int, int, int]) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 16), nn.Unflatten(1, shape))

    modules = OwnModules(lambda shape: Far(beyond), decoder)
    mixture = GrowingMixture(modules, latent=2, epochs=1, density_components=1, device="cpu", precision="32-true")
    mixture.learn((x, y))
    evaluator = Evaluator(stream)
    evaluator.after_task(mixture)
    document = json.loads(json.dumps(evaluator.scores().to_dict(), allow_nan=False))
    assert document["reconstruction"]["nll"] == [None]
    again = Evaluator.unpack(stream, mixture, *evaluator.pack())
    assert json.loads(json.dumps(again.scores().to_dict(), allow_nan=False)) == document
