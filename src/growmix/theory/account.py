"""Puts what a ledger knows into the words of ``theory.json``: bounds beside risks, and how tasks are related."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from growmix.data.task import TaskData
from growmix.learning.learner import Learner
from growmix.report.events import finite
from growmix.streams import Stream
from growmix.theory.bounds import lemma_3
from growmix.theory.discrepancy import Method, discrepancy
from growmix.theory.hypotheses import MLP
from growmix.theory.ledger import EXAMPLES, SEARCH, RiskLedger
from growmix.theory.losses import Loss, Squared, ZeroOne
from growmix.theory.records import METHODS, Entry, Link
from growmix.theory.risks import bounded, loss_for
from growmix.theory.statements import statements

BETWEEN: Mapping[Method, Loss] = {"plug-in": Squared(), "adversarial": ZeroOne()}
"""Losses for the discrepancy between tasks: examples alone, because novelty sees no label either."""

MOST_TASKS = 16
"""How many tasks are compared with each other at most: for all pairs of 100 tasks the search would take hours."""

UNITS = {"zero-one": "share of wrong answers", "squared": "squared error per number"}


def account(ledger: RiskLedger, learner: Learner[Any], stream: Stream, *, followed: bool) -> dict[str, Any]:
    """Collect everything that the theory says of a run.

    Parameters
    ----------
    ledger
        The ledger of the run.
    learner
        The learner after the run.
    stream
        The stream that it learnt; its test data are compared with each other.
    followed
        Whether the ledger followed the run from the first task on.

    Returns
    -------
    dict
        Plain values, ready for JSON.
    """
    learnt = len(learner.history)
    loss = loss_for(learner.components[0]).name
    sizes = [sum(part.numel() for part in component.parameters()) for component in learner.components]
    document: dict[str, Any] = {
        "loss": loss,
        "unit": UNITS[loss],
        "hypotheses": MLP().name,
        "methods": list(METHODS),
        "examples": EXAMPLES,
        "followed": followed,
        "tasks": [task.name for task in stream][:learnt],
        "decisions": [
            {
                "action": decision.action,
                "component": decision.component,
                "novelty": list(decision.novelty),
                "threshold": decision.threshold,
            }
            for decision in learner.decisions
        ],
        "parameters": {
            "mixture": sum(sizes) + learner.shared_parameters,
            "component": round(sum(sizes) / len(sizes)),
        },
        "rows": [[_entry(ledger, entry) for entry in row] for row in ledger.rows],
        "student": [_entry(ledger, entry) for entry in ledger.student] or None,
        "chains": [[_link(j, link) for j, link in enumerate(chain)] for chain in ledger.chains],
        "accumulated": [_accumulated(ledger, row) for row in ledger.rows],
        "coverage": {method: coverage(ledger, method) for method in METHODS},
        "forgetting": {method: forgetting(ledger, method) for method in METHODS},
        "between_tasks": between_tasks([task.test for task in stream[:learnt]], learner),
    }
    plain: dict[str, Any] = finite(document)  # a novelty may be infinite
    return plain | {"statements": list(statements(plain))}


def coverage(ledger: RiskLedger, method: Method) -> dict[str, int]:
    """Count the entries whose bound is known up to the ideal terms, and those of them that lie below it.

    A risk that stayed as it was because its component did is one entry, however many tasks came after.
    """
    known = [entry for entry in _distinct(ledger) if _known(ledger, entry, method)]
    above = [entry for entry in known if ledger.bound(entry, method).computable >= entry.observed]
    return {"above": len(above), "of": len(known)}


def forgetting(ledger: RiskLedger, method: Method) -> dict[str, Any]:
    """Compare the accumulated discrepancy of every task after every regeneration with the rise of its risk."""
    first = {entry.task: entry.observed for row in ledger.rows for entry in row if entry.generation == 0}
    points = []
    for entry in _distinct(ledger):
        links = [link.value(method) for link in ledger.chains[entry.task][1 : entry.generation + 1]]
        known = [link for link in links if link is not None]
        if links and len(known) == len(links) and entry.component is not None and entry.task in first:
            points.append([math.fsum(known), entry.observed - first[entry.task]])
    return {"points": points, "rank_correlation": rank_correlation(points)}


def rank_correlation(points: Sequence[Sequence[float]]) -> float | None:
    """Spearman's rank correlation of pairs; ``None`` for fewer than three, or where one side does not vary.

    Examples
    --------
    >>> rank_correlation([[1, 10], [2, 20], [3, 15]])
    0.5
    """
    if len(points) < 3:
        return None
    from torchmetrics.functional import spearman_corrcoef

    x, y = torch.tensor(points, dtype=torch.float64).T
    if bool((x == x[0]).all()) or bool((y == y[0]).all()):
        return None
    return round(float(spearman_corrcoef(x, y)), 4)  # rounded, because it adds a millionth to the denominator


def between_tasks(tests: Sequence[TaskData], learner: Learner[Any]) -> dict[str, Any]:
    """Measure the discrepancy of each task and those before it, beside the novelty that the gate saw.

    Of many tasks sixteen are compared, evenly chosen. Row t of ``discrepancy`` has the chosen tasks before the t-th of
    them, row t of ``novelty`` the components that there were; a component counts with the nearest of its tasks when the
    two are ranked.

    Parameters
    ----------
    tests
        Test data of every task that was learnt.
    learner
        The learner after the run.
    """
    owners = [step.decision.component for step in learner.history]
    chosen = sorted({round(k * (len(tests) - 1) / max(1, MOST_TASKS - 1)) for k in range(MOST_TASKS)})
    if len(tests) <= MOST_TASKS:
        chosen = list(range(len(tests)))
    domain = learner.components[0].domain
    samples = {t: bounded(_some(tests[t].x), domain) for t in chosen}
    novelty = [list(learner.decisions[t].novelty) for t in chosen]
    found: dict[str, Any] = {
        "tasks": chosen,
        "novelty": novelty,
        "discrepancy": {},
        "losses": {},
        "rank_correlation": {},
    }
    for method, loss in BETWEEN.items():
        matrix = [
            [
                discrepancy(samples[t], samples[i], MLP(), loss, method=method, search=SEARCH).estimate
                for i in chosen[:row]
            ]
            for row, t in enumerate(chosen)
        ]
        pairs = [
            [min(near), value]
            for row, values in enumerate(novelty)
            for k, value in enumerate(values)
            if (near := [matrix[row][j] for j in range(row) if owners[chosen[j]] == k]) and math.isfinite(value)
        ]
        found["discrepancy"][method] = matrix
        found["losses"][method] = loss.name
        found["rank_correlation"][method] = rank_correlation(pairs)
    return found


def _some(x: Tensor) -> Tensor:
    """Choose as many examples as are measured with, the same in every run."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:EXAMPLES]]


