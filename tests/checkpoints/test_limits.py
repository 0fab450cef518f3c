"""A stranger's component whose numbers would make answers that are no numbers is refused when it is read."""

from __future__ import annotations

import math

import pytest
import torch

from growmix.checkpoints.persistence import ComponentState, Outline
from growmix.components.component import Component
from growmix.components.construction import make_blueprint, make_kind
from growmix.data.domain import Domain
from growmix.errors import BadCheckpoint
from growmix.settings import Settings

SETTINGS = {
    "denoiser": Settings(component="denoiser", denoiser_width=4),
    "denoiser+recogniser": Settings(component="denoiser+recogniser", denoiser_width=4, recogniser_width=4),
    "gaussian": Settings(component="gaussian"),
}


def make(name: str) -> Component:
    settings = SETTINGS[name]
    kind = make_kind(settings, make_blueprint(settings))
    return kind.new(Domain((1, 8, 8)), supervised=True, generator=torch.Generator().manual_seed(0))


def filled(name: str, **spoilt: float) -> Component:
    known = make(name)
    known.add_classes([3, 5], torch.Generator().manual_seed(0))
    tensors = {key: tensor.clone() for key, tensor in known.state_dict().items()}
    for key, value in spoilt.items():
        tensors[key].fill_(value)
    return ComponentState(Outline.of(known), tensors, None).fill(make(name), foreign=False)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("denoiser", "variance", -1.0),
        ("denoiser", "decoder_variance", 0.0),
        ("denoiser", "mean", math.nan),
        ("denoiser+recogniser", "main.network.class_counts", -1.0),
        ("denoiser+recogniser", "main.network.variance", math.inf),
        ("denoiser+recogniser", "others.recogniser.network.network.layers.1.1.running_var", -1.0),
        ("denoiser+recogniser", "others.recogniser.network.network.layers.1.1.running_mean", math.nan),
        ("gaussian", "sums.count", -1.0),
        ("gaussian", "unlabelled_count", -1.0),
    ],
)
def test_numbers_out_of_their_limits_are_refused(name: str, key: str, value: float) -> None:
    assert filled(name).classes == (3, 5)
    with pytest.raises(BadCheckpoint, match=r"has numbers (below|that are not finite)"):
        filled(name, **{key: value})
