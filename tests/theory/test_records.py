"""A link that chance made negative is no distance below nothing, and one that was not measured is none."""

from __future__ import annotations

import pytest

from growmix.theory.discrepancy import Discrepancy
from growmix.theory.records import METHODS, UNMEASURED, Link


def estimate(value: float) -> Discrepancy:
    return Discrepancy(value, 0.1, value, 0.0, "adversarial", "zero-one", "linear", (50, 50))


@pytest.mark.parametrize(("estimated", "value"), [(-0.01, 0.0), (0.0, 0.0), (0.3, 0.3)])
def test_an_estimate_counts_as_the_distance_that_it_can_be(estimated: float, value: float) -> None:
    link = Link({"adversarial": estimate(estimated), "plug-in": None})
    assert link.value("adversarial") == value
    assert link.value("plug-in") is None


def test_a_link_that_could_not_be_measured_has_no_value_by_any_method() -> None:
    link = Link(UNMEASURED, "too few have a label")
    assert [link.value(method) for method in METHODS] == [None, None]
