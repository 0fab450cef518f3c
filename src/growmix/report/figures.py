"""Draws figures as PNG: a comparison of methods, a threshold sweep, an order study, figures over time, rows of images.

Each function takes plain numbers and writes one file; the same numbers give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from growmix.errors import BadInput
from growmix.report.pictures import require_images
from growmix.system.paths import writing_to

Estimate: TypeAlias = tuple[float | None, float | None]
"""Mean and standard error; the error is ``None`` for one seed, both where a figure does not apply."""

DPI = 150

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's colours, which people with any colour vision tell apart."""

MARKERS = "osD^vPX*"

LABEL_WIDTH = 22
"""Longest line of a label, in characters."""


def comparison(rows: Sequence[tuple[str, Estimate, Estimate]], file: Path) -> None:
    """Draw methods beside each other, the best at the top: bars for task_agnostic, diamonds for task_aware.

    Parameters
    ----------
    rows
        Name, task_agnostic and task_aware of each method; accuracies are shares of 1.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    ranked = sorted(rows, key=lambda row: -1.0 if row[1][0] is None else row[1][0])
    figure = Figure(figsize=(7.5, 1.2 + 0.36 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    for place, (_, agnostic, aware) in enumerate(ranked):
        if agnostic[0] is not None:
            axes.barh(place, 100 * agnostic[0], xerr=_percent(agnostic[1]), color=PALETTE[0], height=0.6, capsize=3)
        if aware[0] is not None:
            style: dict[str, Any] = {"marker": "D", "color": PALETTE[1], "markersize": 5, "linestyle": "none"}
            axes.errorbar(100 * aware[0], place, xerr=_percent(aware[1]), capsize=3, **style)
    axes.set_yticks(range(len(ranked)), [name for name, _, _ in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.4)  # a method without a figure keeps its line
    axes.set_xlim(0, 101)
    axes.set_xlabel("accuracy over the tasks after the last one, %")
    axes.barh([], [], color=PALETTE[0], label="task_agnostic: nothing but the example is given")
    axes.plot([], [], "D", color=PALETTE[1], label="task_aware: its task is given")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    light_grid(axes, "x")
    write_figure(figure, file)


def sweep(points: Sequence[Mapping[str, Any]], published: Mapping[int, float], file: Path) -> None:
    """Draw accuracy against the number of components, and components and parameters against the threshold.

    Parameters
    ----------
    points
        Runs, each with ``components``, ``threshold``, ``parameters``, ``grouped`` and ``task_agnostic`` (shares of 1,
        ``None`` where there is none), and where known their standard errors ``grouped_error``, ``task_agnostic_error``.
    published
        Published accuracy by number of components; its protocol chose the component once for each task.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = [point["components"] for point in points]
    for name, style, colour in (("grouped", "o-", PALETTE[0]), ("task_agnostic", "s--", PALETTE[1])):
        errors = _percents([point.get(f"{name}_error") for point in points])
        values = _percents([point[name] for point in points])
        left.errorbar(counts, values, yerr=errors, fmt=style, color=colour, capsize=3, label=name)
    if published:
        known = sorted(published)
        left.plot(known, [100 * published[k] for k in known], "k^:", label="published (component chosen per task)")
    left.set_xlabel("components")
    left.set_ylabel("accuracy, %")
    left.set_xticks(sorted({*counts, *published}))
    left.legend(frameon=False, fontsize=8)
    ordered = sorted(points, key=lambda point: point["threshold"])
    thresholds = [point["threshold"] for point in ordered]
    right.plot(thresholds, [point["components"] for point in ordered], "o-", color=PALETTE[0])
    right.set_yticks(sorted(set(counts)))
    right.set_xlabel("threshold")
    right.set_ylabel("components", color=PALETTE[0])
    millions = right.twinx()
    millions.plot(thresholds, [point["parameters"] / 1e6 for point in ordered], "s--", color=PALETTE[1])
    millions.set_ylabel("parameters, millions", color=PALETTE[1])
    millions.set_ylim(bottom=0)
    light_grid(left, "both")
    write_figure(figure, file)


