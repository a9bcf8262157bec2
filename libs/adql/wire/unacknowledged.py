"""Updates that were applied, or may have been, and are not yet known to survive a crash of the server."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from adql.types import Array, RunState, Version


@dataclass(slots=True)
class HeldUpdate:
    """One update as it was sent; ``sequence`` changes when it is sent again after a restart of the server."""

    sequence: int
    based_on: Version
    vector: Array
    """As it travels: (P,) in its encoding, or packed (n,)."""
    learner_steps: int
    environment_steps: int
    packed: bool = False
    applied: Version | None = None
    """The version that it made; None while that is not known."""


class Unacknowledged:
    """Held updates in the order of their sequences, bounded in bytes; the oldest is forgotten first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: deque[HeldUpdate] = deque()
        self._bytes = 0
        self.forgotten = 0
        """Updates that had to be forgotten unacknowledged."""

    def __len__(self) -> int:
        return len(self._held)

    def add(self, update: HeldUpdate) -> None:
        """Holds ``update``, and forgets the oldest ones beyond the bound."""
        self._held.append(update)
        self._bytes += update.vector.nbytes
        while self._bytes > self._max_bytes:
            self._drop_first()
            self.forgotten += 1

    def acknowledge(self, state: RunState) -> None:
        """Drops what ``state`` says is durable: applied in its epoch, up to the watermark."""
        while self._held and _is_durable(self._held[0], state.durable):
            self._drop_first()

    def is_older_than(self, epoch: int) -> bool:
        """Whether something was applied in an epoch before ``epoch``, so that its fate has to be asked for."""
        return any(update.applied is not None and update.applied.epoch < epoch for update in self._held)

    def take_after(self, sequence: int) -> list[HeldUpdate]:
        """Removes and returns the updates later than ``sequence``, in order."""
        later = [update for update in self._held if update.sequence > sequence]
        self._keep(update for update in list(self._held) if update.sequence <= sequence)
        return later

    def drop_up_to(self, sequence: int) -> None:
        """Drops the updates up to ``sequence``: they are durable."""
        while self._held and self._held[0].sequence <= sequence:
            self._drop_first()

    def clear(self) -> int:
        """Drops everything; returns how many there were."""
        count = len(self._held)
        self._keep([])
        return count

    def _drop_first(self) -> None:
        self._bytes -= self._held.popleft().vector.nbytes

    def _keep(self, updates: Iterable[HeldUpdate]) -> None:
        self._held = deque(updates)
        self._bytes = sum(update.vector.nbytes for update in self._held)


def _is_durable(update: HeldUpdate, durable: Version) -> bool:
    return update.applied is not None and update.applied.epoch == durable.epoch and update.applied <= durable
