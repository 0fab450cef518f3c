"""Bounds are sums of their terms, each regeneration adds one, and what nobody can compute is named."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growmix.errors import BadInput
from growmix.theory.bounds import Bound, lemma_3, student_bound, theorem_1, theorem_2

risks = st.floats(0, 1)
links = st.lists(risks, min_size=1, max_size=6)


@given(risks, links)
def test_a_bound_along_a_chain_is_the_sum_of_its_links_and_names_an_ideal_term_for_each(
    source: float, chain: list[float]
) -> None:
    bound = theorem_2(source, chain)
    assert bound.computable == math.fsum([source, *chain])
    assert len(bound.unknown) == len(chain)
    assert bound.unknown[-1] == f"f'(S({len(chain) - 2}), S({len(chain) - 1}))"


@given(risks, links, risks)
def test_a_student_pays_one_regeneration_more_than_its_teacher(source: float, chain: list[float], last: float) -> None:
    teacher, student = theorem_2(source, chain), student_bound(source, chain, last)
    assert student.computable >= teacher.computable
    assert len(student.unknown) == len(teacher.unknown) + 1


@given(st.lists(st.tuples(risks, links), min_size=1, max_size=4))
def test_a_mixtures_risk_is_the_sum_over_its_tasks_and_no_term_is_lost(tasks: list[tuple[float, list[float]]]) -> None:
    each = [theorem_2(source, chain) for source, chain in tasks]
    whole = lemma_3(each)
    assert whole.computable == pytest.approx(sum(bound.computable for bound in each))
    assert len(whole.terms) == sum(len(bound.terms) for bound in each)


def test_the_direct_bound_is_of_test_data_and_the_last_regeneration() -> None:
    assert list(theorem_1(0.1, 0.2, generation=3).terms) == [
        "source risk on S(3)",
        "L_d(S(-1), S(3))",
        "f'(S(-1), S(3))",
    ]


def test_a_term_that_was_not_measured_is_unknown_and_not_nothing() -> None:
    bound = theorem_2(None, [0.2, None])
    assert bound.computable == 0.2
    assert bound.unknown == ("source risk on S(1)", "f'(S(-1), S(0))", "L_d(S(0), S(1))", "f'(S(0), S(1))")
    assert Bound({}).computable == 0.0


def test_chains_and_generations_that_there_are_not_are_refused() -> None:
    with pytest.raises(BadInput, match="links is empty"):
        theorem_2(0.1, [])
    for generation in (-1, 0.5):
        with pytest.raises(BadInput, match=f"generation is {generation}"):
            theorem_1(0.1, 0.2, generation=generation)  # type: ignore[arg-type]
