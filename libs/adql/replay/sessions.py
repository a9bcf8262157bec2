"""Who talks to a table: live learners by lease, and the last chunk of each, so that a retry is no second insert."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from adql.errors import SupersededSequenceError

MAX_SESSIONS = 4_096
"""Sessions remembered; the one that was silent longest is forgotten first."""


class Chunk(NamedTuple):
    """The last chunk that a session inserted."""

    number: int
    transitions: int


class Sessions:
    """Bounded tables of leases and of last chunks; time is the monotonic ``clock``."""

    def __init__(self, lease_seconds: float, clock: Callable[[], float]) -> None:
        self._lease_seconds, self._clock = lease_seconds, clock
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._chunks: OrderedDict[str, Chunk] = OrderedDict()

    def lease(self, session: str) -> None:
        """Counts ``session``, which samples, as a live learner from now until a lease without a word."""
        self._seen[session] = self._clock()
        self._seen.move_to_end(session)
        if len(self._seen) > MAX_SESSIONS:
            self._seen.popitem(last=False)

    def renew(self, session: str) -> None:
        """Renews the lease of a live learner; who only inserts (an actor) has none."""
        if self._clock() - self._seen.get(session, -math.inf) < self._lease_seconds:
            self.lease(session)

    @property
    def live(self) -> int:
        """Learners heard of within the lease."""
        oldest = self._clock() - self._lease_seconds
        while self._seen and next(iter(self._seen.values())) <= oldest:
            self._seen.popitem(last=False)
        return len(self._seen)

    def repeated(self, session: str, number: int) -> Chunk | None:
        """Returns the chunk if ``number`` is the session's last one, None if it is new; gaps are no matter.

        Raises:
            SupersededSequenceError: the session has inserted a later chunk.
        """
        last = self._chunks.get(session)
        if last is None or number > last.number:
            return None
        if number == last.number:
            return last
        raise SupersededSequenceError(
            f"chunk {number} of session {session}, which has already inserted chunk {last.number}; "
            "number chunks upwards within a session",
            last_chunk=last.number,
        )

    def inserted(self, session: str, chunk: Chunk) -> None:
        """Remembers ``chunk`` as the session's last one."""
        self._chunks[session] = chunk
        self._chunks.move_to_end(session)
        if len(self._chunks) > MAX_SESSIONS:
            self._chunks.popitem(last=False)

    def state(self) -> dict[str, Chunk]:
        """Returns the last chunks, the longest silent session first."""
        return dict(self._chunks)

    def restore(self, state: Mapping[str, Chunk]) -> None:
        """Takes over last chunks; leases start afresh, from nobody."""
        self._chunks = OrderedDict(state)
