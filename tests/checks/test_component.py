"""The contract suite of components says which promise a component breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from growmix.checks import check_component
from growmix.components.component import Component
from growmix.components.kinds import ComponentKind, VAEKind
from growmix.components.nets import MLP
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.errors import BadInput
from several_scores import SeveralKind

LATENT = 3


def test_the_check_says_which_promise_is_broken() -> None:
    @dataclass(frozen=True)
    class Spoilt(ComponentKind):
        spoil: Callable[[VAE], None]
        name: str = "spoilt"
        draws_globally = False

        def make(
            self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
        ) -> Component:
            kind = VAEKind(MLP(hidden=16), "bernoulli", options=VAEOptions(latent=LATENT))
            vae = kind.autoencoder(domain, supervised=supervised, generator=generator)
            self.spoil(vae)
            return vae

    def learnt(vae: VAE) -> None:
        vae.class_counts = torch.ones(2)

    def drawing(vae: VAE) -> None:
        torch.rand(3)

    def doubling(vae: VAE) -> None:
        vae.double()

    for spoil, said in (
        (learnt, "a new component has learnt no examples; it says 2.0"),
        (drawing, "torch's global generator was drawn from"),
        (doubling, "must have single precision"),
    ):
        with pytest.raises(AssertionError, match=said):
            check_component(Spoilt(spoil), domains=[Domain((1, 8, 8))], epochs=1)


def test_a_component_of_several_scores_keeps_the_contract_or_is_told_why_not() -> None:
    vectors = [Domain((3,), "real")]
    kept = check_component(SeveralKind((1.0, 1.0, 0.0)), domains=vectors)
    assert any(name.startswith("several scores become the one that counts") for name in kept)
    with pytest.raises(AssertionError, match="preset must be a weight of 0 or more for each source"):
        check_component(SeveralKind((1.0, 1.0, -1e-9)), domains=vectors)


def test_a_kind_that_refuses_every_domain_keeps_no_contract() -> None:
    class Choosy(ComponentKind):
        name = "choosy"
        draws_globally = False

        def make(
            self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
        ) -> Component:
            raise BadInput("sounds alone")

    with pytest.raises(AssertionError, match=r"^the kind 'choosy' refuses all domains: sounds alone$"):
        check_component(Choosy())
