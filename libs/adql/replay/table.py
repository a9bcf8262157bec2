"""The replay table: insert, sample, update_priorities; FIFO eviction, samples per insert kept by a rate limiter."""

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from adql.errors import InputError, RateLimitedError
from adql.replay.rate_limiter import RateLimiter
from adql.replay.records import Columns, InsertResult, PriorityResult, SampledBatches, TableState, TableStatistics
from adql.replay.ring import ColumnRing, Frames, Ring, Rows
from adql.replay.schema import TransitionSchema, check_td_errors
from adql.replay.selectors import Selector
from adql.replay.sessions import Chunk, Sessions
from adql.replay.stack_ring import StackRing
from adql.types import Array, IntArray

RETRY_AFTER_MS = 50
"""When one who was refused may come again: about the time of one chunk or one request at usual speeds."""
MAX_RETURNABLE_BATCHES = 65_536
"""Newest batches that can still be given back."""


class ReplayTable:
    """Transitions in FIFO order under 64-bit ids 0, 1, 2…, never reused within an incarnation.

    One thread calls it; ``read_rows``, ``frame_numbers`` and ``read_frames`` may run in another one, beside it.
    """

    def __init__(
        self,
        schema: TransitionSchema,
        selector: Selector,
        limiter: RateLimiter,
        sessions: Sessions,
        *,
        capacity: int,
        incarnation: int,
        rng: np.random.Generator,
        frame_room: int = 0,
    ) -> None:
        """``frame_room``: bytes for frames, where ``schema`` stacks them."""
        self.schema = schema
        self._selector, self._limiter, self._sessions, self._rng = selector, limiter, sessions, rng
        self._capacity, self._incarnation = capacity, incarnation
        self._ring = _make_ring(schema, capacity, frame_room)
        self._oldest = self._next_id = 0
        self._next_batch = 0
        self._returnable: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return self._next_id - self._oldest

    @property
    def incarnation(self) -> int:
        """Goes with every id: an id of another incarnation names nothing here."""
        return self._incarnation

    def insert(self, session: str, chunk: int, batch: Columns, td_errors: Array | None = None) -> InsertResult:
        """Inserts the whole ``batch`` or nothing, evicting the oldest; a chunk that came before is not inserted again.

        Raises:
            InvalidTransitionError: names the column that is unfit.
            SupersededSequenceError: the session has inserted a later chunk.
            RateLimitedError: too fast for now.
        """
        rows = self._check(batch, td_errors)
        self._sessions.renew(session)
        learners = self._sessions.live
        if before := self._sessions.repeated(session, chunk):
            return InsertResult(before.transitions, duplicate=True, size=len(self), incarnation=self._incarnation)
        if not self._limiter.can_insert(rows, len(self), learners):
            raise self._too_fast("inserts are ahead of samples", learners)
        self._ring.check(batch)  # not before its turn: whoever waits is not looked through at each try
        self._append(batch, rows)
        self._selector.insert(self._ring.slots(self._next_id - rows, self._next_id), td_errors)
        self._limiter.inserts += rows
        self._sessions.inserted(session, Chunk(chunk, rows))
        return InsertResult(rows, duplicate=False, size=len(self), incarnation=self._incarnation)

    def sample(self, session: str, batches: int, batch_size: int) -> SampledBatches:
        """Draws ``batches`` batches with replacement.

        Raises:
            InputError: more than the largest request that the limiter was built for.
            RateLimitedError: below min_size, or too fast for now.
        """
        count = batches * batch_size
        if count > self._limiter.request:
            raise InputError(
                f"{batches} batches of {batch_size} transitions, at most {self._limiter.request} transitions a request "
                "(algorithm.batch_size · replay.batches_per_request); ask for fewer batches"
            )
        self._sessions.lease(session)
        learners = self._sessions.live
        if not self._limiter.can_sample(count, len(self), learners):
            raise self._too_fast("samples are ahead of inserts or the table is below min_size", learners)
        slots, probabilities = self._selector.sample(self._oldest, len(self), count, self._rng)
        self._limiter.samples += count
        ids = self._oldest + (slots - self._oldest) % self._capacity
        first_batch = self._number(batches, batch_size)
        age = self._next_id - float(ids.mean())
        columns = self._ring.gather(slots)
        return SampledBatches(columns, ids, probabilities, first_batch, len(self), age, self._incarnation)

    def update_priorities(self, incarnation: int, item_ids: IntArray, td_errors: Array) -> PriorityResult:
        """Takes the TD errors (n,) of sampled items (n,); of an item that comes twice the last one wins.

        Raises:
            InvalidTransitionError: TD errors that are not finite float32 of the same length; nothing was changed.
        """
        check_td_errors(td_errors, len(item_ids))
        here = (item_ids >= self._oldest) & (item_ids < self._next_id) & (incarnation == self._incarnation)
        self._selector.update(item_ids[here] % self._capacity, td_errors[here])
        updated = int(here.sum())
        return PriorityResult(updated, len(item_ids) - updated)

    def give_back(self, incarnation: int, batches: Iterable[int]) -> int:
        """Takes unused batches back by number, each once; returns how many were known here."""
        sizes = [self._returnable.pop(batch, 0) for batch in batches if incarnation == self._incarnation]
        self._limiter.samples -= sum(sizes)
        return sum(size > 0 for size in sizes)

    def statistics(self) -> TableStatistics:
        """Returns the table in numbers."""
        learners = self._sessions.live
        priority_mean, priority_max = self._selector.mean_and_largest(len(self))
        used_bytes, frames = self._ring.usage(len(self))
        return TableStatistics(
            size=len(self),
            capacity=self._capacity,
            inserts=self._limiter.inserts,
            samples=self._limiter.samples,
            error=self._limiter.error,
            bound=self._limiter.bound(learners),
            ratio=self._limiter.ratio,
            bytes=used_bytes,
            frames=frames,
            incarnation=self._incarnation,
            learners=learners,
            priority_mean=priority_mean,
            priority_max=priority_max,
        )

    def state(self) -> TableState:
        """Returns a copy of everything but the rows."""
        return TableState(
            incarnation=self._incarnation,
            oldest=self._oldest,
            next_id=self._next_id,
            inserts=self._limiter.inserts,
            samples=self._limiter.samples,
            chunks=self._sessions.state(),
            priorities=self._selector.priorities(self._ring.slots(self._oldest, self._next_id)),
        )

    def read_rows(self, first: int, last: int) -> tuple[int, dict[str, Array]]:
        """Returns a copy of the rows ``first`` to ``last`` − 1, less those evicted meanwhile, and the first one's id.

        Safe beside inserts: a row is written only after its predecessor was declared evicted, and what was evicted
        by the end of the copy is left out of it.
        """
        rows = self._ring.stored(self._ring.slots(first, last))
        kept = min(max(first, self._oldest), last)
        return kept, {name: column[kept - first :] for name, column in rows.items()}

    def frame_numbers(self) -> IntArray:
        """Returns the numbers (n,) of the frames that rows refer to; empty where observations are no stacks."""
        return self._ring.frames()

    def read_frames(self, numbers: IntArray) -> list[bytes | None]:
        """Returns the frames ``numbers``; of one whose rows were all evicted meanwhile it is None or another frame."""
        return self._ring.gather_frames(numbers)

    def restore(self, state: TableState, rows: Rows, frames: Frames = ()) -> None:
        """Fills this empty table: ``rows`` as ``read_rows`` gave them, in order of ids; the newest are kept."""
        oldest = max(state.oldest, state.next_id - self._capacity)
        self._oldest, self._next_id = self._ring.restore(oldest, state.next_id, rows, frames), state.next_id
        kept = None if state.priorities is None else state.priorities[self._oldest - state.oldest :]
        self._selector.restore(self._ring.slots(self._oldest, self._next_id), kept)
        self._limiter.inserts, self._limiter.samples = state.inserts, state.samples
        self._sessions.restore(state.chunks)

    def check_valid(self) -> list[str]:
        """Returns what is inconsistent, a sentence each; tests call it after every operation."""
        problems = self._selector.check_valid() + self._ring.check_valid(self._oldest, self._next_id)
        if not 0 <= len(self) <= self._capacity:
            problems.append(f"{len(self)} transitions in a table of {self._capacity}")
        if self._limiter.samples < 0 or self._limiter.inserts < len(self):
            problems.append("fewer inserts than transitions, or more given back than sampled")
        return problems

    def _check(self, batch: Columns, td_errors: Array | None) -> int:
        rows = self.schema.check(batch)
        if rows > self._capacity:
            raise InputError(f"insert of {rows} transitions into a table of {self._capacity}; send smaller chunks")
        if td_errors is not None:
            check_td_errors(td_errors, rows)
        return rows

    def _append(self, batch: Columns, rows: int) -> None:
        self._evict(max(0, len(self) + rows - self._capacity))
        self._ring.write(self._next_id, batch, self._evict_for_bytes)
        self._next_id += rows

    def _evict(self, count: int) -> None:
        """Declares the oldest rows evicted before anything of theirs is overwritten: ``read_rows`` relies on it."""
        first, self._oldest = self._oldest, self._oldest + count
        self._ring.free(first, self._oldest)

    def _evict_for_bytes(self, count: int) -> None:
        """Other than those that give their slots to new rows, these must be taken from the selector."""
        self._selector.remove(self._ring.slots(self._oldest, self._oldest + count))
        self._evict(count)

    def _number(self, batches: int, batch_size: int) -> int:
        first = self._next_batch
        self._next_batch += batches
        self._returnable.update((first + batch, batch_size) for batch in range(batches))
        while len(self._returnable) > MAX_RETURNABLE_BATCHES:
            self._returnable.popitem(last=False)
        return first

    def _too_fast(self, side: str, learners: int) -> RateLimitedError:
        limiter = self._limiter
        return RateLimitedError(
            f"{side}: {len(self)} transitions, error {limiter.error:g}, at most ±{limiter.bound(learners):g}; "
            "do the other verb or come again",
            retry_after_ms=RETRY_AFTER_MS,
        )


def _make_ring(schema: TransitionSchema, capacity: int, frame_room: int) -> Ring:
    if schema.frame is None:
        return ColumnRing(schema.columns, capacity)
    return StackRing(schema.columns, schema.frame, capacity, frame_room)
