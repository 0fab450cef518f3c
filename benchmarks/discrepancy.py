"""Discrepancy: how near the search comes to the supremum, where all hypotheses can be tried.

Normal distributions at growing distance, on a line (281 thresholds) and in the plane (24 x 81 lines), 2,000 examples a
side; and two samples of one distribution. Prints a table and writes JSON.

    python benchmarks/discrepancy.py [--seeds 20] [--out discrepancy.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from growmix.theory import Finite, Linear, Search, ZeroOne, discrepancy, half_planes, thresholds

EXAMPLES = 2_000


def normal(seed: int, dimensions: int, shift: float) -> Tensor:
    """Standard normal examples, the first coordinate shifted."""
    x = torch.randn(EXAMPLES, dimensions, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += shift
    return x


def measure(dimensions: int, shift: float, finite: Finite, seeds: int) -> dict[str, Any]:
    """Search against enumeration, over seeds."""
    ratios, over, scaled = [], [], []
    for seed in range(seeds):
        p, q = normal(2 * seed, dimensions, 0.0), normal(2 * seed + 1, dimensions, shift)
        exact = discrepancy(p, q, finite, ZeroOne())
        found = discrepancy(p, q, Linear(), ZeroOne(), search=Search(seed=seed))
        ratios.append(found.estimate / exact.estimate)
        over.append((found.estimate - exact.estimate) / found.standard_error)
        scaled.append(abs(found.estimate) / found.standard_error)
    return {
        "dimensions": dimensions,
        "shift": shift,
        "seeds": seeds,
        "ratio": {"mean": fmean(ratios), "least": min(ratios), "most": max(ratios)},
        "standard_errors_above": max(over),
        "standard_errors_from_zero": max(scaled),
    }


def main() -> None:
    """Measure, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("discrepancy.json"))
    options = parser.parse_args()
    classes = {
        1: thresholds(torch.linspace(-6, 8, 281).tolist()),
        2: half_planes(24, torch.linspace(-5, 7, 81).tolist()),
    }
    rows = []
    print("dimensions  shift  search / enumeration: mean, least, most  standard errors above it, at most")
    for dimensions, finite in classes.items():
        for shift in (0.0, 1.0, 2.0, 3.0):
            row = measure(dimensions, shift, finite, options.seeds)
            rows.append(row)
            if shift:
                ratio = row["ratio"]
                text = f"{ratio['mean']:.3f}, {ratio['least']:.3f}, {ratio['most']:.3f}"
                print(f"{dimensions:10}  {shift:5}  {text:37}  {row['standard_errors_above']:+.1f}")
            else:
                print(
                    f"{dimensions:10}  {shift:5}  at most {row['standard_errors_from_zero']:.1f} standard errors from 0"
                )
    options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
