"""Says in plain sentences what happened to the tasks of a run, each with its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def statements(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what a run lost most, through what and why, and what one more component would have changed.

    Parameters
    ----------
    document
        The content of ``theory.json``.
    """
    said = [_gone(document), *_losses(document), _bounds(document), _student(document), *_trade_off(document)]
    return tuple(sentence for sentence in said if sentence)


def _gone(document: Mapping[str, Any]) -> str:
    if document["followed"]:
        return ""
    reused = [name for name, chain in zip(document["tasks"], document["chains"], strict=True) if _unmeasured(chain)]
    if not reused:
        return "The run was made without --theory; all but the time between its tasks could still be measured."
    return (
        f"The run was made without --theory: earlier versions of the components that learnt {_and(reused)} are gone, "
        "and with them the source risks of these tasks and all links of their chains but the first."
    )


def _unmeasured(chain: Sequence[Mapping[str, Any]]) -> bool:
    return any(link["adversarial"] is None for link in chain)


def _losses(document: Mapping[str, Any]) -> list[str]:
    names, rows, unit = document["tasks"], document["rows"], document["unit"]
    if not document["followed"]:
        return []
    rises = [rows[-1][i]["observed"] - rows[i][i]["observed"] for i in range(len(names))]
    if all(entry["generation"] == 0 for entry in rows[-1]):
        nearest = [
            (min(d["novelty"]), name) for d, name in zip(document["decisions"], names, strict=True) if d["novelty"]
        ]
        least = (
            f"; the first to be regenerated would have been for {min(nearest)[1]}, at a threshold above "
            f"{min(nearest)[0]:.3g}"
            if nearest
            else ""
        )
        return [f"No component was reused, so no task was regenerated and none lost anything{least}."]
    worst = max(range(len(names)), key=rises.__getitem__)
    if rises[worst] <= 0.0:
        return [f"No task lost anything, though {_count(rows[-1])} were regenerated."]
    last, then = rows[-1][worst], rows[worst][worst]
    reuses = _reuses(document, worst)
    steps = [
        f"when {names[t]} was learnt ({rows[t][worst]['observed'] - rows[t - 1][worst]['observed']:+.4f})"
        for t in reuses
    ]
    said = [
        f"{names[worst]} lost most: its risk ({unit}) went from {then['observed']:.4f} when it was learnt to "
        f"{last['observed']:.4f} ({rises[worst]:+.4f}).",
        f"It went through {len(reuses)} regeneration{'s' if len(reuses) > 1 else ''} by component {last['component']}: "
        f"{_and(steps)}.",
        _explained(document, worst, rises[worst]),
        _counterfactual(document, worst),
    ]
    return said


def _reuses(document: Mapping[str, Any], i: int) -> list[int]:
    """Return the tasks at which task i was regenerated."""
    owners = [decision["component"] for decision in document["decisions"]]
    return [t for t in range(i + 1, len(owners)) if owners[t] == owners[i]]


def _explained(document: Mapping[str, Any], i: int, rise: float) -> str:
    paid = document["chains"][i][1 : document["rows"][-1][i]["generation"] + 1]
    parts = []
    for method in document["methods"]:
        if any(link[method] is None for link in paid):
            parts.append(f"{method}: not measured")
            continue
        total = sum(max(0.0, link[method]["estimate"]) for link in paid)
        share = "leaves room for all of it" if total >= rise else f"accounts for {total / rise:.0%} of it"
        parts.append(f"{method}: {total:.4f}, which {share}")
    return f"Discrepancy along these regenerations, beside the rise of {rise:.4f}: {'; '.join(parts)}."


def _counterfactual(document: Mapping[str, Any], worst: int) -> str:
    """Say what another component at the costliest reuse of a task would have spared the tasks before it."""
    names, rows = document["tasks"], document["rows"]

    def cost(t: int) -> float:
        return float(sum(rows[t][i]["observed"] - rows[t - 1][i]["observed"] for i in range(t)))

    t = max(_reuses(document, worst), key=cost)
    decision = document["decisions"][t]
    return (
        f"One more component for {names[t]} (novelty {min(_known(decision['novelty']), default=0.0):.3g}, threshold "
        f"{decision['threshold']:.3g}) would have spared the tasks before it {cost(t):.4f} of accumulated risk at that "
        f"time, since what is not trained stays as it is, for {document['parameters']['component']:,} parameters more; "
        f"what {names[t]} itself would have come to in it, only a run can tell (growmix theory DIR --sweep)."
    )


def _bounds(document: Mapping[str, Any]) -> str:
    parts = [
        f"{found['above']} of {found['of']} ({method})" for method, found in document["coverage"].items() if found["of"]
    ]
    if not parts:
        return ""
    return (
        f"The computable part of the bound lies above the observed risk in {_and(parts)} cases; what it lacks are the "
        "terms of the ideal hypotheses, which nobody can compute, and what the estimates of a supremum miss."
    )


def _student(document: Mapping[str, Any]) -> str:
    if not document["student"]:
        return ""
    mixture = sum(entry["observed"] for entry in document["rows"][-1])
    student = sum(entry["observed"] for entry in document["student"])
    return (
        f"The student, one regeneration further for every task, has an accumulated risk of {student:.4f}; the mixture "
        f"{mixture:.4f}."
    )


def _trade_off(document: Mapping[str, Any]) -> list[str]:
    """Say what the sweep found for one component more or fewer than the default threshold gives."""
    points = (document.get("trade_off") or {}).get("points", [])
    default = next((k for k, point in enumerate(points) if point["default"]), None)
    if default is None:
        return []
    said = []
    here = points[default]
    for k in (default - 1, default + 1):
        if not 0 <= k < len(points):
            continue
        there = points[k]
        said.append(
            f"In the sweep, {there['components']:g} components in place of {here['components']:g} (the default "
            f"threshold) have an accumulated risk of {there['observed']:.4f} in place of {here['observed']:.4f}, with "
            f"{(there['parameters'] - here['parameters']) / 1e6:+.1f} million parameters."
        )
    return said


def _known(novelty: Sequence[float | None]) -> list[float]:
    """Return the novelties that are finite."""
    return [value for value in novelty if value is not None]


def _count(row: Sequence[Mapping[str, Any]]) -> int:
    return sum(entry["generation"] > 0 for entry in row)


def _and(parts: Sequence[str]) -> str:
    """Join parts of a sentence: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
