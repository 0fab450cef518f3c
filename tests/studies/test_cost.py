"""What a further component costs is told beside a whole one, and only where one was added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from growmix.studies import cost
from growmix.studies.runs import Outcome, Trial

Runs = Callable[..., list[Outcome]]


@pytest.fixture
def runs(trial: Callable[..., Trial], come_of: Callable[..., list[Outcome]]) -> Runs:
    """Runs with one seed each, whose components have these sizes."""

    def make(*sizes: list[int], shared: int = 0) -> list[Outcome]:
        trials = [trial("mixture", seed=seed) for seed in range(len(sizes))]

        def measured(each: Trial) -> dict[str, Any]:
            own = sizes[each.config.seed]
            parameters = {"mixture": sum(own) + shared, "per_component": own, "shared": shared}
            return {"parameters": parameters, "components": len(own)}

        return come_of(trials, measured)

    return make


def test_an_added_component_is_a_share_of_a_whole_one(runs: Runs) -> None:
    whole = cost.whole_component(runs([1_000, 1_000], [1_000, 1_000, 1_000]))
    assert whole == 1_000.0
    cells = dict(zip(cost.COLUMNS, cost.cells(runs([40, 25], shared=2_000), whole), strict=True))
    assert cells == {
        "components": "2",
        "parameters": "2,065",
        "shared": "2,000",
        "per added component": "25",
        "of a whole one": "2.5%",
        "train seconds": "2.0",
    }


def test_where_nothing_was_added_nothing_is_said_of_it(runs: Runs) -> None:
    alone = runs([1_000])
    assert cost.whole_component(alone) is None
    assert cost.whole_component(runs([1_000, 500], [1_000])) is None  # one seed did not add any
    cells = dict(zip(cost.COLUMNS, cost.cells(alone, 1_000.0), strict=True))
    assert cells["per added component"] == cells["of a whole one"] == "-"
    added = dict(zip(cost.COLUMNS, cost.cells(runs([40, 25]), None), strict=True))
    assert (added["per added component"], added["of a whole one"]) == ("25", "-")


def test_numbers_for_programs_are_means_over_the_seeds(runs: Runs) -> None:
    assert cost.numbers(runs([100, 50], [100, 50, 20])) == {
        "parameters": 160.0,
        "components": 2.5,
        "per_added_component": 35.0,
        "train_seconds": 2.0,
    }
