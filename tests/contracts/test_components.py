"""What every component must do, whatever its networks, image shape, likelihood and labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from growmix.checks import check_component
from growmix.components.component import Component
from growmix.components.convolution import Conv
from growmix.components.denoiser_kind import DenoiserKind
from growmix.components.denoiser_options import DenoiserOptions
from growmix.components.density import LatentDensity, no_labels, prior_codes
from growmix.components.kinds import VAEKind
from growmix.components.nets import MLP, Blueprint, OwnModules
from growmix.components.objectives import TaskObjective
from growmix.components.translation import Translation, TranslationObjective
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.data.task import Shape
from growmix.errors import BadInput
from growmix.learning.replay import replay
from growmix.system.global_random import seeded

LATENT = 3
BATCH = 6
CLASSES = (7, 2, 4)

OWN = OwnModules(
    lambda shape: nn.Sequential(nn.Conv2d(shape[0], 4, 3, stride=2), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(9)),
    lambda inputs, shape: nn.Sequential(nn.Linear(inputs, shape[0] * shape[1] * shape[2]), nn.Unflatten(1, shape)),
    name="batch-norm",
)


@dataclass(frozen=True)
class Case:
    name: str
    blueprint: Blueprint
    shape: Shape
    likelihood: str
    supervised: bool
    target: Shape | None = None

    def make(self, seed: int = 0) -> Component:
        generator = torch.Generator().manual_seed(seed)
        target = None if self.target is None else Domain(self.target)
        kind = VAEKind(self.blueprint, self.likelihood, 0.1, VAEOptions(latent=LATENT))
        component = kind.make(Domain(self.shape), supervised=self.supervised, target=target, generator=generator)
        with seeded(seed):
            component.score(self.images())  # a lazy layer gets its weights
        if self.supervised:
            component.add_classes(CLASSES, generator)
            component.class_counts += torch.tensor([1.0, 2.0, 3.0])
        return component.eval()

    def images(self, n: int = BATCH) -> Tensor:
        return torch.rand(n, *self.shape, generator=torch.Generator().manual_seed(1))

    def targets(self) -> Tensor:
        assert self.target is not None
        return torch.rand(BATCH, *self.target, generator=torch.Generator().manual_seed(3))

    def positions(self) -> Tensor:
        return torch.arange(BATCH) % len(CLASSES) if self.supervised else no_labels(BATCH)


def cases() -> Iterator[Case]:
    small, large = MLP(hidden=16), Conv(width=2)
    for likelihood in ("bernoulli", "gaussian", "gaussian-learnt", "gaussian-pixel"):
        for supervised in (False, True):
            kind = "supervised" if supervised else "unsupervised"
            yield Case(f"mlp-8x8-{likelihood}-{kind}", small, (1, 8, 8), likelihood, supervised)
    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)):
        size = "x".join(map(str, shape))
        yield Case(f"conv-{size}-bernoulli-supervised", large, shape, "bernoulli", True)
        yield Case(f"conv-{size}-gaussian-pixel-unsupervised", large, shape, "gaussian-pixel", False)
    yield Case("mlp-3x32x32-bernoulli-supervised", small, (3, 32, 32), "bernoulli", True)
    for likelihood in ("bernoulli", "gaussian-pixel"):
        yield Case(f"mlp-translation-8x8-{likelihood}", small, (1, 8, 8), likelihood, False, target=(3, 8, 8))
        yield Case(f"conv-translation-3x28x28-{likelihood}", large, (3, 28, 28), likelihood, False, target=(1, 28, 28))
    yield Case("own-translation-3x9x11-bernoulli", OWN, (3, 9, 11), "bernoulli", False, target=(2, 9, 11))
    yield Case("own-8x8-bernoulli-supervised", OWN, (1, 8, 8), "bernoulli", True)
    yield Case("own-3x9x11-gaussian-learnt-unsupervised", OWN, (3, 9, 11), "gaussian-learnt", False)


@pytest.fixture(params=cases(), ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def component(case: Case) -> Component:
    return case.make()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "gaussian-learnt", "gaussian-pixel"])
@pytest.mark.parametrize("blueprint", [MLP(hidden=16), Conv(width=4)], ids=["mlp", "conv"])
def test_every_kind_keeps_the_contract_that_a_users_own_is_checked_against(
    blueprint: Blueprint, likelihood: str
) -> None:
    shapes = [Domain((1, 8, 8)), *([Domain((6,), "real")] if likelihood != "bernoulli" else [])]
    kept = check_component(VAEKind(blueprint, likelihood, 0.1, VAEOptions(latent=LATENT)), domains=shapes)
    both_supports = isinstance(blueprint, MLP) and likelihood != "bernoulli"
    assert len(kept) == 12 * 2 * (2 if both_supports else 1)


@pytest.mark.slow
def test_denoisers_keep_the_contract_and_take_pictures_alone() -> None:
    kind = DenoiserKind(DenoiserOptions(width=8, levels=4, sampling_steps=8))
    kept = check_component(kind, domains=[Domain((1, 8, 8)), Domain((6,), "real"), Domain((3, 9, 7))])
    assert len(kept) == 12 * 2 * 2


def autoencoder(component: Component) -> VAE:
    """What gives its images their density: itself, or the source's part of a translation."""
    vae = component.source if isinstance(component, Translation) else component
    assert isinstance(vae, VAE)
    return vae


