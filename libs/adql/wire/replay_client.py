"""The replay service seen by one learner: the table's verbs over the wire, refusals as values, outages ridden out."""

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import numpy as np

from adql.config import SignatureSettings
from adql.errors import AdqlError, RateLimitedError, TransportError, UnavailableError
from adql.frames import FrameCodec
from adql.types import Array, ReplaySample, SampleInfo, TransitionBatch
from adql.wire import codec, replay_format, routes
from adql.wire.connection import REPLAY_URL, Connection, Response, Token
from adql.wire.replay_frames import folded, unfolded
from adql.wire.retry import Backoff, asked_seconds, call_with_retry

DEADLINE_SECONDS = 5.0
"""How long one call tries to reach a service that does not answer."""
TIMEOUT_SECONDS = 2.5
"""Of one request beside the time that its bytes take: an outage is noticed well before a lease or a probe runs out."""
_BINARY = {"Content-Type": routes.BINARY}
_JSON = {"Content-Type": routes.JSON}
T = TypeVar("T")


class ReplayClient:
    """Two connections, so that a sample may be under way while something is inserted; not for several threads at once.

    "Refused for now" (False, None) is an answer, not an error: the table asks for the other verb, or the service could
    not be reached within ``deadline_seconds``. A service that restarts is reconnected to; a retried insert carries its
    chunk number and is not inserted twice. What is for ever wrong (another run, a bad token, a transition that does
    not fit) is raised. A request that may wait comes no sooner than the last refusal asked.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token,
        signature: SignatureSettings,
        session: str,
        config_hash: str,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        rng: random.Random,
        deadline_seconds: float = DEADLINE_SECONDS,
        on_retry: Callable[[AdqlError], None] = lambda error: None,
        on_success: Callable[[], None] = lambda: None,
    ) -> None:
        self._fields: dict[str, codec.Field] = {"session": session, "config_hash": config_hash}
        self._sample_arrays = replay_format.sample_arrays(signature)
        frame = replay_format.frame_array(signature)
        self._frames = None if frame is None else FrameCodec(frame)
        self._backoff = Backoff(clock, sleep, rng)
        self._deadline_seconds, self._on_retry, self._on_success = deadline_seconds, on_retry, on_success
        self._control = Connection(
            address, token=token, timeout_seconds=TIMEOUT_SECONDS, clock=clock, variable=REPLAY_URL
        )
        self._bulk = Connection(address, token=token, timeout_seconds=TIMEOUT_SECONDS, clock=clock, variable=REPLAY_URL)
        self._chunk = 0
        self._asked: tuple[str, float] | None = None
        self._sent = False
        self._come_again_at = 0.0
        self._newest: list[tuple[ReplaySample, int]] = []

    @property
    def reconnects(self) -> int:
        """Connections that were made again after one was lost."""
        return sum(max(0, connection.connects - 1) for connection in (self._control, self._bulk))

    def insert(self, batch: TransitionBatch, wait_seconds: float = 0.0, td_errors: Array | None = None) -> bool:
        """Inserts the whole batch, or returns False when refused for now: call again with the same one.

        Raises:
            InvalidTransitionError: a column does not fit; nothing was inserted.
        """
        columns = batch.columns() if self._frames is None else folded(batch.columns(), self._frames)
        columns |= {} if td_errors is None else {"td_error": td_errors}
        fields = self._fields | {"chunk": self._chunk}
        body = codec.encode(fields, {name: np.ascontiguousarray(column) for name, column in columns.items()})
        path = f"{routes.INSERT}?wait={wait_seconds:g}"
        self._pause_before(wait_seconds)
        answer = self._persist(lambda: self._post(path, _BINARY, body, wait_seconds))
        self._chunk += answer is not None
        return answer is not None

    def begin_sample(self, batches: int, batch_size: int, wait_seconds: float = 0.0) -> None:
        """Asks for ``batches`` batches and does not wait for them."""
        query = {"batches": batches, "batch_size": batch_size, "wait": f"{wait_seconds:g}"}
        self._asked = f"{routes.SAMPLE}?{urlencode(query | self._fields)}", wait_seconds
        self._pause_before(wait_seconds)
        try:
            self._send_asked()
        except TransportError as error:
            self._on_retry(error)  # finish_sample sends it again

    def finish_sample(self) -> list[ReplaySample] | None:
        """Returns the batches asked for, in memory of their own; None when refused for now."""
        received = self._persist(self._receive_sample)
        self._asked = None
        if received is None:
            return None
        self._newest = received
        return [sample for sample, _ in self._newest]

    def update_priorities(self, samples: Sequence[ReplaySample], td_errors: Sequence[Array]) -> None:
        """Sends back the TD errors, one array (n,) a sample; what cannot be delivered in time is forgotten."""
        for incarnation in {sample.info.incarnation for sample in samples}:
            pairs = [pair for pair in zip(samples, td_errors, strict=True) if pair[0].info.incarnation == incarnation]
            item_ids = np.concatenate([sample.info.item_ids for sample, _ in pairs])
            errors = np.concatenate([errors for _, errors in pairs]).astype(np.float32)
            self._send_priorities(incarnation, item_ids, errors)

    def give_back(self, samples: Sequence[ReplaySample]) -> None:
        """Returns unused batches of the newest answer, so that they do not count as sampled."""
        unused = [(s, number) for s, number in self._newest if any(s is given for given in samples)]
        if unused:
            incarnation = unused[0][0].info.incarnation
            body = msgspec.json.encode({"incarnation": incarnation, "batches": [number for _, number in unused]})
            self._persist(lambda: self._post(routes.RETURN, _JSON, [body]))

    def table(self) -> dict[str, Any]:
        """Returns the table in numbers.

        Raises:
            UnavailableError: the service cannot be reached.
        """
        return self._control.request("GET", routes.TABLE).parsed(dict[str, Any])

    def close(self) -> None:
        """Gives up both connections and what is under way on them."""
        self._control.close()
        self._bulk.close()

    def _send_priorities(self, incarnation: int, item_ids: Array, td_errors: Array) -> None:
        body = codec.encode({"incarnation": incarnation}, {"item_ids": item_ids, "td_errors": td_errors})
        self._persist(lambda: self._post(routes.PRIORITIES, _BINARY, body))

    def _persist(self, operation: Callable[[], T]) -> T | None:
        """Retries over outages; None when the table refuses, or when the outage lasts."""

        def attempt() -> T | None:
            try:
                return operation()
            except RateLimitedError as refusal:
                self._come_again_at = self._backoff.clock() + asked_seconds(refusal)
                return None

        try:
            return call_with_retry(
                attempt,
                self._backoff,
                deadline_seconds=self._deadline_seconds,
                on_retry=self._on_retry,
                on_success=self._on_success,
            )
        except UnavailableError:
            return None

    def _pause_before(self, wait_seconds: float) -> None:
        if wait_seconds and (early := self._come_again_at - self._backoff.clock()) > 0:
            self._backoff.sleep(early)

    def _post(
        self, path: str, headers: dict[str, str], body: Sequence[codec.Buffer], wait_seconds: float = 0.0
    ) -> Response:
        return self._control.request("POST", path, headers=headers, body=body, wait_seconds=wait_seconds)

    def _send_asked(self) -> None:
        if self._asked is None:
            raise RuntimeError("no sample is under way; begin_sample() first")
        path, wait_seconds = self._asked
        self._bulk.begin("POST", path, wait_seconds=wait_seconds)
        self._sent = True

    def _receive_sample(self) -> list[tuple[ReplaySample, int]]:
        if not self._sent:
            self._send_asked()
        self._sent = False
        return self._samples(self._bulk.finish())

    def _samples(self, response: Response) -> list[tuple[ReplaySample, int]]:
        """Copies the arrays out of the connection's buffer and cuts them into numbered batches."""
        message = response.message(self._sample_arrays)
        first, incarnation, size = (message.integer(name) for name in ("first_batch", "incarnation", "size"))
        if self._frames is None:
            arrays = {name: array.copy() for name, array in message.arrays.items()}
        else:
            arrays = unfolded(message.arrays, self._frames)
        item_ids, probabilities = arrays.pop("item_ids"), arrays.pop("probabilities")
        transitions, batch_size = TransitionBatch.from_columns(arrays), message.integer("batch_size", 1)
        samples = []
        for number, start in enumerate(range(0, len(item_ids), batch_size), first):
            rows = slice(start, start + batch_size)
            info = SampleInfo(item_ids[rows], probabilities[rows], incarnation, size)
            samples.append((ReplaySample(transitions.rows(rows), info), number))
        return samples
