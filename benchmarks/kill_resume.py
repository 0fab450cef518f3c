"""Kill and resume: a run that was killed ends as one that never was.

Runs a stream once undisturbed, then again and again, each time ended by SIGKILL at a random moment and taken up by
``growmix resume``: at any time, while something is being written, between two tasks, and in the student. Compares all
weights bit for bit, and metrics.json without its times. Prints a line for each; ``--out`` writes JSON; exit status 1 if
any of them differs.

    python benchmarks/kill_resume.py [--moments 30] [--seed 0] [--out FILE] [-- OPTIONS OF growmix run]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from growmix.report.events import read_events

PROGRAM = (sys.executable, "-m", "growmix")
STREAM = "split-digits"
EVERY = ("--checkpoint-every", "1")
"""A task of the digits takes seconds, so the default of a minute would never make a snapshot."""

KINDS = ("any time", "saving", "between tasks", "any time", "student")
POLL = 0.0005


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """A growmix in a process of its own."""
    return subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for its end, which must be a good one."""
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(process.args)} ended with {process.returncode}: {errors.decode()}")  # type: ignore[arg-type]


def log_of(folder: Path) -> str:
    """What was told so far."""
    file = folder / "events.jsonl"
    return file.read_text(errors="replace") if file.exists() else ""


def is_saving(folder: Path) -> bool:
    """Whether a folder is being written at this moment."""
    places = (folder, folder / "checkpoint", *(folder / "progress").glob("*"), folder / "progress")
    try:
        names = [name for place in places if place.is_dir() for name in os.listdir(place)]
        return any(name.startswith(".") and ".new-" in name for name in names)
    except OSError:  # it has just been put in its place
        return True


def trigger(kind: str, folder: Path, delay: float) -> Callable[[float], bool]:
    """When to kill, asked with the seconds since the run has begun to write."""
    if kind == "saving":
        return lambda seconds: seconds >= delay and is_saving(folder)
    if kind == "between tasks":
        known: list[int] = []

        def finished_one(seconds: float) -> bool:
            count = log_of(folder).count('"task_finished"')
            known.append(count)
            return seconds >= delay and count > known[0] and count > known[-2]

        return finished_one
    if kind == "student":
        begun: list[float] = []

        def in_student(seconds: float) -> bool:
            if not begun and '"student_started"' in log_of(folder):
                begun.append(seconds)
            return bool(begun) and seconds - begun[0] >= delay

        return in_student
    return lambda seconds: seconds >= delay


def weights(folder: Path) -> dict[str, bytes]:
    """Every tensor of a run's checkpoint, by file and name."""
    files = sorted((folder / "checkpoint").rglob("*.safetensors"))
    return {
        f"{file.relative_to(folder)}:{name}": array.tobytes()
        for file in files
        for name, array in load_file(file).items()
    }


def timeless(folder: Path) -> dict[str, Any]:
    """The metrics, apart from times."""
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name not in ("seconds", "examples_per_second")}


def one(folder: Path, reference: Path, kind: str, delay: float, options: Sequence[str]) -> dict[str, Any]:
    """Run, kill, resume, compare."""
    process = start(["run", STREAM, "--out", str(folder), *options])
    while not (folder / "events.jsonl").exists() and process.poll() is None:
        time.sleep(POLL)
    began, now = time.perf_counter(), trigger(kind, folder, delay)
    while process.poll() is None and not now(time.perf_counter() - began):
        time.sleep(POLL)
    seconds, saving = time.perf_counter() - began, is_saving(folder)
    process.kill()
    process.communicate()
    told = read_events(folder / "events.jsonl")
    finish(start(["resume", str(folder)]))
    places = [event for event in read_events(folder / "events.jsonl") if event["event"] == "resumed"]
    return {
        "kind": kind,
        "seconds": round(seconds, 2),
        "killed": process.returncode == -9,
        "last_event": told[-1]["event"],
        "saving": saving,
        "resumed": [{name: event[name] for name in ("learnt", "step", "steps")} for event in places],
        "same_weights": weights(folder) == weights(reference),
        "same_metrics": timeless(folder) == timeless(reference),
    }


def main() -> None:
    """Do it all, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("options", nargs="*", help="of growmix run")
    asked = parser.parse_args()
    options = [*EVERY, *asked.options]
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="growmix-") as scratch:
        reference = Path(scratch) / "reference"
        finish(start(["run", STREAM, "--out", str(reference), *options]))
        log = read_events(reference / "events.jsonl")
        stamps = {event["event"]: _seconds(event, log[0]) for event in log}
        whole, taught = stamps["run_finished"], stamps["student_finished"] - stamps["student_started"]
        results = []
        print(f"{'':>3} {'moment':14} {'after':>7} {'last event':18} {'saving':6} {'goes on from':24} weights metrics")
        for n in range(asked.moments):
            kind = KINDS[n % len(KINDS)]
            longest = {"student": taught, "any time": whole}.get(kind, 0.7 * stamps["student_started"])
            folder = Path(scratch) / f"run-{n}"
            while not (result := one(folder, reference, kind, rng.random() * longest, options))["killed"]:
                shutil.rmtree(folder)  # it had come to its end before
            shutil.rmtree(folder)
            results.append(result)
            left = result["resumed"][-1:]
            place = f"{left[0]['learnt']} tasks, step {left[0]['step']}" if left else "its end, which was told"
            print(
                f"{n + 1:3} {kind:14} {result['seconds']:6.1f}s {result['last_event']:18} {result['saving']!s:6} "
                f"{place:24} {result['same_weights']!s:7} {result['same_metrics']}",
                flush=True,
            )
    same = sum(result["same_weights"] and result["same_metrics"] for result in results)
    print(f"{same} of {len(results)} ended as the undisturbed run")
    if asked.out:
        document = {"stream": STREAM, "options": options, "seed": asked.seed, "same": same, "moments": results}
        asked.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.exit(same < len(results))


def _seconds(event: dict[str, Any], since: dict[str, Any]) -> float:
    return (datetime.fromisoformat(event["time"]) - datetime.fromisoformat(since["time"])).total_seconds()


if __name__ == "__main__":
    main()
