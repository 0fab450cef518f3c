"""Tell what a model costs in parameters, and what a further component adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from growmix.studies.metrics import Metrics
from growmix.studies.runs import Outcome
from growmix.studies.study import spread

COLUMNS = ("components", "parameters", "shared", "per added component", "of a whole one", "train seconds")


def whole_component(outcomes: Sequence[Outcome]) -> float | None:
    """Return the parameters of the last component of runs that share nothing."""
    return spread(outcomes, _added).mean


def cells(outcomes: Sequence[Outcome], whole: float | None) -> tuple[str, ...]:
    """Return a cell for each of :data:`COLUMNS`.

    Parameters
    ----------
    outcomes
        Runs of one variant, one for each seed.
    whole
        Parameters of a component that shares nothing; ``None`` where that is not known.
    """
    added = spread(outcomes, _added).mean
    share = "-" if added is None or not whole else f"{added / whole:.1%}"
    return (
        spread(outcomes, lambda metrics: float(metrics.components)).whole(1),
        spread(outcomes, lambda metrics: float(metrics.parameters.mixture)).whole(1),
        spread(outcomes, lambda metrics: float(metrics.parameters.shared)).whole(1),
        "-" if added is None else f"{added:,.0f}",
        share,
        spread(outcomes, lambda metrics: metrics.seconds.train).text(1),
    )


def numbers(outcomes: Sequence[Outcome]) -> Mapping[str, float | None]:
    """Return the same numbers for programs, as means over the seeds."""
    return {
        "parameters": spread(outcomes, lambda metrics: float(metrics.parameters.mixture)).mean,
        "components": spread(outcomes, lambda metrics: float(metrics.components)).mean,
        "per_added_component": spread(outcomes, _added).mean,
        "train_seconds": spread(outcomes, lambda metrics: metrics.seconds.train).mean,
    }


def _added(metrics: Metrics) -> float | None:
    """Return what the last component takes beside what is shared; ``None`` if there is only one."""
    sizes = metrics.parameters.per_component
    return float(sizes[-1]) if len(sizes) > 1 else None
