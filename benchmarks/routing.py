"""Routing: what it costs as the mixture grows.

Seconds to score 10,000 images, and one image, under 1, 5, 20 and 100 ``mlp`` components: the router, which batches over
components where that is faster, against one call per component; side by side, median of several rounds. Prints a line
each; ``--out`` writes JSON.

    python benchmarks/routing.py [--images 10000 1] [--rounds 3] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP, check_blueprint
from growmix.components.vae import LABEL_CODE, VAE
from growmix.learning.routing import Router

SHAPE = (1, 28, 28)
LATENT = 24


def components(count: int) -> list[VAE]:
    """Supervised mlp components, untrained: the weights' values cost nothing."""
    blueprint = MLP()
    features = check_blueprint(blueprint, LATENT + LABEL_CODE, SHAPE)
    made = []
    for k in range(count):
        component = VAE(blueprint, SHAPE, features, LATENT, Bernoulli(), supervised=True)
        component.add_classes([2 * k, 2 * k + 1])
        made.append(component.requires_grad_(False).eval())
    return made


def compare(routers: dict[str, list[Router]], images: int, rounds: int) -> dict[str, float]:
    """Median seconds of each way to score so many images, and the median of their ratios."""
    x = torch.randint(0, 256, (images, *SHAPE), dtype=torch.uint8)
    noise = torch.zeros(1, LATENT)
    seconds: dict[str, list[float]] = {name: [] for name in routers}
    for number in range(rounds + 1):
        for name, some in routers.items():
            started = time.perf_counter()
            for router in some:
                router.scores(x, noise)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    batched, single = seconds.values()
    ratios = [a / b for a, b in zip(batched, single, strict=True)]
    return {name: round(statistics.median(s), 5) for name, s in seconds.items()} | {
        "ratio": round(statistics.median(ratios), 3)
    }


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {}
    for count in options.counts:
        made = components(count)
        routers = {"batched": [Router(made)], "one by one": [Router([component]) for component in made]}
        for images in options.images:
            measured = compare(routers, images, options.rounds if images > 100 else 20 * options.rounds)
            results[f"{count} components, {images} images"] = measured
            print(f"{count:4d} components {images:6d} images {measured}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