def _distinct(ledger: RiskLedger) -> list[Entry]:
    """Return the entries of tasks and of the student, without those that only repeat an earlier one."""
    return list(dict.fromkeys(entry for row in (*ledger.rows, ledger.student) for entry in row))


def _known(ledger: RiskLedger, entry: Entry, method: Method) -> bool:
    """Whether the source risk and all links of an entry's bound were measured."""
    links = ledger.chains[entry.task][: entry.generation + 1]
    return entry.source is not None and all(link.value(method) is not None for link in links)


def _entry(ledger: RiskLedger, entry: Entry) -> dict[str, Any]:
    bounds = {}
    for method in METHODS:
        bound = ledger.bound(entry, method)
        bounds[method] = {
            "terms": dict(bound.terms),
            "computable": bound.computable if _known(ledger, entry, method) else None,
        }
    return asdict(entry) | {"bounds": bounds}


def _link(j: int, link: Link) -> dict[str, Any]:
    measured: dict[str, Any] = {
        method: None if found is None else asdict(found) for method, found in link.estimates.items()
    }
    return {"from": j - 1, "to": j, "reason": link.reason, **measured}


def _accumulated(ledger: RiskLedger, row: Sequence[Entry]) -> dict[str, Any]:
    """Sum the mixture's risk over the tasks, and bound it by Lemma 3."""
    bounds: dict[str, float | None] = {}
    for method in METHODS:
        whole = all(_known(ledger, entry, method) for entry in row)
        bounds[method] = lemma_3([ledger.bound(entry, method) for entry in row]).computable if whole else None
    return {"observed": math.fsum(entry.observed for entry in row), "bounds": bounds}
