"""Training: what the loop costs over one written by hand.

Examples per second of ``growmix.training.loop.fit`` over a plain PyTorch loop around the same modules, objective,
optimiser, schedule, batch size and precision: one process, side by side, median of several rounds. On a CUDA device the
loop by hand captures its step in a CUDA graph, and growmix compiles its own with ``--compile``. Peak resident memory of
each comes from a process of its own. Prints a line each; ``--out`` writes JSON.

    python benchmarks/train_throughput.py [--rounds 7] [--device cpu] [--compile] [--only conv] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from growmix.components.convolution import Conv
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP, Blueprint, recipe_of
from growmix.components.objectives import TaskObjective
from growmix.components.recipe import Recipe
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.data.task import as_float
from growmix.settings import Settings
from growmix.training.budget import Budget
from growmix.training.fabric import make_fabric, native_precision
from growmix.training.loop import fit

SHAPE = (1, 28, 28)
BATCH, EPOCHS = 128, 2


@dataclass(frozen=True)
class Case:
    """A network to train.

    Attributes
    ----------
    make
        Makes its training objective.
    noise
        How many normal numbers an example gets at every step.
    recipe
        What it is trained by.
    examples
        How many examples an epoch has: fewer of a dearer network.
    """

    make: Callable[[], nn.Module]
    noise: int
    recipe: Recipe
    examples: int


def autoencoder(blueprint: Blueprint, examples: int) -> Case:
    """Return a supervised autoencoder of two classes with the networks of a blueprint."""

    def make() -> nn.Module:
        options = VAEOptions(classification_weight=recipe_of(blueprint).classification_weight)
        component = VAE(Domain(SHAPE), blueprint, Bernoulli(), options, supervised=True)
        component.add_classes([0, 1], torch.Generator().manual_seed(0))
        return TaskObjective(component, options.classification_weight, unlabelled=False)

    return Case(make, VAEOptions().latent, recipe_of(blueprint), examples)


CASES = {"mlp": autoencoder(MLP(), 12_000), "conv": autoencoder(Conv(), 4_000)}


def ours(case: Case, x: Tensor, y: Tensor, settings: Settings) -> float:
    """Seconds of growmix's loop."""
    objective, fabric = case.make(), make_fabric(settings)
    objective.to(fabric.device)
    budget = Budget.of(settings, len(x), case.recipe)
    generator = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    fit(objective, [x, y], case.noise, budget, fabric, generator, component=0)
    return time.perf_counter() - started


def by_hand(case: Case, x: Tensor, y: Tensor, settings: Settings) -> float:
    """Seconds of the loop that one would write for this alone."""
    device = make_fabric(settings).device
    objective = case.make().to(device)
    budget = Budget.of(settings, len(x), case.recipe)
    optimizer = hand_made_optimizer(objective, budget, device)
    started = time.perf_counter()
    x, y = x.to(device), y.to(device)
    steps = budget.epochs * (len(x) // BATCH)
    schedule = hand_made_schedule(optimizer, budget, steps)
    step = captured(objective, x, y, case.noise, optimizer, budget, device)
    for _ in range(budget.epochs):
        order = torch.randperm(len(x), device=device)
        for index in order[: len(x) // BATCH * BATCH].split(BATCH):
            step(index)
            schedule.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def hand_made_optimizer(objective: nn.Module, budget: Budget, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser of the recipe."""
    weights = list(objective.parameters())
    plain = [weight for weight in weights if weight.ndim < 2] if budget.matrices_only else []
    decayed = [weight for weight in weights if not any(weight is other for other in plain)]
    groups = [{"params": decayed, "weight_decay": budget.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    rate = torch.tensor(budget.learning_rate, device=device) if device.type == "cuda" else budget.learning_rate
    betas = (budget.beta1, budget.beta2)
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True, capturable=device.type == "cuda")


def hand_made_schedule(
    optimizer: torch.optim.Optimizer, budget: Budget, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the schedule of the recipe; a captured step has a momentum that does not move."""
    if budget.schedule == "one-cycle":
        moves = not optimizer.defaults["capturable"]
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, budget.learning_rate, total_steps=max(2, steps), cycle_momentum=moves
        )
    warm_up = max(1, round(budget.warm_up * steps))

    def share(done: int) -> float:
        fallen = (done - warm_up) / max(1, steps - warm_up)
        return done / warm_up if done < warm_up else 0.5 * (1 + math.cos(math.pi * fallen))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def captured(
    objective: nn.Module,
    x: Tensor,
    y: Tensor,
    noise: int,
    optimizer: torch.optim.Optimizer,
    budget: Budget,
    device: torch.device,
) -> Callable[[Tensor], None]:
    """Return the step, which on a CUDA device replays one graph for every batch."""
    bf16 = native_precision(device.type) == "bf16-mixed"
    where = torch.arange(BATCH, device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = objective(as_float(x[where]), y[where], torch.randn(BATCH, noise, device=device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(objective.parameters(), budget.gradient_clip)
        optimizer.step()

    run = step
    if device.type == "cuda":
        aside = torch.cuda.Stream()
        with torch.cuda.stream(aside):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        run = graph.replay

    def of(index: Tensor) -> None:
        where.copy_(index)
        run()

    return of


def data_for(case: Case) -> tuple[Tensor, Tensor]:
    """Random bytes and labels in whole batches: what is in the images costs nothing."""
    n = case.examples // BATCH * BATCH
    return torch.randint(0, 256, (n, *SHAPE), dtype=torch.uint8), torch.randint(0, 2, (n,))


def peak_mebibytes(loop: str, name: str, settings: Settings) -> float:
    """Peak resident memory of one loop in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (loop, name, settings))


def _peak(loop: str, name: str, settings: Settings) -> float:
    LOOPS[loop](CASES[name], *data_for(CASES[name]), settings.replace(epochs=1))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


LOOPS: dict[str, Callable[[Case, Tensor, Tensor, Settings], float]] = {"growmix": ours, "by hand": by_hand}


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="compile growmix's steps")
    parser.add_argument("--only", choices=CASES, help="measure this network alone")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settings = Settings(epochs=EPOCHS, batch_size=BATCH, device=options.device, compile=options.compile)
    results = {}
    for name in [options.only] if options.only else CASES:
        case = CASES[name]
        x, y = data_for(case)
        rates: dict[str, list[float]] = {loop: [] for loop in LOOPS}
        for number in range(options.rounds + 1):
            for loop, run in LOOPS.items():
                seconds = run(case, x, y, settings)
                if number:  # the first round warms up
                    rates[loop].append(EPOCHS * len(x) / seconds)
        ratios = [a / b for a, b in zip(rates["growmix"], rates["by hand"], strict=True)]
        results[name] = {
            "examples_per_second": {loop: round(statistics.median(values)) for loop, values in rates.items()},
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "peak_mebibytes": {loop: round(peak_mebibytes(loop, name, settings)) for loop in LOOPS},
        }
        print(f"{name:5s} {results[name]}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
