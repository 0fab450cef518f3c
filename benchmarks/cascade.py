"""Cascade: what is lost, and what is saved, when only the components that lead by a cheap score are scored in full.

Takes a saved mixture whose components have a cheap score (``denoiser``, ``vae+denoiser``, ...) and the stream that it
learnt. For each number of components that are scored in full: how often the right component is chosen, how often the
right label is predicted, and the processor's milliseconds an image, asked one by one. Full scores are computed once.

    python benchmarks/cascade.py MODEL split-mnist --data-root DATA [--images 200] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from growmix import GrowingMixture, streams
from growmix.evaluation.evaluator import owners_of
from growmix.evaluation.labels import in_labels_of
from growmix.learning.answers import scores_under
from growmix.learning.knowledge import Knowledge
from growmix.learning.routing import ComponentScores, combine, log_responsibilities, only, route_examples


def in_full(known: Knowledge, cascade: int) -> Knowledge:
    """Return the same knowledge with so many components scored in full, of all."""
    return replace(known, shortlist=None, cascade=cascade if cascade < len(known.components) else None)


def right(
    known: Knowledge, full: ComponentScores, cheap: Tensor, x: Tensor, y: Tensor, owner: Tensor
) -> dict[str, float]:
    """Return the shares of images whose component and label are right, from scores that are there."""
    scores = only(full, known.lists(x, lambda k: cheap[:, k]).each)
    classes = [component.classes for component in known.components]
    proba = combine(log_responsibilities(scores.elbo, known.log_prior), scores.class_log_proba, classes, known.labels)
    labels = torch.tensor(known.labels)[proba.argmax(1)]
    route = route_examples(scores.elbo, known.log_prior)
    return {"component": float((route == owner).double().mean()), "label": float((labels == y).double().mean())}


def milliseconds(known: Knowledge, x: Tensor) -> float:
    """Return the processor's milliseconds an image, when one is asked after another."""
    scores_under(known, x[:1], 0)
    started = time.process_time()
    for image in x[:20]:
        scores_under(known, image[None], 0)
    return 1e3 * (time.process_time() - started) / len(x[:20])


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("stream")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--images", type=int, default=200, help="test images of each task")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    mixture = GrowingMixture.load(options.model)
    stream = streams.load(options.stream, data_root=options.data_root, test_examples=options.images)
    tests = [task.test for task in in_labels_of(mixture, stream, len(mixture.history))][: len(mixture.history)]
    owners = [owners_of(entry)[0] for entry in mixture.history]
    x = torch.cat([test.x for test in tests])
    y = torch.cat([test.y for test in tests if test.y is not None])
    owner = torch.cat([torch.full((len(test),), k) for test, k in zip(tests, owners, strict=True)])
    known = mixture._knowledge
    full, cheap = scores_under(in_full(known, len(known.components)), x, 0), known.router.cheap_scores(x)
    rows = []
    print("in full   component right   label right   ms one by one")
    for cascade in range(len(mixture.components), 0, -1):
        few = in_full(known, cascade)
        found = right(few, full, cheap, x, y, owner)
        found["ms"] = milliseconds(few, x)
        rows.append({"cascade": cascade, "images": len(x), **found})
        print(f"{cascade:7d}  {found['component']:16.2%}  {found['label']:12.2%}  {found['ms']:14.1f}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
