"""Which components are worth scoring: exact where all are asked, the same however it is computed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.learning import shortlist as of_shortlist
from growmix.learning.shortlist import FAR, LONGEST, MANY, NOBODY, SHRINKAGE, Shortlist, pairs_by_component
from growmix.learning.sums import ProjectedSums

DOMAIN = Domain((3,), "real")


def examples(seed: int, n: int = 20, spread: float = 1.0) -> Tensor:
    rng = np.random.default_rng(seed)
    place, mix = rng.normal(size=3) * 4, rng.normal(size=(3, 3))
    return torch.from_numpy((place + rng.normal(size=(n, 3)) @ mix * spread).astype(np.float32))


def sums(seed: int, labels: int = 1, n: int = 20) -> ProjectedSums:
    return ProjectedSums.of(TaskData(examples(seed, n), torch.arange(n) % labels, support="real"), DOMAIN)


def shortlist(components: int, longest: int | None = None) -> Shortlist:
    return Shortlist(DOMAIN, tuple(sums(k, 1 + k % 3) for k in range(components)), longest)


X = torch.cat([examples(k, 4) for k in range(40)])


@pytest.mark.parametrize(("components", "longest"), [(MANY, None), (3, 3), (3, 4), (40, 0), (1, 1)])
def test_a_list_as_long_as_the_components_lists_all(components: int, longest: int | None) -> None:
    whole = shortlist(components, longest)
    assert whole.length == components and whole.listed(X) is None and whole.listed_together(X) is None
    lists = whole.lists(X)
    assert lists.each is None and lists.together is None


def test_of_many_components_some_are_listed_by_default() -> None:
    listed = shortlist(MANY + 1).listed(X)
    assert listed is not None and listed.shape == (len(X), LONGEST) and listed.dtype == torch.int64
    assert bool((listed[:, 0] >= 0).all()) and int(listed.max()) <= MANY
    for row in listed.tolist():
        named = [k for k in row if k != NOBODY]
        assert len(set(named)) == len(named) and row == named + [NOBODY] * (LONGEST - len(named))


def shared_by_hand(known: tuple[ProjectedSums, ...]) -> Tensor:
    shared = sum(each.scatter for each in known) / sum(each.examples for each in known)
    return shared + SHRINKAGE * shared.diagonal().mean() * torch.eye(3)


def by_hand(known: tuple[ProjectedSums, ...], x: Tensor) -> Tensor:
    """Log-density of the likeliest group of each component, its covariance shrunk towards that of all."""
    shared, found = shared_by_hand(known), []
    for each in known:
        own = (each.scatter + 3 * shared) / (each.examples + 3)
        groups = [MultivariateNormal(mean, own).log_prob(x.double()) for mean in each.mean]
        found.append(torch.stack(groups).amax(0))
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("n", [1, 160])  # by one batched product, and component by component
def test_of_few_components_the_likeliest_are_listed(n: int) -> None:
    known = shortlist(12, 4)
    listed = known.listed(X[:n])
    fits, best = by_hand(known.sums, X[:n]).topk(4)
    assert listed is not None and torch.equal(listed, best.masked_fill(fits < fits[:, :1] - FAR, NOBODY))
    assert bool((listed == NOBODY).any()) or n == 1


def test_of_many_components_the_likeliest_by_their_variances_are_looked_at_closely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = shortlist(40, 2)
    monkeypatch.setattr(of_shortlist, "ROUGHLY", 5)
    listed = known.listed(X)
    shared = shared_by_hand(known.sums)
    sizes, axes = torch.linalg.eigh(shared)
    common = axes / sizes.sqrt()
    rough = []
    for each in known.sums:
        own = (each.scatter + 3 * shared) / (each.examples + 3)
        variance = (common.T @ own @ common).diagonal()
        groups = [Normal(mean @ common, variance.sqrt()).log_prob(X.double() @ common).sum(1) for mean in each.mean]
        rough.append(torch.stack(groups).amax(0))
    near = torch.stack(rough, dim=1).topk(5).indices
    fits, best = by_hand(known.sums, X).gather(1, near).topk(2)
    expected = near.gather(1, best).masked_fill(fits < fits[:, :1] - FAR, NOBODY)
    assert listed is not None and torch.equal(listed, expected)


def test_few_and_many_pairs_are_listed_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    known = shortlist(35)
    monkeypatch.setattr(of_shortlist, "FEW_PAIRS", 10**9)
    batched = known.listed(X)
    monkeypatch.setattr(of_shortlist, "FEW_PAIRS", 0)
    one_by_one = known.listed(X)
    assert batched is not None and one_by_one is not None and torch.equal(batched, one_by_one)
    monkeypatch.setattr(of_shortlist, "_PIECE", 7)
    in_pieces = known.listed(X)
    assert in_pieces is not None and torch.equal(in_pieces, batched)


def test_the_order_of_components_does_not_matter() -> None:
    known = shortlist(35)
    order = np.random.default_rng(0).permutation(35).tolist()
    turned = Shortlist(DOMAIN, tuple(known.sums[k] for k in order), known.longest).listed(X)
    listed = known.listed(X)
    assert turned is not None and listed is not None
    assert torch.equal(torch.tensor([*order, NOBODY])[turned], listed)  # its last is that of -1


def test_who_is_not_known_is_always_listed() -> None:
    known = [*shortlist(8).sums, ProjectedSums.nothing(3), ProjectedSums.nothing(3)]
    listed = Shortlist(DOMAIN, tuple(known), 2).listed(X)
    assert listed is not None and listed.shape[1] == 4
    assert all({8, 9} < set(row) for row in listed.tolist())


def test_who_can_not_be_asked_is_not_listed() -> None:
    known = shortlist(35, 3)
    able = torch.arange(35) % 7 == 0
    listed = known.listed(X, able)
    assert listed is not None and bool(able[listed[listed != NOBODY]].all()) and bool((listed[:, 0] != NOBODY).all())
    scarce = known.listed(X, torch.arange(35) == 4)
    assert scarce is not None and scarce.tolist() == [[4, NOBODY, NOBODY]] * len(X)


def test_a_group_has_one_list_of_what_fits_all_of_it() -> None:
    known = shortlist(12, 3)
    group = examples(5, 60)
    together, single = known.listed_together(group), known.listed_together(group[:1])
    assert together is not None and single is not None and together.shape == (60, 3)
    assert bool((together == together[0]).all()) and 5 in together[0]
    best = by_hand(known.sums, group).sum(0).topk(3).indices
    assert set(together[0].tolist()) == set(best.tolist())
    alone = known.listed(group[:1])
    assert alone is not None and set(alone[0].tolist()) - {NOBODY} <= set(single[0].tolist())


def test_the_list_of_earlier_is_that_of_the_components_of_then() -> None:
    known = shortlist(40, 3)
    assert known.first(40) is known
    then, same = known.first(35).listed(X), shortlist(35, 3).listed(X)
    assert then is not None and same is not None and torch.equal(then, same)


def test_a_copy_makes_its_own_gaussians() -> None:
    known = shortlist(35)
    listed = known.listed(X)
    content = pickle.dumps(known)
    again = pickle.loads(content).listed(X)
    assert listed is not None and torch.equal(again, listed)
    assert len(content) == len(pickle.dumps(shortlist(35)))


def test_whoever_learnt_one_example_many_times_is_listed_for_it() -> None:
    same = tuple(ProjectedSums.of(TaskData(torch.full((4, 3), float(k)), support="real"), DOMAIN) for k in range(5))
    listed = Shortlist(DOMAIN, same, 1).listed(torch.full((1, 3), 3.2))
    assert listed is not None and listed.tolist() == [[3]]


@given(st.lists(st.permutations(range(NOBODY, 5)).map(lambda order: order[:3]), min_size=1, max_size=8))
def test_every_pair_comes_once_with_its_component(rows: list[list[int]]) -> None:
    listed = torch.tensor(rows)
    met = {}
    for k, own, places in pairs_by_component(listed):
        assert k not in met and k != NOBODY
        met[k] = places.tolist()
        assert bool((listed.flatten()[places] == k).all()) and torch.equal(own, places // 3)
    named = (listed.flatten() != NOBODY).nonzero()[:, 0].tolist()
    assert sorted(place for places in met.values() for place in places) == named
