"""A component of Gaussians keeps the contract of every component, learns exactly, and says so in nats."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from growmix.checks import check_component
from growmix.components.gaussian.component import Gaussian, GaussianOptions
from growmix.components.gaussian.kind import GaussianKind
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput

WINE, GROWER = (torch.from_numpy(each) for each in load_wine(return_X_y=True))
WINE = WINE.float()
DOMAIN = Domain((13,), "real").with_statistics(WINE)
OPTIONS = [
    GaussianOptions(),
    GaussianOptions(None),
    GaussianOptions("full", 0.1, modes=3),
    GaussianOptions("diag"),
    GaussianOptions("low-rank", 0.1, rank=3),
]


def told(options: GaussianOptions) -> str:
    return options.covariance_type or "auto"


def learnt(options: GaussianOptions, x: Tensor = WINE, y: Tensor | None = GROWER, batches: int = 1) -> Gaussian:
    component = Gaussian(DOMAIN, options, supervised=y is not None)
    for rows in torch.arange(len(x)).chunk(batches):
        data = TaskData(x[rows], None if y is None else y[rows], support="real")
        component.add_classes(data.classes(), torch.Generator())
        component.count(data)
        component.absorb(data, torch.Generator().manual_seed(0))
    component.freeze()
    return component


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS[:4], ids=told)
def test_the_contract_of_every_component_is_kept(options: GaussianOptions) -> None:
    kept = check_component(GaussianKind(options), domains=[Domain((6,), "real"), Domain((1, 4, 4), "unit")])
    assert kept and len(kept) % 4 == 0  # both domains, with and without labels


@pytest.mark.slow
def test_low_rank_keeps_the_contract() -> None:
    assert check_component(GaussianKind(OPTIONS[4]), domains=[Domain((6,), "real")])


@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[1], OPTIONS[3], OPTIONS[4]], ids=told)
def test_order_and_batches_do_not_matter(options: GaussianOptions) -> None:
    order = torch.randperm(len(WINE), generator=torch.Generator().manual_seed(5))
    one = learnt(options)
    order = torch.cat([torch.tensor([0, 60, 140]), order[~torch.isin(order, torch.tensor([0, 60, 140]))]])
    other = learnt(options, WINE[order], GROWER[order], batches=9)  # the classes are met in the same order
    assert one.classes == other.classes
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert one.choice.shape == other.choice.shape
    torch.testing.assert_close(one.score(WINE)[0], other.score(WINE)[0], rtol=0, atol=1e-5)


def test_tied_answers_as_linear_discriminant_analysis_does() -> None:
    component = learnt(GaussianOptions(shrinkage=0.0, reg_covar=0.0))
    known = LinearDiscriminantAnalysis(solver="lsqr").fit(WINE.double(), GROWER)
    # a component counts one example more of each class, so that no class has the share zero
    joint = known.predict_proba(WINE.double()) / known.priors_ * component.class_log_prior().exp().numpy()
    np.testing.assert_allclose(component.score(WINE)[1].exp(), joint / joint.sum(1, keepdims=True), atol=1e-6)


def test_scores_are_densities_in_the_unit_of_the_examples() -> None:
    x = torch.randn(4_000, 1, generator=torch.Generator().manual_seed(0))
    domain = Domain((1,), "real").with_statistics(x)
    component = Gaussian(domain, GaussianOptions(), supervised=False)
    data = TaskData(x, support="real")
    component.count(data)
    component.absorb(data, torch.Generator().manual_seed(0))
    grid = torch.linspace(-8.0, 8.0, 4_001)[:, None]
    assert float(component.score(grid)[0].exp().sum() * 16.0 / 4_000) == pytest.approx(1.0, abs=1e-3)


def test_examples_without_labels_are_a_small_mixture() -> None:
    component = learnt(GaussianOptions("full", 0.1), y=None)
    one = learnt(GaussianOptions("full", 0.1, modes=1), y=None)
    assert 1 < int((component.sums.count.sum(1) > 0).sum()) <= 5
    assert float(component.score(WINE)[0].mean()) > float(one.score(WINE)[0].mean())


def test_a_class_of_two_clusters_has_two_gaussians() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 13, generator=generator) + 10.0 * (torch.arange(300)[:, None] % 3)
    y = (torch.arange(300) % 3 == 1).long()  # between the two clusters of the other class
    one, several = (learnt(GaussianOptions("tied", modes=modes), x, y) for modes in (1, 4))
    right = [float((each.score(x)[1].argmax(1) == y).float().mean()) for each in (one, several)]
    assert right[0] < 0.9 and right[1] == 1.0
    again = copy.deepcopy(several)
    again.absorb(TaskData(x, y, support="real"), torch.Generator())
    torch.testing.assert_close(again.sums.count, 2.0 * several.sums.count)  # known modes take up what is theirs


def test_examples_without_a_label_have_a_gaussian_of_their_own() -> None:
    far = WINE + 1e4
    component = learnt(GaussianOptions(), torch.cat([WINE, far]), torch.cat([GROWER, torch.full((178,), -1)]))
    assert float(component.score(far)[0].mean()) > -1e3
    drawn = component.draw(torch.full((50,), -1), torch.Generator().manual_seed(0))
    assert bool((drawn.mean(0) > 5e3).all())
    assert component.draw(torch.full((50,), 0), torch.Generator().manual_seed(0)).mean() < 5e3


def test_a_class_of_one_example_is_learnt() -> None:
    component = learnt(GaussianOptions("full"), WINE[:60], GROWER[:60])
    assert component.class_counts.tolist() == [59.0, 1.0]
    assert component.score(WINE[59:60])[1].argmax() == 1


def test_codes_are_standard_normal_and_say_where_an_example_lies() -> None:
    component = learnt(GaussianOptions("full", 0.0, latent=13))
    codes, _ = component.encode(WINE)
    own = GROWER == 0
    torch.testing.assert_close(codes[own].mean(0), torch.zeros(13), rtol=0, atol=0.1)
    torch.testing.assert_close(codes[own].T.cov(), torch.eye(13), rtol=0, atol=0.1)
    torch.testing.assert_close(component.reconstruct(WINE), WINE, rtol=1e-4, atol=1e-2)
    few = learnt(GaussianOptions("full", 0.0, latent=2))
    torch.testing.assert_close(few.code(WINE), codes[:, :2])
    assert bool((few.rate(WINE) <= component.rate(WINE) + 1e-4).all())


def test_more_examples_change_the_choice_and_nothing_else_has_to_be_asked_for() -> None:
    component = learnt(GaussianOptions(), WINE[:70], GROWER[:70])
    before = component.score(WINE)[0].clone()
    component.add_classes([2], torch.Generator())
    component.absorb(TaskData(WINE[70:], GROWER[70:], support="real"), torch.Generator())
    assert not torch.equal(component.score(WINE)[0], before)


def test_a_state_that_is_loaded_replaces_what_was_derived() -> None:
    one, other = learnt(GaussianOptions(), WINE, GROWER), learnt(GaussianOptions(), WINE * 2.0, GROWER)
    before = other.score(WINE)[0]
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.score(WINE)[0], one.score(WINE)[0])
    assert not torch.equal(other.score(WINE)[0], before)


def test_labels_are_refused_where_none_are_learnt_and_pairs_always() -> None:
    with pytest.raises(BadInput, match="supervised=True"):
        Gaussian(DOMAIN, GaussianOptions(), supervised=False).add_classes([1], torch.Generator())
    with pytest.raises(BadInput, match="pairs of images"):
        GaussianKind().make(DOMAIN, supervised=False, target=DOMAIN, generator=torch.Generator())


def test_a_component_answers_by_itself_as_before_once_it_was_asked_to_join_another() -> None:
    one, other = (learnt(OPTIONS[0], WINE[label == GROWER], GROWER[label == GROWER]) for label in (0, 1))
    joined, _ = one.together((one, other))
    assert torch.equal(one.score(WINE)[0], copy.deepcopy(one).score(WINE)[0])
    assert not torch.equal(joined.score(WINE)[0], one.score(WINE)[0])


def test_what_is_tied_is_made_once_for_the_same_components() -> None:
    one, other = (learnt(OPTIONS[0], WINE[label == GROWER], GROWER[label == GROWER]) for label in (0, 1))
    for each in (one, other):
        each.score(WINE)
    first, again = (one.together((one, other))[0] for _ in range(2))
    assert isinstance(first, Gaussian) and isinstance(again, Gaussian) and first._relatives is again._relatives