def loss_of(case: Case, component: Any, positions: Tensor, *, unlabelled: bool) -> Tensor:
    """The loss that it is trained with."""
    if isinstance(component, Translation):
        pairs: Tensor = TranslationObjective(component).train()(case.images(), case.targets(), noise(BATCH))
        return pairs
    loss: Tensor = TaskObjective(component, classification_weight=1.0, unlabelled=unlabelled).train()(
        case.images(), positions, noise(BATCH)
    )
    return loss


def noise(*size: int) -> Tensor:
    return torch.randn(*size, LATENT, generator=torch.Generator().manual_seed(2))


def test_answers_have_the_promised_shapes_and_are_finite(case: Case, component: Any) -> None:
    x, positions, k = case.images(), case.positions(), len(component.classes)
    elbo, logits = autoencoder(component).elbo(x, positions, noise(BATCH))
    marginal, marginal_logits = autoencoder(component).marginal_elbo(x, noise(BATCH))
    score, log_proba = component.score_draws(x, noise(4))
    codes, code_logits = component.encode(x)
    tight = component.importance_weighted_elbo(x, noise(4, BATCH))
    for answer in (elbo, marginal, score, tight, component.rate(x)):
        assert answer.shape == (BATCH,)
        assert answer.dtype == torch.float32
        assert bool(torch.isfinite(answer).all())
    for answer in (logits, marginal_logits, log_proba, code_logits):
        assert answer.shape == (BATCH, k)
        assert bool(torch.isfinite(answer).all())
    assert codes.shape == (BATCH, LATENT)
    torch.testing.assert_close(log_proba.exp().sum(1), torch.ones(BATCH) * bool(k))
    assert component.decode(codes, positions).shape == x.shape
    assert component.reconstruct(x).shape == x.shape


