"""Stacked observations on the wire: each distinct frame once, and in their place the stacks' places among them."""

from collections.abc import Mapping

import numpy as np

from adql.errors import MalformedBodyError
from adql.types import OBSERVATIONS, Array

FRAME = "frame"
"""The array (m, …) of the frames."""


def folded(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Returns ``columns`` with the frames of its stacks (n, stack, …) once, and int32 places (n, stack) instead."""
    stacks = [columns[name] for name in OBSERVATIONS]
    count, stack, *shape = stacks[0].shape
    places: dict[bytes, int] = {}
    numbers = [places.setdefault(frame.tobytes(), len(places)) for each in stacks for row in each for frame in row]
    by_column = np.array(numbers, np.int32).reshape(len(OBSERVATIONS), count, stack)
    frames = np.frombuffer(b"".join(places), stacks[0].dtype).reshape(len(places), *shape)
    return {**columns, **dict(zip(OBSERVATIONS, by_column, strict=True)), FRAME: frames}


def unfolded(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Returns what ``folded`` was given, in memory of its own.

    Raises:
        MalformedBodyError: a place outside the frames.
    """
    frames = columns[FRAME]
    return {
        name: _stacks(name, column, frames) if name in OBSERVATIONS else column.copy()
        for name, column in columns.items()
        if name != FRAME
    }


def _stacks(name: str, places: Array, frames: Array) -> Array:
    if places.size and not 0 <= places.min() <= places.max() < len(frames):
        raise MalformedBodyError(f"array {name} has places outside its {len(frames)} frames")
    return frames.take(places, axis=0)
