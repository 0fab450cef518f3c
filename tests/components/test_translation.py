"""Pairs of images: the bound is the sum of its parts, sources decide who answers, and pairs are replayed."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from growmix import BadInput, GrowingMixture, Student
from growmix.components.convolution import Conv
from growmix.components.density import LatentDensity
from growmix.components.kinds import VAEKind
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP, Blueprint, OwnModules
from growmix.components.sharing import Foundation
from growmix.components.translation import Translation, TranslationObjective
from growmix.components.vae import VAE, VAEOptions, kl_to_prior
from growmix.data.domain import Domain
from growmix.data.task import Shape, TaskData, check_task
from growmix.learning.replay import join, replay
from growmix.learning.routing import Router

LATENT = 3
BLUEPRINTS: dict[str, Blueprint] = {"mlp": MLP(hidden=16), "conv": Conv(width=4)}


def make(blueprint: Blueprint | None = None, target: tuple[int, int, int] = (3, 8, 8)) -> Translation:
    kind = VAEKind(blueprint or BLUEPRINTS["mlp"], options=VAEOptions(latent=LATENT))
    generator = torch.Generator().manual_seed(0)
    component = kind.make(Domain((1, 8, 8)), supervised=False, target=Domain(target), generator=generator)
    assert isinstance(component, Translation)
    return component.eval()


def images(n: int = 6, seed: int = 0, channels: int = 1) -> Tensor:
    return torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def stripes(n: int = 120, seed: int = 0, *, upright: bool = False) -> Tensor:
    """Bars at random places, noisy."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 1, 8, 8)) * 0.1
    rows = rng.integers(0, 7, n)
    for image, row in zip(x, rows, strict=True):
        image[:, row : row + 2] += 0.85
    return torch.from_numpy(x.transpose(0, 1, 3, 2) if upright else x).float()


@pytest.fixture(params=BLUEPRINTS)
def component(request: pytest.FixtureRequest) -> Translation:
    return make(BLUEPRINTS[request.param])


def test_the_bound_of_a_pair_is_the_sum_of_its_parts(component: Translation) -> None:
    x, target, noise = images(), images(channels=3, seed=1), torch.randn(6, LATENT)
    mean, log_variance, _ = component.source.infer(x)
    codes = mean + (0.5 * log_variance).exp() * noise
    drafted = component.target_decoder(codes)
    logits = drafted + component.refine(torch.cat([drafted, x], 1))
    by_hand = (
        -torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).sum(1)
        + component.source.likelihood.log_prob(component.source.decoder(codes), x)
        - kl_to_prior(mean, log_variance)
    )
    torch.testing.assert_close(component.pair_elbo(x, target, noise), by_hand)


def test_without_a_target_it_is_the_autoencoder_of_its_sources(component: Translation) -> None:
    x, noise, source = images(), torch.zeros(1, LATENT), component.source
    many = torch.randn(5, 6, LATENT)
    assert torch.equal(component.score_draws(x, noise)[0], source.score_draws(x, noise)[0])
    assert torch.equal(component.importance_weighted_elbo(x, many), source.importance_weighted_elbo(x, many))
    assert torch.equal(component.reconstruct(x), source.reconstruct(x))
    assert torch.equal(component.rate(x), source.rate(x))
    assert component.translate(x).shape == (6, 3, 8, 8)


def test_a_replayed_target_is_what_its_source_and_code_give(component: Translation) -> None:
    source, target = component.draw_pairs(7, torch.Generator().manual_seed(3))
    codes = torch.randn(7, LATENT, generator=torch.Generator().manual_seed(3))
    assert torch.equal(source, component.decode(codes, torch.full((7,), -1)))
    drafted = component.target_decoder(codes)
    torch.testing.assert_close(target, (drafted + component.refine(torch.cat([drafted, source], 1))).sigmoid())
    drawn = replay(component, 5, torch.Generator().manual_seed(0))
    assert drawn.target is not None
    assert (drawn.y, tuple(drawn.x.shape), tuple(drawn.target.shape)) == (None, (5, 1, 8, 8), (5, 3, 8, 8))


def test_pairs_stay_pairs_when_real_and_replayed_are_joined() -> None:
    real = TaskData((images() * 255).byte(), None, (images(channels=3) * 255).byte())
    both = join(real, TaskData(images(4), None, images(4, channels=3)))
    assert both.target is not None
    assert (both.x.dtype, both.target.dtype, len(both.x), len(both.target)) == (torch.uint8, torch.uint8, 10, 10)
    assert torch.equal(both.target[6:], (images(4, channels=3) * 255).round().byte())


