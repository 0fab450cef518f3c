"""Novelty: whether known data are known in every mix, and new data new, from four examples to a thousand.

A mixture learns a stream task by task (a component each), a few hundred steps a task. Before each task from the second
on, windows of its test examples are judged: they are new. After the last, windows of test examples that are known: the
classes of one task, all classes, one class, and two classes of one task nine to one. Each window is judged by every
measure asked for, by the same components and records. Prints for each stream, kind of window, size and measure the
largest (known) or smallest (new) novelty, the threshold that applies, and how many windows are called new;
``--domains`` runs the five domains of the README instead and prints the decisions. ``--out`` writes JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from growmix import GrowingMixture, streams
from growmix.streams import Task

STREAMS = ("split-mnist", "split-fashion", "split-letters", "split-digits", "split-cifar10")
SIZES = (4, 10, 25, 50, 100, 200, 1_000)
KNOWN = ("own pair", "all classes", "one class", "nine to one")
DOMAINS = ("mnist", "fashion_mnist", "mnist", "emnist_letters", "fashion_mnist@invert")


class Windows:
    """Draws windows of test examples, each example at most once; a window is smaller where there are too few.

    Parameters
    ----------
    tasks
        The tasks whose test examples are drawn.
    seed
        Seed of the draws.
    """

    def __init__(self, tasks: Sequence[Task], seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.pairs = [np.unique(task.test.y) for task in tasks]
        self.x = {}
        for task, labels in zip(tasks, self.pairs, strict=True):
            for label in labels:
                self.x[label] = task.test.x[task.test.y == label]

    def draw(self, labels: Sequence[int], n: int, chances: Sequence[float] | None = None) -> np.ndarray:
        """Return ``n`` examples of these classes."""
        counts = self.generator.multinomial(n, chances or [1 / len(labels)] * len(labels))
        parts = []
        for label, count in zip(labels, counts, strict=True):
            own = self.x[label]
            parts.append(np.asarray(own[self.generator.permutation(len(own))[:count]]))
        return np.concatenate(parts)

    def known(self, mix: str, n: int) -> np.ndarray:
        """Return a window of known examples in one of the mixes."""
        pair = self.pairs[self.generator.integers(len(self.pairs))]
        if mix == "own pair":
            return self.draw(pair, n)
        if mix == "all classes":
            return self.draw(list(self.x), n)
        if mix == "one class":
            return self.draw([self.generator.choice(pair)], n)
        return self.draw(self.generator.permutation(pair), n, [0.9, 0.1])


def judged(mixture: GrowingMixture, x: np.ndarray, measures: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return value and threshold of one window by each measure."""
    found = {}
    for name in measures:
        mixture.settings = mixture.settings.replace(novelty=name)
        novelty = mixture.novelty(x)
        found[name] = (novelty.value, novelty.threshold)
    return found


def windows_of(
    name: str, asked: argparse.Namespace, settings: dict[str, Any]
) -> Iterator[tuple[str, int, dict[str, tuple[float, float]]]]:
    """Learn a stream, and yield each window's kind, size and what the measures say of it."""
    stream = streams.load(name, data_root=asked.data_root)
    tasks = list(stream)[: asked.tasks]
    mixture = GrowingMixture(gate="always", seed=asked.seed, device="cpu", **settings)
    for t, task in enumerate(tasks):
        if t:
            new = Windows([task], asked.seed + t)
            for n in asked.sizes:
                for _ in range(max(2, asked.windows // len(tasks))):
                    yield "new: next task", n, judged(mixture, new.draw(new.pairs[0], n), asked.measures)
        mixture.learn(task.train)
    known = Windows(tasks, asked.seed)
    for mix in KNOWN:
        for n in asked.sizes:
            for _ in range(asked.windows):
                yield f"known: {mix}", n, judged(mixture, known.known(mix, n), asked.measures)


def rows(name: str, asked: argparse.Namespace, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each kind and size of windows of a stream, and each measure."""
    found: dict[tuple[str, int], list[dict[str, tuple[float, float]]]] = {}
    for kind, n, each in windows_of(name, asked, settings):
        found.setdefault((kind, n), []).append(each)
    for (kind, n), windows in sorted(found.items(), key=lambda item: (item[0][0], item[0][1])):
        for measure in asked.measures:
            values = np.array([each[measure] for each in windows])
            news = int((values[:, 0] >= values[:, 1]).sum())
            worst = values[:, 0].min() if kind.startswith("new") else values[:, 0].max()
            yield {
                "stream": name, "windows": kind, "n": n, "measure": measure, "worst": round(float(worst), 3),
                "median": round(float(np.median(values[:, 0])), 3), "threshold": round(float(values[:, 1].max()), 3),
                "new": news, "of": len(values),
            }  # fmt: skip


def run_domains(asked: argparse.Namespace, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Learn the five domains with each measure, and yield the decisions."""
    for measure in asked.measures:
        stream = streams.load("domains", data_root=asked.data_root, tasks=DOMAINS)
        mixture = GrowingMixture(novelty=measure, seed=asked.seed, device="cpu", **settings)
        for task in stream:
            decision = mixture.learn(task.train)
            yield {
                "measure": measure, "task": task.name, "action": decision.action, "component": decision.component,
                "novelty": [round(value, 3) for value in decision.novelty], "threshold": round(decision.threshold, 3),
            }  # fmt: skip


def main() -> None:
    """Measure, print a line each, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=list(STREAMS))
    parser.add_argument("--domains", action="store_true")
    parser.add_argument("--measures", nargs="+", default=["rank", "ks"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    settings = {"max_steps": asked.steps, "hidden": asked.hidden}
    made = [run_domains(asked, settings)] if asked.domains else [rows(each, asked, settings) for each in asked.streams]
    found = []
    for row in (row for each in made for row in each):
        found.append(row)
        print("  ".join(f"{value!s:>5}" for value in row.values()), flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
