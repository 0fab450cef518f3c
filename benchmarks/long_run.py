"""Long runs: what a mixture holds and what a task costs after 20 and after 200 tasks, most of which it knew already.

scikit-learn's digits: the ten classes one after another, then classes drawn at random. Prints a line for every
twentieth task and writes JSON: resident memory (MiB), seconds per task (median of the last twenty), size of the
checkpoint (KiB).

    python benchmarks/long_run.py [--tasks 200] [--out FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from growmix import GrowingMixture

EVERY = 20


def resident() -> float:
    """Resident memory of this process, MiB."""
    gc.collect()
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Learn, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    digits = load_digits()
    x, y = (digits.images / 16)[:, None], digits.target
    rng = np.random.default_rng(0)
    order = [*range(10), *rng.integers(0, 10, options.tasks)][: options.tasks]
    mixture = GrowingMixture("mlp", max_steps=60, epochs=20, threshold=0.6)
    seconds, rows = [], []
    for number, digit in enumerate(order, start=1):
        chosen = rng.choice(np.flatnonzero(y == digit), 120, replace=False)
        started = time.perf_counter()
        mixture.learn((x[chosen], y[chosen]))
        seconds.append(time.perf_counter() - started)
        if number % EVERY == 0:
            with tempfile.TemporaryDirectory() as folder:
                mixture.save(Path(folder) / "mixture")
                size = sum(file.stat().st_size for file in (Path(folder) / "mixture").iterdir()) / 1024
            row = {
                "tasks": number,
                "components": len(mixture.components),
                "resident_mib": resident(),
                "seconds_per_task": statistics.median(seconds[-EVERY:]),
                "checkpoint_kib": size,
                "parameters": sum(weight.numel() for c in mixture.components for weight in c.parameters()),
            }
            rows.append(row)
            print({name: round(value, 2) for name, value in row.items()}, flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
