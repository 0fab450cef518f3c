"""Figures of the theory show the numbers of the document, and where one is missing, that it is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from growmix.errors import BadInput
from growmix.report import theory_figures

FILE = Path("a.png")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are about to be written."""
    kept: list[Figure] = []
    monkeypatch.setattr(theory_figures, "write_figure", lambda figure, file: kept.append(figure))
    return kept


def entry(observed: float, source: float | None, *links: float | None) -> dict[str, Any]:
    terms = {"source risk": source, **{f"L_d({j})": link for j, link in enumerate(links)}, "f'(0)": None}
    known = [value for value in (source, *links) if value is not None]
    computable = sum(known) if len(known) == 1 + len(links) else None
    bounds = {
        "adversarial": {"terms": terms, "computable": computable},
        "plug-in": {"terms": terms, "computable": 0.9},
    }
    return {"observed": observed, "source": source, "generation": len(links) - 1, "bounds": bounds}


def document(**changes: Any) -> dict[str, Any]:
    rows = [[entry(0.1, 0.05, 0.2)], [entry(0.3, 0.1, 0.2, 0.25), entry(0.2, 0.15, None)]]
    return {"tasks": ["a", "b"], "rows": rows, "unit": "share of wrong answers", **changes}


def test_the_terms_of_a_bound_are_stacked_under_the_observed_risk(drawn: list[Figure]) -> None:
    theory_figures.bounds_over_time(document(), FILE)
    first = drawn[0].axes[0]
    bars = [(bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height()) for bar in first.patches]
    tops = [max(top for x, top in bars if x == pytest.approx(place)) for place in (1, 2)]
    assert tops == pytest.approx([0.25, 0.55])
    (observed,) = (line for line in first.lines if line.get_marker() == "D" and len(line.get_xdata()) == 2)
    assert (list(observed.get_xdata()), list(observed.get_ydata())) == ([1, 2], [0.1, 0.3])


def test_a_term_that_was_not_measured_is_marked(drawn: list[Figure]) -> None:
    theory_figures.bounds_over_time(document(), FILE)
    first, second = drawn[0].axes[:2]
    assert [text.get_text() for text in first.texts] == []
    assert [(text.get_text(), text.get_position()) for text in second.texts] == [("?", (2, 0.15))]


def test_a_run_that_nobody_followed_has_its_last_row_at_its_last_task(drawn: list[Figure]) -> None:
    theory_figures.bounds_over_time(document(rows=document()["rows"][-1:]), FILE)
    for panel in drawn[0].axes[:2]:
        assert [list(line.get_xdata()) for line in panel.lines if len(line.get_xdata())][-1] == [2]


def test_of_many_tasks_the_first_have_a_panel(drawn: list[Figure]) -> None:
    names = [f"t{i}" for i in range(theory_figures.MOST_PANELS + 3)]
    rows = [[entry(0.1, 0.1, 0.1) for _ in names]]
    theory_figures.bounds_over_time(document(tasks=names, rows=rows), FILE)
    assert [panel.get_title() for panel in drawn[0].axes] == names[: theory_figures.MOST_PANELS]


def test_every_pair_of_tasks_has_its_number_and_an_endless_novelty_none(drawn: list[Figure]) -> None:
    between = {
        "tasks": [0, 1],
        "novelty": [[], [None, 3.0]],
        "discrepancy": {"plug-in": [[], [0.25]]},
        "losses": {"plug-in": "squared"},
        "rank_correlation": {"plug-in": 0.5},
    }
    theory_figures.between_tasks(document(between_tasks=between), FILE)
    discrepancy, novelty = drawn[0].axes
    assert [(text.get_text(), text.get_position()) for text in discrepancy.texts] == [("0.25", (0, 1))]
    assert [(text.get_text(), text.get_position()) for text in novelty.texts] == [("3", (1, 1))]
    assert discrepancy.get_xlabel() == "rank correlation with novelty 0.50"


def test_a_trade_off_is_in_the_order_of_the_parameters(drawn: list[Figure]) -> None:
    def point(components: int, observed: float, default: bool = False) -> dict[str, Any]:
        usual = {"observed_error": None, "bounds": {"adversarial": None}, "default": default}
        return {"components": components, "parameters": components * 1e6, "observed": observed, **usual}

    theory_figures.trade_off([point(3, 0.1), point(1, 0.7, default=True), point(2, 0.3)], "u", FILE)
    (axes,) = drawn[0].axes
    assert [list(line.get_ydata()) for line in axes.lines if line.get_marker() == "D"] == [[0.7, 0.3, 0.1]]
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3"]
    assert [list(line.get_xdata()) for line in axes.lines if line.get_linestyle() == ":"] == [[1.0, 1.0]]


def test_models_stand_beside_each_other_with_their_sums(drawn: list[Figure]) -> None:
    theory_figures.models({"mixture": [0.1, 0.2], "student": [0.3, 0.25]}, ["a", "b"], "u", FILE)
    (axes,) = drawn[0].axes
    assert [bars.get_label() for bars in axes.containers] == ["mixture (sum 0.300)", "student (sum 0.550)"]
    places = sorted(bar.get_x() for bar in axes.patches)
    assert all(right - left > 0.39 for left, right in pairwise(places))  # none covers another


def test_distances_are_bars_from_the_top_in_the_order_that_was_given(drawn: list[Figure]) -> None:
    numbers = {name: {"plug-in": {"mean": mean, "error": None}} for name, mean in (("near", 0.1), ("far", 0.9))}
    theory_figures.discrepancies(numbers, FILE)
    (panel,) = drawn[0].axes
    assert [bar.get_width() for bar in panel.patches] == [0.1, 0.9]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["near", "far"]
    assert panel.yaxis_inverted()


def test_a_figure_is_a_picture_and_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    theory_figures.models({"mixture": [0.1]}, ["a"], "u", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
    with pytest.raises(BadInput, match="nowhere"):
        theory_figures.models({"mixture": [0.1]}, ["a"], "u", tmp_path / "nowhere" / "a.png")
