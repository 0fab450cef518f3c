"""Checkpoints: what they cost a run, in time and on the disk.

Runs a stream with and without checkpoints inside its tasks, in turns, and measures the whole and what it spent on being
able to go on: digests of what a training begins with, looks at the clock after each step, snapshots, and what was
measured so far. The second is the sharper figure where the machine does other things too. Prints a line each; ``--out``
writes JSON.

    python benchmarks/checkpoint_cost.py [--stream split-mnist] [--every 60] [--rounds 1] [--out FILE] [-- OPTIONS]

OPTIONS are those of growmix run, such as ``--data-root DATA``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch import Tensor

from growmix import experiment
from growmix.checkpoints import folders, persistence, snapshots
from growmix.config import RunConfig, checked_values
from growmix.experiment import measurements
from growmix.training import loop as training

WRITE = folders.write_folder
KEEPING = (
    (training._Loop, "beginning"),
    (snapshots.Snapshots, "recall"),
    (snapshots.Snapshots, "after_step"),
    (snapshots.Snapshots, "at_end"),
)
"""What a training does to be gone on with; what it writes is written within them."""


class Watch:
    """Notes what each write took and left on the disk, and what trainings took to be gone on with."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.bytes: defaultdict[str, list[int]] = defaultdict(list)
        self.keeping = 0.0

    def write(self, path: Path, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Stands in for ``write_folder``."""
        began = time.perf_counter()
        WRITE(path, document, tensors)
        kind = str(document["kind"])
        self.seconds[kind].append(time.perf_counter() - began)
        self.bytes[kind].append(sum(file.stat().st_size for file in path.iterdir() if file.is_file()))

    def timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method, and a look at the clock."""

        def call(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*given)
            finally:
                self.keeping += time.perf_counter() - began

        return call


def measured(values: Mapping[str, Any], every: float) -> dict[str, Any]:
    """One run: seconds of all of it, of being able to go on, and of what it wrote."""
    watch = Watch()
    with tempfile.TemporaryDirectory(prefix="growmix-") as scratch, ExitStack() as patched:
        for module in (persistence, snapshots, measurements):
            patched.enter_context(patch.object(module, "write_folder", watch.write))
        for owner, name in KEEPING:
            patched.enter_context(patch.object(owner, name, watch.timed(getattr(owner, name))))
        config = RunConfig.of({**values, "out": str(Path(scratch) / "run"), "checkpoint_every": every})
        began = time.perf_counter()
        metrics = experiment.run(config)
        seconds = time.perf_counter() - began
    return {
        "every": every,
        "seconds": seconds,
        "keeping": watch.keeping,
        "parameters": metrics["parameters"],
        "written": {
            kind: {"times": len(each), "seconds": sum(each), "most_bytes": max(watch.bytes[kind])}
            for kind, each in watch.seconds.items()
        },
    }


def for_resuming(result: Mapping[str, Any]) -> float:
    """Seconds that went into what only an interrupted run needs; a model is kept after every task anyhow."""
    return float(result["keeping"] + result["written"]["evaluation"]["seconds"])


def tell(result: Mapping[str, Any]) -> None:
    """Print what came of one run."""
    share = for_resuming(result) / result["seconds"]
    print(f"checkpoint_every {result['every']:g}: {result['seconds']:.1f} s, of which {share:.2%} for resuming")
    for kind, part in result["written"].items():
        size = part["most_bytes"] / 1e6
        print(f"  {kind}: {part['times']} times, {part['seconds']:.2f} s in all, {size:.1f} MB at most", flush=True)


def options(given: Sequence[str]) -> dict[str, Any]:
    """Flat keys and values of ``--key value`` pairs."""
    names = [name.removeprefix("--").replace("-", "_") for name in given[::2]]
    return checked_values(dict(zip(names, given[1::2], strict=True)))


def main() -> None:
    """Do it all, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--stream", default="split-mnist")
    parser.add_argument("--every", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("options", nargs="*", help="of growmix run, such as --data-root DATA")
    asked = parser.parse_args()
    values = {"stream": asked.stream, **options(asked.options)}
    results = []
    for every in (0.0, asked.every) * asked.rounds:
        results.append(measured(values, every))
        tell(results[-1])
    without, with_them = (
        statistics.median(r["seconds"] for r in results if r["every"] == every) for every in (0.0, asked.every)
    )
    parameters = results[-1]["parameters"]
    print(f"with them {with_them / without - 1:+.2%} of the time; {parameters['mixture']:,} parameters in all")
    if asked.out:
        asked.out.write_text(json.dumps({"results": results, "ratio": with_them / without}, indent=1) + "\n")


if __name__ == "__main__":
    main()
