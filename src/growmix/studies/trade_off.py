"""What components buy: accumulated risk and its bound against parameters, from one component to one per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from growmix.config import RunConfig
from growmix.errors import BadInput
from growmix.experiment import TRADE_OFF
from growmix.learning.novelty import MEASURES
from growmix.storage.untrusted import read_json
from growmix.studies.conducting import RESULTS
from growmix.studies.runs import Outcome, Trial
from growmix.studies.spread import Spread
from growmix.studies.study import Findings, Request, Study, missing, spread
from growmix.studies.tables import Table
from growmix.studies.thresholds import NOVELTY, ThresholdSearch
from growmix.theory import files
from growmix.theory.account import rank_correlation
from growmix.theory.statements import statements

NOTES = (
    "Observed: risk on test data by the component that learnt each task, summed over the tasks, after the last one. "
    "Bound: the computable terms of Lemma 3. A component answers among the classes that it learnt, so fewer components "
    "have harder questions to answer: part of what they lose is not forgetting.",
    "The first run always grows; the thresholds of the others lie between the novelties that tasks had in a run "
    f"before. Measure of novelty: {NOVELTY}, whatever that of the run is, and its default threshold.",
)

MOST_COUNTS = 8
"""Most numbers of components that are tried for; with more tasks, they lie evenly between one and all."""

MOST_RESULTS = 64 * 2**20
"""Largest size in bytes of a ``results.json`` that is read."""


@final
class TradeOff(Study):
    """Study that learns the stream of a run with every number of components.

    Parameters
    ----------
    config
        Configuration of the run.
    tasks
        Number of tasks of its stream.
    request
        Seeds and folder of the study.
    """

    def __init__(self, config: RunConfig, tasks: int, request: Request) -> None:
        if config.method != "mixture":
            raise BadInput(
                f"method is {config.method!r}, whose gate can't be chosen; a sweep needs the method 'mixture'"
            )
        self.title = f"Components, risk and bounds, {config.stream}"
        own = ("seed", "out", "gate", "threshold", "novelty")
        values = {name: value for name, value in config.to_dict().items() if name not in own}
        values |= {"theory": True, "student": False, "likelihood_draws": 0, "frechet_examples": 0}
        self._search = ThresholdSearch(values, counts(tasks), request, tries=1)  # a curve needs no certain points
        self._request = request

    def trials(self, done: Sequence[Outcome]) -> Sequence[Trial]:
        """Return the runs of the search, and one per seed at the default threshold unless that would always grow."""
        if missing(self._search.first, done):
            return self._search.trials(done)
        always = [outcome for outcome in done if outcome.trial.variant == "always"]
        default = [
            self._search.trial("default", outcome.trial.config.seed, {"gate": "threshold"})
            for outcome in always
            if min(outcome.metrics.novelties, default=1.0) < MEASURES[NOVELTY].default_threshold
        ]
        return missing(default, done) or self._search.trials(done)

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """Make a table with a row for each number of components."""
        theory = {outcome.trial.label: files.read(outcome.trial.config.folder) for outcome in done}
        groups = self._search.by_count(done)
        usual = _default_count(done)
        points = [_point(count, outcomes, theory, usual) for count, outcomes in groups.items()]
        columns = ("components", "runs", "parameters", "observed", *(f"bound, {m}" for m in points[0]["bounds"]))
        rows = tuple(_row(count, outcomes, theory) for count, outcomes in groups.items())
        counted = [theory[outcome.trial.label] for outcomes in groups.values() for outcome in outcomes]
        single = [theory[outcome.trial.label]["rows"][-1] for outcome in groups.get(1, [])]
        numbers = {
            "points": points,
            "single": [_mean(column) for column in zip(*single, strict=True)],
            "coverage": _coverage(counted),
            "forgetting": _forgetting(counted),
            "seeds": self._request.seeds,
        }
        notes = (*NOTES, *_lines(numbers), *self._search.not_reached(done))
        return Findings((Table(self.title, columns, rows, notes),), {"trade_off": numbers})


def counts(tasks: int) -> tuple[int, ...]:
    """Return the numbers of components to try for, all below the number of tasks.

    Examples
    --------
    >>> counts(5), counts(30)
    ((4, 3, 2, 1), (29, 25, 21, 17, 13, 9, 5, 1))
    """
    most = max(1, min(MOST_COUNTS, tasks - 1))
    if tasks < 2:
        return ()
    step = (tasks - 2) / max(1, most - 1)
    return tuple(sorted({round(1 + step * k) for k in range(most)}, reverse=True))


def with_trade_off(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Add what a sweep found to the account of its run, and write that to the folder of the run.

    Parameters
    ----------
    document
        Account of the run, as in its ``theory.json``.
    folder
        Folder of the run.

    Raises
    ------
    BadCheckpoint
        The sweep's results can't be read or understood.
    BadInput
        The run's folder can't be written.
    """
    file = folder / TRADE_OFF / RESULTS
    results = read_json(file, MOST_RESULTS)
    with files.understanding(file):
        whole = {**document, "trade_off": results["trade_off"]}
        whole["statements"] = list(statements(whole))
        files.write(whole, folder)
    return whole


