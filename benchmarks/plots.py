"""The plots of RESULTS.md, as SVG with their own background, readable on any page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.sheet import OURS, Results, Sheet
from benchmarks.targets import total_bytes

OUR_COLOUR = "#0b6e4f"
THEIR_COLOUR = "#9aa5b1"
BOUND_COLOUR = "#d9b44a"
BOUNDS = ("xdelta3", "cp", "curl, whole file", "b3sum")
STYLE: Any = {
    "font.size": 11,
    "svg.hashsalt": "casync",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}
MB = 10**6
MIB = 1 << 20


def draw(results: Results, folder: Path) -> None:
    """Draws the plots that have figures."""
    folder.mkdir(exist_ok=True)
    plots: dict[str, tuple[str, Callable[[Sheet], Figure]]] = {
        "prepare.svg": ("prepare", _prepare),
        "pull.svg": ("transfer", _pull),
        "bytes.svg": ("transfer", _bytes),
        "slow.svg": ("slow", _slow),
        "sizes.svg": ("sizes", _sizes),
        "pullers.svg": ("pullers", _pullers),
    }
    with mpl.rc_context(STYLE):
        for name, (suite, make) in plots.items():
            if suite in results:
                figure = make(results[suite])
                figure.savefig(folder / name, metadata={"Date": None}, bbox_inches="tight")


def bars(
    axes: Axes, title: str, unit: str, values: dict[str, float | None], relative_to: str = OURS
) -> None:
    """Horizontal bars, best on top, each with its figure and its ratio to ours."""
    known = {name: value for name, value in values.items() if value is not None}
    order = sorted(known, key=lambda name: known[name], reverse=True)
    colours = [_colour(name) for name in order]
    drawn = axes.barh(order, [known[name] for name in order], color=colours)
    ours = known.get(relative_to)
    labels = [
        f"{short(known[name])} {unit}"
        + (f"  ({short(known[name] / ours)}x)" if ours and name != relative_to else "")
        for name in order
    ]
    axes.bar_label(drawn, labels, padding=4)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.margins(x=0.3)
    axes.set_xlim(left=0)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def short(value: float) -> str:
    """A figure with three digits or more."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _colour(name: str) -> str:
    if name.startswith(OURS):
        return OUR_COLOUR
    return BOUND_COLOUR if name in BOUNDS else THEIR_COLOUR


def _panels(
    cases: dict[str, dict[str, float | None]], unit: str, relative_to: str = OURS
) -> Figure:
    """One panel of bars per case, stacked; none if a suite ended early."""
    if not cases:
        return Figure()
    heights = [
        max(len([v for v in values.values() if v is not None]), 1) for values in cases.values()
    ]
    figure = Figure(figsize=(9, 0.36 * sum(heights) + 0.7 * len(cases)), layout="constrained")
    figure.supxlabel(
        f"in brackets: how many times {relative_to}; yellow: bounds, no peers", fontsize=9
    )
    grid = figure.subplots(len(cases), 1, squeeze=False, height_ratios=heights)
    for axes, (title, values) in zip(grid[:, 0], cases.items(), strict=True):
        bars(axes, title, unit, values, relative_to)
    return figure


def _seconds(sheet: Sheet, case: str) -> dict[str, float | None]:
    return {name: sheet.get(case, name, "seconds") for name in sheet.figures[case]}


def _prepare(sheet: Sheet) -> Figure:
    names = {
        "vm: new": "prepare of a new 3 GiB image: seconds",
        "vm: known, touched": "the same again, its time changed: seconds",
        "vm: updated": "its next version: seconds",
    }
    return _panels(
        {title: _seconds(sheet, case) for case, title in names.items() if case in sheet.figures},
        "s",
    )


def _pull(sheet: Sheet) -> Figure:
    names = {
        "vm, updated in place: cold": "cold pull of a 3 GiB image over loopback: seconds",
        "vm, updated in place: seed": "pull with the old image as seed: seconds",
        "vm, updated in place: in place": "pull over the old image: seconds",
    }
    return _panels(
        {title: _seconds(sheet, case) for case, title in names.items() if case in sheet.figures},
        "s",
    )


def _bytes(sheet: Sheet) -> Figure:
    cases = {}
    for case in sheet.figures:
        label, _, mode = case.rpartition(": ")
        if mode == "seed":
            values = {
                name: total_bytes(sheet, case, name)
                for name in sheet.figures[case]
                if name not in (OURS, f"{OURS}, seed remembered")
            }
            cases[f"{label}: MB on the wire, both ways"] = {
                name: value / MB if value is not None else None for name, value in values.items()
            }
    return _panels(cases, "MB", f"{OURS}, plain")


def _slow(sheet: Sheet) -> Figure:
    cases = {}
    for case in sheet.figures:
        values = _seconds(sheet, case)
        for name in sheet.figures[case]:
            if values[name] is None:
                values[f"{name}, ended after"] = sheet.get(case, name, "gave_up_after")
        cases[f"{case}, 100 Mbit/s and 40 ms: seconds"] = values
    return _panels(cases, "s")


def _sizes(sheet: Sheet) -> Figure:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    for verb, colour in (("prepare", OUR_COLOUR), ("pull", "#b5542c")):
        sizes = sorted(
            int(case.split()[1]) for case in sheet.figures if case.startswith(f"{verb}: ")
        )
        for axes, measure, scale in ((time_axes, "seconds", 1), (memory_axes, "memory", MIB)):
            values = [(sheet.get(f"{verb}: {n} GiB", OURS, measure) or 0) / scale for n in sizes]
            axes.plot(sizes, values, marker="o", color=colour, label=verb)
    for axes, title in ((time_axes, "seconds"), (memory_axes, "peak memory, MiB")):
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("GiB")
        axes.set_xticks((1, 2, 4, 8))
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    memory_axes.axhline(400, color=THEIR_COLOUR, linestyle="--")
    memory_axes.set_ylim(top=450)
    return figure


def _pullers(sheet: Sheet) -> Figure:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    rate_axes, health_axes = figure.subplots(1, 2)
    counts = [int(case.split()[0]) for case in sheet.figures]
    for axes, measure, scale, title in (
        (rate_axes, "rate", MB, "MB/s in all"),
        (health_axes, "health_slowest", 0.001, "slowest /healthz, ms"),
    ):
        values = [(sheet.get(f"{n} at once", OURS, measure) or 0) / scale for n in counts]
        axes.plot(counts, values, marker="o", color=OUR_COLOUR)
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xlabel("pulls at once")
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_ylim(bottom=0)
    return figure
