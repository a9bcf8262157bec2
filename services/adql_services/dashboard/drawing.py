"""Panels as matplotlib draws them, in the places that they have in Grafana; time counts from the run's beginning."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, FuncFormatter, MaxNLocator, PercentFormatter

from adql_services.dashboard.boards import Board, Panel
from adql_services.dashboard.curves import Curve
from adql_services.dashboard.prometheus import Span

WIDTH_INCHES, ROW_INCHES, DOTS = 15.0, 0.36, 110
"""Of the whole picture, and of one of Grafana's rows."""
COLUMNS = 24
COLOURS = ("#3b6fb6", "#d9822b", "#4a9e6b", "#b5495b", "#7b61a8", "#8a6d3b", "#2f9ea8", "#6b7280")
INK, MUTED, GRID = "#1f2430", "#5b6472", "#e4e7ec"
REFERENCE = ("goal", "target", "bound", "capacity", "budget", "limit")
"""How the names of curves begin that others are measured by: dashed."""
MAX_NAMES = 8
"""In a legend."""
LETTERS_A_COLUMN = 9
"""Of a legend's letters, in one of Grafana's columns."""


def save(board: Board, drawn: Mapping[Panel, Sequence[Curve]], span: Span, file: Path) -> None:
    """Writes the picture of ``board``, whose panels have the curves of ``drawn``."""
    _draw(board, drawn, span).savefig(file, format="png")


def _draw(board: Board, drawn: Mapping[Panel, Sequence[Curve]], span: Span) -> Figure:
    rows = max(panel.top + panel.height for panel in board.panels)
    figure = Figure(figsize=(WIDTH_INCHES, (rows + 2) * ROW_INCHES), dpi=DOTS, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.012, 1 - 0.9 / (rows + 2), board.title, fontsize=15, weight="bold", color=INK, va="center")
    for panel in board.panels:
        _place(figure, panel, rows + 2, drawn.get(panel, ()), span)
    return figure


def _place(figure: Figure, panel: Panel, rows: int, curves: Sequence[Curve], span: Span) -> None:
    left, top = panel.left / COLUMNS, 1 - (panel.top + 2) / rows
    if panel.kind == "row":
        figure.text(left + 0.012, top - 0.5 / rows, panel.title, fontsize=11, color=MUTED, va="center", style="italic")
        return
    width, height = panel.width / COLUMNS, panel.height / rows
    box = (left + 0.042, top - height + 1.75 / rows, width - 0.056, height - 2.9 / rows)
    axes = figure.add_axes(box)
    axes.set_title(panel.title, loc="left", fontsize=10, color=INK, pad=5)
    if not curves:
        _say(axes, "no data", 10)
    elif panel.kind == "stat":
        _draw_stat(axes, panel, curves, span)
    elif panel.kind == "heatmap":
        _draw_heat_map(axes, curves, span)
    else:
        _draw_curves(axes, panel, curves, span)


def _say(axes: Axes, text: str, size: float) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=size, color=MUTED)


def _draw_stat(axes: Axes, panel: Panel, curves: Sequence[Curve], span: Span) -> None:
    """The value at the end, or the name where the series themselves are the answer."""
    newest = max(curves, key=lambda curve: curve.times[-1])
    if newest.times[-1] < span.last - span.step / 2:
        text = "–"
    else:
        text = newest.name if panel.unit == "none" else _formatter(panel.unit)(newest.values[-1], 0)
    _say(axes, text, 20)


def _draw_curves(axes: Axes, panel: Panel, curves: Sequence[Curve], span: Span) -> None:
    _frame(axes, span)
    axes.yaxis.set_major_formatter(_formatter(panel.unit))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if not any(value for curve in curves for value in curve.values):
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.5, "0 throughout", transform=axes.transAxes, ha="center", va="center", fontsize=8, color=MUTED)
        return
    _plot(axes, curves, span)
    if panel.lowest is not None:
        axes.set_ylim(bottom=panel.lowest)
    _name(axes, panel.width)


