"""Routing: what an answer costs as the mixture grows, and what a shortlist changes.

Small components, one for each letter of EMNIST in many orders of its pixels: as they are, turned, and shuffled.
One is trained for each letter; in another order of the pixels it is the same with its weights in that order. For 5, 130
and 1,000 components: milliseconds an image, all at once and one by one, as multiples of what one component costs, and
how often the component of the image's own letter and order is chosen. Time is that of the processor, in one thread.

    python benchmarks/routing.py --data-root DATA [--components 5 130 1000] [--listed 0 5 10] [--steps 300] [--out FILE]

Takes some three minutes on one core. ``--data-root`` is a folder with ``emnist_letters/{train,test}.parquet``. Prints a
line each; ``--out`` writes JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from growmix import streams
from growmix.components.kinds import VAEKind
from growmix.components.likelihoods import Bernoulli
from growmix.components.nets import MLP
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.data.task import TaskData, as_float
from growmix.learning.answers import scores_under
from growmix.learning.knowledge import Knowledge
from growmix.learning.routing import route_examples
from growmix.learning.shortlist import Shortlist
from growmix.learning.sums import ProjectedSums

DOMAIN = Domain((1, 28, 28))
KIND = VAEKind(MLP(hidden=96, depth=1), Bernoulli(), options=VAEOptions(latent=8))
LETTERS = 26
EXAMPLES = 300
BATCH = 64
ROUNDS = 3


@dataclass
class Known:
    """One component with what is known of what it learnt, and test images of its own."""

    component: VAE
    sums: ProjectedSums
    test: Tensor


def orders(count: int) -> list[Tensor]:
    """Return so many orders of the pixels, shape ``(784,)`` each: as they are, turned by 90 degrees, random ones."""
    plain = torch.arange(784).view(28, 28)
    generator = torch.Generator().manual_seed(0)
    shuffled = [torch.randperm(784, generator=generator) for _ in range(2, count)]
    return [plain.flatten(), plain.rot90().flatten(), *shuffled][:count]


def trained(x: Tensor, seed: int, steps: int) -> VAE:
    """Return a small component that has learnt examples by few steps."""
    generator = torch.Generator().manual_seed(seed)
    component = KIND.autoencoder(DOMAIN, supervised=False, generator=generator)
    positions = torch.full((BATCH,), -1)
    optimiser = torch.optim.AdamW(component.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (BATCH,), generator=generator)]
        elbo, _ = component.elbo(batch, positions, torch.randn(BATCH, component.latent, generator=generator))
        optimiser.zero_grad()
        (-elbo.mean()).backward()
        optimiser.step()
        schedule.step()
    component.freeze()
    return component


def in_order(component: VAE, order: Tensor) -> VAE:
    """Return the component that would have learnt the same images with their pixels in another order."""
    other = copy.deepcopy(component)
    first = next(module for module in other.encoder.modules() if isinstance(module, nn.Linear))
    last = [module for module in other.decoder.modules() if isinstance(module, nn.Linear)][-1]
    first.weight.data = first.weight.data[:, order].contiguous()
    last.weight.data, last.bias.data = last.weight.data[order].contiguous(), last.bias.data[order].contiguous()
    return other


def all_known(count: int, steps: int, data_root: Path | None) -> list[Known]:
    """Return so many components: all letters in the first order, all in the second, and so on."""
    names = [f"emnist_letters/{letter}" for letter in range(LETTERS)]
    stream = streams.load("domains", tasks=names, data_root=data_root, train_examples=EXAMPLES, test_examples=100)
    letters = [trained(as_float(task.train.x), seed, steps) for seed, task in enumerate(stream)]
    found = []
    for order in orders(1 + count // LETTERS):
        for task, component in zip(stream, letters, strict=True):
            train, test = (x.flatten(1)[:, order].view(x.shape) for x in (task.train.x, task.test.x))
            found.append(Known(in_order(component, order), ProjectedSums.of(TaskData(train), DOMAIN), test))
    return found[:count]


def knowledge(known: Sequence[Known], listed: int) -> Knowledge:
    """Return what a mixture of these components knows, which lists so many for an image."""
    shortlist = Shortlist(DOMAIN, tuple(each.sums for each in known), listed)
    return Knowledge(tuple(each.component for each in known), (EXAMPLES,) * len(known), shortlist=shortlist)


def images_of(known: Sequence[Known], images: int) -> tuple[Tensor, Tensor]:
    """Return so many images of all components in random order, and whose each is."""
    each = max(1, images // len(known))
    # other images of a letter in each order: the same ones in every order would err together
    chosen = [(torch.arange(each) + each * (k // LETTERS)) % len(one.test) for k, one in enumerate(known)]
    own = torch.arange(len(known)).repeat_interleave(each)
    order = torch.randperm(len(own), generator=torch.Generator().manual_seed(0))
    return torch.cat([one.test[some] for one, some in zip(known, chosen, strict=True)])[order], own[order]


def route(known: Knowledge, x: Tensor) -> Tensor:
    """Return the component that answers for each image, as ``GrowingMixture.route`` does."""
    return route_examples(scores_under(known, x, 0).elbo, known.log_prior)


def timed(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Return the median seconds of the processor for some work, after a first round if there are several."""
    took = []
    for _ in range(rounds + (rounds > 1)):
        started = time.process_time()
        result = work()
        took.append(time.process_time() - started)
    return statistics.median(took[-rounds:]), result


def measure(known: Knowledge, x: Tensor, own: Tensor) -> dict[str, float]:
    """Return milliseconds an image in one batch and one by one, how many are scored, and how many are right."""
    dear = len(known.components) > 500 and known.listed(x[:1]) is None
    some = x[: 4 if dear else 50]
    route(known, x[:1])
    in_batch, found = timed(lambda: route(known, x), 1 if dear else ROUNDS)
    one_by_one, _ = timed(lambda: [route(known, image[None]) for image in some], 1 if dear else ROUNDS)
    listed = known.listed(x)
    return {
        "batch_ms": 1e3 * in_batch / len(x),
        "single_ms": 1e3 * one_by_one / len(some),
        "scored": float(len(known.components) if listed is None else (listed >= 0).sum(1).double().mean()),
        "right": 100 * float((found == own).double().mean()),
    }


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--components", type=int, nargs="+", default=[5, 130, 1_000])
    parser.add_argument("--listed", type=int, nargs="+", default=[0, 5, 10], help="at most so many are listed; 0: all")
    parser.add_argument("--steps", type=int, default=300, help="gradient steps of each component")
    parser.add_argument("--images", type=int, default=4_000, help="test images in all")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    everyone = all_known(max(options.components), options.steps, options.data_root)
    rows = []
    print("components  listed  scored   ms an image in a batch   ms one by one   right", flush=True)
    for count in options.components:
        known = everyone[:count]
        x, own = images_of(known, options.images)
        one = measure(knowledge(known[:1], 0), x, own)
        for listed in options.listed:
            if listed < count:
                found = measure(knowledge(known, listed), x, own)
                rows.append({"components": count, "listed": listed, "images": len(x), **found, "one": one})
                batch, single = (found[name] / one[name] for name in ("batch_ms", "single_ms"))
                print(
                    f"{count:10,d}  {listed or 'all':>6}  {found['scored']:6.1f}  {found['batch_ms']:8.3f} "
                    f"({batch:6.1f} x one)  {found['single_ms']:7.2f} ({single:6.1f})  {found['right']:6.2f} %",
                    flush=True,
                )
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
