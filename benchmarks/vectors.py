"""Vectors: what is gained by learning any finite numbers, over pressing the same data into [0, 1].

Three of scikit-learn's data sets in class-incremental tasks: digits (64 numbers, five tasks of two classes), wine and
breast cancer (a class a task). Each is learnt by a growing mixture of mlp autoencoders twice: as it is (``real``
support), and pressed into [0, 1] (``unit``): the digits divided by 16, the others by the range of the first task's
numbers, and clipped. Seventy per cent of the examples are learnt, the others tested; a seed chooses the split and the
first weights. Prints task-agnostic accuracy over the test examples of all tasks, in per cent; ``--out`` writes JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split

from growmix import GrowingMixture

SETS = {"digits": (load_digits, 2), "wine": (load_wine, 1), "cancer": (load_breast_cancer, 1)}
"""How each data set is loaded, and how many classes a task has."""


def pressed(x: np.ndarray, like: np.ndarray, name: str) -> np.ndarray:
    """Press numbers into [0, 1]: by 16 for the digits' pixels, else by the range that the first task's numbers have."""
    if name == "digits":
        return x / 16.0
    low, high = like.min(0), like.max(0)
    return ((x - low) / np.where(high > low, high - low, 1.0)).clip(0.0, 1.0)


def accuracy(name: str, support: str, seed: int, settings: dict[str, Any]) -> float:
    """Learn a data set task by task, and return the share of test examples whose class is found, in per cent."""
    load, width = SETS[name]
    x, y = load(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
    tasks = np.unique(y).reshape(-1, width)
    if support == "unit":
        first = x_train[np.isin(y_train, tasks[0])]
        x_train, x_test = pressed(x_train, first, name), pressed(x_test, first, name)
    mixture = GrowingMixture("mlp", support=support, seed=seed, device="cpu", **settings)
    for labels in tasks:
        mine = np.isin(y_train, labels)
        mixture.learn((x_train[mine], y_train[mine]))
    return float(100 * (mixture.predict(x_test) == y_test).mean())


def rows(sets: list[str], seeds: int, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the figures of one data set and support at a time."""
    for name in sets:
        for support in ("real", "unit"):
            found = [accuracy(name, support, seed, settings) for seed in range(seeds)]
            spread = statistics.stdev(found) if seeds > 1 else 0.0
            yield {"set": name, "support": support, "mean": statistics.mean(found), "spread": spread, "seeds": found}


def main() -> None:
    """Measure, print a line each, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    settings = {} if asked.epochs is None else {"epochs": asked.epochs}
    found = []
    for row in rows(asked.sets, asked.seeds, settings):
        found.append(row)
        print(f"{row['set']:8} {row['support']:5} {row['mean']:5.1f} ± {row['spread']:.1f}", flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
