"""The frames of stacked observations, each distinct one once: found by content, kept while something refers to it."""

from collections.abc import Callable

import numpy as np

from adql.types import Array, ArraySpec, IntArray


class FrameStore:
    """At most ``capacity`` frames in preallocated slots, with a count of references each.

    A frame is found in a hash table with chained slots, where equality of all bytes decides, never the hash alone. The
    arrays hold slot + 1, so that 0 ends a chain and the system gives them pages as they are first written. Python keys
    its hash of bytes with a secret: no one can send frames that all fall into one chain.
    """

    def __init__(self, frame: ArraySpec, capacity: int, hash_of: Callable[[bytes], int] = hash) -> None:
        self._frame, self._capacity, self._hash_of = frame, capacity, hash_of
        self._bytes = np.zeros((capacity, frame.size * np.dtype(frame.dtype).itemsize), np.uint8)
        self._references = np.zeros(capacity, np.int64)
        self._hashes = np.zeros(capacity, np.int64)
        self._heads = np.zeros(1 << max(0, capacity - 1).bit_length(), np.int32)
        self._next = np.zeros(capacity, np.int32)
        self._vacated = np.zeros(capacity, np.int32)
        self._vacated_count = 0
        self._untouched = 0  # slots from here on were never used

    def __len__(self) -> int:
        return self._untouched - self._vacated_count

    @property
    def vacant(self) -> int:
        """Slots that are free."""
        return self._capacity - len(self)

    def hold(self, frames: Array, make_room: Callable[[int], None]) -> Array:
        """Returns the slots (m,) of ``frames`` (m, …), at most ``capacity``, and adds a reference to each of them.

        ``make_room(n)`` is called while n slots are lacking; it must release references.
        """
        contents = [frame.tobytes() for frame in frames]
        known = np.array([self._find(content) for content in contents], np.int32)
        self.refer(known[known >= 0])  # before there is room made: what arrives must not be evicted
        new = [content for content, slot in zip(contents, known, strict=True) if slot < 0]
        while (lacking := len(set(new)) - self.vacant) > 0:
            make_room(lacking)
        known[known < 0] = [self._hold_new(content) for content in new]
        return known

    def refer(self, slots: Array) -> None:
        """Adds a reference to the frame in each of ``slots``, of any shape; one that comes twice gets two."""
        np.add.at(self._references, slots.ravel(), 1)

    def release(self, slots: Array) -> None:
        """Takes a reference from the frame in each of ``slots``; a frame without one is gone."""
        np.subtract.at(self._references, slots.ravel(), 1)
        for slot in np.unique(slots[self._references[slots] == 0]).tolist():
            self._vacate(slot)

    def gather(self, slots: Array) -> Array:
        """Returns a new array (n, …) of the frames in ``slots`` (n,)."""
        return self._bytes.take(slots, axis=0).view(self._frame.dtype).reshape(-1, *self._frame.shape)

    def occupied(self) -> IntArray:
        """Returns the slots that are referred to, ascending; may run in another thread, hence the copy."""
        return np.flatnonzero(self._references.copy())

    def restore(self, references: IntArray) -> None:
        """Occupies the first slots of this empty store; ``load`` brings their frames."""
        self._references[: len(references)] = references
        self._untouched = len(references)

    def load(self, slots: IntArray, frames: Array) -> None:
        """Puts ``frames`` (n, …), each distinct, into occupied ``slots`` (n,)."""
        for slot, frame in zip(slots.tolist(), frames, strict=True):
            self._put(slot, frame.tobytes())

    def check_valid(self) -> list[str]:
        """Returns what is inconsistent, a sentence each; for tests."""
        slots = self.occupied()
        problems = [f"slot {slot} is not found by its content" for slot in slots if self._find_slot(slot) != slot]
        if len(slots) != len(self):
            problems.append(f"{len(slots)} frames are referred to, {len(self)} are stored")
        if (self._references < 0).any():
            problems.append("a frame was released more often than referred to")
        return problems

    def _find_slot(self, slot: int) -> int:
        return self._find(self._bytes[slot].tobytes())

    def _find(self, content: bytes) -> int:
        """Returns the slot of the frame with these bytes, -1 where there is none."""
        number = self._hash_of(content)
        slot = int(self._heads[self._chain(number)]) - 1
        while slot >= 0 and not (self._hashes[slot] == number and self._bytes[slot].tobytes() == content):
            slot = int(self._next[slot]) - 1
        return slot

    def _hold_new(self, content: bytes) -> int:
        """Returns the slot of a frame that may have come twice, with one more reference."""
        slot = self._find(content)
        if slot < 0:
            slot = self._occupy()
            self._put(slot, content)
        self._references[slot] += 1
        return slot

    def _occupy(self) -> int:
        if self._vacated_count:
            self._vacated_count -= 1
            return int(self._vacated[self._vacated_count])
        self._untouched += 1
        return self._untouched - 1

    def _put(self, slot: int, content: bytes) -> None:
        self._bytes[slot] = np.frombuffer(content, np.uint8)
        self._hashes[slot] = number = self._hash_of(content)
        chain = self._chain(number)
        self._next[slot], self._heads[chain] = self._heads[chain], slot + 1

    def _vacate(self, slot: int) -> None:
        chain = self._chain(int(self._hashes[slot]))
        before, here = -1, int(self._heads[chain]) - 1
        while here != slot:
            assert here >= 0, "a frame lies in its chain until it is vacated, once"
            before, here = here, int(self._next[here]) - 1
        if before < 0:
            self._heads[chain] = self._next[slot]
        else:
            self._next[before] = self._next[slot]
        self._vacated[self._vacated_count] = slot
        self._vacated_count += 1

    def _chain(self, number: int) -> int:
        return number & (len(self._heads) - 1)
