"""A denoiser scores by errors that can be worked out by hand, knows a bound, and learns from the noise given alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from growmix import GrowingMixture
from growmix.components import denoiser as module
from growmix.components.component import Component
from growmix.components.denoiser import Denoiser, DenoisingObjective, fixed_noise
from growmix.components.denoiser_kind import DenoiserKind
from growmix.components.denoiser_options import DenoiserOptions
from growmix.components.diffusion import score_weights
from growmix.components.judging import judge
from growmix.data.domain import Domain, Shape
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.learning.routing import Router

GRAY: Shape = (1, 8, 8)
COLOUR: Shape = (3, 9, 11)
SMALL = DenoiserOptions(width=8, levels=4)
EXTRA = 3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(
    shape: Shape = GRAY, options: DenoiserOptions = SMALL, *, supervised: bool = True, moved: bool = True, seed: int = 0
) -> Denoiser:
    """A denoiser of two classes whose weights are anything, as if trained; unmoved, its network says nothing."""
    component = Denoiser(Domain(shape), options, supervised=supervised, generator=generator(seed))
    if supervised:
        component.add_classes([5, 3], generator(seed + 1))
        component.class_counts += torch.tensor([1.0, 2.0])
    if moved:
        with torch.no_grad():
            for weight in component.parameters():
                weight += 0.1 * torch.randn(weight.shape, generator=generator(seed + 2))
    component.freeze()
    return component


def images(shape: Shape = GRAY, n: int = 6) -> Tensor:
    return torch.rand(n, *shape, generator=generator(4))


def training_noise(shape: Shape, n: int, mirror: float | None = None) -> Tensor:
    noise = torch.randn(n, math.prod(shape) + EXTRA, generator=generator(5))
    if mirror is not None:
        noise[:, -1] = mirror
    return noise


# Scores --------------------------------------------------------------------------------------------------------


def test_a_network_that_says_nothing_scores_as_the_formula_has_it() -> None:
    component, x = make(moved=False), images()
    levels = component.plan.within.log_levels(4)
    sigma, deviation = levels.exp().view(1, -1, 1, 1, 1), component.plan.deviation
    clean, noise = (2 * x - 1)[:, None], fixed_noise(GRAY, 1, 4)
    found = (clean + sigma * noise) * deviation**2 / (deviation**2 + sigma**2)
    errors = (clean - found).square().flatten(2).sum(2)
    expected = -(errors @ score_weights(levels, 0.5))
    scores, log_proba = component.evidence(x)
    log_share = torch.tensor([2.0, 3.0]).log() - math.log(5.0)
    torch.testing.assert_close(scores[:, :, 0], expected[:, None] + log_share, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(log_proba.exp().sum(1), torch.ones(6))


def test_a_score_is_the_judgement_of_the_evidence() -> None:
    component, x = make(), images()
    expected = judge(*component.evidence(x), torch.tensor([1.0]), "both")
    for found, wanted in zip(component.score(x), expected, strict=True):
        assert torch.equal(found, wanted)


def test_every_second_draw_judges_the_mirrored_image_where_such_were_learnt() -> None:
    mirrored, plain = (
        make(COLOUR, DenoiserOptions(width=8, levels=4, draws=2, flips=flips)) for flips in (True, False)
    )
    x, positions = images(COLOUR), torch.zeros(6, 1, dtype=torch.int64)
    of_mirrored = mirrored._errors(x, positions, range(4), 2)
    torch.testing.assert_close(of_mirrored[:, :, 0], plain._errors(x, positions, range(4), 2)[:, :, 0])
    torch.testing.assert_close(of_mirrored[:, :, 1], plain._errors(x.flip(-1), positions, range(4), 2)[:, :, 1])


def test_colour_images_are_mirrored_and_judged_twice_and_gray_ones_are_not_unless_asked() -> None:
    gray, colour = make(GRAY, DenoiserOptions(width=8)).plan, make(COLOUR, DenoiserOptions(width=8)).plan
    assert (gray.flips, gray.draws, colour.flips, colour.draws) == (False, 1, True, 2)
    asked = make(GRAY, DenoiserOptions(width=8, flips=True, draws=3)).plan
    assert (asked.flips, asked.draws) == (True, 3)


@pytest.mark.parametrize("shape", [GRAY, COLOUR], ids=str)
def test_scores_do_not_depend_on_how_many_images_fit_into_memory(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    component, x = make(shape), images(shape)
    at_once = component.score(x)[0], component.bound(x), component.describe(x), component.cheap(x)
    monkeypatch.setattr(module, "_AT_ONCE", {"cpu": 1, "other": 1})
    for one_by_one, together in zip(
        (component.score(x)[0], component.bound(x), component.describe(x), component.cheap(x)), at_once, strict=True
    ):
        torch.testing.assert_close(one_by_one, together, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("shape", [GRAY, COLOUR], ids=str)
def test_many_denoisers_score_as_one_call(shape: Shape, supervised: bool) -> None:
    members: list[Component] = [make(shape, supervised=supervised, seed=10 * k) for k in range(3)]
    assert len({member.batch_key() for member in members}) == 1
    x = images(shape)
    together = Router(members).scores(x)
    for k, member in enumerate(members):
        elbo, log_proba = member.score(x)
        torch.testing.assert_close(together.elbo[:, k], elbo, rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(together.class_log_proba[k], log_proba, rtol=1e-3, atol=1e-3)


def test_denoisers_that_are_asked_otherwise_are_not_scored_as_one() -> None:
    assert (
        make(options=SMALL).batch_key() != make(options=DenoiserOptions(width=8, levels=4, exponent=0.75)).batch_key()
    )


def test_the_cheap_score_is_that_of_the_middle_levels_as_if_from_all() -> None:
    component, x = make(moved=False, supervised=False), images()
    errors = component._errors(x, torch.full((6, 1), -1), [1, 2], 1)[:, 0, 0]
    weights = score_weights(component.plan.within.log_levels(4), 0.5)[1:3]
    torch.testing.assert_close(component.cheap(x), -2.0 * (errors @ weights))
    one_level = make(options=DenoiserOptions(width=8, levels=1), supervised=False)
    torch.testing.assert_close(one_level.cheap(x), one_level.score(x)[0])


@pytest.mark.parametrize("supervised", [True, False])
def test_every_image_is_described_by_the_numbers_that_are_named(supervised: bool) -> None:
    component, x = make(supervised=supervised), images()
    described = component.describe(x)
    assert described.shape == (6, len(component.numbers)) and len(set(component.numbers)) == len(component.numbers)
    assert component.numbers[:3] == ("error1", "error2", "error3")
    assert ("feature0" in component.numbers) == supervised
    torch.testing.assert_close(described[:2], component.describe(x[:2]), rtol=1e-4, atol=1e-4)


# The bound -----------------------------------------------------------------------------------------------------


def test_the_bound_of_a_network_that_says_nothing_is_the_density_of_its_gaussian() -> None:
    shape = (1, 24, 24)
    component = make(shape, DenoiserOptions(width=8, levels=4), moved=False)
    deviation, lowest = component.plan.deviation, component.plan.within.lowest
    component.decoder_variance.fill_(deviation**2 * lowest**2 / (deviation**2 + lowest**2))
    x = 0.5 + 0.5 * deviation * torch.randn(40, *shape, generator=generator(6))
    log_density = torch.distributions.Normal(0.5, 0.5 * deviation).log_prob(x).flatten(1).sum(1)
    classes = component._logits(x).argmax(1)
    expected = log_density + component.class_log_prior()[classes]
    torch.testing.assert_close(component.bound(x), expected, rtol=0, atol=0.05)


# Learning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flips", [False, True])
def test_the_loss_of_a_network_that_says_nothing_is_the_square_of_its_target(flips: bool) -> None:
    component = make(options=DenoiserOptions(width=8, flips=flips), moved=False, supervised=False)
    x, n = images(), 6
    noise = training_noise(GRAY, n)
    loss = DenoisingObjective(component)(x, torch.full((n,), -1), noise)
    order, offset, mirror = noise[:, -EXTRA:].unbind(1)
    shares = (order.argsort().argsort() + torch.special.ndtr(offset[0])) / n
    sigma = component.plan.within.at(shares).exp().view(-1, 1, 1, 1)
    clean = 2 * x - 1
    if flips:
        clean = torch.stack([image.flip(-1) if m > 0 else image for image, m in zip(clean, mirror, strict=True)])
    deviation = component.plan.deviation
    noised = clean + sigma * noise[:, :-EXTRA].view(x.shape)
    radius = (sigma**2 + deviation**2).sqrt()
    target = (clean - noised * deviation**2 / radius**2) / (sigma * deviation / radius)
    torch.testing.assert_close(loss, target.square().mean())


def test_the_loss_follows_from_the_noise_that_is_given() -> None:
    objective, x, positions = DenoisingObjective(make()), images(), torch.tensor([0, 1, 0, 1, 1, 0])
    state = torch.get_rng_state()
    one, other = (objective(x, positions, training_noise(GRAY, 6)) for _ in range(2))
    assert torch.equal(one, other) and torch.equal(state, torch.get_rng_state())


def test_images_without_a_label_count_for_the_network_and_not_for_the_classifier() -> None:
    component, x, noise = make(), images(), training_noise(GRAY, 6)
    some = torch.tensor([0, 1, -1, -1, 1, -1])
    known = some >= 0
    objective = DenoisingObjective(component)
    logits = component._logits(x)
    entropy = F.cross_entropy(logits[known], some[known], reduction="sum") / 6
    order, offset = noise[:, -EXTRA], noise[0, -EXTRA + 1]
    log_sigma = component.plan.within.at((order.argsort().argsort() + torch.special.ndtr(offset)) / 6)
    of_network = component.loss(2 * x - 1, some, noise[:, :-EXTRA].view(x.shape), log_sigma)
    torch.testing.assert_close(objective(x, some, noise), of_network.mean() + entropy)


@pytest.mark.parametrize("labelled", ["all", "some", "none"])
def test_gradients_reach_all_that_can_learn(labelled: str) -> None:
    component = make()
    component.thaw()
    component.requires_grad_(True)
    positions = {
        "all": torch.tensor([0, 1] * 3),
        "some": torch.tensor([0, 1, -1] * 2),
        "none": torch.full((6,), -1),
    }[labelled]
    DenoisingObjective(component)(images(), positions, training_noise(GRAY, 6)).backward()
    idle = [name for name, p in component.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]
    of_classes = [name for name, _ in component.named_parameters() if name == "label_code" or "classifier" in name]
    assert idle == ([] if labelled != "none" else of_classes)


class Minimiser:
    """A trainer that notes what it is given, and changes nothing."""

    def __init__(self) -> None:
        self.generator = generator()

    def minimise(self, objective: object, data: list[Tensor], *, noise: int, recipe: object) -> None:
        self.data, self.noise, self.recipe = data, noise, recipe


def test_means_and_variance_are_those_of_what_was_learnt_and_of_what_it_stands_for() -> None:
    component = make()
    x = images(n=8)
    labels = torch.tensor([5, 3, 5, -1, 3, 3, 5, -1])
    weight = torch.tensor([1.0, 2.0, 3.0, 1.0, 1.0, 1.0, 2.0, 4.0])
    trainer = Minimiser()
    component.fit(TaskData(x, labels), weight, trainer)  # type: ignore[arg-type]
    clean = 2 * x - 1

    def mean(rows: Tensor) -> Tensor:
        return (weight[rows].view(-1, 1, 1, 1) * clean[rows]).sum(0) / weight[rows].sum()

    expected = torch.stack([mean(labels >= -1), mean(labels == 5), mean(labels == 3)])
    torch.testing.assert_close(component.mean, expected)
    own = torch.stack([mean(labels == label) for label in labels])
    spread = (weight.view(-1, 1, 1, 1) * (clean - own).square()).sum() / (weight.sum() * 64)
    torch.testing.assert_close(component.variance, spread)
    assert trainer.noise == 64 + EXTRA and trainer.recipe == component.plan.recipe


def test_the_variance_at_the_lowest_noise_is_what_the_denoiser_leaves_there() -> None:
    component, x = make(supervised=False), images(n=8)
    component.fit(TaskData(x), torch.ones(8), Minimiser())  # type: ignore[arg-type]
    errors = component._errors(x, torch.full((8, 1), -1), [0], 1)
    torch.testing.assert_close(component.decoder_variance, errors.mean() / 64)


def test_a_class_that_no_example_shows_keeps_its_mean() -> None:
    component, x = make(), images(n=4)
    component.mean[2] = 0.25
    component.fit(TaskData(x, torch.full((4,), 5)), torch.ones(4), Minimiser())  # type: ignore[arg-type]
    assert bool((component.mean[2] == 0.25).all())
    torch.testing.assert_close(component.mean[1], (2 * x - 1).mean(0))


# Images --------------------------------------------------------------------------------------------------------


def test_images_start_at_the_mean_of_their_class() -> None:
    options = DenoiserOptions(width=8, sampling_steps=2, lowest=0.01, highest=0.02)
    component = make(options=options, moved=False)  # with hardly any noise, nothing but the mean is left
    component.mean[1], component.mean[2] = 0.5, -0.5
    component.variance.fill_(0.0)
    drawn = component.draw(torch.tensor([0, 1]), generator())
    assert float((drawn[0] - 0.75).abs().max()) < 0.1 and float((drawn[1] - 0.25).abs().max()) < 0.1


def test_a_class_that_is_not_asked_for_is_drawn_by_the_shares() -> None:
    component = make(options=DenoiserOptions(width=8, sampling_steps=2, lowest=0.01, highest=0.02), moved=False)
    component.mean[1], component.mean[2] = 0.5, -0.5
    component.variance.fill_(0.0)
    component.class_counts.copy_(torch.tensor([29.0, 9.0]))
    drawn = component.draw(torch.full((400,), -1), generator())
    assert float((drawn.flatten(1).mean(1) > 0.5).float().mean()) == pytest.approx(0.75, abs=0.06)


def test_draws_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    component, positions = make(), torch.tensor([0, 1, -1, 1])
    together = component.draw(positions, generator())
    monkeypatch.setattr(module, "_AT_ONCE", {"cpu": 1, "other": 1})
    torch.testing.assert_close(component.draw(positions, generator()), together, rtol=0, atol=1e-3)


# In a mixture --------------------------------------------------------------------------------------------------


def test_the_noise_of_scores_is_the_same_everywhere() -> None:
    """It is a part of what a checkpoint means: other noise would give other scores for the same weights."""
    torch.testing.assert_close(fixed_noise((1, 2, 2), 1, 1).flatten(), torch.tensor(FIRST_NOISE), rtol=0, atol=1e-6)


FIRST_NOISE = [0.11930614, -0.89865708, -0.14425439, 1.46623659]


@pytest.mark.slow
def test_a_mixture_of_denoisers_learns_updates_and_is_read_back(tmp_path: object) -> None:
    made = generator(8)
    template = torch.rand(4, *GRAY, generator=made).round()

    def task(*labels: int) -> tuple[Tensor, Tensor]:
        y = torch.tensor(labels).repeat(60)
        return (0.8 * template[y] + 0.2 * torch.rand(len(y), *GRAY, generator=made)), y

    mixture = GrowingMixture(component="denoiser", denoiser_width=8, sampling_steps=6, max_steps=200, device="cpu")
    mixture.learn(task(0, 1))
    mixture.learn(task(2, 3))
    assert len(mixture.components) == 2
    x, y = task(0, 1, 2, 3)
    right = (torch.as_tensor(mixture.predict(x)) == y).float().mean()
    assert float(right) > 0.95
    mixture.learn(task(0, 1))
    assert len(mixture.components) == 2
    mixture.save(str(tmp_path))
    again = GrowingMixture.load(str(tmp_path))
    assert torch.equal(torch.as_tensor(again.predict_proba(x)), torch.as_tensor(mixture.predict_proba(x)))
    with pytest.raises(BadInput, match="needs components with codes"):
        mixture.encode(x)


def test_data_that_are_no_pictures_are_refused_with_what_takes_them() -> None:
    kind = DenoiserKind()
    for domain in (Domain((6,), "real"), Domain((6,), "unit"), Domain((1, 8, 8), "real")):
        with pytest.raises(BadInput, match=r"'denoiser' learns pictures .* take component 'gaussian', or 'vae'"):
            kind.new(domain, supervised=False, generator=generator())
    with pytest.raises(BadInput, match="'denoiser' learns no pairs; take component 'vae'"):
        kind.new(Domain(GRAY), supervised=False, target=Domain(COLOUR), generator=generator())
    with pytest.raises(BadInput, match="lowest_noise is 4 and highest_noise is 3; the lowest must be smaller"):
        GrowingMixture(component="denoiser", lowest_noise=4.0, device="cpu")
    with pytest.raises(BadInput, match=r"lowest_noise is 0\.15 and highest_noise is 0\.1; the lowest must be smaller"):
        DenoiserKind(DenoiserOptions(highest=0.1)).new(Domain(GRAY), supervised=False, generator=generator())


def test_components_without_labels_refuse_classes() -> None:
    with pytest.raises(BadInput, match="labels \\[2\\] given to an unsupervised component"):
        make(supervised=False).add_classes([2], generator())
