"""The table as a service: its verbs with waiting, its metrics and its snapshots, all in one event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from adql.config.identity import check_same_hash
from adql.errors import RateLimitedError, UnavailableError
from adql.replay import (
    InsertResult,
    PriorityResult,
    ReplayTable,
    SampledBatches,
    Snapshots,
    TableState,
    TableStatistics,
)
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.types import Array
from adql_services.runtime.volume import VolumeWatch

TURN_SECONDS = 1.0
"""Who is too fast waits at most this long in the server, whatever it asked for, then is told to come again."""
GAUGE_SECONDS = 1.0
"""Between two looks at the table for the gauges."""

T = TypeVar("T")


class ReplayService:
    """One table, whoever waits for it, and its snapshots; every method belongs to the service's event loop."""

    def __init__(
        self, table: ReplayTable, snapshots: Snapshots, config_hash: str, keys: Mapping[str, Any] | None = None
    ) -> None:
        """``keys`` are those that ``config_hash`` is of, for a client of other ones."""
        self._table, self._snapshots, self._config_hash, self._keys = table, snapshots, config_hash, keys
        self._changed = asyncio.Condition()
        self._snapshot_under_way, self._writing = asyncio.Lock(), threading.Lock()
        self._watch = VolumeWatch()
        _show_zeros()

    def check_configuration(self, config_hash: str) -> None:
        """Refuses a client of another configuration.

        Raises:
            WrongRunError: it is another one.
        """
        check_same_hash(config_hash, self._config_hash, self._keys)

    async def insert(
        self, session: str, chunk: int, columns: dict[str, Array], td_errors: Array | None, wait_seconds: float
    ) -> InsertResult:
        """``ReplayTable.insert``, waiting while inserts are ahead of samples."""
        insert = partial(self._table.insert, session, chunk, columns, td_errors)
        result = await self._when_allowed("insert", insert, wait_seconds)
        if not result.duplicate:
            metrics.REPLAY_INSERTS.inc(result.inserted)
        return result

    async def sample(self, session: str, batches: int, batch_size: int, wait_seconds: float) -> SampledBatches:
        """``ReplayTable.sample``, waiting while samples are ahead of inserts."""
        sample = partial(self._table.sample, session, batches, batch_size)
        result = await self._when_allowed("sample", sample, wait_seconds)
        metrics.REPLAY_SAMPLES.inc(len(result.item_ids))
        metrics.REPLAY_SAMPLE_AGE.observe(result.mean_age)
        return result

    def update_priorities(self, incarnation: int, item_ids: Array, td_errors: Array) -> PriorityResult:
        """``ReplayTable.update_priorities``; ids are uint64 (n,)."""
        result = self._table.update_priorities(incarnation, item_ids.astype("int64"), td_errors)
        metrics.REPLAY_PRIORITIES.labels("updated").inc(result.updated)
        metrics.REPLAY_PRIORITIES.labels("ignored").inc(result.ignored)
        return result

    async def give_back(self, incarnation: int, batches: list[int]) -> int:
        """``ReplayTable.give_back``; inserts get no room by it, samples do."""
        returned = self._table.give_back(incarnation, batches)
        async with self._changed:
            self._changed.notify_all()
        return returned

    def statistics(self) -> TableStatistics:
        """Returns the table in numbers."""
        return self._table.statistics()

    async def restore(self) -> None:
        """Fills the empty table from the newest whole snapshot and says which ones were corrupt.

        Raises:
            CheckpointError: the directory holds snapshots of another run or configuration.
        """
        for error in await asyncio.to_thread(self._snapshots.restore, self._table):
            metrics.REPLAY_SNAPSHOT_FAILURES.labels("restore").inc()
            get_logger().error("snapshot passed over", error=str(error))
        get_logger().info("table ready", transitions=len(self._table), incarnation=self._table.incarnation)

    async def snapshot(self) -> int:
        """Writes a snapshot, one at a time, in a thread beside the loop; returns its bytes.

        Raises:
            UnavailableError: the volume is full or broken; says whether an earlier snapshot stands.
        """
        async with self._snapshot_under_way:
            start = time.monotonic()
            try:
                with self._watch.writing("a snapshot"):
                    written = await asyncio.to_thread(self._write, self._table.state())
            except OSError as error:
                metrics.REPLAY_SNAPSHOT_FAILURES.labels("write").inc()
                message = f"no snapshot: {error.strerror}; make room on the volume; {self._standing()}"
                raise UnavailableError(message) from error
            metrics.REPLAY_SNAPSHOT_SECONDS.set(time.monotonic() - start)
            return written

    def _standing(self) -> str:
        try:
            newest = self._snapshots.newest()
        except OSError:
            return "nor can an earlier one be looked for"
        return f"the earlier {newest.name} stands" if newest else "there is no earlier one: a restart begins empty"

    def _write(self, state: TableState) -> int:
        """Waits for a thread whose caller was cancelled: it goes on writing and cannot be called back."""
        with self._writing:
            return self._snapshots.write(self._table, state)

    async def snapshot_regularly(self, seconds: float) -> None:
        """Writes a snapshot every ``seconds`` for ever; a failed one is tried again the next time."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.snapshot()
            except UnavailableError:
                continue

    async def publish_regularly(self) -> None:
        """Sets the gauges for ever."""
        while True:
            _publish(self._table.statistics())
            await asyncio.sleep(GAUGE_SECONDS)

    async def _when_allowed(self, verb: str, operation: Callable[[], T], wait_seconds: float) -> T:
        """Calls ``operation`` until the rate limiter lets it pass, or the wait is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait_seconds, TURN_SECONDS)
        async with self._changed:
            while True:
                try:
                    result = operation()
                except RateLimitedError:
                    if (start := loop.time()) >= deadline:
                        metrics.REPLAY_REFUSED.labels(verb).inc()
                        raise
                    await self._next_change(deadline)
                    metrics.REPLAY_WAIT_SECONDS.labels(verb).inc(loop.time() - start)
                else:
                    self._changed.notify_all()
                    return result

    async def _next_change(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._changed.wait()
        except TimeoutError:
            return


def _show_zeros() -> None:
    """What did not happen yet is 0, so that the first time is seen as growth."""
    for verb in ("insert", "sample"):
        metrics.REPLAY_REFUSED.labels(verb)
        metrics.REPLAY_WAIT_SECONDS.labels(verb)
    for outcome in ("updated", "ignored"):
        metrics.REPLAY_PRIORITIES.labels(outcome)
    for step in ("write", "restore"):
        metrics.REPLAY_SNAPSHOT_FAILURES.labels(step)


def _publish(statistics: TableStatistics) -> None:
    metrics.REPLAY_SIZE.set(statistics.size)
    metrics.REPLAY_BYTES.set(statistics.bytes)
    metrics.REPLAY_CAPACITY.set(statistics.capacity)
    metrics.REPLAY_RATIO.set(statistics.ratio)
    metrics.REPLAY_ERROR.set(statistics.error)
    metrics.REPLAY_BOUND.set(statistics.bound)
    metrics.REPLAY_PRIORITY_MEAN.set(statistics.priority_mean)
    metrics.REPLAY_PRIORITY_MAX.set(statistics.priority_max)
    metrics.REPLAY_LEARNERS.set(statistics.learners)
