"""What a component generates: how much, of which classes, and without changing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix import GrowingMixture
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.learning.replay import MIN_REPLAY, as_bytes, generate, join, replay, replay_size, to_labels

TEMPLATES = np.random.default_rng(0).random((3, 1, 8, 8)) > 0.5
LABELS = (5, 9, 2)
COUNTS = (120, 60, 20)


def images_of(positions: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((len(positions), 1, 8, 8))
    return (0.9 * TEMPLATES[positions] + 0.1 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def mixture() -> GrowingMixture:
    positions = np.repeat([0, 1, 2], COUNTS)
    learnt = GrowingMixture("mlp", hidden=32, latent=2, epochs=40, learning_rate=1e-2, batch_size=16)
    learnt.learn((images_of(positions, 1), np.array(LABELS)[positions]))
    return learnt


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fingerprint(component: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, t in component.state_dict().items():
        digest.update(name.encode() + t.cpu().numpy().tobytes())
    return digest.hexdigest()


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.floats(0, 5))
def test_the_size_is_the_ratio_but_not_below_what_keeps_a_tiny_task_from_taking_over(
    new: int, learnt: int, ratio: float
) -> None:
    size = replay_size(new, learnt, ratio)
    if ratio == 0:
        assert size == 0
    else:
        assert size >= round(ratio * new)
        assert size >= min(learnt, MIN_REPLAY)
        assert size in (round(ratio * new), learnt, MIN_REPLAY)


def test_as_many_images_as_asked_for_come_with_the_classes_in_the_proportions_learnt(
    mixture: GrowingMixture,
) -> None:
    component = mixture.components[0]
    drawn = replay(component, 4_000, stream())
    assert drawn.x.shape == (4_000, 1, 8, 8)
    assert drawn.x.dtype == torch.float32
    assert 0.0 <= float(drawn.x.min()) <= float(drawn.x.max()) <= 1.0
    assert drawn.y is not None
    counts = dict(zip(component.classes, component.class_counts.tolist(), strict=True))
    assert drawn.classes() == tuple(sorted(LABELS))
    for label in LABELS:
        share = float((drawn.y == label).float().mean())
        assert share == pytest.approx(counts[label] / sum(counts.values()), abs=0.03)


def test_class_counts_are_of_the_real_examples_that_were_trained_on(mixture: GrowingMixture) -> None:
    component = mixture.components[0]
    counts = dict(zip(component.classes, component.class_counts.tolist(), strict=True))
    assert sum(counts.values()) == sum(COUNTS) - mixture.records[0].references[0].count
    for label, count in zip(LABELS, COUNTS, strict=True):
        assert 0.5 * count <= counts[label] <= count


def test_what_is_generated_shows_the_class_asked_for(mixture: GrowingMixture) -> None:
    component = mixture.components[0]
    for position, label in enumerate(component.classes):
        drawn = generate(component, torch.full((50,), position), stream())
        assert drawn.y is not None
        assert drawn.y.tolist() == [label] * 50
        template = torch.tensor(TEMPLATES[LABELS.index(label)]).float()
        assert float((drawn.x.mean(0) - template).abs().mean()) < 0.15
        assert set(mixture.predict(drawn.x).tolist()) == {label}


def test_replay_leaves_the_component_and_global_streams_bit_identical(mixture: GrowingMixture) -> None:
    component = mixture.components[0]
    before, state = fingerprint(component), torch.get_rng_state()
    replay(component, 300, stream())
    component.density = None
    replay(component, 300, stream())
    assert fingerprint(component) == before
    assert torch.equal(state, torch.get_rng_state())
    assert not component.training


def test_the_same_stream_replays_the_same(mixture: GrowingMixture) -> None:
    first, again, other = (replay(mixture.components[0], 20, stream(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.x, again.x)
    assert first.y is not None
    assert again.y is not None
    assert torch.equal(first.y, again.y)
    assert not torch.equal(first.x, other.x)


def test_a_component_without_classes_replays_unlabelled_images() -> None:
    vae = VAE(Domain((1, 4, 4)), MLP(hidden=4), Bernoulli(), VAEOptions(latent=2), supervised=True)
    drawn = replay(vae.eval(), 7, stream())
    assert drawn.y is not None
    assert drawn.y.tolist() == [-1] * 7
    assert not drawn.x.requires_grad


def test_positions_become_global_labels_and_none_stays_none() -> None:
    assert to_labels(torch.tensor([2, 0, -1, 1]), (5, 9, 2)).tolist() == [2, 5, -1, 9]


def both(dtype: torch.dtype, labels: Tensor | None) -> TaskData:
    real = TaskData((torch.rand(3, 1, 2, 2) * (255 if dtype == torch.uint8 else 1)).to(dtype), labels)
    return join(real, TaskData(torch.full((2, 1, 2, 2), 0.2), torch.tensor([7, 8])))


def test_real_and_generated_images_are_joined_in_the_type_of_the_real_ones() -> None:
    joined = both(torch.uint8, torch.tensor([1, -1, 1]))
    assert joined.x.dtype == torch.uint8
    assert joined.x[3:].unique().tolist() == [51]
    assert joined.y is not None
    assert joined.y.tolist() == [1, -1, 1, 7, 8]
    assert both(torch.float32, None).x.dtype == torch.float32
    assert both(torch.float32, None).y is None


@given(st.integers(0, 255))
def test_bytes_survive_the_way_to_floats_and_back(value: int) -> None:
    x = torch.tensor([value], dtype=torch.uint8)
    assert torch.equal(as_bytes(x.float() / 255), x)
