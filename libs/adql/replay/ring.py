"""Rows in preallocated columns; the row of id i lies in slot i mod capacity, so the newest overwrites the oldest."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from adql.types import Array, ArraySpec, IntArray

Rows = Iterable[tuple[int, Mapping[str, Array]]]
"""Rows in order of ids, each part with the first one's id."""
Frames = Iterable[tuple[list[int], list[bytes]]]
"""Compressed frames, each part with the numbers by which rows refer to them."""


class Ring(Protocol):
    """Where a table keeps its transitions."""

    def slots(self, first: int, last: int) -> IntArray:
        """Returns the slots of the ids ``first`` to ``last`` − 1."""

    def check(self, rows: Mapping[str, Array]) -> None:
        """Refuses rows of which the schema alone cannot tell that they are unfit; changes nothing."""

    def write(self, first: int, rows: Mapping[str, Array], evict: Callable[[int], None]) -> None:
        """Copies ``rows`` in from the id ``first`` on; ``evict(n)`` lets the n oldest go, where bytes are short."""

    def free(self, first: int, last: int) -> None:
        """Takes notice that the ids ``first`` to ``last`` − 1 were evicted."""

    def gather(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots``, as ``write`` takes them."""

    def stored(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots`` as they are kept; may run in another thread."""

    def frames(self) -> IntArray:
        """Returns the numbers of the frames that are kept apart from the rows."""

    def gather_frames(self, numbers: IntArray) -> list[bytes | None]:
        """Returns the frames of ``numbers``, None where one is gone; may run in another thread."""

    def restore(self, oldest: int, next_id: int, rows: Rows, frames: Frames) -> int:
        """Fills this empty ring with what was stored, and returns the oldest id for which there is room."""

    def usage(self, rows: int) -> tuple[int, int]:
        """Returns the bytes in use with ``rows`` rows, and the number of frames among them."""

    def check_valid(self, oldest: int, next_id: int) -> list[str]:
        """Returns what is inconsistent, a sentence each; for tests."""


class ColumnRing:
    """``capacity`` rows as one array a column; the system gives it pages as rows are first written."""

    def __init__(self, columns: Sequence[ArraySpec], capacity: int) -> None:
        self._capacity = capacity
        self._columns = {c.name: np.zeros((capacity, *c.shape), c.dtype) for c in columns}

    def slots(self, first: int, last: int) -> IntArray:
        """Returns the slots of the ids ``first`` to ``last`` − 1."""
        return np.arange(first, last) % self._capacity

    def check(self, rows: Mapping[str, Array]) -> None:
        """Refuses nothing."""

    def write(self, first: int, rows: Mapping[str, Array], evict: Callable[[int], None]) -> None:
        """Copies ``rows`` in; there is always room."""
        self.put(first, rows)

    def put(self, first: int, rows: Mapping[str, Array]) -> None:
        """Copies ``rows`` (at most the capacity) into the slots of the ids from ``first`` on."""
        start = first % self._capacity
        for name, column in self._columns.items():
            values = rows[name]
            before_the_end = min(len(values), self._capacity - start)
            column[start : start + before_the_end] = values[:before_the_end]
            column[: len(values) - before_the_end] = values[before_the_end:]

    def free(self, first: int, last: int) -> None:
        """Needs nothing."""

    def gather(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots``."""
        return {name: column.take(slots, axis=0) for name, column in self._columns.items()}

    def stored(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots``."""
        return self.gather(slots)

    def frames(self) -> IntArray:
        """Returns nothing: observations lie in the rows."""
        return np.zeros(0, np.int64)

    def gather_frames(self, numbers: IntArray) -> list[bytes | None]:
        """Returns nothing."""
        return []

    def restore(self, oldest: int, next_id: int, rows: Rows, frames: Frames) -> int:
        """Writes the rows from ``oldest`` on."""
        for first, columns in rows:
            skipped = max(0, oldest - first)
            self.put(first + skipped, {name: column[skipped:] for name, column in columns.items()})
        return oldest

    def usage(self, rows: int) -> tuple[int, int]:
        """Returns the bytes of ``rows`` rows."""
        return rows * sum(column[0].nbytes for column in self._columns.values()), 0

    def check_valid(self, oldest: int, next_id: int) -> list[str]:
        """Returns nothing."""
        return []
