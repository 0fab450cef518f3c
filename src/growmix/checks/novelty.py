"""What every novelty measure must do."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from growmix.checks.promises import keep, refuses, require
from growmix.learning.novelty import NoveltyMeasure, PoolsExamples
from growmix.learning.plugins import check_plugin
from growmix.learning.ranks import Answered
from growmix.learning.references import statistics_of

_SPREAD = 20.0
"""Standard deviation of the scores that measures are tried on, in nats, such as images have."""

_NAMES = (("elbo",), ("elbo", "rate", "code0", "code1"))
"""Scores of components without codes, and with codes of two numbers."""


def check_novelty(measure: NoveltyMeasure) -> list[str]:
    """Check that a novelty measure keeps its contract, and return what was checked.

    Parameters
    ----------
    measure
        The measure, as it is handed to ``GrowingMixture(novelty=...)``.

    Raises
    ------
    AssertionError
        A promise is broken; the message says which.

    Examples
    --------
    >>> from growmix.learning.novelty import KolmogorovSmirnov
    >>> len(check_novelty(KolmogorovSmirnov()))
    8
    """
    check_plugin(measure, "novelty", NoveltyMeasure)
    promises: tuple[Callable[[Any], None], ...] = (
        it_has_a_name_and_a_threshold,
        distances_are_numbers_of_0_or_more,
        what_is_known_is_not_new,
        more_of_the_same_is_below_the_default_threshold_and_other_data_beyond,
        farther_is_never_nearer,
        the_order_of_examples_does_not_matter,
        scores_that_are_none_are_refused,
        chance_matters_less_the_more_examples_there_are,
    )
    if isinstance(measure, PoolsExamples):
        promises += (one_part_is_judged_as_one_component_is, the_mix_of_what_is_known_does_not_matter)
    return keep(promises, lambda: measure)


def it_has_a_name_and_a_threshold(measure: NoveltyMeasure) -> None:
    """A checkpoint keeps the name, and settings may leave the threshold to the measure."""
    require(isinstance(measure.name, str) and measure.name != "", f"name must be a text; it is {measure.name!r}")
    threshold = measure.default_threshold
    known = isinstance(threshold, (int, float)) and 0 <= threshold < math.inf
    require(known, f"default_threshold must be a finite number of 0 or more; it is {threshold!r}")


def distances_are_numbers_of_0_or_more(measure: NoveltyMeasure) -> None:
    """A decision is compared and kept as JSON, which has no word for infinity."""
    constant = torch.zeros(20)
    for names in _NAMES:
        for new, known in ((_scores(), _scores(1)), (constant, constant), (constant + 1.0, constant)):
            found = _distance(measure, new, known, names)
            fits = isinstance(found, float) and 0.0 <= found < math.inf
            require(fits, f"distance must be a finite float of 0 or more; it is {found!r}")
            again = _distance(measure, new, known, names)
            require(found == again, f"the same scores must have the same distance; they have {found} and {again}")


def what_is_known_is_not_new(measure: NoveltyMeasure) -> None:
    """Data are not new to a component that remembers them."""
    for names in _NAMES:
        found, most = _distance(measure, _scores(), _scores(), names), 0.1 * measure.default_threshold
        require(
            found <= most, f"the very data that a component remembers must be nearer than {most:g}; they are {found}"
        )


def more_of_the_same_is_below_the_default_threshold_and_other_data_beyond(measure: NoveltyMeasure) -> None:
    """The default threshold tells fresh data of a known kind from data that lie three deviations away."""
    for names in _NAMES:
        same, other = (_distance(measure, _scores(1, shift), _scores(), names) for shift in (0.0, -3 * _SPREAD))
        threshold = measure.default_threshold
        require(
            same < threshold < other,
            f"fresh data of a known kind must be nearer than the default threshold {threshold:g}, and data of 60 nats "
            f"less farther; their distances are {same:g} and {other:g}",
        )


def farther_is_never_nearer(measure: NoveltyMeasure) -> None:
    """The more scores have moved, the newer the data are."""
    moves = [0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0]
    for names in _NAMES:
        found = [_distance(measure, _scores(0, -move), _scores(), names) for move in moves]
        grows = all(near <= far + 1e-4 for near, far in pairwise(found))
        require(grows, f"scores that moved by {moves} nats must have growing distances; they have {found}")


def the_order_of_examples_does_not_matter(measure: NoveltyMeasure) -> None:
    """Examples come in no order that means anything."""
    new, known = _scores(1, -5.0), _scores()
    found, turned = _distance(measure, new, known), _distance(measure, new.flip(0), known.flip(0))
    same = math.isclose(found, turned, rel_tol=1e-6, abs_tol=1e-9)
    require(same, f"the order of examples must not matter; the distance is {found}, in reversed order {turned}")


def scores_that_are_none_are_refused(measure: NoveltyMeasure) -> None:
    """No scores, NaN and infinity tell nothing of data."""
    for bad in (torch.zeros(0), torch.tensor([0.0, math.nan]), torch.tensor([math.inf])):
        refuses(lambda bad=bad: _distance(measure, bad, _scores()), f"distance() of the scores {bad.tolist()}")  # type: ignore[misc]


def chance_matters_less_the_more_examples_there_are(measure: NoveltyMeasure) -> None:
    """What chance explains shrinks with the number of examples, and grows with what is looked at."""
    noise = [measure.noise(n, 100, 1) for n in (4, 10, 100, 10_000)]
    shrinks = noise == sorted(noise, reverse=True) and noise[-1] >= 0.0
    require(shrinks, f"noise(n, 100, 1) must be 0 or more, and must not grow with n; for 4 to 10,000 it is {noise}")
    one, many = measure.noise(7, 30, 1), measure.noise(7, 30, 26)
    require(many >= one, f"noise must not shrink with the number of scores; it is {one} for 1, {many} for 26")


def one_part_is_judged_as_one_component_is(measure: Any) -> None:
    """Where one component and class answer for all, the mixture's distance is that to this reference."""
    for shift in (0.0, -10.0, -60.0):
        alone = _distance(measure, _scores(1, shift), _scores())
        pooled = measure.pooled([_part(_scores(1, shift), _scores())])
        require(math.isclose(alone, pooled, abs_tol=0.01), f"pooled() of one part is {pooled}, its distance() {alone}")


def the_mix_of_what_is_known_does_not_matter(measure: Any) -> None:
    """Two unlike kinds of known data are known in any shares, and new data among what answers are new in any."""
    for first, second in ((300, 300), (540, 60), (600, 0)):
        near, far = (
            measure.pooled(
                [
                    _part(_scores(seed, level + shift, n), _scores(seed + 2, level))
                    for seed, level, n in ((1, 0.0, first), (2, 500.0, second))
                    if n
                ]
            )
            for shift in (0.0, -60.0)
        )
        threshold = measure.default_threshold
        require(
            near < threshold < far,
            f"{first} and {second} fresh examples of two known kinds must be nearer than the default threshold "
            f"{threshold:g}, and those of 60 nats less farther; their distances are {near:g} and {far:g}",
        )


def _part(new: Tensor, known: Tensor) -> Answered:
    return Answered(new.double()[None], known.double().sort().values[None], torch.ones(len(new), dtype=torch.float64))


def _scores(seed: int = 0, shift: float = 0.0, n: int = 500) -> Tensor:
    normal = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    return shift - 100.0 + _SPREAD * normal


def _distance(measure: NoveltyMeasure, new: Tensor, known: Tensor, names: tuple[str, ...] = ("elbo",)) -> float:
    return measure.distance(dict.fromkeys(names, new), statistics_of(dict.fromkeys(names, known)))
