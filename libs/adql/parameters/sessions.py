"""Sessions of learners: slots, leases, and which sequences have been used up with what outcome.

A session is leased at registration and pushes sequences 0, 1, 2 … with one push outstanding. Applied, stale and
invalid updates use their sequence up and are recorded; every other answer changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from adql.errors import RateLimitedError, SequenceGapError, SupersededSequenceError, UnknownSessionError

MAX_SESSIONS = 4_096
"""Bounds the record of the sessions, which is part of every commit."""

Role = Literal["learner", "actor", "both"]


class Outcome(msgspec.Struct, frozen=True):
    """What a sequence was answered when it was used up."""

    kind: Literal["applied", "stale", "invalid"]
    epoch: int
    number: int
    """With ``epoch``: the version made by an applied update, or the present one when it was refused."""
    staleness: int
    message: str = ""
    """Why it was refused."""


class Counts(msgspec.Struct, frozen=True):
    """How often each answer was given."""

    applied: int = 0
    stale: int = 0
    invalid: int = 0
    duplicate: int = 0
    learner_steps: int = 0
    """Sum over the applied updates."""

    def __add__(self, other: "Counts") -> "Counts":
        ours, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Counts(*(a + b for a, b in zip(ours, theirs, strict=True)))


class Session(msgspec.Struct, frozen=True):
    """One session as it is committed; its lease is not, since it starts afresh with every server."""

    identifier: str
    slot: int
    role: Role
    last_sequence: int = -1
    last_outcome: Outcome | None = None
    environment_steps: int = 0
    """Monotone counter of the whole session."""
    counts: Counts = Counts()

    @property
    def pushes(self) -> bool:
        """Whether it counts as a live learner."""
        return self.role != "actor"

    @property
    def acts(self) -> bool:
        """Whether its slot counts for exploration."""
        return self.role != "learner"


class SessionsRecord(msgspec.Struct, frozen=True):
    """All sessions, and what the ended ones had counted."""

    live: list[Session] = []
    ended: Counts = Counts()
    ended_applied: dict[int, int] = {}
    """Applied updates of ended sessions that pushed, by slot."""
    ended_environment_steps: int = 0
    ended_acted: dict[int, int] = {}
    """The environment steps among them by slot."""
    registered: int = 0


class SessionTable:
    """The live sessions; ``clock`` is monotonic, in seconds."""

    def __init__(self, lease_seconds: float, clock: Callable[[], float], new_identifier: Callable[[], str]) -> None:
        self._lease_seconds, self._clock, self._new_identifier = lease_seconds, clock, new_identifier
        self.expired = 0
        """Sessions that this server saw fall silent for a whole lease."""
        self._live: dict[str, Session] = {}
        # In the order of their deadlines, since every lease is equally long: only the first can be over.
        self._deadlines: dict[str, float] = {}
        self._ended = SessionsRecord()
        self._learners = 0
        self._environment_steps = 0

    def register(self, role: Role) -> Session:
        """Leases a new session with the lowest slot that is free among those that act or push as it does.

        Actors and learners that only learn count apart: neither leaves a gap in the ladder of the others' exploration.

        Raises:
            RateLimitedError: the table is full.
        """
        self.expire()
        if len(self._live) >= MAX_SESSIONS:
            raise RateLimitedError(
                f"{MAX_SESSIONS} sessions are live, the most there may be; "
                "end some, or wait until their leases run out",
                retry_after_ms=5_000,
            )
        session = Session(self._new_identifier(), self._free_slot(role), role)
        self._ended = msgspec.structs.replace(self._ended, registered=self._ended.registered + 1)
        self._keep(session)
        return session

    def find(self, identifier: str) -> Session:
        """Returns a live session and renews its lease.

        Raises:
            UnknownSessionError: it never registered here, or its lease expired.
        """
        self.expire()
        if identifier not in self._live:
            raise UnknownSessionError("session is unknown here or its lease expired; register again")
        self._renew(identifier)
        return self._live[identifier]

    def recorded(self, identifier: str, sequence: int) -> Outcome | None:
        """Returns the outcome of the session's last sequence if ``sequence`` repeats it, None if it is the next one.

        Raises:
            UnknownSessionError: see ``find``.
            SupersededSequenceError: older than the last one.
            SequenceGapError: later than the next one.
        """
        session = self.find(identifier)
        last = session.last_sequence
        if sequence == last:
            return session.last_outcome
        if sequence < last:
            raise SupersededSequenceError(
                f"sequence {sequence} is older than {last}, the last one; go on with {last + 1}", last_sequence=last
            )
        if sequence > last + 1:
            raise SequenceGapError(f"sequence {sequence} came after {last}; send {last + 1} first", last_sequence=last)
        return None

    def use_sequence(self, identifier: str, outcome: Outcome, learner_steps: int = 0) -> None:
        """Records ``outcome`` for the session's next sequence; ``learner_steps`` are those of an applied update."""
        session = self._live[identifier]
        counts = session.counts + _counted(outcome.kind, learner_steps)
        self._live[identifier] = msgspec.structs.replace(
            session, last_sequence=session.last_sequence + 1, last_outcome=outcome, counts=counts
        )

    def count_duplicate(self, identifier: str) -> None:
        """Counts a repeat that was answered from the record."""
        session = self._live[identifier]
        self._live[identifier] = msgspec.structs.replace(session, counts=session.counts + Counts(duplicate=1))

    def report_steps(self, identifier: str, environment_steps: int) -> None:
        """Raises the session's counter of environment steps; a smaller one is an older report and changes nothing."""
        session = self.find(identifier)
        if environment_steps > session.environment_steps:
            self._environment_steps += environment_steps - session.environment_steps
            self._live[identifier] = msgspec.structs.replace(session, environment_steps=environment_steps)

    def close(self, identifier: str) -> None:
        """Ends a session; what it counted stays in the totals."""
        session = self._live.pop(identifier, None)
        if session is None:
            return
        del self._deadlines[identifier]
        self._learners -= session.pushes
        ended = self._ended
        self._ended = msgspec.structs.replace(
            ended,
            ended=ended.ended + session.counts,
            ended_applied=_with_applied(ended.ended_applied, [session]),
            ended_environment_steps=ended.ended_environment_steps + session.environment_steps,
            ended_acted=_with_acted(ended.ended_acted, [session]),
        )

    def expire(self) -> int:
        """Ends the sessions whose lease is over; returns how many."""
        now, before = self._clock(), len(self._live)
        while self._deadlines and self._deadlines[first := next(iter(self._deadlines))] <= now:
            self.close(first)
        self.expired += before - len(self._live)
        return before - len(self._live)

    def __len__(self) -> int:
        """Number of live sessions, without looking at leases."""
        return len(self._live)

    @property
    def live(self) -> list[Session]:
        """The sessions by slot, without looking at leases."""
        return sorted(self._live.values(), key=lambda session: session.slot)

    @property
    def learners(self) -> int:
        """Number of live sessions that push."""
        return self._learners

    @property
    def environment_steps(self) -> int:
        """The run's clock: ended sessions and live ones."""
        return self._environment_steps

    @property
    def counts(self) -> Counts:
        """All answers of the run."""
        return sum((session.counts for session in self._live.values()), self._ended.ended)

    @property
    def applied_by_slot(self) -> dict[int, int]:
        """Applied updates of the run by the slot that sent them; a slot is used again when its session has ended."""
        return dict(sorted(_with_applied(self._ended.ended_applied, self._live.values()).items()))

    @property
    def environment_steps_by_slot(self) -> dict[int, int]:
        """Environment steps of the run by the slot that made them."""
        return dict(sorted(_with_acted(self._ended.ended_acted, self._live.values()).items()))

    def record(self) -> SessionsRecord:
        """Returns everything that has to be committed."""
        return msgspec.structs.replace(self._ended, live=self.live)

    def load(self, record: SessionsRecord) -> None:
        """Starts from a committed record, every lease afresh."""
        self._live, self._deadlines = {}, {}
        self._learners, self._environment_steps = 0, record.ended_environment_steps
        self._ended = msgspec.structs.replace(record, live=[])
        for session in record.live:
            self._keep(session)

    def _free_slot(self, role: Role) -> int:
        new = Session("", 0, role)
        like_it = (s for s in self._live.values() if (s.acts and new.acts) or (s.pushes and new.pushes))
        return _lowest_free(session.slot for session in like_it)

    def _keep(self, session: Session) -> None:
        self._live[session.identifier] = session
        self._learners += session.pushes
        self._environment_steps += session.environment_steps
        self._renew(session.identifier)

    def _renew(self, identifier: str) -> None:
        self._deadlines.pop(identifier, None)
        self._deadlines[identifier] = self._clock() + self._lease_seconds


def _with_applied(applied: Mapping[int, int], sessions: Iterable[Session]) -> dict[int, int]:
    total = dict(applied)
    for session in sessions:
        if session.pushes:
            total[session.slot] = total.get(session.slot, 0) + session.counts.applied
    return total


def _with_acted(acted: Mapping[int, int], sessions: Iterable[Session]) -> dict[int, int]:
    total = dict(acted)
    for session in sessions:
        if session.acts:
            total[session.slot] = total.get(session.slot, 0) + session.environment_steps
    return total


def _counted(kind: str, learner_steps: int) -> Counts:
    if kind == "applied":
        return Counts(applied=1, learner_steps=learner_steps)
    return Counts(stale=1) if kind == "stale" else Counts(invalid=1)


def _lowest_free(slots: Iterable[int]) -> int:
    taken = set(slots)
    return next(slot for slot in range(len(taken) + 1) if slot not in taken)
