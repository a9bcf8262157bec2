"""Rows whose observations are stacks: the rows hold the numbers of their frames, a store each distinct frame once."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from adql.config import FRAME_OVERHEAD_BYTES
from adql.replay.frames import FrameStore
from adql.replay.ring import ColumnRing, Frames, Rows
from adql.types import OBSERVATIONS, Array, ArraySpec, IntArray


class StackRing:
    """A ColumnRing of rows and a FrameStore, one reference for each place in which a row names a frame.

    What goes in and comes out has a column ``frame`` (m, …) and, as ``observation`` and ``next_observation``, places in
    it. A row lets go of its frames when the table says that it was evicted, and no earlier: ``stored`` in another
    thread relies on it that the frames of rows that were not evicted lie still.
    """

    def __init__(self, columns: Sequence[ArraySpec], frame: ArraySpec, capacity: int, frames: int) -> None:
        self._rows, self._store, self._capacity = ColumnRing(columns, capacity), FrameStore(frame, frames), frames
        self._stack = columns[0].shape[0]
        self._frames_a_row = len(OBSERVATIONS) * self._stack
        self._frame_bytes = frame.size * np.dtype(frame.dtype).itemsize + FRAME_OVERHEAD_BYTES

    def slots(self, first: int, last: int) -> IntArray:
        """Returns the slots of the ids ``first`` to ``last`` − 1."""
        return self._rows.slots(first, last)

    def write(self, first: int, rows: Mapping[str, Array], evict: Callable[[int], None]) -> None:
        """Stores the frames that are new and copies the rows in, after the oldest were evicted where frames lack.

        A row frees at most ``_frames_a_row`` frames, so that no more rows go than have to.
        """
        held = self._store.hold(rows["frame"], lambda lacking: evict(-(-lacking // self._frames_a_row)))
        stacks = {name: held[rows[name]] for name in OBSERVATIONS}
        for stack in stacks.values():
            self._store.refer(stack)
        self._store.release(held)
        self._rows.put(first, {**rows, **stacks})

    def free(self, first: int, last: int) -> None:
        """Lets go of the frames of these rows."""
        self._store.release(_stacks(self._rows.gather(self.slots(first, last))))

    def gather(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots``, each of their frames once."""
        rows = self._rows.gather(slots)
        numbers, stacks = self._renumbered(rows)
        return {**rows, **stacks, "frame": self._store.gather(numbers)}

    def stored(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots``; their stacks are frame numbers."""
        return self._rows.gather(slots)

    def frames(self) -> IntArray:
        """Returns the numbers of the frames that rows refer to, ascending."""
        return self._store.occupied()

    def gather_frames(self, numbers: IntArray) -> Array:
        """Returns a new array of the frames ``numbers``."""
        return self._store.gather(numbers)

    def restore(self, oldest: int, next_id: int, rows: Rows, frames: Frames) -> int:
        """Fills rows and frames anew; the oldest rows are left out where there is no room for all frames."""
        self._rows.restore(oldest, next_id, rows, ())
        oldest = self._oldest_with_room(oldest, next_id)
        kept = self._rows.gather(self.slots(oldest, next_id))
        numbers, stacks = self._renumbered(kept)
        self._rows.put(oldest, {**kept, **stacks})
        self._store.restore(np.bincount(_stacks(stacks).ravel()))
        for names, contents in frames:
            wanted = np.isin(names, numbers)
            self._store.load(np.searchsorted(numbers, names[wanted]), contents[wanted])
        return oldest

    def usage(self, rows: int) -> tuple[int, int]:
        """Returns the bytes of ``rows`` rows and of the frames in store, and the number of these."""
        frames = len(self._store)
        return self._rows.usage(rows)[0] + frames * self._frame_bytes, frames

    def check_valid(self, oldest: int, next_id: int) -> list[str]:
        """The store, and whether its references are those of the rows."""
        referred = np.unique(_stacks(self._rows.gather(self.slots(oldest, next_id))))
        stale = not np.array_equal(referred, self.frames())
        return self._store.check_valid() + (["the frames in store are not those of the rows"] if stale else [])

    def _renumbered(self, rows: Mapping[str, Array]) -> tuple[IntArray, dict[str, Array]]:
        """Returns the numbers of all frames of ``rows``, ascending, and the stacks as places among these."""
        numbers, places = np.unique(_stacks(rows), return_inverse=True)
        stacks = places.astype(np.int32).reshape(len(OBSERVATIONS), -1, self._stack)
        return numbers, dict(zip(OBSERVATIONS, stacks, strict=True))

    def _oldest_with_room(self, oldest: int, next_id: int) -> int:
        """Returns the oldest id so that it and all newer rows have no more distinct frames than the store has slots."""
        newest_first = self._rows.gather(self.slots(oldest, next_id)[::-1])
        by_row = np.concatenate([newest_first[name] for name in OBSERVATIONS], axis=1)
        first_places = np.sort(np.unique(by_row, return_index=True)[1])
        if len(first_places) <= self._capacity:
            return oldest
        return next_id - int(first_places[self._capacity]) // self._frames_a_row


def _stacks(rows: Mapping[str, Array]) -> Array:
    """Returns the numbers of the frames of all observations, then of all next observations."""
    return np.concatenate([rows[name] for name in OBSERVATIONS])
