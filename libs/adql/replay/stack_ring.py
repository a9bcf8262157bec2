"""Rows whose observations are stacks: the rows hold the numbers of their frames, a store each distinct frame once."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from adql.config import FRAME_OVERHEAD_BYTES
from adql.errors import InputError, InvalidTransitionError, MalformedBodyError
from adql.frames import FRAME, FrameCodec, joined, separated
from adql.replay.frames import FrameStore, cost
from adql.replay.ring import ColumnRing, Frames, Rows
from adql.types import OBSERVATIONS, Array, ArraySpec, IntArray


class StackRing:
    """A ColumnRing of rows and a FrameStore, one reference for each place in which a row names a frame.

    What goes in and comes out has m compressed frames in the columns FRAME_BYTES and FRAME and, as ``observation`` and
    ``next_observation``, places among them. A row lets go of its frames when the table says that it was evicted, and no
    earlier: ``stored`` in another thread relies on it that the frames of rows that were not evicted lie still.
    """

    def __init__(self, columns: Sequence[ArraySpec], frame: ArraySpec, capacity: int, room: int) -> None:
        """``room``: bytes for frames and what is kept beside them."""
        self._stack = columns[0].shape[0]
        self._frames_a_row = len(OBSERVATIONS) * self._stack
        # The frames of a full table, and those of one that is inserted before the first are let go.
        slots = min(2 * capacity * self._frames_a_row, room // FRAME_OVERHEAD_BYTES, np.iinfo(np.int32).max)
        self._rows, self._store = ColumnRing(columns, capacity), FrameStore(room, slots, chains=capacity)
        self._room, self._codec = room, FrameCodec(frame)

    def slots(self, first: int, last: int) -> IntArray:
        """Returns the slots of the ids ``first`` to ``last`` − 1."""
        return self._rows.slots(first, last)

    def check(self, rows: Mapping[str, Array]) -> None:
        """Refuses frames for which there is no room at all, and new ones that are not compressed frames."""
        frames = separated(rows)
        if (needed := cost(frames)) > self._room:
            raise InputError(
                f"insert of {needed} bytes of frames into a table with room for {self._room}; send smaller chunks"
            )
        for place, frame in self._store.unknown(frames):
            try:
                self._codec.check(frame)
            except MalformedBodyError as error:
                message = f"{FRAME} {place}: {error}; nothing was inserted"
                raise InvalidTransitionError(message, field=FRAME) from None

    def write(self, first: int, rows: Mapping[str, Array], evict: Callable[[int], None]) -> None:
        """Stores the frames that are new and copies the rows in, after the oldest were evicted where bytes lack.

        A row frees at most ``_frames_a_row`` frames, none above the largest, so that no more rows go than have to.
        """
        held = self._store.hold(
            separated(rows), lambda lacking: evict(-(-lacking // (self._frames_a_row * self._store.largest)))
        )
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
        return {**rows, **stacks, **joined(self._store.gather(numbers))}

    def stored(self, slots: IntArray) -> dict[str, Array]:
        """Returns new arrays with the rows in ``slots``; their stacks are frame numbers."""
        return self._rows.gather(slots)

    def frames(self) -> IntArray:
        """Returns the numbers of the frames that rows refer to, ascending."""
        return self._store.occupied()

    def gather_frames(self, numbers: IntArray) -> list[bytes | None]:
        """Returns the frames ``numbers``, None where one is gone; may run in another thread."""
        return self._store.look(numbers)

    def restore(self, oldest: int, next_id: int, rows: Rows, frames: Frames) -> int:
        """Fills rows and frames anew; the oldest rows are left out where there is no room for all frames."""
        self._rows.restore(oldest, next_id, rows, ())
        by_number = {number: frame for numbers, part in frames for number, frame in zip(numbers, part, strict=True)}
        oldest = self._oldest_with_room(oldest, next_id, by_number)
        kept = self._rows.gather(self.slots(oldest, next_id))
        numbers, stacks = self._renumbered(kept)
        self._rows.put(oldest, {**kept, **stacks})
        self._store.restore([by_number[number] for number in numbers.tolist()], np.bincount(_stacks(stacks).ravel()))
        return oldest

    def usage(self, rows: int) -> tuple[int, int]:
        """Returns the bytes of ``rows`` rows and of the frames in store, and the number of these."""
        return self._rows.usage(rows)[0] + self._store.used, len(self._store)

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

    def _oldest_with_room(self, oldest: int, next_id: int, frames: Mapping[int, bytes]) -> int:
        """Returns the oldest id so that there is room for the distinct frames of it and all newer rows."""
        newest_first = self._rows.gather(self.slots(oldest, next_id)[::-1])
        by_row = np.concatenate([newest_first[name] for name in OBSERVATIONS], axis=1)
        numbers, first_places = np.unique(by_row, return_index=True)
        order = np.argsort(first_places)
        costs = np.array([cost([frames[number]]) for number in numbers[order].tolist()], np.int64)
        fitting = int(np.searchsorted(np.cumsum(costs), self._room, side="right"))
        if fitting == len(order):
            return oldest
        return next_id - int(first_places[order[fitting]]) // self._frames_a_row


def _stacks(rows: Mapping[str, Array]) -> Array:
    """Returns the numbers of the frames of all observations, then of all next observations."""
    return np.concatenate([rows[name] for name in OBSERVATIONS])
