"""Scores of many components at once, and what follows from them by Bayes' rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from growmix.components.convolution import Conv
from growmix.components.kinds import VAEKind
from growmix.components.likelihoods import Bernoulli, Gaussian, Likelihood, make_likelihood
from growmix.components.nets import MLP, Blueprint, OwnModules
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.errors import BadInput
from growmix.learning import batching, routing
from growmix.learning.batching import FEW_ROWS
from growmix.learning.routing import (
    ComponentScores,
    Router,
    combine,
    log_responsibilities,
    only,
    route_examples,
    route_group,
    total_elbo,
)
from known_points import point

SHAPE = (1, 8, 8)
LATENT = 2
OWN = OwnModules(
    lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6)),
    lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape)),
)


def component(
    seed: int,
    classes: tuple[int, ...] = (),
    blueprint: Blueprint | None = None,
    likelihood: Likelihood | None = None,
) -> VAE:
    blueprint = blueprint or MLP(hidden=8)
    generator = torch.Generator().manual_seed(seed)
    kind = VAEKind(blueprint, likelihood or Bernoulli(), options=VAEOptions(latent=LATENT))
    vae = kind.autoencoder(Domain(SHAPE), supervised=bool(classes), generator=generator)
    vae.add_classes(classes, generator)
    vae.class_counts += torch.rand(len(classes), generator=generator) * 50
    return vae.requires_grad_(False).eval()


def images(n: int) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def noise(draws: int = 2) -> Tensor:
    return torch.randn(draws, LATENT, generator=torch.Generator().manual_seed(2))


def assert_like_one_by_one(components: list[VAE], n: int) -> None:
    x = images(n)
    found = Router(components).scores(x, noise())
    assert found.elbo.shape == (n, len(components))
    for k, one in enumerate(components):
        elbo, log_proba = one.score_draws(x, noise())
        torch.testing.assert_close(found.elbo[:, k], elbo, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found.class_log_proba[k], log_proba, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "gaussian-learnt", "gaussian-pixel"])
@pytest.mark.parametrize("classes", [(), (3, 1)])
def test_batched_scores_equal_one_call_per_component(n: int, name: str, classes: tuple[int, ...]) -> None:
    likelihoods = [make_likelihood(name, 0.1 + 0.1 * k, Domain(SHAPE)) for k in range(4)]  # type: ignore[arg-type]
    assert_like_one_by_one([component(k, classes, None, each) for k, each in enumerate(likelihoods)], n)


def test_batched_scores_of_convolutions_equal_one_call_per_component() -> None:
    assert_like_one_by_one([component(k, (0, 1), Conv(width=2)) for k in range(3)], 5)


def test_components_of_every_kind_are_routed_together() -> None:
    mixed = [
        component(0, (0, 1)),
        component(1),
        component(2, (2, 3)),
        component(3, (4, 5, 6)),
        component(4, (0, 1), Conv(width=2)),
        component(5, (7,), OWN),
        component(6, (8,), OWN),
        component(7, (), None, Gaussian(0.2)),
        component(8, (9, 2), MLP(hidden=8, depth=1)),
    ]
    assert_like_one_by_one(mixed, 7)
    assert_like_one_by_one(mixed, FEW_ROWS + 5)


def test_components_whose_likelihoods_differ_in_their_link_alone_are_not_taken_for_alike() -> None:
    pair = [component(k, (), None, Gaussian(0.2, link=link)) for k, link in enumerate(("sigmoid", "identity"))]  # type: ignore[arg-type]
    assert_like_one_by_one(pair, 3)


def test_the_order_of_components_is_the_order_of_columns_and_nothing_else() -> None:
    components = [component(k, (k, k + 1)[: 1 + k % 2]) for k in range(5)]
    order = [3, 0, 4, 1, 2]
    found = Router(components).scores(images(6), noise())
    turned = Router([components[k] for k in order]).scores(images(6), noise())
    torch.testing.assert_close(turned.elbo, found.elbo[:, order], rtol=1e-5, atol=1e-4)
    chosen = found.of(order)
    assert torch.equal(chosen.elbo, found.elbo[:, order])
    for a, b in zip(turned.class_log_proba, chosen.class_log_proba, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def calls_to_route(monkeypatch: pytest.MonkeyPatch, components: list[VAE], n: int) -> int:
    calls = 0
    score = VAE.score_draws

    def counting(self: VAE, x: Tensor, noise: Tensor) -> Any:
        nonlocal calls
        calls += 1
        return score(self, x, noise)

    with monkeypatch.context() as patch:
        patch.setattr(VAE, "score_draws", counting)
        Router(components).scores(images(n), noise())
    return calls


def test_a_few_images_cost_one_call_for_all_components_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = [component(k, (0, 1)) for k in range(6)]
    assert calls_to_route(monkeypatch, alike, FEW_ROWS) == 1
    assert calls_to_route(monkeypatch, [*alike, component(9)], FEW_ROWS) == 2


def test_components_that_are_large_together_are_not_held_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = [component(k, (0, 1)) for k in range(3)]
    monkeypatch.setattr(batching, "MOST_STACKED", 100)
    assert calls_to_route(monkeypatch, alike, 4) == 3
    assert_like_one_by_one(alike, 4)


def test_own_modules_are_batched_only_when_their_user_says_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert calls_to_route(monkeypatch, [component(k, (), OWN) for k in range(3)], 4) == 3
    own = OwnModules(OWN.make_encoder, OWN.make_decoder, batchable=True)
    batched = [component(k, (), own) for k in range(3)]
    assert calls_to_route(monkeypatch, batched, 4) == 1
    assert_like_one_by_one(batched, 4)


def test_many_images_are_scored_in_pieces_with_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    components = [component(k, (0, k + 1)) for k in range(3)]
    whole = Router(components).scores(images(50), noise())
    monkeypatch.setattr(routing, "ROWS", 7)
    pieces = Router(components).scores(images(50), noise())
    torch.testing.assert_close(pieces.elbo, whole.elbo, rtol=1e-5, atol=1e-4)
    for a, b in zip(pieces.class_log_proba, whole.class_log_proba, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_bytes_score_as_the_floats_they_stand_for() -> None:
    x = (images(5) * 255).round().to(torch.uint8)
    router = Router([component(0), component(1)])
    assert torch.equal(router.scores(x, noise()).elbo, router.scores(x.float() / 255, noise()).elbo)


def test_scoring_leaves_the_components_alone() -> None:
    components = [component(k, (0, 1), OWN) for k in range(2)]
    before = [{name: t.clone() for name, t in c.state_dict().items()} for c in components]
    Router(components).scores(images(40), noise())
    Router(components).scores(images(4), noise())
    for state, c in zip(before, components, strict=True):
        assert all(torch.equal(state[name], t) for name, t in c.state_dict().items())


LISTED = torch.tensor([[2, 0, -1], [0, 3, -1], [-1, 2, 3], [0, 2, -1]])


def test_listed_pairs_have_exactly_the_scores_that_they_have_among_all() -> None:
    points = [point(k) for k in range(5)]
    x = torch.rand(4, 2, generator=torch.Generator().manual_seed(0)) * 30
    found, whole = Router(points).listed_scores(x, LISTED), Router(points).scores(x)
    assert torch.equal(found.elbo, only(whole, LISTED).elbo)
    for k, (listed, full) in enumerate(zip(found.class_log_proba, whole.class_log_proba, strict=True)):
        asked = (k == LISTED).any(1)
        assert torch.equal(listed[asked], full[asked])
        torch.testing.assert_close(listed[~asked].exp(), torch.full((int((~asked).sum()), 2), 0.5))


@pytest.mark.parametrize("draws", [0, 2])
def test_listed_pairs_of_networks_have_the_scores_that_they_have_among_all(draws: int) -> None:
    mixed = [component(0, (0, 1)), component(1), component(2, (2, 3, 4)), component(3, (5,), OWN)]
    given_noise = noise(draws) if draws else None
    found = Router(mixed).listed_scores(images(4), LISTED, given_noise)
    whole = only(Router(mixed).scores(images(4), given_noise), LISTED)
    torch.testing.assert_close(found.elbo, whole.elbo, rtol=1e-5, atol=1e-4)
    for k, (listed, full) in enumerate(zip(found.class_log_proba, whole.class_log_proba, strict=True)):
        asked = (k == LISTED).any(1)
        torch.testing.assert_close(listed[asked], full[asked], rtol=1e-4, atol=1e-5)


def test_who_is_not_listed_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    components = [component(k) for k in range(5)]
    score = VAE.score

    def counting(self: VAE, x: Tensor) -> Any:
        asked.append((next(k for k, each in enumerate(components) if each is self), len(x)))
        return score(self, x)

    monkeypatch.setattr(VAE, "score", counting)
    Router(components).listed_scores(images(4), LISTED)
    assert asked == [(0, 3), (2, 3), (3, 2)]
    asked.clear()
    monkeypatch.setattr(routing, "ROWS", 2)
    Router(components).listed_scores(images(4), LISTED)
    assert asked == [(0, 2), (0, 1), (2, 2), (2, 1), (3, 2)]


elbos = st.lists(st.lists(st.floats(-300, 0), min_size=3, max_size=3), min_size=1, max_size=6)
shares = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)


@given(elbos, shares)
def test_responsibilities_are_bayes_rule(elbo: list[list[float]], share: list[float]) -> None:
    prior = np.array(share) / np.sum(share)
    log_joint = np.array(elbo) + np.log(prior)
    joint = np.exp(log_joint - log_joint.max(1, keepdims=True))
    expected = joint / joint.sum(1, keepdims=True)
    found = log_responsibilities(torch.tensor(elbo, dtype=torch.float64), torch.tensor(prior).log()).exp()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.sum(1).numpy(), 1.0)
    route = route_examples(torch.tensor(elbo, dtype=torch.float64), torch.tensor(prior).log())
    assert [expected[i, k] for i, k in enumerate(route)] == pytest.approx(expected.max(1))


def test_far_below_zero_nothing_is_lost() -> None:
    found = log_responsibilities(torch.tensor([[-90_000.0, -90_001.0]]), torch.tensor([0.5, 0.5]).log()).exp()
    assert found[0, 0].item() == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-6)


@given(elbos, shares)
def test_a_group_is_routed_by_the_posterior_of_all_its_examples(elbo: list[list[float]], share: list[float]) -> None:
    log_prior = np.log(np.array(share) / np.sum(share))
    posterior = np.array(elbo).sum(0) + log_prior
    k = route_group(torch.tensor(elbo, dtype=torch.float64), torch.tensor(log_prior))
    assert posterior[k] == pytest.approx(posterior.max())


def test_a_group_of_one_is_routed_like_an_example_and_a_large_one_against_its_outliers() -> None:
    log_prior = torch.tensor([0.9, 0.1]).log()
    one = torch.tensor([[-1.0, 0.5]])
    assert route_group(one, log_prior) == int(route_examples(one, log_prior))
    many = torch.tensor([[-5.0, -4.0]] * 9 + [[-4.0, -8.0]])
    assert route_group(many, log_prior) == 1
    assert route_examples(many, log_prior).tolist() == [0] * 10  # each alone, the prior decides


def log_proba(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


def test_combining_is_bayes_rule_on_a_case_done_by_hand() -> None:
    weights = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64)
    of_classes = [log_proba([0.9, 0.1]), log_proba([0.25, 0.75]), log_proba([1.0])]
    found = combine(weights.log(), of_classes, [(4, 1), (1, 7), (7,)], (1, 4, 7))
    by_hand = [0.2 * 0.1 + 0.3 * 0.25, 0.2 * 0.9, 0.3 * 0.75 + 0.5]
    np.testing.assert_allclose(found.numpy(), [by_hand], rtol=1e-12)
    some = combine(weights.log(), of_classes, [(4, 1), (1, 7), (7,)], (7, 4))
    np.testing.assert_allclose(some.numpy(), [[0.725 / 0.905, 0.18 / 0.905]], rtol=1e-12)


@given(st.integers(0, 500), st.integers(1, 5), st.integers(1, 4))
def test_rows_sum_to_one_whatever_the_components_know_and_in_whatever_order(seed: int, components: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    known = [tuple(rng.permutation(6)[: rng.integers(0, 4)].tolist()) for _ in range(components)]
    weights = torch.from_numpy(rng.dirichlet(np.full(components, 0.3), n))
    of_classes = [torch.from_numpy(rng.normal(size=(n, len(labels)))).log_softmax(1) for labels in known]
    found = combine(weights.log(), of_classes, known, range(6))
    assert found.shape == (n, 6)
    np.testing.assert_allclose(found.sum(1).numpy(), 1.0)
    order = rng.permutation(components).tolist()
    turned = combine(weights[:, order].log(), [of_classes[k] for k in order], [known[k] for k in order], range(6))
    np.testing.assert_allclose(turned.numpy(), found.numpy(), rtol=1e-9, atol=1e-12)
    columns = rng.permutation(6).tolist()
    np.testing.assert_allclose(combine(weights.log(), of_classes, known, columns).numpy(), found.numpy()[:, columns])
    if any(known):
        unknown = [label for label in range(6) if not any(label in labels for labels in known)]
        assert bool((found[:, unknown] == 0).all())


def test_classes_that_only_a_far_component_knows_are_still_told_apart() -> None:
    log_weights = torch.tensor([[0.0, -1_000.0, -3_000.0]])
    of_classes = [torch.zeros(1, 1), torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.9, 0.1]]).log()]
    found = combine(log_weights, of_classes, [(0,), (1, 2), (3, 4)], (1, 2, 3, 4))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.4, 0.0, 0.0]]), rtol=0, atol=1e-4)


@given(st.integers(0, 500), st.integers(2, 6), st.integers(1, 4))
def test_who_was_not_scored_has_no_say(seed: int, components: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    known, classes = [(k, k + 1) for k in range(components)], range(components + 1)
    elbo = torch.from_numpy(rng.normal(size=(n, components)) * 30).float()
    of_classes = tuple(torch.from_numpy(rng.normal(size=(n, 2))).float().log_softmax(1) for _ in known)
    log_prior = torch.full((components,), 1 / components).log()
    listed = torch.from_numpy(np.stack([rng.permutation(components)[:2] for _ in range(n)]))
    scores = only(ComponentScores(elbo, of_classes), listed)
    weights = log_responsibilities(scores.elbo, log_prior)
    found, route = combine(weights, of_classes, known, classes), route_examples(scores.elbo, log_prior)
    for i in range(n):
        few = listed[i].sort().values.tolist()
        alone = log_responsibilities(elbo[i : i + 1, few], log_prior[few])
        expected = combine(alone, [of_classes[k][i : i + 1] for k in few], [known[k] for k in few], classes)
        torch.testing.assert_close(found[i : i + 1], expected, rtol=1e-5, atol=1e-6)
        assert int(route[i]) == few[int(elbo[i, few].argmax())]
    bound = total_elbo(scores.elbo, log_prior, lambda k, rows: elbo[rows, k])
    assert bool(torch.isfinite(bound).all()) and bool((bound <= (elbo + log_prior).logsumexp(1) + 1e-4).all())


def test_classes_that_nobody_knows_are_equally_likely() -> None:
    found = combine(torch.zeros(2, 1), [torch.zeros(2, 1)], [(0,)], (5, 6))
    torch.testing.assert_close(found, torch.full((2, 2), 0.5))


def test_what_does_not_fit_into_memory_is_told_with_what_takes_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 TiB.")

    monkeypatch.setattr(VAE, "score", full)
    with pytest.raises(BadInput, match=r"^to score 40 examples does not fit into the memory of cpu; narrower networks"):
        Router([component(0)]).scores(images(40))
