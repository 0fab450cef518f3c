from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix.studies.spread import Spread

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)


@given(VALUES)
def test_the_error_is_the_standard_error_of_the_mean(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread.error is not None
    assert math.isclose(spread.error, np.std(values, ddof=1) / math.sqrt(len(values)), rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("values", [[None], [None, None], [0.5, None]])
def test_a_figure_that_a_seed_does_not_have_is_no_mean_of_the_others(values: list[float | None]) -> None:
    assert Spread.of(values).text(3) == "-"
