"""Do many threads get the answers that one gets, and do mixtures learn side by side what they learn alone.

Eight threads ask one mixture each verb 500 times, with 1 to 64 pictures, while a ninth learns five tasks. Then four
mixtures learn at once, in single and in mixed precision. Another thread draws from torch's global generator throughout.

    python benchmarks/threads.py [--answers 500] [--threads 8] [--out threads.json]

Prints counts as JSON; exit status 1 if anything was raised, wrong or unlike.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from growmix import GrowingMixture

SETTINGS: dict[str, Any] = {
    "hidden": 64, "latent": 8, "epochs": 3, "density_components": 2, "device": "cpu", "gate": "always",
}  # fmt: skip
VERBS: dict[str, Callable[[GrowingMixture, np.ndarray], Any]] = {
    "predict": lambda mixture, x: mixture.predict(x),
    "predict_proba": lambda mixture, x: mixture.predict_proba(x),
    "score_samples": lambda mixture, x: mixture.score_samples(x),
    "component_scores": lambda mixture, x: mixture.component_scores(x).elbo,
    "route": lambda mixture, x: mixture.route(x),
    "reconstruct": lambda mixture, x: mixture.reconstruct(x),
    "encode": lambda mixture, x: mixture.encode(x),
    "interpolate": lambda mixture, x: mixture.interpolate(x[0], x[-1], steps=3),
    "novelty": lambda mixture, x: mixture.novelty(np.concatenate([x, 1.0 - x, x * 0.5, x * 0.25])),
    "sample": lambda mixture, x: mixture.sample(len(x))[0],
}
SIZES = (1, 2, 7, 31, 32, 33, 64)
FIRST, LATER = 3, 5
"""Tasks learnt before anybody asks, and meanwhile."""


def task(kind: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy pictures of two classes, ``2 * kind`` and the next."""
    numbers = np.random.default_rng(kind)
    templates, which = numbers.random((2, 1, 8, 8)) > 0.5, np.arange(n) % 2
    return (0.8 * templates[which] + 0.2 * numbers.random((n, 1, 8, 8))).astype(np.float32), which + 2 * kind


def weights(mixture: GrowingMixture) -> list[bytes]:
    """Return all weights and buffers as bytes."""
    return [t.numpy().tobytes() for component in mixture.components for t in component.state_dict().values()]


def answering(answers: int, threads: int) -> dict[str, Any]:
    """Ask one mixture in many threads while another learns, and compare with what one thread gets."""
    mixture = GrowingMixture(**SETTINGS)
    for kind in range(FIRST):
        mixture.learn(task(kind))
    stages = [copy.deepcopy(mixture)]
    for kind in range(FIRST, FIRST + LATER):
        stages.append(copy.deepcopy(stages[-1]))
        stages[-1].learn(task(kind))
    questions = [task(0, n)[0] for n in SIZES]
    allowed = {
        (name, k): [np.asarray(verb(stage, x)) for stage in stages]
        for name, verb in VERBS.items()
        if name != "sample"
        for k, x in enumerate(questions)
    }
    samples: list[bytes] = []
    counts = {"answers": 0, "wrong": 0, "raised": 0}
    lock = threading.Lock()

    def ask(number: int) -> None:
        for turn in range(answers):
            for name, verb in VERBS.items():
                k = (number + turn) % len(questions)
                try:
                    found = np.asarray(verb(mixture, questions[k]))
                    if name == "sample":
                        right = True
                        with lock:
                            samples.extend(image.tobytes() for image in found)
                    else:
                        right = any(np.array_equal(found, one) for one in allowed[name, k])
                except Exception as error:
                    print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
                    with lock:
                        counts["raised"] += 1
                    continue
                with lock:
                    counts["answers"] += 1
                    counts["wrong"] += not right

    def learn() -> None:
        for kind in range(FIRST, FIRST + LATER):
            mixture.learn(task(kind))

    began = time.perf_counter()
    with ThreadPoolExecutor(threads + 1) as pool:
        work = [pool.submit(learn), *(pool.submit(ask, number) for number in range(threads))]
    for each in work:
        each.result()
    return {
        **counts,
        "samples": len(samples),
        "samples_drawn_twice": len(samples) - len(set(samples)),
        "weights_as_alone": weights(mixture) == weights(stages[-1]),
        "tasks_learnt_meanwhile": LATER,
        "seconds": round(time.perf_counter() - began, 1),
    }


def learning(precision: str, mixtures: int = 4) -> dict[str, Any]:
    """Let mixtures learn at once, and compare their weights with those that they have alone."""

    def learnt(seed: int) -> list[bytes]:
        mixture = GrowingMixture(**SETTINGS, seed=seed, precision=precision)
        for kind in range(3):
            mixture.learn(task(kind))
        return weights(mixture)

    alone = [learnt(seed) for seed in range(mixtures)]
    with ThreadPoolExecutor(mixtures) as pool:
        together = list(pool.map(learnt, range(mixtures)))
    return {"mixtures": mixtures, "as_alone": sum(a == b for a, b in zip(alone, together, strict=True))}


def main() -> int:
    """Measure, print and keep what came."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=500, help="answers of each verb in each thread")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.manual_seed(0)
    same, done = torch.Generator().manual_seed(0), threading.Event()
    draws = {"drawn": 0, "unlike": 0}

    def draw() -> None:
        """Draw from torch's generator throughout, and compare with one that nobody else can touch."""
        while not done.wait(0.001):
            draws["drawn"] += 1
            draws["unlike"] += not torch.equal(torch.rand(100), torch.rand(100, generator=same))

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        found: dict[str, Any] = {"answering": answering(given.answers, given.threads)}
        for precision in ("32-true", "bf16-mixed"):
            found[f"learning {precision}"] = learning(precision)
    finally:
        done.set()
        drawing.join()
    found["global_generator"] = draws
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")
    answers = found["answering"]
    good = not answers["wrong"] and not answers["raised"] and not answers["samples_drawn_twice"]
    good = good and answers["weights_as_alone"] and not draws["unlike"]
    return 0 if good and all(f["as_alone"] == f["mixtures"] for n, f in found.items() if "learning" in n) else 1


if __name__ == "__main__":
    sys.exit(main())
