"""The background work of the server: commits at the allowed pace, and what follows from a commit."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

from adql.errors import (
    CheckpointError,
    FencedError,
    RunFailedError,
    StoreLostError,
    StoreRefusedError,
    StoreUnavailableError,
)
from adql.parameters import run_record
from adql.parameters.ownership import Finding, judge
from adql.parameters.pacing import CommitPacer
from adql.parameters.state import Mark, State
from adql.parameters.store import way_out
from adql.parameters.volume import check_same_run
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql_services.parameter_server.beacon import Beacon
from adql_services.parameter_server.opening import Opened
from adql_services.runtime.reminder import Reminder
from adql_services.runtime.volume import VolumeWatch

TICK_SECONDS = 1.0
"""How often an idle server looks at leases and at its store."""
RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 2.0
"""Every failed try doubles the time to the next one, up to this."""
MAX_UNRESOLVED = 8
"""States of attempts whose outcome is unknown that are kept; an older one that turns out to hold is replaced."""
MAX_LAST_COMMITS = 5
"""Two are enough, whatever happened before; a bound, so that a process that is to end does."""
CHECKPOINT_SECONDS = 60.0
MEMORY_SECONDS = 5.0
"""Between two questions for the store's memory, which only the gauges want to know."""


class Committer:
    """Owns store and volume; everything in it runs in one task, blocking work in threads on immutable states.

    ``commits`` flashes after every commit, ``changes`` when the status or the waiting evaluations may have changed.
    ``on_commit`` is called after every commit, ``on_available`` is told whether the server takes updates, ``watch``
    whether the volume takes what it is given; ``applying`` is held while an update is applied in a thread.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        commits: Beacon,
        changes: Beacon,
        on_commit: Callable[[], None],
        on_available: Callable[[bool], None],
        watch: VolumeWatch,
        applying: asyncio.Lock,
    ) -> None:
        self._machine, self._store, self._volume = opened.machine, opened.store, opened.volume
        self._owner, self._known = opened.owner, opened.state.mark
        self._saved_changes, self._attempts = opened.machine.changes, opened.state.mark.commit
        self._unresolved: deque[State] = deque(maxlen=MAX_UNRESOLVED)
        self._state = opened.state
        self._pacer = CommitPacer(opened.machine.specification.durability)
        self._commits, self._changes = commits, changes
        self._on_commit, self._on_available = on_commit, on_available
        self._dirty, self._urgent = asyncio.Event(), asyncio.Event()
        self._incident, self._ending = False, asyncio.Event()
        self._watch, self._applying = watch, applying
        self._next_checkpoint = time.monotonic()
        self._checkpointed: Mark | None = None
        self._next_memory = time.monotonic()
        metrics.LAST_COMMIT.set(time.time())  # of the epoch that was opened

    def changed(self) -> None:
        """Says that there is something to commit."""
        self._dirty.set()

    def hurry(self) -> None:
        """Asks for a commit now, or for a look at the store where nothing has changed: somebody waits for it."""
        self._urgent.set()
        self._dirty.set()

    def end(self) -> None:
        """Lets ``run`` return after what is under way."""
        self._ending.set()
        self.hurry()

    async def run(self) -> None:
        """Commits until ``end``.

        Raises:
            FencedError: another server owns the run.
            StoreLostError: the store came back with another run of this name.
            StoreNotDurableError: the store came back with settings that would lose updates.
        """
        while not self._ending.is_set():
            try:
                if await self._is_due():
                    await self._commit()
                else:
                    await self._look_at_store()
            except StoreUnavailableError as error:
                await self._reconnect(error)
            await self._follow_up()  # of whatever way this turn, or an earlier life, came to its last commit

    async def finish(self) -> None:
        """The last commit, policy and checkpoint of a server that ends; after ``run`` has returned.

        Raises:
            RunFailedError: the store did not take the last commit, or the volume the last checkpoint.
            FencedError: another server owns the run.
        """
        try:
            await self._commit_the_rest()
        except StoreUnavailableError as error:
            raise RunFailedError(
                f"ended without a last commit, version {self._machine.durable} is the newest in the store: {error}; "
                "learners that live send the later updates again"
            ) from error
        finally:
            saved = await self._checkpoint()
            self._store.close()
        if not saved:
            raise RunFailedError(
                f"ended without a last checkpoint or policy; the store has everything up to {self._machine.durable}, "
                f"the volume cannot be written ({self._watch.trouble}): give it room or rights, and start again"
            )

    async def _commit_the_rest(self) -> None:
        """Once more where an earlier commit of unknown outcome turned out to hold, which the last one then finds."""
        for _ in range(MAX_LAST_COMMITS):
            if self._machine.changes == self._saved_changes:
                return
            await self._commit()
        if self._machine.changes != self._saved_changes:
            raise StoreUnavailableError(f"{MAX_LAST_COMMITS} commits left changes unsaved")

    # Waiting

    async def _is_due(self) -> bool:
        """Returns True when a commit is due, False when it is time to look at the store."""
        if self._machine.changes == self._saved_changes:
            self._dirty.clear()
            await _wait(self._dirty, TICK_SECONDS)
            self._machine.expire()
            if self._machine.changes == self._saved_changes:
                self._urgent.clear()
                return False
        new_version = self._machine.version.number != self._known.number
        seconds = self._pacer.next_start(new_version) - time.monotonic()
        if seconds > 0 and not self._urgent.is_set():
            await _wait(self._urgent, seconds)
        self._urgent.clear()
        return True

    # Committing

    async def _commit(self) -> None:
        epoch = max(self._machine.version.epoch, self._known.epoch)
        await self._commit_under(epoch, self._known)

    async def _commit_under(self, epoch: int, replaces: Mark | None) -> None:
        self._attempts += 1
        async with self._applying:
            changes = self._machine.changes
            state = self._machine.snapshot(Mark(epoch, self._machine.version.number, self._attempts, self._owner))
        self._unresolved.append(state)
        start = time.monotonic()
        try:
            held = await asyncio.to_thread(self._write, state, replaces)
        except StoreRefusedError:
            self._unresolved.pop()
            raise
        if held != state.mark:
            await self._resolve(held)
            return
        self._pacer.committed(start, time.monotonic(), state.nbytes)
        metrics.COMMIT_SECONDS.observe(time.monotonic() - start)
        metrics.COMMIT_BYTES.inc(state.nbytes)
        metrics.LAST_COMMIT.set(time.time())
        self._saved_changes = changes
        self._announce(state)

    def _write(self, state: State, replaces: Mark | None) -> Mark | None:
        held = self._store.commit(state, replaces)
        if held == state.mark:
            self._remember(state)
        return held

    def _remember(self, state: State) -> None:
        """A full disk must not stop training: the store is the durable copy, the volume only guards it."""
        with contextlib.suppress(OSError), self._watch.writing("the watermark"):
            self._volume.remember(self._machine.identity, state.mark)

    def _announce(self, state: State) -> None:
        self._machine.committed(state)
        self._known, self._state = state.mark, state
        self._unresolved.clear()
        self._incident = False
        self._set_available(True)
        self._commits.flash()
        self._on_commit()

    # When the store is not as it was left

    async def _look_at_store(self) -> None:
        await self._resolve(await asyncio.to_thread(self._store.mark))

    async def _resolve(self, held: Mark | None) -> None:
        finding = judge(held, self._known, self._owner)
        if held is not None and finding in (Finding.FENCED, Finding.LOST):
            await self._check_run()
        if finding is Finding.FENCED:
            raise FencedError(f"another server owns epoch {held.epoch if held else 0} of this run; this one ends")
        if finding is Finding.LANDED:
            landed = next((state for state in self._unresolved if state.mark == held), None)
            if landed is not None:
                await asyncio.to_thread(self._remember, landed)
                self._announce(landed)
                return
        if finding is not Finding.UNCHANGED:
            await self._commit_again(held)

    async def _check_run(self) -> None:
        """Marks say nothing of the run: a store with another one's data was put in the place of this one's."""
        with contextlib.suppress(CheckpointError):  # what cannot be read is replaced: this server has it all
            stored = await asyncio.to_thread(self._store.read)
            if stored is not None:
                try:
                    check_same_run(stored, self._machine.identity.name, self._machine.identity.run_id)
                except StoreLostError:
                    await self._checkpoint()  # where the store is gone for good, this is all that is left
                    raise

    async def _commit_again(self, held: Mark | None) -> None:
        """The store is empty, or holds an older state of this server, which still has it all."""
        get_logger().error("the weight store lost commits; committing again under a new epoch", held=str(held))
        self._set_available(False)
        if not self._incident:
            self._incident = True
            self._machine.incidents += 1
            metrics.STORE_INCIDENTS.inc()
        await self._commit_under(max(self._machine.version.epoch, self._known.epoch) + 1, held)

    async def _reconnect(self, error: StoreUnavailableError) -> None:
        """Refuses updates until the store has confirmed a commit again; what it holds is read back first."""
        self._set_available(False)
        metrics.COMMIT_FAILURES.inc()
        seconds, reminder = RETRY_SECONDS, Reminder(time.monotonic)
        self._say_away(error, reminder)
        while not (self._machine.available or await _wait(self._ending, seconds)):
            seconds = min(2 * seconds, MAX_RETRY_SECONDS)
            try:
                await asyncio.to_thread(self._store.check_durable)
                await self._look_at_store()
                await self._commit()
            except StoreUnavailableError as again:
                metrics.COMMIT_FAILURES.inc()
                self._say_away(again, reminder)
        if self._machine.available:
            get_logger().info("went on with the weight store", durable=str(self._machine.durable))

    def _say_away(self, error: StoreUnavailableError, reminder: Reminder) -> None:
        if reminder.is_due():
            hint = way_out(error, "start it again")
            get_logger().warning("the weight store is away", address=self._store.address, error=str(error), hint=hint)

    def _set_available(self, available: bool) -> None:
        if available != self._machine.available:
            self._machine.available = available
            self._commits.flash()
            self._on_available(available)

    # What follows from a commit

    async def _follow_up(self) -> None:
        state = self._state
        task = self._machine.due_evaluation(state.mark.version, state.record.clocks)
        if task is not None:
            await self._keep(task, state)
        await self._measure_store()
        if time.monotonic() >= self._next_checkpoint and state.mark != self._checkpointed:
            await self._checkpoint()

    async def _measure_store(self) -> None:
        """A store that does not answer is found out by the next commit, and one that will not is left alone."""
        if time.monotonic() < self._next_memory or not self._machine.available:
            return
        self._next_memory = time.monotonic() + MEMORY_SECONDS
        with contextlib.suppress(StoreUnavailableError):
            memory = await asyncio.to_thread(self._store.memory)
            metrics.STORE_MEMORY.set(memory.used)
            metrics.STORE_MEMORY_LIMIT.set(memory.limit)

    async def _keep(self, task: run_record.Task, state: State) -> None:
        try:
            with self._watch.writing("a version for evaluation"):
                await asyncio.to_thread(self._volume.keep_for_evaluation, task, state)
        except OSError:
            return  # the next turn tries again
        self._machine.schedule(task)
        self._changes.flash()
        await self._forget(state)

    async def _forget(self, state: State) -> None:
        """After a crash the run goes on from the committed record: what waits there is still needed."""
        waiting = (*state.record.evaluations.waiting, *self._machine.evaluations.waiting)
        try:
            await asyncio.to_thread(self._volume.forget_evaluations_but, waiting)
        except OSError as error:
            get_logger().error("cannot remove versions that were evaluated", error=str(error))

    async def _checkpoint(self) -> bool:
        self._next_checkpoint, state = time.monotonic() + CHECKPOINT_SECONDS, self._state
        try:
            with self._watch.writing("a checkpoint"):
                await asyncio.to_thread(self._volume.write_last, state)
                await asyncio.to_thread(self._volume.checkpoints.write, state)
        except OSError:
            return False  # the older ones are kept
        self._checkpointed = state.mark
        return True


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
