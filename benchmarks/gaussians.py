"""Components in closed form on small tables: which covariance, and whether ``auto`` finds it without test data.

Three of scikit-learn's data sets and one that is made, in class-incremental tasks: digits (64 numbers, five tasks of
two classes), wine and breast cancer (a class a task), and clusters (54 numbers, six classes of three clusters each, two
classes a task). Nothing is stored, nobody says which task an example is of. Seventy per cent of the examples are
learnt, the others tested; a seed chooses the split. Prints task-agnostic accuracy over the test examples of all tasks,
in per cent, and the seconds of a run; last comes a logistic regression of all data at once. ``--out`` writes JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from growmix import GrowingMixture


def load_clusters(return_X_y: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Make classes that have several modes each."""
    made: tuple[np.ndarray, np.ndarray] = make_classification(
        3_000, 54, n_informative=20, n_classes=6, n_clusters_per_class=3, class_sep=2.0, random_state=0
    )
    return made


SETS: dict[str, tuple[Callable[..., Any], int]] = {
    "digits": (load_digits, 2),
    "wine": (load_wine, 1),
    "cancer": (load_breast_cancer, 1),
    "clusters": (load_clusters, 2),
}
"""How each data set is loaded, and how many classes a task has."""

WAYS: dict[str, dict[str, Any]] = {
    "tied": {},
    "full": {"covariance_type": "full"},
    "diag": {"covariance_type": "diag"},
    "auto": {"covariance_type": "auto"},
    "auto, modes 5": {"covariance_type": "auto", "modes": 5},
}
"""Settings of a mixture of Gaussian components."""


def learnt(way: str, x: np.ndarray, y: np.ndarray, width: int, seed: int) -> Any:
    """Return what has learnt: a mixture task by task, or a logistic regression at once."""
    if way == "joint":
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2_000)).fit(x, y)
    mixture = GrowingMixture("gaussian", seed=seed, device="cpu", **WAYS[way])
    for labels in np.unique(y).reshape(-1, width):
        mine = np.isin(y, labels)
        mixture.learn((x[mine], y[mine]))
    return mixture


def rows(sets: list[str], seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the figures of one data set and way at a time."""
    for name in sets:
        load, width = SETS[name]
        x, y = load(return_X_y=True)
        for way in (*WAYS, "joint"):
            found, seconds = [], []
            for seed in range(seeds):
                x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
                start = time.process_time()
                model = learnt(way, x_train, y_train, width, seed)
                found.append(float(100 * (model.predict(x_test) == y_test).mean()))
                seconds.append(time.process_time() - start)
            spread = statistics.stdev(found) if seeds > 1 else 0.0
            figures = {"mean": statistics.mean(found), "spread": spread, "seeds": found}
            yield {"set": name, "way": way, **figures, "seconds": statistics.median(seconds)}


def main() -> None:
    """Measure, print a line each, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = []
    for row in rows(asked.sets, asked.seeds):
        found.append(row)
        figures = f"{row['mean']:5.1f} ± {row['spread']:.1f} {row['seconds']:6.2f} s"
        print(f"{row['set']:9} {row['way']:14} {figures}", flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
