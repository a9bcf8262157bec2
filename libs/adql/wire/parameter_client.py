"""A learner's side of the parameter server: session, sequences, and updates that survive the server's crashes.

A push is split in two, so that the server works while the learner computes. What was applied and is not yet durable is
held; after a restart of the server the client asks what survived and sends the rest again, in order.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TypeVar

import msgspec

from adql.encodings import from_wire, to_wire
from adql.errors import AdqlError, MalformedBodyError, TransportError, UnknownSessionError
from adql.types import Account, Array, ArraySpec, Float32Array, Parameters, PushAnswer, RunState, Version
from adql.wire import codec, routes
from adql.wire.connection import PARAMETER_SERVER_URL, Connection, Response, Token
from adql.wire.delivery import Answer, Delivery
from adql.wire.learner_requests import Registered, registration_body, update_body
from adql.wire.packing import pack
from adql.wire.retry import Backoff, call_with_retry
from adql.wire.run_state import from_headers, same_run
from adql.wire.unacknowledged import HeldUpdate

T = TypeVar("T")

WINDOW_BYTES = 256 * 1024**2
"""Bound on the unacknowledged updates that are held."""
CLOSE_SECONDS = 2.0
_JSON = {"Content-Type": routes.JSON}
_BINARY = {"Content-Type": routes.BINARY}


class _Asked(msgspec.Struct):
    last_sequence: int
    durable_sequence: int


class ParameterClient:
    """One session with the parameter server at ``address``; not for several threads at once.

    Network errors, 429 and 503 are retried for ever with the same sequence and full jitter; ``sleep`` may raise to
    give up. Every method raises WrongRunError when the server has another configuration, and OtherRunError when another
    run of this name took the place of the one that it knew; this client is of no more use then. With ``durable`` every
    push is answered after its commit. ``encoding`` is the run's ``update.encoding``: vectors travel in it both ways.
    ``compression`` is for this client's link alone: ``zstd`` packs every update that becomes shorter by it.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token,
        run: str,
        config_hash: str,
        role: str = "both",
        size: int,
        encoding: str = "float32",
        compression: str = "none",
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        rng: random.Random,
        timeout_seconds: float = 30.0,
        window_bytes: int = WINDOW_BYTES,
        durable: bool = False,
        on_retry: Callable[[AdqlError], None] = lambda error: None,
        on_success: Callable[[], None] = lambda: None,
        on_answer: Callable[[str, float], None] = lambda operation, seconds: None,
    ) -> None:
        self._run, self._config_hash, self._role = run, config_hash, role
        self.encoding = encoding
        self._packs = compression == "zstd"
        self._answer_arrays = [ArraySpec("parameters", (size,), encoding)]
        self._backoff = Backoff(clock, sleep, rng)
        self._pushing = Connection(
            address, token=token, timeout_seconds=timeout_seconds, clock=clock, variable=PARAMETER_SERVER_URL
        )
        self._asking = Connection(
            address, token=token, timeout_seconds=timeout_seconds, clock=clock, variable=PARAMETER_SERVER_URL
        )
        self._updates = routes.UPDATES + ("?durable=true" if durable else "")
        self._delivery = Delivery(self._exchange, self._ask_sequences, window_bytes)
        self._pending: HeldUpdate | None = None
        self._answer: Answer | None = None
        self._begun = False
        self._state: RunState | None = None
        self._clock, self._on_retry, self._on_success, self._on_answer = clock, on_retry, on_success, on_answer
        self._begun_at = 0.0
        self._steps_told, self._steps_before = 0, 0
        self._accounts = 0
        self.session, self.slot = "", 0
        self.lease_seconds = 0.0
        """How long the session may be silent."""
        self.retries = 0
        """Requests that were sent again."""
        self.bulk_bytes: Counter[tuple[str, str]] = Counter()
        """Bytes of vectors by operation (push or pull) and direction (sent or received)."""

    @property
    def state(self) -> RunState:
        """The run as the newest answer told it; there is none before ``register``."""
        if self._state is None:
            raise RuntimeError("register() first")
        return self._state

    @property
    def updates_at_risk(self) -> int:
        """Updates given up unacknowledged: beyond the window, or of a session that is gone."""
        return self._delivery.at_risk

    @property
    def updates_resent(self) -> int:
        """Updates sent again after a new epoch."""
        return self._delivery.resent

    @property
    def updates_lost(self) -> int:
        """Updates that a crash of the server took and that were refused when they were sent again."""
        return self._delivery.lost

    @property
    def reconnects(self) -> int:
        """Connections that were made again after one was lost."""
        return sum(max(0, connection.connects - 1) for connection in (self._pushing, self._asking))

    @property
    def unacknowledged(self) -> int:
        """Updates that are held."""
        return len(self._delivery)

    # Session

    def register(self) -> Parameters:
        """Leases a session, and returns the newest parameters."""
        self._lease()
        return self._pull_now()

    def progress(self, environment_steps: int) -> None:
        """Reports the environment steps so far and renews the session's lease."""
        if not self._reported(environment_steps):
            self._reported(environment_steps)  # under the new session
        self._look_after_held()

    def tell(self, account: Account) -> None:
        """Tells what this process did since it last told; for the run's report, and of no weight for its learning."""
        if not self._told(account):
            self._told(account)  # under the new session
        self._look_after_held()

    def close(self) -> None:
        """Ends the session if the server can be reached, and closes the connections."""
        if self._pending is not None:
            self._pushing.close()
            self._pending = None
        try:
            if self.session:
                self._pushing.request("DELETE", routes.session(self.session), timeout_seconds=CLOSE_SECONDS)
        except AdqlError:
            pass  # its lease will end it
        self.session = ""
        self._pushing.close()
        self._asking.close()

    def _lease(self) -> None:
        body = registration_body(self._run, self._config_hash, self._role)
        registered = self._retried(lambda: self._requested("POST", routes.SESSIONS, _JSON, body).parsed(Registered))
        self.session, self.slot = registered.session, registered.slot
        self.lease_seconds = registered.lease_seconds
        self._delivery.start_session()
        self._accounts = 0

    def _reported(self, environment_steps: int) -> bool:
        body = msgspec.json.encode({"environment_steps": environment_steps - self._steps_before})
        try:
            self._retried(lambda: self._requested("POST", routes.progress(self.session), _JSON, [body]))
        except UnknownSessionError:
            self._lease_again()
            return False
        self._steps_told = max(self._steps_told, environment_steps)
        return True

    def _told(self, account: Account) -> bool:
        body = msgspec.json.encode({"number": self._accounts, **asdict(account)})
        try:
            self._retried(lambda: self._requested("POST", routes.account(self.session), _JSON, [body]))
        except UnknownSessionError:
            self._lease_again()
            return False
        self._accounts += 1
        return True

    def _lease_again(self) -> None:
        """Nothing that the ended session held or had under way is ever sent under the new one."""
        if self._pending is not None:
            self._conclude(self._pending)
        # The ended session's steps stay in the run's clock: the new one counts on from there.
        self._steps_before = self._steps_told
        self._lease()

    # Pull

    def pull(self, newer_than: Version | None, wait_seconds: float = 0.0) -> Parameters | None:
        """Returns newer parameters; None if there are none after ``wait_seconds``, or when the run has a new status."""
        headers = {} if newer_than is None else {"If-None-Match": f'"{newer_than}"'}
        wait = min(wait_seconds, routes.MAX_WAIT_SECONDS)
        path = f"{routes.PARAMETERS}?wait={wait:g}&status={self.state.status}"
        start = self._clock()
        parameters = self._retried(lambda: self._pulled(self._requested("GET", path, headers, wait_seconds=wait)))
        if not wait:
            self._on_answer("pull", self._clock() - start)
        self._look_after_held()
        return parameters

    def _pulled(self, response: Response) -> Parameters | None:
        if response.status == 304:
            return None
        return self._parameters(response.message(self._answer_arrays), "pull")

    def _pull_now(self) -> Parameters:
        parameters = self.pull(None)
        if parameters is None:
            raise MalformedBodyError("the server answered 304 to a pull that named no version")
        return parameters

    # Push

    def begin_push(
        self, vector: Float32Array, based_on: Version, learner_steps: int, environment_steps: int
    ) -> Float32Array:
        """Sends an update; returns it as the server reads it, rounded by the encoding; not to be written.

        ``vector`` (P,) is copied and not read after the return.

        Raises:
            InvalidUpdateError: a number does not fit the encoding; nothing was sent.
        """
        if self._pending is not None or self._answer is not None:
            raise RuntimeError("a push is under way; finish_push() first")
        encoded = _owned(to_wire(vector, self.encoding), vector)
        sequence = self._delivery.next_sequence
        session_steps = environment_steps - self._steps_before
        self._begun_at = self._clock()
        travelling, packed = self._packed(encoded)
        self._pending = HeldUpdate(sequence, based_on, travelling, learner_steps, session_steps, packed)
        try:
            self._send(self._pending)
            self._begun = True
        except TransportError:
            self._begun = False
        return from_wire(encoded)

    def finish_push(self) -> PushAnswer:
        """Waits for the answer to the update under way, across restarts of the server; stale if its session is gone."""
        if self._pending is not None and not self._conclude(self._pending):
            self._lease_again()
        if self._answer is None:
            raise RuntimeError("no push is under way; begin_push() first")
        answer, self._answer = self._answer, None
        self._on_answer("push", self._clock() - self._begun_at)
        self._look_after_held()
        parameters = answer.parameters or self._pull_now()
        return PushAnswer(answer.outcome, parameters, answer.staleness)

    def _packed(self, encoded: Array) -> tuple[Array, bool]:
        """Returns what travels, and whether it is packed: once, for every attempt to send it."""
        packed = pack(encoded) if self._packs else encoded
        return (packed, True) if packed.nbytes < encoded.nbytes else (encoded, False)

    def _conclude(self, update: HeldUpdate) -> bool:
        """Takes the answer to the update under way; False when its session is gone, and the update with it."""
        self._pending = None
        try:
            self._answer = self._delivery.deliver(update)
        except UnknownSessionError:
            self._delivery.give_up()
            self._answer = Answer("stale")
            return False
        self._steps_told = max(self._steps_told, self._steps_before + update.environment_steps)
        return True

    def _exchange(self, update: HeldUpdate) -> Answer:
        return self._retried(lambda: self._attempt(update))

    def _attempt(self, update: HeldUpdate) -> Answer:
        if not self._begun:
            self._send(update)
        self._begun = False
        message = self._observed(self._pushing.finish()).message(self._answer_arrays)
        return Answer(
            message.text("outcome"),
            Version(message.integer("applied_epoch"), message.integer("applied_version")),
            message.integer("staleness"),
            self._parameters(message, "push"),
        )

    def _send(self, update: HeldUpdate) -> None:
        body = update_body(update, self.session, self._config_hash, self.state.run_id)
        self.bulk_bytes["push", "sent"] += update.vector.nbytes
        self._pushing.begin("POST", self._updates, headers=_BINARY, body=body)

    def _ask_sequences(self) -> tuple[int, int]:
        asked = self._retried(lambda: self._requested("GET", routes.session(self.session)).parsed(_Asked))
        return asked.last_sequence, asked.durable_sequence

    def _look_after_held(self) -> None:
        """Nothing is sent again while a push is under way: its answer says more."""
        if self._pending is None and self.session:
            try:
                self._delivery.acknowledge(self.state)
            except UnknownSessionError:
                self._lease_again()

    # Requests

    def _requested(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Sequence[codec.Buffer] = (),
        wait_seconds: float = 0.0,
    ) -> Response:
        """One connection is enough unless a push is under way on it."""
        connection = self._pushing if self._pending is None else self._asking
        return self._observed(connection.request(method, path, headers=headers, body=body, wait_seconds=wait_seconds))

    def _retried(self, operation: Callable[[], T]) -> T:
        return call_with_retry(
            operation,
            self._backoff,
            deadline_seconds=None,
            on_retry=self._count_retry,
            on_success=self._on_success,
        )

    def _count_retry(self, error: AdqlError) -> None:
        self.retries += 1
        self._on_retry(error)

    def _observed(self, response: Response) -> Response:
        self._state = same_run(self._state, from_headers(response.headers))
        return response

    def _parameters(self, message: codec.Message, operation: str) -> Parameters:
        version, encoded = Version(message.integer("epoch"), message.integer("version")), message.arrays["parameters"]
        self.bulk_bytes[operation, "received"] += encoded.nbytes
        return Parameters(version, _owned(from_wire(encoded), encoded))


def _owned(cast: Array, source: Array) -> Array:
    """Returns ``cast`` in memory of its own: a cast to the same dtype is ``source`` itself."""
    return cast.copy() if cast is source else cast
