"""Rows in preallocated columns; the row of id i lies in slot i mod capacity, so the newest overwrites the oldest."""

from collections.abc import Mapping, Sequence

import numpy as np

from adql.types import Array, ArraySpec, IntArray


class ColumnRing:
    """``capacity`` rows as one array a column; the system gives it pages as rows are first written."""

    def __init__(self, columns: Sequence[ArraySpec], capacity: int) -> None:
        self._capacity = capacity
        self._columns = {c.name: np.zeros((capacity, *c.shape), c.dtype) for c in columns}

    def slots(self, first: int, last: int) -> IntArray:
        """Returns the slots of the ids ``first`` to ``last`` − 1."""
        return np.arange(first, last) % self._capacity

    def write(self, first: int, rows: Mapping[str, Array]) -> None:
        """Copies ``rows`` (at most the capacity) into the slots of the ids from ``first`` on."""
        start = first % self._capacity
        for name, column in self._columns.items():
            values = rows[name]
            before_the_end = min(len(values), self._capacity - start)
            column[start : start + before_the_end] = values[:before_the_end]
            column[: len(values) - before_the_end] = values[before_the_end:]

    def gather(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots``."""
        return {name: column.take(slots, axis=0) for name, column in self._columns.items()}
