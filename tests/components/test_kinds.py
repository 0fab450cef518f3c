"""A kind makes components that share nothing, from the generator alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from growmix.components.kinds import VAEKind
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP, OwnModules
from growmix.components.translation import Translation
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.errors import BadInput

KIND = VAEKind(MLP(hidden=6), options=VAEOptions(latent=2))
OWN = OwnModules(
    lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(16, 5)),
    lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 16), nn.Unflatten(1, shape)),
)


def make(kind: VAEKind, seed: int, target: Domain | None = None) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return kind.make(Domain((1, 4, 4)), supervised=False, target=target, generator=generator)


@pytest.mark.parametrize(
    "kind", [KIND, VAEKind(OWN, options=VAEOptions(latent=2))], ids=["plain layers", "own modules"]
)
def test_first_weights_follow_from_the_generator_alone(kind: VAEKind) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, again, other = make(kind, 1), make(kind, 1), make(kind, 2)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.get_parameter("posterior.weight"), other.get_parameter("posterior.weight"))


def test_pairs_are_learnt_by_a_translation_and_without_labels() -> None:
    target = Domain((3, 4, 4))
    assert isinstance(make(KIND, 0), VAE)
    assert isinstance(make(KIND, 0, target), Translation)
    with pytest.raises(BadInput, match="without labels"):
        KIND.make(Domain((1, 4, 4)), supervised=True, target=target, generator=torch.Generator())


def test_only_what_growmix_makes_itself_needs_no_memory_and_leaves_the_global_generator_alone() -> None:
    assert (KIND.without_memory, KIND.draws_globally) == (True, False)
    own = VAEKind(OWN)
    assert (own.without_memory, own.draws_globally) == (False, True)
    assert VAEKind(MLP(), Bernoulli()).draws_globally, "a likelihood handed in may draw as it likes"