def order_study(curves: Mapping[str, Mapping[str, Sequence[float | None]]], file: Path) -> None:
    """Draw accumulated target risk after each task: a panel for each order of tasks, a line for each kind of sharing.

    Parameters
    ----------
    curves
        Risk after each task, by order and then by kind of sharing; ``None`` where it is unknown.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        There is no curve, or the file can't be written.
    """
    if not curves:
        raise BadInput("curves is empty; at least one order of tasks is needed")
    figure = Figure(figsize=(1.2 + 3.8 * len(curves), 3.9), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(curves), sharey=True))
    kinds = list(dict.fromkeys(kind for lines in curves.values() for kind in lines))
    handles: dict[str, Any] = {}
    for panel, (order, lines) in zip(panels, curves.items(), strict=True):
        for kind, risks in lines.items():
            known = [np.nan if risk is None else risk for risk in risks]
            (handles[kind],) = panel.plot(range(1, len(known) + 1), known, label=kind, **_style(kinds.index(kind)))
        panel.set_title(order, fontsize=10)
        panel.set_xlabel("tasks learnt")
        panel.set_xticks(range(1, 1 + max((len(risks) for risks in lines.values()), default=0)))
        light_grid(panel, "y")
    panels[0].set_ylim(bottom=0)  # shared, and fixed from here on: after all lines, or those of later panels are cut
    panels[0].set_ylabel("accumulated target risk\n(squared error per image, summed over tasks)", fontsize=9)
    shown = [kind for kind in kinds if kind in handles]
    figure.legend(
        [handles[kind] for kind in shown],
        shown,
        loc="outside lower center",
        ncols=2 * len(curves),  # what fits under so many panels
        frameon=False,
        fontsize=8,
    )
    write_figure(figure, file)


def over_time(matrix: Sequence[Sequence[float | None]], tasks: Sequence[str], what: str, file: Path) -> None:
    """Draw a figure of every task, after each task.

    Parameters
    ----------
    matrix
        The figure of task i (column) after task t (row); ``None`` where there is none.
    tasks
        Names of the tasks.
    what
        Name of the figure, with its unit.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    figure = Figure(figsize=(7.5, 4.0), layout="constrained")
    axes = figure.subplots()
    values = np.array([[np.nan if value is None else value for value in row] for row in matrix])
    for i, name in enumerate(tasks):
        axes.plot(range(1, len(values) + 1), values[:, i], label=name, **_style(i))
    axes.set_xlabel("tasks learnt")
    axes.set_ylabel(what)
    axes.set_xticks(range(1, len(values) + 1))
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    light_grid(axes, "y")
    write_figure(figure, file)


def picture_rows(rows: Sequence[tuple[str, np.ndarray[Any, Any]]], file: Path) -> None:
    """Draw rows of images with a label before each.

    Parameters
    ----------
    rows
        Label and images in [0, 1] of each row, shape ``(n, 1 or 3 channels, height, width)``, of one height and width;
        shorter rows end in blanks. What lies outside [0, 1] is shown as 0 or 1.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        There is no row, the rows are no images or have neither 1 nor 3 channels, or the file can't be written.
    """
    if not rows:
        raise BadInput("rows is empty; at least one row of images is needed")
    require_images([images for _, images in rows])
    for name, images in rows:
        if images.shape[1] not in (1, 3):
            raise BadInput(f"row {name!r} has {images.shape[1]} channels; allowed are 1 (gray) and 3 (colour)")
    across = max(len(images) for _, images in rows)
    height, width = rows[0][1].shape[-2:]
    figure = Figure(figsize=(1.7 + 0.75 * across, 0.15 + 0.78 * len(rows) * height / width))
    label = 1.6 / figure.get_figwidth()
    grid = figure.subplots(len(rows), across, squeeze=False)
    figure.subplots_adjust(left=label, right=0.995, top=0.99, bottom=0.01, wspace=0.04, hspace=0.04)
    for line, (name, images) in zip(grid, rows, strict=True):
        for panel in line:
            panel.set_axis_off()
        for panel, image in zip(line, images, strict=False):
            panel.imshow(_pixels(image), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
        lines = [part for text in name.splitlines() for part in textwrap.wrap(text, LABEL_WIDTH)]
        line[0].text(-0.12, 0.5, "\n".join(lines), transform=line[0].transAxes, ha="right", va="center", fontsize=7)
    write_figure(figure, file)


def _pixels(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Order the axes as matplotlib does: ``(height, width)`` or ``(height, width, 3)``."""
    pixels: np.ndarray[Any, Any] = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return pixels.clip(0.0, 1.0)


def _style(number: int) -> dict[str, Any]:
    """Choose colour and marker of a line; colours repeat with other markers, so that 64 lines differ."""
    turn, place = divmod(number, len(PALETTE))
    return {"color": PALETTE[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def _percent(value: float | None) -> float | None:
    """Turn a share into percent; ``None`` stays."""
    return None if value is None else 100 * value


def _percents(values: Sequence[float | None]) -> list[float]:
    """Turn shares into percent; ``None`` becomes NaN, which is not drawn."""
    return [np.nan if value is None else 100 * value for value in values]


def light_grid(axes: Axes, along: Any) -> None:
    """Draw thin lines behind the figure, and leave out the frame where there is no axis."""
    axes.grid(axis=along, alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def write_figure(figure: Figure, file: Path) -> None:
    """Write a figure as a PNG.

    Parameters
    ----------
    figure
        The figure to write.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    with writing_to(file):
        figure.savefig(file, dpi=DPI, metadata={"Software": None})
