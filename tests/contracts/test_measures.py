"""Every measure of ours keeps the contract that a user's own is checked against, and what only ours promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from growmix.checks import check_novelty
from growmix.learning.novelty import MEASURES, NoveltyMeasure, PoolsExamples, nearest
from growmix.learning.references import ReferenceStatistics
from growmix.settings import NoveltyName

SPREAD = 20.0
NAMES = ("elbo", "rate", "code0", "code1")


@pytest.fixture(params=MEASURES.values(), ids=MEASURES)
def measure(request: pytest.FixtureRequest) -> NoveltyMeasure:
    return request.param  # type: ignore[no-any-return]


def scores(n: int = 500, seed: int = 0, shift: float = 0.0) -> Tensor:
    return shift - 100.0 + SPREAD * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def reference(known: Tensor) -> ReferenceStatistics:
    return ReferenceStatistics.of(known)


def distance(measure: NoveltyMeasure, new: Tensor, known: Tensor) -> float:
    return measure.distance({"elbo": new}, {"elbo": reference(known)})


def both(value: Any) -> dict[str, Any]:
    return dict.fromkeys(NAMES, value)


def test_the_table_has_every_name_that_settings_allow() -> None:
    assert set(MEASURES) == set(get_args(NoveltyName))
    assert all(measure.name == name for name, measure in MEASURES.items())


def test_every_measure_keeps_the_contract(measure: NoveltyMeasure) -> None:
    assert len(check_novelty(measure)) == (10 if isinstance(measure, PoolsExamples) else 8)


def test_a_better_score_than_known_is_new_too(measure: NoveltyMeasure) -> None:
    assert distance(measure, scores(shift=60.0), scores()) > measure.default_threshold


def test_the_nearest_of_several_references_counts(measure: NoveltyMeasure) -> None:
    new = scores(seed=1)
    far, near = reference(scores(shift=-200.0)), reference(scores())
    found, which = nearest(measure, both(new), [both(far), both(near)])
    assert (found, which) == (measure.distance(both(new), both(near)), 1)


def test_what_is_unlike_in_any_part_that_is_looked_at_is_new(measure: NoveltyMeasure) -> None:
    known, unlike = scores(), scores(seed=1, shift=-60.0)
    for part in NAMES:
        found = measure.distance({**both(known), part: unlike}, both(reference(known)))
        if measure.name in ("rank", "ks") or part == "elbo":
            assert found == distance(measure, unlike, known) > measure.default_threshold
        else:
            assert found == distance(measure, known, known)


def test_only_statistics_are_read_never_how_many_examples_there_were(measure: NoveltyMeasure) -> None:
    known = reference(scores())
    more = replace(known, count=10 * known.count)
    assert len({measure.distance(both(scores(seed=1)), both(each)) for each in (known, more)}) == 1


def test_noise_is_the_same_whichever_sample_is_the_new_one(measure: NoveltyMeasure) -> None:
    assert measure.noise(7, 30, 1) == pytest.approx(measure.noise(30, 7, 1))


def test_two_samples_of_one_distribution_stay_within_the_noise_in_99_of_100_cases() -> None:
    for measure in (MEASURES["rank"], MEASURES["ks"], MEASURES["smd"]):
        beyond = sum(
            distance(measure, scores(40, seed=2 * i), scores(60, seed=2 * i + 1)) > measure.noise(40, 60, 1)
            for i in range(400)
        )
        assert beyond <= 12  # 4 expected; above 12 has a chance of 0.001
