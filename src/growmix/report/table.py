"""Prints the closing table of a run or an evaluation, made from its metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from growmix.report.console import say
from growmix.report.reporter import Reporter
from growmix.report.words import number, printable, whole


def closing_table(metrics: Mapping[str, Any]) -> Group:
    """Lay out what ``metrics.json`` says, for people; every figure stands under the name of its protocol.

    Parameters
    ----------
    metrics
        The content of ``metrics.json``; ``seconds`` may be missing, ``student`` may be ``None``.
    """
    return Group(_by_task(metrics), *(Text(printable(line)) for line in _lines(metrics)))


def _by_task(metrics: Mapping[str, Any]) -> Table:
    tasks, components = len(metrics["tasks"]), metrics["components"]
    title = f"{metrics['stream']}, {metrics['method']}, seed {metrics['seed']}: {tasks} tasks, {components} components"
    table = Table(title=printable(title), title_justify="left")
    table.add_column("task")
    for name in ("component", "action", "novelty", "task_aware", "task_agnostic", "selection", "mse"):
        table.add_column(name, justify="left" if name == "action" else "right")
    accuracy, mse = metrics["accuracy"], metrics["reconstruction"]["mse"]
    for i, decision in enumerate(metrics["decisions"]):
        table.add_row(
            printable(decision["task"]),
            str(decision["component"]),
            decision["action"],
            _novelty(decision),
            *(_last(accuracy[name], i) for name in ("task_aware", "task_agnostic", "selection")),
            number(mse[i], 2),
            end_section=i == tasks - 1,
        )
    table.add_row("mean", "", "", "", *_means(metrics), style="bold")
    if metrics["student"]:
        table.add_row("mean, student", "", "", "", *_means(metrics["student"]))
    return table


def _novelty(decision: Mapping[str, Any]) -> str:
    """Say how novel a task was to the nearest component, and the threshold; the first task has no novelty."""
    known = [value for value in decision["novelty"] if value is not None]
    if not known:
        return "-"
    return f"{min(known):.3f} (threshold {decision['threshold']:.3g})"


def _last(matrix: list[list[float | None]] | None, task: int) -> str:
    return number(matrix[-1][task]) if matrix else "-"


def _means(metrics: Mapping[str, Any]) -> list[str]:
    average = metrics["average"]
    names = ("task_aware", "task_agnostic", "selection")
    return [*(number(average[name]) for name in names), number(_mean(metrics["reconstruction"]["mse"]), 2)]


def _lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    average, parameters = metrics["average"], metrics["parameters"]
    yield "After the last task; mse: squared error summed over an example. Averages of task_agnostic:"
    names = ("forgetting", "backward_transfer", "forward_transfer")
    yield "  " + ", ".join(f"{name.replace('_', ' ')} {number(average[name], 4)}" for name in names)
    if average["grouped"] is not None:
        yield f"grouped {number(average['grouped'])}: one component for a whole test set, chosen without labels"
    yield from _density(metrics)
    student = metrics["student"]
    taught = ""
    if student:
        taught = f", student {whole(student['parameters'])} ({student['parameters'] / parameters['mixture']:.0%})"
    yield f"Parameters: mixture {whole(parameters['mixture'])}{taught}"
    if "seconds" in metrics:
        seconds = metrics["seconds"]
        taught = "" if seconds["student"] is None else f", student {seconds['student']:.1f}"
        speed = f"{whole(metrics['examples_per_second'])} examples/s in training"
        yield f"Seconds: train {seconds['train']:.1f}, evaluate {seconds['evaluate']:.1f}{taught}; {speed}"


def _density(metrics: Mapping[str, Any]) -> Iterator[str]:
    likelihood, frechet, translation = (metrics.get(name) for name in ("log_likelihood", "frechet", "translation"))
    if likelihood:
        nats, bits = (_mean(likelihood[name]) for name in ("nats", "bits_per_dim"))
        how = f"{likelihood['draws']} draws, {likelihood['examples']} examples a task"
        per_dimension = "" if bits is None else f", {number(bits, 4)} bits per dimension"
        yield f"Test log-likelihood: {number(nats, 2)} nats{per_dimension} ({how})"
    if frechet:
        yield f"Frechet distance of samples, in features of this run's own classifier: {number(frechet['all'], 2)}"
    if translation:
        mse, ssim, psnr = (_mean(translation[name]) for name in ("mse", "ssim", "psnr"))
        yield f"Translation: mse {number(mse, 2)}, SSIM {number(ssim)}, PSNR {number(psnr, 2)} dB"


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@final
class ClosingTable(Reporter):
    """Prints the table when a run ends, and where its results are.

    Parameters
    ----------
    console
        The console that the table goes to.
    folder
        The folder of the run.
    """

    def __init__(self, console: Console, folder: Path) -> None:
        self._console, self._folder = console, folder

    def on_run_end(self, metrics: Mapping[str, Any] | None) -> None:
        """Print the table, unless the run was cut short."""
        if metrics is None:
            return
        self._console.print(closing_table(metrics))
        say(self._console, f"Results: {self._folder}")
