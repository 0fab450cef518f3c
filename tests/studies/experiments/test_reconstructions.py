"""Reconstructions of ours, of the student and of the publication stand in one table."""

from __future__ import annotations

from collections.abc import Callable

from growmix.studies.runs import Outcome
from growmix.studies.study import Findings
from growmix.studies.tables import Table

Found = Callable[..., tuple[list[Outcome], Findings]]
Column = Callable[[Table, str], dict[str, str]]


def test_a_student_may_be_left_out_of_msfir(found: Found) -> None:
    assert "its student" in found("msfir")[1].tables[0].markdown()
    assert "its student" not in found("msfir", student=False)[1].tables[0].markdown()


def test_msfir_has_ours_the_student_and_the_published_in_one_table(found: Found, column: Column) -> None:
    mse, ssim, _, cost = found("msfir")[1].tables
    assert column(mse, "mean")["growing mixture"] == "1.00"
    assert column(mse, "mean")["its student"] == "7.00"
    assert column(mse, "b")["published: one VAE per task"] == "29.00"
    assert column(mse, "mean")["published: LGM"] == "897.00" and column(mse, "b")["published: LGM"] == "-"
    assert column(ssim, "a")["published: one VAE per task"] == "0.900"
    assert column(cost, "of a whole one")["growing mixture, adapter"] == "100.0%"
    assert column(cost, "parameters")["its student"] == "50"


def test_what_is_published_of_msfir_is_in_no_other_table(found: Found) -> None:
    for table in found("cccos")[1].tables:
        assert not any(row[0].startswith("published") for row in table.rows)
        assert not any("Published parameters" in note for note in table.notes)