def _default_count(done: Sequence[Outcome]) -> int:
    """Return the number of components that the default threshold gives with the first seed."""
    first = [outcome for outcome in done if outcome.trial.config.seed == 0]
    chosen = [outcome for outcome in first if outcome.trial.variant == "default"] or first[:1]
    return chosen[0].metrics.components


def _point(
    count: int, outcomes: Sequence[Outcome], theory: Mapping[str, Mapping[str, Any]], usual: int
) -> dict[str, Any]:
    last = [theory[outcome.trial.label]["accumulated"][-1] for outcome in outcomes]
    observed = Spread.of([each["observed"] for each in last])
    return {
        "components": count,
        "runs": len(outcomes),
        "parameters": spread(outcomes, lambda metrics: float(metrics.parameters.mixture)).mean,
        "observed": observed.mean,
        "observed_error": observed.error,
        "bounds": {method: Spread.of([each["bounds"][method] for each in last]).mean for method in last[0]["bounds"]},
        "default": count == usual,
    }


def _row(count: int, outcomes: Sequence[Outcome], theory: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    last = [theory[outcome.trial.label]["accumulated"][-1] for outcome in outcomes]
    parameters = spread(outcomes, lambda metrics: float(metrics.parameters.mixture)).mean or 0.0
    bounds = [Spread.of([each["bounds"][method] for each in last]).text(4) for method in last[0]["bounds"]]
    observed = Spread.of([each["observed"] for each in last]).text(4)
    return (str(count), str(len(outcomes)), f"{parameters:,.0f}", observed, *bounds)


def _mean(entries: Sequence[Mapping[str, Any]]) -> float | None:
    return Spread.of([entry["observed"] for entry in entries]).mean


def _coverage(documents: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Count over all runs in how many entries the computable part of the bound lies above the observed risk."""
    total: dict[str, dict[str, int]] = {}
    for document in documents:
        for method, found in document["coverage"].items():
            kept = total.setdefault(method, {"above": 0, "of": 0})
            kept["above"] += found["above"]
            kept["of"] += found["of"]
    return total


def _forgetting(documents: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how discrepancy and rise of the risk correlate in rank over the regenerated tasks of all runs."""
    points: dict[str, list[list[float]]] = {}
    for document in documents:
        for method, found in document["forgetting"].items():
            points.setdefault(method, []).extend(found["points"])
    return {method: {"pairs": len(each), "rank_correlation": rank_correlation(each)} for method, each in points.items()}


def _lines(numbers: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{method}: the computable part of the bound lies above the observed risk in {found['above']} of {found['of']} "
        "cases, over all tasks and times of these runs."
        for method, found in numbers["coverage"].items()
    ]
    for method, found in numbers["forgetting"].items():
        rho = found["rank_correlation"]
        said = "can't be had" if rho is None else f"is {rho:.2f}"
        lines.append(
            f"{method}: the rank correlation of accumulated discrepancy and rise of the risk, over {found['pairs']} "
            f"regenerations, {said}."
        )
    return lines
