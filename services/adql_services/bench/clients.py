"""One client of the load: a non-blocking connection with a session, and the push that is under way on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from adql.errors import RunFailedError
from adql.types import Array, RunState, Version
from adql.wire import routes
from adql.wire.codec import Buffer
from adql.wire.connection import CONNECT_SECONDS, connect, parse_head, request_head, unsent
from adql.wire.learner_requests import Registered, registration_body, update_body
from adql.wire.run_state import from_headers
from adql.wire.unacknowledged import HeldUpdate

LEARNER_STEPS, ENVIRONMENT_STEPS = 8, 32
"""Of one push, as by default."""
KEPT_BYTES = 16 * 1024
"""Of the beginning of an answer, where its head is."""


@dataclass(frozen=True, slots=True)
class Target:
    """What all clients say."""

    address: str
    token: str
    run: str
    config_hash: str
    vector: Array
    """Of every update, (P,) in the encoding in which it travels."""
    durable: bool

    @property
    def updates(self) -> str:
        """Where updates go."""
        return routes.UPDATES + ("?durable=true" if self.durable else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was answered; ``state`` is that of the run, on every answer below 400."""

    status: int
    state: RunState | None
    body: bytes
    """As far as it is kept."""


class Client:
    """Sends and receives what the socket takes and has; who calls waits for it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.socket = connect(target.address, CONNECT_SECONDS)
        self.socket.setblocking(False)
        self._unsent: list[memoryview] = []
        self._kept, self._received, self._length = bytearray(), 0, -1
        self._session, self._sequence = "", 0
        self.due = 0.0
        """When the request under way was to be sent."""

    @property
    def wants_to_write(self) -> bool:
        """Whether something of its request is not sent."""
        return bool(self._unsent)

    def register(self) -> None:
        """Begins to ask for a session."""
        body = registration_body(self._target.run, self._target.config_hash, "learner")
        self._begin(routes.SESSIONS, routes.JSON, body)

    def registered(self, answer: Answer) -> bool:
        """Takes the session; returns False if it has to be asked for again.

        Raises:
            RunFailedError: there is none.
        """
        if answer.status in (429, 503):
            return False
        if answer.status != 201:
            raise RunFailedError(f"a session was refused: {answer.status} {answer.body!r}")
        self._session = msgspec.json.decode(answer.body, type=Registered).session
        return True

    def push(self, state: RunState) -> None:
        """Begins the next push, based on the version of ``state``."""
        steps = ENVIRONMENT_STEPS * (self._sequence + 1)
        base = Version(state.version.epoch, state.version.number)
        update = HeldUpdate(self._sequence, base, self._target.vector, LEARNER_STEPS, steps)
        body = update_body(update, self._session, self._target.config_hash, state.run_id)
        self._begin(self._target.updates, routes.BINARY, body)

    def pushed(self, answer: Answer) -> None:
        """Goes on to the next sequence if this one is used up."""
        self._sequence += answer.status in (200, 409, 422)

    def write(self) -> None:
        """Sends what the socket takes."""
        while self._unsent:
            try:
                sent = self.socket.sendmsg(self._unsent)
            except BlockingIOError:
                return
            self._unsent = unsent(self._unsent, sent)

    def read(self, scratch: memoryview) -> Answer | None:
        """Receives once; returns the answer when it is whole, of which most is thrown away.

        Raises:
            RunFailedError: the server closed the connection.
        """
        try:
            count = self.socket.recv_into(scratch)
        except BlockingIOError:
            return None
        if count == 0:
            raise RunFailedError("the parameter server closed a connection; see its log")
        self._received += count
        if len(self._kept) < KEPT_BYTES:
            self._kept += scratch[: min(count, KEPT_BYTES)]
        return self._answer()

    def _begin(self, path: str, content_type: str, body: Sequence[Buffer]) -> None:
        target, length = self._target, sum(len(part) for part in body)
        head = request_head("POST", path, "localhost", target.token, length, {"Content-Type": content_type})
        self._unsent = [memoryview(part) for part in (head, *body)]
        self._kept.clear()
        self._received, self._length = 0, -1
        self.write()

    def _answer(self) -> Answer | None:
        if self._length < 0:
            end = self._kept.find(b"\r\n\r\n")
            if end < 0:
                return None
            self._status, self._headers = parse_head(bytes(self._kept[:end]))
            self._body_at = end + 4
            self._length = self._body_at + int(self._headers.get("content-length", "0"))
        if self._received < self._length:
            return None
        state = from_headers(self._headers) if self._status < 400 else None
        return Answer(self._status, state, bytes(self._kept[self._body_at : self._length]))