def test_the_objective_takes_bytes_and_reaches_every_weight(component: Translation) -> None:
    target = (images(channels=3, seed=1) * 255).byte()
    noise = torch.randn(6, LATENT)
    with torch.no_grad():  # a layer that is zero at first lets nothing through before its first step
        for weight in component.parameters():
            weight += torch.where(weight == 0, 0.01, 0.0)
    loss = TranslationObjective(component)(images(), target, noise)
    torch.testing.assert_close(loss, -component.pair_elbo(images(), target / 255.0, noise).mean())
    loss.backward()
    assert all(weight.grad is not None and bool((weight.grad != 0).any()) for weight in component.parameters())


def test_a_copy_and_a_state_hold_all_of_it(component: Translation) -> None:
    twin = copy.deepcopy(component)
    with torch.no_grad():
        for weight in component.parameters():
            weight.add_(0.1)
    again = next(made for made in map(make, BLUEPRINTS.values()) if made.batch_key() == component.batch_key())
    again.load_state_dict(component.state_dict())
    assert torch.equal(again.translate(images()), component.translate(images()))
    assert not torch.equal(twin.translate(images()), component.translate(images()))


def test_labels_classes_and_unlike_sizes_are_refused() -> None:
    def vae(*, supervised: bool) -> VAE:
        return VAE(Domain((1, 8, 8)), MLP(hidden=8), Bernoulli(), VAEOptions(latent=2), supervised=supervised)

    with pytest.raises(BadInput, match=r"8x8, 6x8"):
        Translation(vae(supervised=False), MLP(hidden=8), Domain((3, 6, 8)), Bernoulli())
    with pytest.raises(BadInput, match="labels"):
        make().add_classes([1], torch.Generator())
    with pytest.raises(BadInput, match="without labels"):
        Translation(vae(supervised=True), MLP(hidden=8), Domain((1, 8, 8)), Bernoulli())


def test_a_decoder_that_makes_no_targets_is_refused_before_training() -> None:
    def encoder(shape: Shape) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))

    def sources_only(inputs: int, shape: Shape) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, (1, 8, 8)))

    def broken(inputs: int, shape: Shape) -> nn.Module:
        return sources_only(inputs if shape == (1, 8, 8) else inputs + 1, shape)

    def unknown(inputs: int, shape: Shape) -> nn.Module:
        return {(1, 8, 8): sources_only(inputs, shape)}[shape]

    for decoder, message in (
        (unknown, "decode targets .*: KeyError"),
        (sources_only, r"needed \(batch, \*\(3, 8, 8\)\)"),
        (broken, "fails to decode targets"),
    ):
        mixture = GrowingMixture(OwnModules(encoder, decoder), latent=2, epochs=1, device="cpu")
        with pytest.raises(BadInput, match=message):
            mixture.learn((images(20), images(20, channels=3)))
        assert mixture.components == ()


def test_components_share_no_weights_where_a_blueprint_hands_out_one_module() -> None:
    only = nn.Sequential(nn.Linear(LATENT, 64), nn.Unflatten(1, (1, 8, 8)))
    own = OwnModules(lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(64, 9)), lambda inputs, shape: only)
    modules: list[nn.Module] = [only, make(own, (1, 8, 8)), make(own, (1, 8, 8))]
    weights = [weight.data_ptr() for module in modules for weight in module.parameters()]
    assert len(set(weights)) == len(weights)


def test_translations_scored_in_one_call_say_what_each_says_alone() -> None:
    alike = [make(BLUEPRINTS["conv"]), make(BLUEPRINTS["conv"])]
    with torch.no_grad():
        for weight in alike[1].parameters():
            weight.mul_(1.1)
    x, noise = images(), torch.zeros(1, LATENT)
    router = Router(alike)
    assert len(router._groups) == 1
    together = router.scores(x, noise).elbo
    torch.testing.assert_close(
        together, torch.stack([c.score_draws(x, noise)[0] for c in alike], 1), rtol=1e-5, atol=1e-4
    )
    assert not torch.allclose(together[:, 0], together[:, 1])


