from __future__ import annotations

from typing import Any

from growmix.theory.statements import statements

METHODS = ("plug-in", "adversarial")


def entry(observed: float, generation: int, component: int = 0) -> dict[str, Any]:
    return {"observed": observed, "generation": generation, "component": component}


def link(plug_in: float, adversarial: float) -> dict[str, Any]:
    return {"plug-in": {"estimate": plug_in}, "adversarial": {"estimate": adversarial}}


def document(**changes: Any) -> dict[str, Any]:
    """Three tasks in one component: b costs a 0.1, c costs a 0.2 and b 0.05."""
    return {
        "followed": True,
        "tasks": ["a", "b", "c"],
        "unit": "share of wrong answers",
        "methods": METHODS,
        "decisions": [
            {"component": 0, "novelty": [], "threshold": 9.0},
            {"component": 0, "novelty": [2.0], "threshold": 9.0},
            {"component": 0, "novelty": [3.0], "threshold": 9.0},
        ],
        "rows": [
            [entry(0.01, 0)],
            [entry(0.11, 1), entry(0.02, 0)],
            [entry(0.31, 2), entry(0.07, 1), entry(0.03, 0)],
        ],
        "chains": [
            [link(0.0, 0.0), link(0.02, 0.3), link(0.01, 0.1), link(0.5, 0.5)],
            [link(0.0, 0.0), link(0.1, 0.1), link(0.5, 0.5)],
            [link(0.0, 0.0), link(0.5, 0.5)],
        ],
        "coverage": {"plug-in": {"above": 1, "of": 6}, "adversarial": {"above": 6, "of": 6}},
        "parameters": {"mixture": 1_000_000, "component": 1_000_000},
        "student": None,
        **changes,
    }


def test_the_loss_its_cause_and_what_a_component_more_had_spared_are_said_with_their_figures() -> None:
    said = statements(document())
    assert said == (
        "a lost most: its risk (share of wrong answers) went from 0.0100 when it was learnt to 0.3100 (+0.3000).",
        "It went through 2 regenerations by component 0: when b was learnt (+0.1000) and when c was learnt (+0.2000).",
        "Discrepancy along these regenerations, beside the rise of 0.3000: plug-in: 0.0300, which accounts for 10% of "
        "it; adversarial: 0.4000, which leaves room for all of it.",
        "One more component for c (novelty 3, threshold 9) would have spared the tasks before it 0.2500 of accumulated "
        "risk at that time, since what is not trained stays as it is, for 1,000,000 parameters more; what c itself "
        "would have come to in it, only a run can tell (growmix theory DIR --sweep).",
        "The computable part of the bound lies above the observed risk in 1 of 6 (plug-in) and 6 of 6 (adversarial) "
        "cases; what it lacks are the terms of the ideal hypotheses, which nobody can compute, and what the estimates "
        "of a supremum miss.",
    )


def test_where_nothing_was_reused_nothing_was_lost() -> None:
    grown = document(
        rows=[[entry(0.1, 0)], [entry(0.1, 0), entry(0.2, 0, 1)], [entry(0.1, 0), entry(0.2, 0, 1), entry(0.3, 0, 2)]],
        decisions=[
            {"component": 0, "novelty": [], "threshold": 0.2},
            {"component": 1, "novelty": [0.9], "threshold": 0.2},
            {"component": 2, "novelty": [0.8, 0.7], "threshold": 0.2},
        ],
    )
    assert statements(grown)[0] == (
        "No component was reused, so no task was regenerated and none lost anything; the first to be regenerated would "
        "have been for c, at a threshold above 0.7."
    )


def test_a_task_alone_has_nothing_before_it() -> None:
    alone = document(
        tasks=["a"], rows=[[entry(0.1, 0)]], decisions=document()["decisions"][:1], chains=document()["chains"][:1]
    )
    assert statements(alone)[0] == ("No component was reused, so no task was regenerated and none lost anything.")


def test_tasks_that_only_gained_are_said_to_have_lost_nothing() -> None:
    better = document(
        rows=[[entry(0.3, 0)], [entry(0.2, 1), entry(0.1, 0)], [entry(0.1, 2), entry(0.1, 1), entry(0, 0)]]
    )
    assert statements(better)[0] == "No task lost anything, though 2 were regenerated."


def test_links_that_were_not_measured_are_said_to_be_missing() -> None:
    gone = document()
    gone["chains"][0][1]["plug-in"] = None
    assert "plug-in: not measured; adversarial: 0.4000" in statements(gone)[2]


def test_the_student_and_the_sweep_are_compared_with_the_mixture() -> None:
    points = [
        {"components": k, "observed": risk, "parameters": k * 2e6, "default": k == 2}
        for k, risk in ((3, 0.1), (2, 0.2), (1, 0.5))
    ]
    student = [entry(0.4, 3), entry(0.2, 2), entry(0.1, 1)]
    said = statements(document(student=student, trade_off={"points": points}))
    assert said[-3:] == (
        "The student, one regeneration further for every task, has an accumulated risk of 0.7000; the mixture 0.4100.",
        "In the sweep, 3 components in place of 2 (the default threshold) have an accumulated risk of 0.1000 in place "
        "of 0.2000, with +2.0 million parameters.",
        "In the sweep, 1 components in place of 2 (the default threshold) have an accumulated risk of 0.5000 in place "
        "of 0.2000, with -2.0 million parameters.",
    )