def _plot(axes: Axes, curves: Sequence[Curve], span: Span) -> None:
    """The first one lies above the others."""
    colours = cycle(COLOURS)
    for number, curve in enumerate(curves):
        dashed = curve.name.startswith(REFERENCE)
        axes.plot(
            _elapsed(curve.times, span),
            curve.values,
            linestyle="--" if dashed else "-",
            color=MUTED if dashed else next(colours),
            linewidth=1.1 if dashed else 1.5,
            zorder=3 - number / len(curves),
            label=curve.name,
        )


def _draw_heat_map(axes: Axes, curves: Sequence[Curve], span: Span) -> None:
    """Curves are cumulative buckets: one is what it has more than the one below it, where both are known."""
    buckets = sorted((curve for curve in curves if curve.name), key=lambda curve: float(curve.name))
    if not buckets:
        _say(axes, "no data", 10)
        return
    _frame(axes, span)
    counts = np.diff([_at_each_point(curve, span) for curve in buckets], axis=0, prepend=0.0)
    times = span.start + span.step * np.arange(counts.shape[1])
    used = max((number + 1 for number, row in enumerate(counts) if np.nansum(row) > 0.5), default=1)
    counts, buckets = counts[:used], buckets[:used]
    shown = np.ma.masked_where(~(counts >= 1e-9), counts)
    mesh = axes.pcolormesh(_elapsed(times.tolist(), span), np.arange(used), shown, cmap="Blues", shading="nearest")
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02, fraction=0.05)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=MUTED, length=0)
    axes.set_yticks(range(used), [f"≤ {curve.name.removesuffix('.0')}" for curve in buckets])
    axes.grid(False)


def _at_each_point(curve: Curve, span: Span) -> npt.NDArray[np.float64]:
    """Returns the values of ``curve`` at the points of ``span``, NaN where it has none."""
    values = np.full(round((span.last - span.start) / span.step) + 1, np.nan)
    places = np.rint((np.array(curve.times) - span.start) / span.step).astype(int)
    within = (places >= 0) & (places < len(values))
    values[places[within]] = np.array(curve.values)[within]
    return values


def _frame(axes: Axes, span: Span) -> None:
    unit, seconds = _time_unit(span)
    axes.set_xlim(0, (span.end - span.start) / seconds)
    axes.set_xlabel(unit, fontsize=7.5, color=MUTED, loc="right", labelpad=1)
    axes.tick_params(labelsize=8, colors=MUTED, length=0)
    axes.grid(color=GRID, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def _name(axes: Axes, width: int) -> None:
    handles, names = axes.get_legend_handles_labels()
    named = [(handle, name) for handle, name in zip(handles, names, strict=True) if name][:MAX_NAMES]
    if not named:
        return
    longest = max(len(name) for _, name in named) + 5
    axes.legend(
        [handle for handle, _ in named],
        [name for _, name in named],
        ncols=max(1, min(4, LETTERS_A_COLUMN * width // longest)),
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.13),
        borderaxespad=0.0,
        fontsize=7.5,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.1,
        labelcolor=MUTED,
    )


def _elapsed(times: Sequence[float], span: Span) -> list[float]:
    seconds = _time_unit(span)[1]
    return [(time - span.start) / seconds for time in times]


def _time_unit(span: Span) -> tuple[str, float]:
    length = span.end - span.start
    return next(((name, unit) for name, unit in (("h", 3600.0), ("min", 60.0)) if length >= 2 * unit), ("s", 1.0))


def _formatter(unit: str) -> Formatter:
    """Returns what writes a number in one of Grafana's units."""
    if unit == "percentunit":
        return PercentFormatter(1.0, decimals=None)
    if unit == "Bps":
        return EngFormatter("B/s", places=None, sep=" ")
    if unit == "s":
        return FuncFormatter(_duration)
    suffix = {"cps": "/s", "reqps": "/s"}.get(unit, "")
    return FuncFormatter(lambda value, _: f"{_short(value)}{suffix}")


def _duration(seconds: float, _: float) -> str:
    for name, unit in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} µs" if seconds else "0"


def _short(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:.4g} M"
    return f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.4g}"
