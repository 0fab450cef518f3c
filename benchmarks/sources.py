"""Sources: what each score of a joined component is worth alone, and what they are worth together.

Loads a mixture whose components judge by several scores, and the stream that it learnt, and scores every test set once
under every component. Prints, for each score alone, for the preset weights and for those that the mixture chose, how
often the right component was chosen (``selection``) and the right class among all (``task_agnostic``), in per cent, as
the mean over tasks. A score that is the same for all classes says nothing of the class; alone, the class is the
classifier's. ``--out`` writes JSON.

    growmix run split-mnist --component vae+denoiser --blueprint conv --out runs/joined
    python benchmarks/sources.py runs/joined/checkpoint split-mnist
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from growmix import GrowingMixture, streams
from growmix.components.judging import CLASS_RULES
from growmix.evaluation.evaluator import owners_of
from growmix.evaluation.labels import in_labels_of
from growmix.evaluation.protocols import answer, compare
from growmix.learning.judging import ScoreWeights, judged, preset_of, sources_of
from growmix.learning.routing import ComponentScores
from growmix.streams.stream import Task


def candidates(mixture: GrowingMixture) -> Iterator[tuple[str, ScoreWeights]]:
    """Yield the weights that are measured, under the name that is printed."""
    sources, preset = sources_of(mixture.components), preset_of(mixture.components)
    for k, source in enumerate(sources):
        alone = tuple(float(k == j) for j in range(len(sources)))
        for rule in CLASS_RULES:
            yield f"{source} alone, class by {rule}", ScoreWeights(alone, rule)
    yield "preset", preset
    chosen = mixture.history[-1].weights
    yield "chosen", chosen
    for rule in CLASS_RULES:
        if rule != chosen.class_rule:
            yield f"chosen, but class by {rule}", ScoreWeights(chosen.values, rule)


def figures(
    mixture: GrowingMixture, tasks: list[Task], scores: list[ComponentScores], weights: ScoreWeights
) -> dict[str, float | None]:
    """Return the mean over tasks of selection and of task-agnostic accuracy, in per cent."""
    classes = [component.classes for component in mixture.components]
    found = []
    for task, of_task, step in zip(tasks, scores, mixture.history, strict=True):
        owners = owners_of(step)
        told = answer(judged(of_task, weights), mixture.log_prior, classes, owners, task.classes)
        found.append(compare(told, task.test.y, owners))
    return {
        name: statistics.mean(100 * share for share in shares) if (shares := _known(found, name)) else None
        for name in ("selection", "task_agnostic")
    }


def _known(found: list[Any], name: str) -> list[float]:
    return [share for each in found if (share := getattr(each, name)) is not None]


def main() -> None:
    """Measure, print a line for each choice of weights, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("stream")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    mixture = GrowingMixture.load(asked.checkpoint, device=asked.device)
    if not sources_of(mixture.components):
        parser.error(f"the components in {asked.checkpoint} have one score alone")
    stream = streams.load(asked.stream, data_root=asked.data_root)
    tasks = list(in_labels_of(mixture, stream, len(mixture.history)))[: len(mixture.history)]
    scores = [mixture.component_scores(task.test.x) for task in tasks]
    rows = []
    for name, weights in candidates(mixture):
        row = {"name": name, "weights": weights.values, "class_rule": weights.class_rule}
        row |= figures(mixture, tasks, scores, weights)
        shown = " ".join(f"{value:g}" for value in weights.values)
        agnostic = "-" if row["task_agnostic"] is None else f"{row['task_agnostic']:.2f}"
        print(f"{name:40} {shown:24} selection {row['selection']:6.2f}  task_agnostic {agnostic:>6}", flush=True)
        rows.append(row)
    if asked.out:
        asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
