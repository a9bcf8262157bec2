"""A small curve out of Unicode blocks."""

import itertools
from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
RULE = "╌"
"""Where a level, such as the goal, runs above the curve."""


def curve(values: Sequence[float], width: int, height: int, level: float | None = None) -> list[str]:
    """Returns ``height`` lines of ``width`` characters, the top one first: an area under ``values``.

    The scale begins at the smallest of 0, the values and ``level``, and ends at the largest of them. More values than
    ``width`` are averaged, fewer are stretched.
    """
    if not values:
        return [" " * width] * height
    everything = [0.0, *values, *([] if level is None else [level])]
    low, high = min(everything), max(everything)
    scale = 8 * height / ((high - low) or 1.0)
    heights = [round((value - low) * scale) for value in resampled(values, width)]
    level_row = None if level is None else min(int((level - low) * scale / 8), height - 1)
    return [_line(heights, row, row == level_row) for row in reversed(range(height))]


def resampled(values: Sequence[float], width: int) -> list[float]:
    """Returns ``width`` values: means of neighbours, or repeats."""
    edges = [i * len(values) / width for i in range(width + 1)]
    parts = [values[int(a) : max(int(b), int(a) + 1)] for a, b in itertools.pairwise(edges)]
    return [sum(part) / len(part) for part in parts]


def _line(heights: Sequence[int], row: int, ruled: bool) -> str:
    blocks = (BLOCKS[min(max(height - 8 * row, 0), 8)] for height in heights)
    return "".join(RULE if ruled and block == " " else block for block in blocks)
