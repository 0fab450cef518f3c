r"""The paper's bounds on the risk of a model on a task that it learnt: each with its terms by name.

Notation: task i's test distribution is :math:`\tilde S^{(-1)}`, its training data :math:`\tilde S^{(0)}`, and
:math:`\tilde S^{(k)}` what is left of them after k regenerations. A term that nobody can compute is ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from growmix.errors import BadInput


@dataclass(frozen=True)
class Bound:
    """A sum below which a risk lies, term by term.

    Attributes
    ----------
    terms
        Terms of the sum by name, in the unit of the loss; ``None`` where one can't be computed.

    Examples
    --------
    >>> bound = theorem_1(0.02, 0.1, generation=1)
    >>> bound.terms
    {'source risk on S(1)': 0.02, 'L_d(S(-1), S(1))': 0.1, "f'(S(-1), S(1))": None}
    >>> round(bound.computable, 2), bound.unknown
    (0.12, ("f'(S(-1), S(1))",))
    """

    terms: Mapping[str, float | None]

    @property
    def computable(self) -> float:
        """The sum of the terms that are known."""
        return math.fsum(value for value in self.terms.values() if value is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the terms that can't be computed."""
        return tuple(name for name, value in self.terms.items() if value is None)


def theorem_1(source_risk: float, discrepancy: float, *, generation: int) -> Bound:
    """Bound a task's risk by its last regeneration, directly.

    Parameters
    ----------
    source_risk
        Risk on the regenerated data, against the labels that they were generated with.
    discrepancy
        Discrepancy of the test distribution and the regenerated data.
    generation
        How often the task was regenerated.

    References
    ----------
    Ye and Bors (2025), Theorem 1.
    """
    _check(generation)
    last = f"S({generation})"
    return Bound(
        {f"source risk on {last}": source_risk, f"L_d(S(-1), {last})": discrepancy, f"f'(S(-1), {last})": None}
    )


def theorem_2(source_risk: float | None, links: Sequence[float | None]) -> Bound:
    """Bound a task's risk link by link along the chain of regenerations, which shows where knowledge was lost.

    Parameters
    ----------
    source_risk
        Risk on the last regeneration.
    links
        Discrepancies of each generation and the next: first of test and training data, then of training data and the
        first regeneration, and so on; ``None`` where one was not measured.

    Raises
    ------
    BadInput
        There is no link; the first, of test and training data, always exists.

    References
    ----------
    Ye and Bors (2025), Theorem 2.

    Examples
    --------
    >>> list(theorem_2(0.02, [0.01, 0.1]).terms)
    ['source risk on S(1)', 'L_d(S(-1), S(0))', "f'(S(-1), S(0))", 'L_d(S(0), S(1))', "f'(S(0), S(1))"]
    """
    if not links:
        raise BadInput("links is empty; the first, of test and training data, always exists")
    terms: dict[str, float | None] = {f"source risk on S({len(links) - 1})": source_risk}
    for k, link in enumerate(links, start=-1):
        terms[f"L_d(S({k}), S({k + 1}))"] = link
        terms[f"f'(S({k}), S({k + 1}))"] = None
    return Bound(terms)


def lemma_3(tasks: Sequence[Bound]) -> Bound:
    """Bound a mixture's accumulated risk by the sum over its tasks.

    A task whose component was never reused pays its training data's terms only; one whose component was reused pays one
    more for each reuse.

    Parameters
    ----------
    tasks
        The bound of every task.

    References
    ----------
    Ye and Bors (2025), Lemma 3.

    Examples
    --------
    >>> lemma_3([theorem_2(0.1, [0.2]), theorem_2(0.1, [0.2, 0.3])]).computable
    0.9
    """
    return Bound({f"task {i}: {name}": value for i, task in enumerate(tasks) for name, value in task.terms.items()})


def student_bound(source_risk: float | None, links: Sequence[float | None], last: float | None) -> Bound:
    """Bound a student's risk: it knows every task as generated data, one regeneration more than its teacher.

    Parameters
    ----------
    source_risk
        Risk of the student on what it learnt from.
    links
        Discrepancies along its teacher's chain.
    last
        Discrepancy of the teacher's last generation and what the student learnt from.

    References
    ----------
    Ye and Bors (2025), supplement, Lemmas 1 and 2.

    Examples
    --------
    >>> student_bound(0.1, [0.2], 0.3).computable >= theorem_2(0.1, [0.2]).computable
    True
    """
    return theorem_2(source_risk, [*links, last])


def _check(generation: int) -> None:
    if not isinstance(generation, int) or generation < 0:
        raise BadInput(f"generation is {generation!r}; allowed is a whole number of 0 or more")