def test_replayed_codes_come_from_the_density_and_without_one_from_the_prior(component: Translation) -> None:
    none = torch.tensor([-1])
    centre = torch.full((1, LATENT), 3.0)
    component.density = LatentDensity(torch.ones(1), centre, 1e-8 * torch.eye(LATENT)[None], none)
    source, target = component.draw_pairs(4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(source, component.decode(centre, none).expand_as(source), rtol=0, atol=1e-3)
    assert float((target - target[:1]).abs().max()) < 1e-3
    component.density = None
    source, _ = component.draw_pairs(4, torch.Generator().manual_seed(0))
    codes = torch.randn(4, LATENT, generator=torch.Generator().manual_seed(0))
    assert torch.equal(source, component.decode(codes, none.expand(4)))


@pytest.mark.parametrize("kind", ["trunk", "adapter", "rank-one"])
def test_it_can_stand_on_a_foundation(component: Translation, kind: str) -> None:
    before, whole = component.translate(images()), sum(p.numel() for p in component.parameters())
    Foundation.of(component, kind, None).carry(component, torch.Generator())  # type: ignore[arg-type]
    torch.testing.assert_close(component.translate(images()), before)
    assert sum(p.numel() for p in component.parameters()) < whole


# In a mixture -----------------------------------------------------------------------------------------------------


def pairs(seed: int = 0, *, upright: bool = False, n: int = 120) -> tuple[Tensor, Tensor]:
    x = stripes(n, seed, upright=upright)
    return x, (1 - x).repeat(1, 3, 1, 1)


@pytest.fixture(scope="module")
def mixture() -> GrowingMixture:
    made = GrowingMixture(
        "mlp", hidden=32, latent=4, epochs=60, learning_rate=1e-2, student_hidden=32, student_epochs=20,
        student_examples=200, precision="32-true", device="cpu",
    )  # fmt: skip
    made.learn(pairs())
    made.learn(pairs(1, upright=True))
    return made


@pytest.mark.slow
def test_a_mixture_grows_by_the_sources_and_translates_by_whom_they_are_routed_to(mixture: GrowingMixture) -> None:
    assert [decision.action for decision in mixture.decisions] == ["grow", "grow"]
    for component, upright in enumerate((False, True)):
        source, target = pairs(5, upright=upright, n=40)
        assert (mixture.route(source) == component).float().mean() > 0.9
        translated = mixture.translate(source)
        error = (translated - target).square().sum((1, 2, 3)).mean()
        of_mean = (target.mean(0) - target).square().sum((1, 2, 3)).mean()
        assert error < 0.3 * of_mean
        assert torch.equal(mixture.translate(source, component=component)[0], translated[0])


@pytest.mark.slow
def test_known_sources_are_reused_with_replayed_pairs_and_nothing_is_lost(mixture: GrowingMixture) -> None:
    updated = copy.deepcopy(mixture)
    decision = updated.learn(pairs(2))
    assert (decision.action, decision.component) == ("reuse", 0)
    source, target = pairs(5, n=40)
    before, after = ((m.translate(source) - target).square().sum() for m in (mixture, updated))
    assert after < 1.5 * before


@pytest.mark.slow
def test_a_student_translates_too_and_both_are_kept(mixture: GrowingMixture, tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    student = mixture.distill()
    source, target = pairs(5, n=40)
    of_mean = (target.mean(0) - target).square().sum()
    assert (student.translate(source) - target).square().sum() < 0.8 * of_mean
    student.save(folder / "student")
    mixture.save(folder / "mixture")
    assert torch.equal(Student.load(folder / "student").translate(source), student.translate(source))
    assert torch.equal(GrowingMixture.load(folder / "mixture").translate(source), mixture.translate(source))


@pytest.mark.slow
def test_what_is_no_pair_of_images_is_refused_and_nothing_changes(mixture: GrowingMixture) -> None:
    x, target = pairs(3)
    with pytest.raises(BadInput, match="8x8, 6x8"):
        mixture.learn((x, target[:, :, :6]))
    with pytest.raises(BadInput, match="120 sources and 3 targets"):
        mixture.learn((x, target[:3]))
    with pytest.raises(BadInput, match="targets of shape None"):
        mixture.learn(x)
    with pytest.raises(BadInput, match=r"targets of shape \(1, 8, 8\)"):
        mixture.learn((x, x))
    with pytest.raises(BadInput, match="labels and targets"):
        check_task(TaskData(x, torch.zeros(120, dtype=torch.int64), target))
    with pytest.raises(BadInput, match="no pairs"):
        plain = GrowingMixture("mlp", hidden=8, latent=2, epochs=1)
        plain.learn(x)
        plain.translate(x)
    assert len(mixture.decisions) == 2


@pytest.mark.slow
def test_patience_waits_for_the_bound_of_the_pair() -> None:
    x, target = pairs()
    # sources are learnt all the while; targets of other pairs only get worse with learning
    noise = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)).round()
    patient = GrowingMixture("conv", width=4, latent=16, epochs=200, learning_rate=1e-2, patience=3)
    patient.learn((x, noise))
    assert patient.training_logs[0].epochs < 100


def test_the_mean_bound_of_pairs_takes_bytes(component: Translation) -> None:
    x, target = (images() * 255).byte(), (images(channels=3, seed=1) * 255).byte()
    by_hand = component.pair_elbo(x / 255.0, target / 255.0, torch.zeros(6, LATENT)).mean().detach()
    assert component.mean_pair_elbo(TaskData(x, None, target)) == pytest.approx(float(by_hand), rel=1e-5)


def test_pairs_are_refused_by_a_mixture_that_is_told_to_classify() -> None:
    with pytest.raises(BadInput, match="supervised is True"):
        GrowingMixture("mlp", hidden=8, latent=2, epochs=1, supervised=True).learn(pairs())
