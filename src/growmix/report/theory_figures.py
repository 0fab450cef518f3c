"""Draws the figures of the theory: bounds over time, tasks beside each other, trade-off, models beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from growmix.report.figures import PALETTE, light_grid, write_figure

METHOD = "adversarial"
"""The estimator whose terms are stacked; the other one is marked beside them."""

ACROSS = 3
"""How many panels stand in a row."""

MOST_PANELS = 12
"""How many tasks are shown at most, the first ones."""

SHADES = 5
"""How many links have a colour of their own; later ones share the last."""

BRIGHT = 0.6
"""Share of the colour scale above which dark text is read better."""


def bounds_over_time(document: Mapping[str, Any], file: Path) -> None:
    """Draw a panel for each task: the terms of its bound stacked, and the observed risk, since it was learnt.

    Parameters
    ----------
    document
        The content of ``theory.json``.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    names, rows = document["tasks"][:MOST_PANELS], document["rows"]
    down = -(-len(names) // ACROSS)
    figure = Figure(figsize=(3.9 * ACROSS, 0.9 + 2.5 * down), layout="constrained")
    panels = figure.subplots(down, ACROSS, squeeze=False).flatten()
    longest = min(SHADES, max(entry["generation"] for entry in rows[-1]) + 1)
    for i, panel in enumerate(panels):
        if i >= len(names):
            panel.set_axis_off()
            continue
        entries = _since(rows, i, len(document["tasks"]))
        _stack(panel, entries)
        panel.set_title(names[i], fontsize=9)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set_xlim(0.4, len(document["tasks"]) + 0.6)
        panel.set_ylim(bottom=0)
        light_grid(panel, "y")
    for panel in panels[max(0, len(names) - ACROSS) : len(names)]:
        panel.set_xlabel("tasks learnt")
    figure.supylabel(f"risk: {document['unit']}", fontsize=9)
    handles = [panels[0].bar([0], [0], color=PALETTE[5], label="source risk")]
    handles += [
        panels[0].bar([0], [0], color=_shade(j), label=f"$L_d$, generations {j - 1} and {j}") for j in range(longest)
    ]
    handles += panels[0].plot([], [], "kD-", markersize=4, label="observed risk on test data")
    handles += panels[0].plot([], [], "x", color=PALETTE[3], label="bound by the plug-in estimate")
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    write_figure(figure, file)


def _since(rows: Sequence[Sequence[Any]], i: int, tasks: int) -> list[tuple[int, Mapping[str, Any]]]:
    """Return a task's entries from its own row on; a run that nobody followed has the last row alone."""
    first = tasks - len(rows)
    return [(first + t, row[i]) for t, row in enumerate(rows) if len(row) > i]


def _stack(panel: Axes, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Stack the terms of a task's bound, with the observed risk over them."""
    for t, entry in entries:
        terms = entry["bounds"][METHOD]["terms"]
        heights = [entry["source"] or 0.0, *(value or 0.0 for name, value in terms.items() if name.startswith("L_d"))]
        colours = [PALETTE[5], *(_shade(j) for j in range(len(heights) - 1))]
        for height, bottom, colour in zip(heights, np.cumsum([0.0, *heights]), colours, strict=False):
            panel.bar(t + 1, height, bottom=bottom, color=colour, width=0.6)
        if entry["bounds"][METHOD]["computable"] is None:
            panel.text(t + 1, sum(heights), "?", ha="center", va="bottom")  # a term was not measured
        other = entry["bounds"]["plug-in"]["computable"]
        if other is not None:
            panel.plot(t + 1, other, "x", color=PALETTE[3])
    panel.plot([t + 1 for t, _ in entries], [entry["observed"] for _, entry in entries], "kD-", markersize=4)


def _shade(j: int) -> tuple[float, float, float]:
    """Choose the colour of a link: the later the generation, the darker."""
    light, dark = np.array([0.99, 0.86, 0.60]), np.array([0.65, 0.25, 0.02])
    weight = min(1.0, j / (SHADES - 1))
    red, green, blue = (1 - weight) * light + weight * dark
    return float(red), float(green), float(blue)


def between_tasks(document: Mapping[str, Any], file: Path) -> None:
    """Draw discrepancies between tasks beside the novelties that the gate saw.

    Parameters
    ----------
    document
        The content of ``theory.json``.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    between = document["between_tasks"]
    names = [document["tasks"][t] for t in between["tasks"]]
    matrices = [
        (f"$L_d$, {method} ({between['losses'][method]})", between["discrepancy"][method], names, _text(rho))
        for method, rho in between["rank_correlation"].items()
    ]
    components = [f"component {k}" for k in range(max((len(row) for row in between["novelty"]), default=0))]
    matrices.append(("novelty that the gate saw", between["novelty"], components, ""))
    figure = Figure(figsize=(4.4 * len(matrices), 1.6 + 0.42 * len(names)), layout="constrained")
    for panel, (title, matrix, columns, below) in zip(figure.subplots(1, len(matrices)), matrices, strict=True):
        values = np.full((len(names), max(1, len(columns))), np.nan)
        for t, row in enumerate(matrix):
            values[t, : len(row)] = [np.nan if value is None else value for value in row]
        image = panel.imshow(values, cmap="viridis", aspect="auto")
        for (t, i), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = "black" if image.norm(value) > BRIGHT else "white"
                panel.text(i, t, f"{value:.2g}", ha="center", va="center", fontsize=7, color=ink)
        panel.set_yticks(range(len(names)), names, fontsize=7)
        panel.set_xticks(range(len(columns)), columns, fontsize=7, rotation=45, ha="right")
        panel.set_title(title, fontsize=9)
        if below:
            panel.set_xlabel(below, fontsize=8)
    write_figure(figure, file)


def _text(rho: float | None) -> str:
    return "" if rho is None else f"rank correlation with novelty {rho:.2f}"


def trade_off(points: Sequence[Mapping[str, Any]], unit: str, file: Path) -> None:
    """Draw accumulated risk and bounds against parameters, from one component to one for each task.

    Parameters
    ----------
    points
        Runs, each with ``components``, ``parameters``, ``observed``, ``observed_error``, ``bounds`` by method, and
        ``default`` (whether the default threshold gives it).
    unit
        Unit of the risk.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(points, key=lambda point: point["parameters"])
    millions = [point["parameters"] / 1e6 for point in ordered]
    errors = [point["observed_error"] or 0.0 for point in ordered]
    axes.errorbar(millions, [p["observed"] for p in ordered], yerr=errors, fmt="kD-", capsize=3, label="observed risk")
    for number, method in enumerate(ordered[0]["bounds"]):
        values = [np.nan if p["bounds"][method] is None else p["bounds"][method] for p in ordered]
        axes.plot(millions, values, "os"[number % 2] + "--", color=PALETTE[number], label=f"bound, {method}")
    for point, x in zip(ordered, millions, strict=True):
        axes.annotate(
            f"{point['components']:g}", (x, point["observed"]), (0, 7), textcoords="offset points", fontsize=8
        )
        if point["default"]:
            axes.axvline(x, color="0.6", linestyle=":", label="default threshold")
    axes.set_yscale("log")
    axes.set_xlabel("parameters, millions (numbers: components)")
    axes.set_ylabel(f"accumulated risk\n({unit}, summed over tasks)", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    light_grid(axes, "both")
    write_figure(figure, file)


def models(risks: Mapping[str, Sequence[float]], tasks: Sequence[str], unit: str, file: Path) -> None:
    """Draw the observed risk of every task under several models, beside each other.

    Parameters
    ----------
    risks
        Risk of every task, by model.
    tasks
        Names of the tasks.
    unit
        Unit of the risk.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    figure = Figure(figsize=(1.8 + 1.3 * len(tasks), 3.8), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(risks)
    for number, (name, values) in enumerate(risks.items()):
        places = np.arange(len(values)) + (number - (len(risks) - 1) / 2) * width
        total = f"{name} (sum {sum(values):.3f})"
        axes.bar(places, values, width=width, color=PALETTE[number], label=total)
    axes.set_xticks(range(len(tasks)), tasks, fontsize=8, rotation=20, ha="right")
    axes.set_ylabel(f"risk on test data\n({unit})", fontsize=9)
    figure.legend(loc="outside lower center", ncols=len(risks), frameon=False, fontsize=8)
    light_grid(axes, "y")
    write_figure(figure, file)


def discrepancies(estimates: Mapping[str, Mapping[str, Mapping[str, float | None]]], file: Path) -> None:
    """Draw a bar for the distance of each set, a panel for each method.

    Parameters
    ----------
    estimates
        ``mean`` and ``error`` (``None`` for one seed) of every estimate, by set and then by method.
    file
        The PNG file to write.

    Raises
    ------
    BadInput
        The file can't be written.
    """
    names = list(estimates)
    methods = list(estimates[names[0]])
    figure = Figure(figsize=(4.6 * len(methods), 0.9 + 0.34 * len(names)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(methods), sharey=True))
    for number, (method, panel) in enumerate(zip(methods, panels, strict=True)):
        found = [estimates[name][method] for name in names]
        errors = [each["error"] or 0.0 for each in found]
        panel.barh(range(len(names)), [each["mean"] for each in found], xerr=errors, color=PALETTE[number], capsize=3)
        panel.set_xlabel(f"estimate of $L_d$, {method}")
        light_grid(panel, "x")
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].invert_yaxis()
    write_figure(figure, file)
