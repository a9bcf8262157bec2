"""Stacked observations on the wire: each distinct frame once, compressed, and the stacks' places among them."""

from collections.abc import Mapping

import numpy as np

from adql.errors import MalformedBodyError
from adql.frames import FRAME, FRAME_BYTES, FrameCodec, joined, separated
from adql.types import OBSERVATIONS, Array


def folded(columns: Mapping[str, Array], codec: FrameCodec) -> dict[str, Array]:
    """Returns ``columns`` with the frames of its stacks (n, stack, …) once, and int32 places (n, stack) instead."""
    stacks = [columns[name] for name in OBSERVATIONS]
    count, stack = stacks[0].shape[:2]
    places: dict[bytes, int] = {}
    numbers = [places.setdefault(frame.tobytes(), len(places)) for each in stacks for row in each for frame in row]
    by_column = np.array(numbers, np.int32).reshape(len(OBSERVATIONS), count, stack)
    return {**columns, **dict(zip(OBSERVATIONS, by_column, strict=True)), **joined(map(codec.pack, places))}


def unfolded(columns: Mapping[str, Array], codec: FrameCodec) -> dict[str, Array]:
    """Returns what ``folded`` was given, in memory of its own.

    Raises:
        MalformedBodyError: a place outside the frames, or what is no frame.
    """
    frames = codec.unpacked(separated(columns))
    return {
        name: _stacks(name, column, frames) if name in OBSERVATIONS else column.copy()
        for name, column in columns.items()
        if name not in (FRAME, FRAME_BYTES)
    }


def _stacks(name: str, places: Array, frames: Array) -> Array:
    if places.size and not 0 <= places.min() <= places.max() < len(frames):
        raise MalformedBodyError(f"array {name} has places outside its {len(frames)} frames")
    return frames.take(places, axis=0)
