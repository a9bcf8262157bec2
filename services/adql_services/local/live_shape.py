"""What of the live picture is left out where a terminal is too low for all of it."""

from dataclasses import dataclass

GAPS, MARGINS = 3, 2
"""Blank lines between four sections, and above and below them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What stands around the lines that every picture has."""

    curve: int
    """Lines of the curve; 0 leaves it out, heading and all."""
    gaps: bool = False
    """Whether blank lines part the sections."""
    margins: bool = False
    """Whether a blank line stands inside the border, above and below."""

    @property
    def lines(self) -> int:
        """The height of it all; without a curve one gap is not there."""
        curve = self.curve + 1 if self.curve else 0
        gaps = GAPS if self.curve else GAPS - 1
        return curve + self.gaps * gaps + self.margins * MARGINS


SHAPES = (
    *(Shape(lines, gaps=True, margins=True) for lines in (6, 5, 4, 3, 2)),
    *(Shape(lines, gaps=True) for lines in (3, 2)),
    *(Shape(lines) for lines in (4, 3, 2)),
    Shape(0, gaps=True),
    Shape(0),
)
"""The roomiest first, each lower than the one before; a curve needs two lines, for its highest and its lowest value."""


def fitting(height: int, needed: int) -> Shape:
    """Returns the roomiest shape that goes with ``needed`` other lines into ``height``, or the tightest there is."""
    return next((shape for shape in SHAPES if needed + shape.lines <= height), SHAPES[-1])
