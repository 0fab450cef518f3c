"""Training: what the loop costs over one written by hand.

Examples per second of ``growmix.training.loop.fit`` over a plain PyTorch loop around the same modules, objective,
optimiser, schedule, batch size and precision: one process, side by side, median of several rounds. Peak resident
memory of each comes from a process of its own. Prints a line each; ``--out`` writes JSON.

    python benchmarks/train_throughput.py [--rounds 7] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from growmix.components.convolution import Conv
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP, Blueprint, check_blueprint
from growmix.components.objectives import TaskObjective
from growmix.components.vae import LABEL_CODE, VAE
from growmix.data.task import as_float
from growmix.settings import Settings
from growmix.training.budget import Budget
from growmix.training.fabric import make_fabric, native_precision
from growmix.training.loop import fit

SHAPE = (1, 28, 28)
LATENT = 24
BLUEPRINTS: dict[str, Blueprint] = {"mlp": MLP(), "conv": Conv()}
EXAMPLES = {"mlp": 12_000, "conv": 4_000}


def objective_of(blueprint: Blueprint) -> TaskObjective:
    """A fresh supervised component in its training objective."""
    torch.manual_seed(0)
    features = check_blueprint(blueprint, LATENT + LABEL_CODE, SHAPE)
    component = VAE(blueprint, SHAPE, features, LATENT, Bernoulli(), supervised=True)
    component.add_classes([0, 1])
    return TaskObjective(component, 1.0, unlabelled=False)


def ours(name: str, x: torch.Tensor, y: torch.Tensor, budget: Budget) -> float:
    """Seconds of growmix's loop."""
    objective = objective_of(BLUEPRINTS[name])
    fabric = make_fabric(Settings())
    stream = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    fit(objective, [x, y], LATENT, budget, fabric, stream, component=0)
    return time.perf_counter() - started


def by_hand(name: str, x: torch.Tensor, y: torch.Tensor, budget: Budget) -> float:
    """Seconds of the loop that one would write for this alone."""
    objective = objective_of(BLUEPRINTS[name])
    bf16 = native_precision("auto") == "bf16-mixed"
    optimizer = torch.optim.AdamW(
        objective.parameters(), lr=budget.learning_rate, weight_decay=budget.weight_decay, fused=True
    )
    steps = budget.epochs * -(-len(x) // budget.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, budget.learning_rate, total_steps=steps)
    started = time.perf_counter()
    for _ in range(budget.epochs):
        for index in torch.randperm(len(x)).split(budget.batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = objective(as_float(x[index]), y[index], torch.randn(len(index), LATENT))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(objective.parameters(), budget.gradient_clip)
            optimizer.step()
            schedule.step()
    return time.perf_counter() - started


def data_for(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Random bytes and labels: what is in the images costs nothing."""
    n = EXAMPLES[name]
    return torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8), torch.randint(0, 2, (n,))


def peak_mebibytes(loop: str, name: str) -> float:
    """Peak resident memory of one loop in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (loop, name))


def _peak(loop: str, name: str) -> float:
    x, y = data_for(name)
    LOOPS[loop](name, x, y, Budget.of(Settings(epochs=1, batch_size=128), len(x)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


LOOPS: dict[str, Callable[[str, torch.Tensor, torch.Tensor, Budget], float]] = {"growmix": ours, "by hand": by_hand}


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {}
    for name in BLUEPRINTS:
        x, y = data_for(name)
        budget = Budget.of(Settings(epochs=2, batch_size=128), len(x))
        rates: dict[str, list[float]] = {loop: [] for loop in LOOPS}
        for number in range(options.rounds + 1):
            for loop, run in LOOPS.items():
                seconds = run(name, x, y, budget)
                if number:  # the first round warms up
                    rates[loop].append(budget.epochs * len(x) / seconds)
        ratios = [a / b for a, b in zip(rates["growmix"], rates["by hand"], strict=True)]
        results[name] = {
            "examples_per_second": {loop: round(statistics.median(values)) for loop, values in rates.items()},
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "peak_mebibytes": {loop: round(peak_mebibytes(loop, name)) for loop in LOOPS},
        }
        print(f"{name:5s} {results[name]}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