@pytest.mark.parametrize("labelled", ["all", "some", "none"])
def test_gradients_reach_every_parameter(case: Case, component: Any, labelled: str) -> None:
    positions = case.positions()
    if labelled == "some":
        positions = torch.where(torch.arange(BATCH) < BATCH // 2, positions, -1)
    elif labelled == "none":
        positions = no_labels(BATCH)
    with torch.no_grad():  # a layer that is zero at first lets nothing through before its first step
        for weight in component.parameters():
            weight += torch.where(weight == 0, 0.01, 0.0)
    loss = loss_of(case, component, positions, unlabelled=labelled != "all")
    loss.backward()
    assert loss.ndim == 0
    without = [name for name, p in component.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]
    if isinstance(case.blueprint, OwnModules):  # a bias before batch normalisation has no effect, by nature
        without = [name for name in without if name.removeprefix("source.") != "encoder.0.bias"]
    assert without == []
    label_code = autoencoder(component).label_code
    if label_code is not None:
        assert label_code.grad is not None
        assert bool((label_code.grad != 0).any(1).all()), "a class got no gradient"


def test_the_loss_is_the_mean_over_examples_whether_labelled_or_not(case: Case, component: Any) -> None:
    positions = torch.where(torch.arange(BATCH) % 2 == 0, case.positions(), -1)
    x, e = case.images(), noise(BATCH)
    objective = TaskObjective(autoencoder(component), classification_weight=2.0, unlabelled=True)
    one_by_one = torch.stack([objective(x[i : i + 1], positions[i : i + 1], e[i : i + 1]) for i in range(BATCH)])
    torch.testing.assert_close(objective(x, positions, e), one_by_one.mean(), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(
        one_by_one[1], -autoencoder(component).marginal_elbo(x[1:2], e[1:2])[0][0], rtol=1e-4, atol=1e-3
    )


def test_a_score_is_the_same_every_time_and_in_every_batch(case: Case, component: Any) -> None:
    x = case.images()
    first, first_proba = component.score_draws(x, noise(2))
    again, again_proba = component.score_draws(x, noise(2))
    assert torch.equal(first, again)
    assert torch.equal(first_proba, again_proba)
    reversed_, _ = component.score_draws(x.flip(0), noise(2))
    alone = [component.score_draws(x[i : i + 1], noise(2)) for i in range(BATCH)]
    torch.testing.assert_close(reversed_.flip(0), first, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(torch.cat([elbo for elbo, _ in alone]), first, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(torch.cat([proba for _, proba in alone]), first_proba, rtol=1e-4, atol=1e-5)


def test_a_score_over_several_draws_is_the_mean_of_one_each(case: Case, component: Any) -> None:
    x, e = case.images(), noise(3)
    each = torch.stack([component.score_draws(x, row[None])[0] for row in e])
    torch.testing.assert_close(component.score_draws(x, e)[0], each.mean(0), rtol=1e-5, atol=1e-3)


def test_asking_changes_nothing(case: Case, component: Any) -> None:
    before = {name: t.clone() for name, t in component.state_dict().items()}
    state = torch.get_rng_state()
    with torch.no_grad():
        component.score_draws(case.images(), noise(2))
        component.reconstruct(case.images())
        replay(component, 4, torch.Generator().manual_seed(0))
    assert all(torch.equal(before[name], t) for name, t in component.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_decoded_images_are_in_the_unit_interval(case: Case, component: Any) -> None:
    images = component.decode(100 * noise(BATCH), case.positions()).detach()
    assert 0.0 <= float(images.min()) <= float(images.max()) <= 1.0


def test_the_rate_is_the_part_of_the_bound_that_the_code_costs(case: Case, component: Any) -> None:
    x, positions, e, vae = case.images(), case.positions(), noise(BATCH), autoencoder(component)
    mean, log_variance = vae.posterior(vae.encoder(x)).chunk(2, 1)
    output = vae.output(mean + (0.5 * log_variance).exp() * e, positions)
    distortion = -vae.likelihood.log_prob(output, x)
    assert bool((component.rate(x) >= 0).all())
    torch.testing.assert_close(component.rate(x), -distortion - vae.elbo(x, positions, e)[0], rtol=1e-3, atol=5e-3)
    assert torch.equal(component.code(x), component.encode(x)[0])
    torch.testing.assert_close(component.code(x), mean)


def test_reconstructing_decodes_the_posterior_mean_of_the_likeliest_class(case: Case, component: Any) -> None:
    codes, logits = component.encode(case.images())
    positions = logits.argmax(1) if component.classes else no_labels(BATCH)
    assert torch.equal(component.reconstruct(case.images()), component.decode(codes, positions))


def test_drawing_decodes_codes_of_the_prior_with_the_classes_asked_for(case: Case, component: Any) -> None:
    codes = prior_codes(BATCH, LATENT, torch.Generator().manual_seed(4))
    drawn = component.draw(case.positions(), torch.Generator().manual_seed(4))
    assert torch.equal(drawn, component.decode(codes, case.positions()))


def test_drawing_takes_codes_from_the_density_of_the_class_once_there_is_one(case: Case, component: Any) -> None:
    owners = torch.arange(len(CLASSES)) if case.supervised else torch.tensor([-1])
    means = torch.stack([torch.full((LATENT,), 2.0 * k - 2.0) for k in range(len(owners))])
    tiny = 1e-6 * torch.eye(LATENT).expand(len(owners), LATENT, LATENT)
    component.density = LatentDensity(torch.ones(len(owners)), means, tiny, owners)
    positions = case.positions()
    drawn = component.draw(positions, torch.Generator().manual_seed(4))
    expected = component.decode(means[positions if case.supervised else torch.zeros_like(positions)], positions)
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-3)


def test_new_classes_leave_what_is_known_of_the_old_ones_bit_for_bit(case: Case, component: Any) -> None:
    if not case.supervised:
        with pytest.raises(BadInput, match=r"labels \[1\] given to"):
            component.add_classes([1], torch.Generator())
        return
    old = {name: t.clone() for name, t in component.state_dict().items()}
    x, positions = case.images(), case.positions()
    before, decoded = component.encode(x), component.decode(noise(BATCH), positions)
    component.add_classes([9, 2, 0], torch.Generator())
    assert component.classes == (7, 2, 4, 9, 0)
    for name, t in component.state_dict().items():
        assert torch.equal(t[: len(old[name])] if t.ndim else t, old[name]), name
    after = component.encode(x)
    assert torch.equal(after[0], before[0])
    torch.testing.assert_close(after[1][:, :3], before[1], rtol=0, atol=1e-6)
    assert after[1].shape == (BATCH, 5)
    assert torch.equal(component.decode(noise(BATCH), positions), decoded)
    assert component.class_counts.tolist() == [1.0, 2.0, 3.0, 0.0, 0.0]


def test_the_class_changes_what_is_decoded(case: Case, component: Any) -> None:
    codes = noise(1).expand(4, -1)
    images = (
        component.decode(codes, torch.tensor([0, 1, 2, -1]))
        if case.supervised
        else component.decode(codes, no_labels(4))
    )
    unlike = len({tuple(image.flatten().tolist()) for image in images})
    assert unlike == (4 if case.supervised else 1)


def test_a_state_dict_makes_another_component_the_same(case: Case, component: Any) -> None:
    other = case.make(seed=1)
    x = case.images()
    assert not torch.equal(other.score_draws(x, noise(1))[0], component.score_draws(x, noise(1))[0])
    other.load_state_dict(copy.deepcopy(component.state_dict()))
    for mine, theirs in zip(component.score_draws(x, noise(1)), other.score_draws(x, noise(1)), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(other.reconstruct(x), component.reconstruct(x))


def test_forward_is_score(case: Case, component: Any) -> None:
    x = case.images()
    for given, expected in (((x,), component.score(x)), ((x, noise(2)), component.score_draws(x, noise(2)))):
        assert all(torch.equal(a, b) for a, b in zip(component(*given), expected, strict=True))


def test_the_score_is_the_one_at_the_posterior_mean(case: Case, component: Any) -> None:
    x = case.images()
    at_mean = component.score_draws(x, torch.zeros(1, LATENT))
    assert all(torch.equal(a, b) for a, b in zip(component.score(x), at_mean, strict=True))
