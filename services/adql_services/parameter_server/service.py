"""What the routes ask for: the state machine, with waiting and durability around it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from adql.config import RunSpecification
from adql.encodings import from_wire, to_wire
from adql.errors import AdqlError, CheckpointError, InvalidUpdateError, StoreUnavailableError, UnavailableError
from adql.parameters import run_record
from adql.parameters.applying import PushResult, Work
from adql.parameters.diary import Diary
from adql.parameters.sessions import Role, Session
from adql.telemetry import metrics
from adql.telemetry.logs import get_logger
from adql.types import Array, Float32Array, Parameters, RunState, Update, Version
from adql.wire import codec
from adql.wire.learner_requests import PACKED, update_vector
from adql_services.parameter_server.beacon import Beacon
from adql_services.parameter_server.committer import Committer
from adql_services.parameter_server.metrics_report import MetricsReport
from adql_services.parameter_server.opening import Opened
from adql_services.parameter_server.recorder import Recorder
from adql_services.runtime.shutdown import Shutdown
from adql_services.runtime.side_port import Health
from adql_services.runtime.volume import VolumeWatch

DURABLE_WAIT_SECONDS = 5.0
"""How long a durable answer may take; then the client asks again with the same sequence.

Half of what a learner waits: a session whose answer nobody hears any more would be leased to nobody.
"""

THREAD_SIZE = 250_000
"""Parameters from which an update is applied in a thread: there that takes as long as to go there and back."""


class ParameterService:
    """One run's service, for one event loop."""

    def __init__(self, specification: RunSpecification, opened: Opened, health: Health, shutdown: Shutdown) -> None:
        self._specification, self._health, self._shutdown = specification, health, shutdown
        self._machine, self._volume = opened.machine, opened.volume
        self._changes, self._commits = Beacon(), Beacon()
        self._watch = VolumeWatch()
        self._applying = asyncio.Lock()
        self._committer = Committer(
            opened,
            commits=self._commits,
            changes=self._changes,
            on_commit=self._publish,
            on_available=self._on_available,
            watch=self._watch,
            applying=self._applying,
        )
        self._report = MetricsReport(opened.machine.clocks)
        self._recorder = Recorder(opened.machine, opened.volume.diary)
        self._reporting = asyncio.Lock()
        self._pull_body: tuple[Version, list[codec.Buffer]] | None = None
        self._encoded: tuple[Version, Array] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # Life

    def start(self) -> None:
        """Begins the background work."""
        self._report.begin(self._machine)
        self._publish()
        works = (self._commit_for_ever(), self._wait_for_end(), self._recorder.run())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def finish(self) -> None:
        """Commits, writes last policy and checkpoint, and ends the background work."""
        self._committer.end()
        self._changes.close()
        await asyncio.gather(self._tasks[0])
        self._tasks[1].cancel()
        self._recorder.end()
        await asyncio.gather(self._tasks[2])
        if self._shutdown.failure is None:
            await self._recorder.finish()
            await self._committer.finish()

    async def _commit_for_ever(self) -> None:
        try:
            await self._committer.run()
        except AdqlError as error:
            self._end(error)
        except Exception as error:
            get_logger().exception("the committing task failed")
            self._end(AdqlError(f"the committing task failed: {error!r}"))

    def _end(self, failure: AdqlError) -> None:
        self._machine.available = False
        self._commits.flash()  # whoever waits for a commit waits in vain
        self._shutdown.begin(failure)

    async def _wait_for_end(self) -> None:
        await self._shutdown.begun.wait()
        self._changes.close()

    def _on_available(self, available: bool) -> None:
        self._health.ready = available and not self._shutdown.begun.is_set()

    # What it shows

    @property
    def state(self) -> RunState:
        """What every answer says about the run."""
        machine = self._machine
        return RunState(
            machine.identity.run_id,
            machine.version,
            machine.durable,
            machine.clocks,
            machine.status,
            machine.sessions.learners,
        )

    @property
    def size(self) -> int:
        """Length P of the flat vector."""
        return len(self._machine.parameters.vector)

    @property
    def encoding(self) -> str:
        """In which learners' vectors travel, both ways; evaluations are of float32 parameters."""
        return self._specification.update.encoding

    @property
    def lease_seconds(self) -> float:
        """A session expires after this long without a word."""
        return self._specification.durability.lease_seconds

    def describe(self) -> dict[str, Any]:
        """Returns what the live view and the summary need."""
        self._recorder.look()
        told = {"wall_seconds": self.diary.wall_seconds, "activity_seconds": self.diary.activity_seconds()}
        return self._report.describe(self._machine) | told | {"volume_trouble": self._watch.trouble}

    @property
    def diary(self) -> Diary:
        """What is told of the run on the volume."""
        return self._volume.diary

    def results(self) -> Sequence[run_record.Result]:
        """Returns all evaluations in the order of their reports."""
        return self._volume.log.results

    # Sessions

    async def register(self, run: str, config_hash: str, role: Role) -> Session:
        """Leases a session and answers after its commit.

        Raises:
            WrongRunError: another run or configuration.
            StoreUnavailableError: the store did not confirm it; nothing is leased.
        """
        self._machine.check_run(run, config_hash)
        session = self._machine.register(role)
        try:
            await self.until_durable(session.identifier, -1)
        except UnavailableError:
            self._machine.close_session(session.identifier)
            raise
        return session

    def session(self, identifier: str) -> tuple[Session, int]:
        """Returns a live session and its last durable sequence, −1 if there is none."""
        return self._machine.sessions.find(identifier), self._machine.durable_sequence(identifier)

    def progress(self, identifier: str, environment_steps: int) -> None:
        """Renews a lease and raises the session's counter."""
        self._machine.progress(identifier, environment_steps)
        self._changed()

    def close_session(self, identifier: str) -> None:
        """Ends a session; who held its updates, to send them again, is gone with it, so they are committed at once."""
        self._machine.close_session(identifier)
        self._changed()
        self._committer.hurry()

    # Parameters

    async def pull(self, known: str | None, status: str | None, seconds: float) -> Parameters | None:
        """Returns the newest parameters, or None if ``known`` (``epoch.number``) is still the newest after the wait.

        The wait ends too when the run's status is another one than ``status``, by default the present one.
        """
        status = status or self._machine.status
        await self._changes.wait_until(
            lambda: known != str(self._machine.version) or self._machine.status != status, seconds
        )
        return self._machine.parameters if known != str(self._machine.version) else None

    def pull_body(self, parameters: Parameters) -> list[codec.Buffer]:
        """Returns the encoded answer to a pull, made once a version."""
        if self._pull_body is None or self._pull_body[0] != parameters.version:
            fields: dict[str, codec.Field] = {
                "epoch": parameters.version.epoch,
                "version": parameters.version.number,
                "config_hash": self._machine.identity.config_hash,
            }
            self._pull_body = parameters.version, codec.encode(fields, {"parameters": self.encoded(parameters)})
        return self._pull_body[1]

    def encoded(self, parameters: Parameters) -> Array:
        """Returns the vector as it travels, cast once a version; that of a large update was cast in its thread."""
        if self._encoded is None or self._encoded[0] != parameters.version:
            self._encoded = parameters.version, to_wire(parameters.vector, self.encoding)
        return self._encoded[1]

    async def unpacked(self, message: codec.Message) -> Float32Array:
        """Returns the update of a push, read and not yet judged; a large packed one is unpacked in a thread.

        Raises:
            MalformedBodyError: it holds anything else than an update of this run.
        """

        def read() -> Float32Array:
            return from_wire(update_vector(message, self.size, self.encoding))

        is_long = self.size >= THREAD_SIZE and PACKED in message.arrays
        return await asyncio.to_thread(read) if is_long else read()

    async def push(self, update: Update, run_id: str, config_hash: str) -> PushResult:
        """Applies an update; a large one in a thread, so that pulls are answered meanwhile.

        Raises:
            AdqlError: see the machine's ``check_identity`` and ``push``.
        """
        self._check_identity(update, run_id, config_hash)
        applying = self._applied(update)
        # What is begun in a thread is finished and told, whoever hangs up.
        return await (applying if self.size < THREAD_SIZE else asyncio.shield(applying))

    async def _applied(self, update: Update) -> PushResult:
        try:
            result = self._machine.push(update) if self.size < THREAD_SIZE else await self._applied_in_thread(update)
            self._report.count(result)
        finally:
            self._changed()
        return result

    async def _applied_in_thread(self, update: Update) -> PushResult:
        async with self._applying:
            begun = self._machine.begin(update)
            if isinstance(begun, PushResult):
                return begun
            refusal, encoded = await asyncio.to_thread(self._computed, begun)
            result = self._machine.finish(begun, refusal)
            self._encoded = result.applied, encoded
            return result

    def _computed(self, work: Work) -> tuple[InvalidUpdateError | None, Array]:
        refusal = self._machine.compute(work)
        return refusal, to_wire(work.result, self.encoding) if refusal is None else work.result

    async def until_durable(self, session: str, sequence: int) -> None:
        """Waits for the commit that has the session, with ``sequence`` (−1: none) used up.

        Raises:
            StoreUnavailableError: the store did not confirm it in time.
        """
        self._committer.hurry()
        known = await self._commits.wait_until(
            lambda: self._machine.is_durable(session, sequence) or not self._machine.available, DURABLE_WAIT_SECONDS
        )
        if not (known and self._machine.is_durable(session, sequence)):
            raise StoreUnavailableError("the weight store has not confirmed it; ask again", retry_after_ms=200)

    def _check_identity(self, update: Update, run_id: str, config_hash: str) -> None:
        self._machine.check_identity(run_id, config_hash)
        if update.based_on.epoch > self._machine.version.epoch:
            self._committer.hurry()  # only the store's own word ends this server
        self._machine.check_epoch(update.based_on.epoch)

    def _changed(self) -> None:
        self._committer.changed()
        self._changes.flash()
        self._publish()

    def _publish(self) -> None:
        self._report.publish(self._machine)

    # Evaluations

    async def next_evaluation(self, seconds: float) -> tuple[run_record.Task, Float32Array] | None:
        """Returns what an evaluator should do now, None if there is nothing after the wait."""
        await self._changes.wait_until(lambda: bool(self._machine.evaluations.waiting), seconds)
        task = run_record.next_task(self._machine.evaluations)
        if task is None:
            return None
        try:
            own = self._machine.identity.config_hash
            return task, await asyncio.to_thread(self._volume.read_for_evaluation, task, own)
        except CheckpointError as error:
            get_logger().error("a kept version is lost; its evaluation is given up", error=str(error))
            self._machine.give_up(task)
            self._changed()
            return None

    async def report(self, run_id: str, identifier: int, version: Version, episodes: run_record.Episodes) -> bool:
        """Takes the episodes of one evaluation; returns False, and changes nothing, if the run does not wait for them.

        Raises:
            OtherRunError: they were played for another run.
            MalformedBodyError: its episodes are not those that were asked for; it goes on waiting.
        """
        self._machine.check_run_id(run_id)
        async with self._reporting:
            task = run_record.task_of_report(self._machine.evaluations, identifier, version)
            if task is None:
                return False
            await self._take(run_record.result_of(task, episodes))
        self._recorder.look()  # the clock of a goal stops at its confirmation
        self._changed()
        return True

    async def _take(self, result: run_record.Result) -> None:
        after = run_record.reported(self._machine.evaluations, result, self._specification)
        await self._write("an evaluation", lambda: self._volume.log.append(result))
        if run_record.is_best(after, result):
            await self._write("the best policy", lambda: self._volume.promote_to_best(result.task))
        self._machine.report(result)
        metrics.EVALUATIONS.labels(result.task.purpose).inc()
        self._report.evaluated(result)

    async def _write(self, what: str, operation: Callable[[], None]) -> None:
        """A full disk must not stop training."""
        with contextlib.suppress(OSError), self._watch.writing(what):
            await asyncio.to_thread(operation)
