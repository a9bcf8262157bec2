"""Charts as inline SVG: no script, no request, colours by the page's CSS classes ``c0`` … ``c7``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from adql_services.local.returns import return_text

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 44
COLOURS = 8
MAX_POINTS = 400

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve; ``dots`` marks its points, and each says its value when the mouse rests on it."""

    name: str
    points: Sequence[Point]
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """What lies between two curves over the same x."""

    points: Sequence[tuple[float, float, float]]
    """x, lower and upper y."""


class Scale:
    """Maps values, and 0, to pixels from ``first`` to ``last``; ends at a round number unless ``tight``."""

    def __init__(self, values: Sequence[float], first: float, last: float, *, tight: bool = False) -> None:
        low, high = min([0.0, *values]), max([0.0, *values])
        high = high if high > low else low + 1.0
        self.ticks = [tick for tick in ticks(low, high) if not (tight and tick > high)]
        self._low, self._high = min(low, self.ticks[0]), high if tight else self.ticks[-1]
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        """Returns the pixel of ``value``."""
        share = (value - self._low) / (self._high - self._low)
        return round(self._first + share * (self._last - self._first), 1)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Returns round numbers, evenly apart, that cover ``low`` to ``high``."""
    raw = (high - low) / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= raw * 0.999)
    return [step * i for i in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


def short(value: float) -> str:
    """Returns a tick's label: 12k, 3M, 0.25."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:.4g}"


def counted(value: float) -> str:
    """Returns a bar's label: 1,304, from ten thousand on 13.1k."""
    return f"{value:,.0f}" if abs(value) < 10_000 else short(float(f"{value:.3g}"))


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    band: Band | None = None,
    level: tuple[str, float] | None = None,
) -> str:
    """Returns curves over a common x; ``level`` is a named horizontal rule, such as the goal."""
    bounds = [y for line in lines for _, y in line.points] + [y for _, low, high in _band(band) for y in (low, high)]
    x = Scale([x for line in lines for x, _ in line.points], LEFT, WIDTH - RIGHT, tight=True)
    y = Scale([*bounds, *([level[1]] if level else [])], HEIGHT - BOTTOM, TOP)
    parts = [_grid(x, y), _labels(x_label, y_label)]
    if band:
        parts.append(_area(band, x, y))
    if level:
        parts.append(_level(level, y))
    parts += [_curve(line, i % COLOURS, x, y) for i, line in enumerate(lines)]
    return _svg("".join(parts), f"{y_label} over {x_label}") + (legend([li.name for li in lines]) if lines[1:] else "")


def bar_chart(bars: Sequence[tuple[str, float]], *, x_label: str, y_label: str) -> str:
    """Returns upright bars with their values above them."""
    y = Scale([value for _, value in bars], HEIGHT - BOTTOM, TOP + 8)
    step = (WIDTH - LEFT - RIGHT) / max(len(bars), 1)
    width = min(0.72 * step, 64.0)
    parts = [_grid(None, y), _labels(x_label, y_label)]
    for i, (name, value) in enumerate(bars):
        middle, top = LEFT + step * (i + 0.5), y(value)
        parts.append(
            f'<rect class="bar c0" x="{middle - width / 2:.1f}" y="{top}" width="{width:.1f}" '
            f'height="{y(0) - top:.1f}" rx="2"/>{_text(middle, top - 5, counted(value), "value", "middle")}'
            f"{_text(middle, HEIGHT - BOTTOM + 18, name, 'tick', 'middle')}"
        )
    return _svg("".join(parts), f"{y_label} by {x_label}")


def share_chart(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Returns one full-width bar a row, cut by the shares of its parts; the parts have one colour in all rows."""
    names = list(dict.fromkeys(part for row in rows.values() for part in row))
    height = 34 * len(rows) + 8
    parts = []
    for i, (row, values) in enumerate(rows.items()):
        total, start = sum(values.values()) or 1.0, 90.0
        parts.append(_text(82, 34 * i + 26, row, "tick", "end"))
        for part, value in values.items():
            width = value / total * (WIDTH - RIGHT - 90)
            shown = f"{value / total:.0%}"
            parts.append(
                f'<rect class="bar c{names.index(part) % COLOURS}" x="{start:.1f}" y="{34 * i + 9}" '
                f'width="{width:.1f}" height="24"><title>{escape(part)}: {value:.1f} s, {shown}</title></rect>'
            )
            if width > 34:
                parts.append(_text(start + width / 2, 34 * i + 25, shown, "inside", "middle"))
            start += width
    return _svg("".join(parts), "shares", height) + legend(names)


def legend(names: Sequence[str]) -> str:
    """Returns names beside their colours."""
    items = (f'<li><i class="c{i % COLOURS}"></i>{escape(name)}</li>' for i, name in enumerate(names))
    return f'<ul class="legend">{"".join(items)}</ul>'


def thinned(points: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """Returns at most ``most`` points: means of neighbours."""
    size = math.ceil(len(points) / most) or 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def smoothed(points: Sequence[Point], window: int) -> list[Point]:
    """Returns at each x the mean of the last ``window`` values."""
    found, total = [], 0.0
    for i, (x, y) in enumerate(points):
        total += y - (points[i - window][1] if i >= window else 0.0)
        found.append((x, total / min(i + 1, window)))
    return found


def _svg(content: str, name: str, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(name)}">{content}</svg>'


def _grid(x: Scale | None, y: Scale) -> str:
    parts = []
    for value in y.ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}" y2="{y(value)}"/>')
        parts.append(_text(LEFT - 8, y(value) + 4, short(value), "tick", "end"))
    for value in x.ticks if x else []:
        parts.append(_text(x(value) if x else 0, HEIGHT - BOTTOM + 18, short(value), "tick", "middle"))
    return "".join(parts)


def _labels(x_label: str, y_label: str) -> str:
    middle = (HEIGHT - BOTTOM + TOP) / 2
    return (
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "label", "middle")
        + f'<g transform="rotate(-90 14 {middle})">{_text(14, middle, y_label, "label", "middle")}</g>'
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _band(band: Band | None) -> Sequence[tuple[float, float, float]]:
    return band.points if band else ()


def _area(band: Band, x: Scale, y: Scale) -> str:
    there = [f"{x(at)},{y(high)}" for at, _, high in band.points]
    back = [f"{x(at)},{y(low)}" for at, low, _ in reversed(band.points)]
    return f'<polygon class="band c0" points="{" ".join(there + back)}"/>'


def _level(level: tuple[str, float], y: Scale) -> str:
    name, value = level
    rule = f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}" y2="{y(value)}"/>'
    crossed = any(0 < y(value) - y(tick) < 16 for tick in y.ticks)  # by the grid line above: then below the rule
    return rule + _text(LEFT + 6, y(value) + (14 if crossed else -5), f"{name} {return_text(value)}", "value", "start")


def _curve(line: Line, colour: int, x: Scale, y: Scale) -> str:
    drawn = " ".join(f"{x(at)},{y(value)}" for at, value in line.points)
    curve = f'<polyline class="curve c{colour}" points="{drawn}"/>'
    if not line.dots:
        return curve
    dots = (
        f'<circle class="dot c{colour}" cx="{x(at)}" cy="{y(value)}" r="3">'
        f"<title>{escape(line.name)}: {return_text(value)} at {at:,.0f}</title></circle>"
        for at, value in line.points
    )
    return curve + "".join(dots)
