"""The frames of stacked observations, each distinct one once: found by content, kept while something refers to it."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from adql.config import FRAME_OVERHEAD_BYTES
from adql.types import Array, IntArray


class FrameStore:
    """Compressed frames that take at most ``room`` bytes, in numbered slots, with a count of references each.

    A frame is found in a hash table with chained slots, where equality of all bytes decides, never the hash alone. The
    arrays hold slot + 1, so that 0 ends a chain and the system gives them pages as they are first written. Python keys
    its hash of bytes with a secret: no one can send frames that all fall into one chain.
    """

    def __init__(self, room: int, slots: int, chains: int, hash_of: Callable[[bytes], int] = hash) -> None:
        """``slots`` are as many as ``room`` could ever need; ``chains``: about as many as frames are expected."""
        self._room, self._hash_of = room, hash_of
        self._contents: list[bytes | None] = []
        self._references = np.zeros(slots, np.int32)
        self._heads = np.zeros(1 << max(0, chains - 1).bit_length(), np.int32)
        self._next = np.zeros(slots, np.int32)
        """Of a vacant slot: the one that was vacated before it."""
        self._vacated = 0
        self._count = self._used = self._largest = 0

    def __len__(self) -> int:
        return self._count

    @property
    def used(self) -> int:
        """Bytes of all frames and of what is kept beside them."""
        return self._used

    @property
    def largest(self) -> int:
        """Bytes that no frame so far was above."""
        return self._largest

    def unknown(self, frames: Iterable[bytes]) -> list[tuple[int, bytes]]:
        """Returns those of ``frames`` that are not in store, with their places."""
        return [(place, frame) for place, frame in enumerate(frames) if self._find(frame) < 0]

    def hold(self, frames: Sequence[bytes], make_room: Callable[[int], None]) -> Array:
        """Returns the slots (m,) of ``frames``, which ``room`` is enough for, and adds a reference to each of them.

        ``make_room(n)`` is called while n bytes are lacking; it must release references.
        """
        known = np.array([self._find(frame) for frame in frames], np.int32)
        self.refer(known[known >= 0])  # before there is room made: what arrives must not be evicted
        new = [frame for frame, slot in zip(frames, known, strict=True) if slot < 0]
        needed = cost(set(new))
        while (lacking := self._used + needed - self._room) > 0:
            make_room(lacking)
        known[known < 0] = [self._hold_new(frame) for frame in new]
        return known

    def refer(self, slots: Array) -> None:
        """Adds a reference to the frame in each of ``slots``, of any shape; one that comes twice gets two."""
        np.add.at(self._references, slots.ravel(), 1)

    def release(self, slots: Array) -> None:
        """Takes a reference from the frame in each of ``slots``; a frame without one is gone."""
        np.subtract.at(self._references, slots.ravel(), 1)
        for slot in np.unique(slots[self._references[slots] == 0]).tolist():
            self._vacate(slot)

    def gather(self, slots: IntArray) -> list[bytes]:
        """Returns the frames in ``slots`` (n,)."""
        return [frame or b"" for frame in self.look(slots)]

    def look(self, slots: IntArray) -> list[bytes | None]:
        """Returns what is in ``slots`` (n,), None where that is vacant; may run in another thread."""
        return [self._contents[slot] for slot in slots.tolist()]

    def occupied(self) -> IntArray:
        """Returns the slots that are referred to, ascending; may run in another thread, hence the copy."""
        return np.flatnonzero(self._references[: len(self._contents)].copy())

    def restore(self, frames: Sequence[bytes], references: IntArray) -> None:
        """Puts ``frames``, each distinct, into the first slots of this empty store."""
        for frame in frames:
            self._put(self._occupy(), frame)
        self._references[: len(references)] = references

    def check_valid(self) -> list[str]:
        """Returns what is inconsistent, a sentence each; for tests."""
        slots = self.occupied()
        frames = self.gather(slots)
        lost = [slot for slot, frame in zip(slots, frames, strict=True) if self._find(frame) != slot]
        problems = [f"slot {slot} is not found by its content" for slot in lost]
        if len(slots) != len(self):
            problems.append(f"{len(slots)} frames are referred to, {len(self)} are stored")
        if self._used != cost(frames) or self._used > self._room:
            problems.append(f"{self._used} bytes are in use of {self._room}, the frames take {cost(frames)}")
        if (self._references < 0).any():
            problems.append("a frame was released more often than referred to")
        return problems

    def _find(self, frame: bytes) -> int:
        """Returns the slot of the frame with these bytes, -1 where there is none."""
        slot = int(self._heads[self._chain(frame)]) - 1
        while slot >= 0 and self._contents[slot] != frame:
            slot = int(self._next[slot]) - 1
        return slot

    def _hold_new(self, frame: bytes) -> int:
        """Returns the slot of a frame that may have come twice, with one more reference."""
        slot = self._find(frame)
        if slot < 0:
            slot = self._occupy()
            self._put(slot, frame)
        self._references[slot] += 1
        return slot

    def _occupy(self) -> int:
        if self._vacated:
            slot = self._vacated - 1
            self._vacated = int(self._next[slot])
            return slot
        self._contents.append(None)
        return len(self._contents) - 1

    def _put(self, slot: int, frame: bytes) -> None:
        self._contents[slot] = frame
        chain = self._chain(frame)
        self._next[slot], self._heads[chain] = self._heads[chain], slot + 1
        self._count, self._used = self._count + 1, self._used + cost([frame])
        self._largest = max(self._largest, cost([frame]))

    def _vacate(self, slot: int) -> None:
        frame = self._contents[slot]
        assert frame is not None, "a slot is vacated once"
        chain = self._chain(frame)
        before, here = -1, int(self._heads[chain]) - 1
        while here != slot:
            before, here = here, int(self._next[here]) - 1
        if before < 0:
            self._heads[chain] = self._next[slot]
        else:
            self._next[before] = self._next[slot]
        self._contents[slot] = None
        self._next[slot], self._vacated = self._vacated, slot + 1
        self._count, self._used = self._count - 1, self._used - cost([frame])

    def _chain(self, frame: bytes) -> int:
        return self._hash_of(frame) & (len(self._heads) - 1)


def cost(frames: Iterable[bytes]) -> int:
    """Returns the bytes that ``frames`` take in a store."""
    return sum(len(frame) + FRAME_OVERHEAD_BYTES for frame in frames)
