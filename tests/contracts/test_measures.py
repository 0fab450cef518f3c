"""What every novelty measure must do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from growmix.errors import BadInput
from growmix.learning.novelty import MEASURES, NoveltyMeasure, ReferenceStatistics
from growmix.settings import NoveltyName

SPREAD = 20.0


@pytest.fixture(params=MEASURES.values(), ids=MEASURES)
def measure(request: pytest.FixtureRequest) -> NoveltyMeasure:
    return request.param  # type: ignore[no-any-return]


def scores(n: int = 500, seed: int = 0, shift: float = 0.0) -> Tensor:
    return shift - 100.0 + SPREAD * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def reference(known: Tensor) -> ReferenceStatistics:
    return ReferenceStatistics.of(known)


def distance(measure: NoveltyMeasure, new: Tensor, known: Tensor) -> float:
    return measure.distance({"elbo": new}, {"elbo": reference(known)}, known)


def test_the_table_has_every_name_that_settings_allow() -> None:
    assert set(MEASURES) == set(get_args(NoveltyName))
    assert all(measure.name == name for name, measure in MEASURES.items())


def test_what_is_known_is_not_new(measure: NoveltyMeasure) -> None:
    assert distance(measure, scores(), scores()) <= 1 / 512
    assert distance(measure, scores(200), scores(200)) == pytest.approx(0.0, abs=1e-4)


def test_more_of_the_same_is_below_the_default_threshold_and_other_data_beyond(measure: NoveltyMeasure) -> None:
    assert distance(measure, scores(seed=1), scores()) < measure.default_threshold
    assert distance(measure, scores(seed=1, shift=-60.0), scores()) > measure.default_threshold


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_farther_is_never_nearer(a: float, b: float) -> None:
    for measure in MEASURES.values():
        near, far = (distance(measure, scores(shift=-shift), scores()) for shift in sorted((a, b)))
        assert near <= far + 1e-4


def test_a_better_score_than_known_is_new_too(measure: NoveltyMeasure) -> None:
    assert distance(measure, scores(shift=60.0), scores()) > measure.default_threshold


def test_the_order_of_examples_does_not_matter(measure: NoveltyMeasure) -> None:
    new, known = scores(60, seed=1, shift=-5.0), scores()
    shuffled = known[torch.randperm(500)]
    found = distance(measure, new[torch.randperm(60)], shuffled)
    assert found == pytest.approx(distance(measure, new, known), rel=1e-6)


NAMES = ("elbo", "rate", "code0", "code1")


def both(value: Any) -> dict[str, Any]:
    return dict.fromkeys(NAMES, value)


def test_the_nearest_of_several_references_counts(measure: NoveltyMeasure) -> None:
    new = scores(seed=1)
    far, near = reference(scores(shift=-200.0)), reference(scores())
    found, which = measure.nearest(both(new), [both(far), both(near)], scores())
    assert found == measure.distance(both(new), both(near), scores())
    assert which == (0 if measure.needs_samples else 1)  # samples are of the whole component, not of one reference


def test_what_is_unlike_in_any_part_that_is_looked_at_is_new(measure: NoveltyMeasure) -> None:
    known, unlike = scores(), scores(seed=1, shift=-60.0)
    for part in NAMES:
        found, _ = measure.nearest({**both(known), part: unlike}, [both(reference(known))], known)
        if measure.name == "ks" or part == "elbo":
            assert found == distance(measure, unlike, known) > measure.default_threshold
        else:
            assert found == distance(measure, known, known)


def test_only_statistics_are_read_never_how_many_examples_there_were(measure: NoveltyMeasure) -> None:
    known = reference(scores())
    more = replace(known, count=10 * known.count)
    few_and_many = (measure.distance(both(scores(seed=1)), both(each), scores()) for each in (known, more))
    assert len(set(few_and_many)) == 1


@pytest.mark.parametrize("new", [torch.zeros(0), torch.tensor([0.0, float("nan")]), torch.tensor([float("inf")])])
def test_scores_that_are_none_are_refused(measure: NoveltyMeasure, new: Tensor) -> None:
    with pytest.raises(BadInput, match="new"):
        distance(measure, new, scores())


def test_chance_matters_less_the_more_examples_there_are(measure: NoveltyMeasure) -> None:
    noise = [measure.noise(n, 100, 1) for n in (4, 10, 100, 10_000)]
    assert noise == sorted(noise, reverse=True)
    assert noise[-1] >= 0.0
    assert measure.noise(7, 30, 1) == pytest.approx(measure.noise(30, 7, 1))
    assert measure.noise(7, 30, 26) >= measure.noise(7, 30, 1)


def test_two_samples_of_one_distribution_stay_within_the_noise_in_99_of_100_cases() -> None:
    for measure in (MEASURES["ks"], MEASURES["smd"]):
        beyond = sum(
            distance(measure, scores(40, seed=2 * i), scores(60, seed=2 * i + 1)) > measure.noise(40, 60, 1)
            for i in range(400)
        )
        assert beyond <= 12  # 4 expected; above 12 has a chance of 0.001


def test_a_measure_that_needs_samples_says_so_when_there_are_none() -> None:
    for measure in MEASURES.values():
        if measure.needs_samples:
            with pytest.raises(BadInput, match="samples"):
                measure.distance(both(scores()), both(reference(scores())), None)
        else:
            assert measure.distance(both(scores()), both(reference(scores())), None) <= 1 / 512
