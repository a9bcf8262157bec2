"""The load: many clients in one thread, each with one push under way at most."""

import heapq
import itertools
import selectors
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from adql.errors import RunFailedError
from adql.types import RunState
from adql_services.bench.clients import Answer, Client, Target

SCRATCH_BYTES = 1024 * 1024
REGISTRATION_SECONDS = 60.0
LOOK_SECONDS = 0.25


@dataclass
class Tally:
    """What one stretch of the load has seen."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Seconds from when a push was to be sent to the last byte of its answer."""
    errors: Counter[str] = field(default_factory=Counter)
    behind: float = 0.0
    """The longest time, in seconds, that an applied version waited for its commit, as far as answers tell."""


class Watermark:
    """How far the durable version is behind the applied one, by what answers say."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, float]] = deque()

    def look(self, state: RunState, now: float) -> float:
        """Returns for how many seconds the oldest version has waited that is not durable."""
        newest = self._waiting[-1][0] if self._waiting else state.durable.number
        if state.version.number > newest:
            self._waiting.append((state.version.number, now))
        while self._waiting and self._waiting[0][0] <= state.durable.number:
            self._waiting.popleft()
        return now - self._waiting[0][1] if self._waiting else 0.0


class Load:
    """``clients`` registered sessions; closed loop, or ``rate`` pushes a second where that is not None.

    At a rate every push has its own moment, and its latency counts from there: who is slow delays nobody's clock.
    """

    def __init__(self, target: Target, clients: int, rate: float | None) -> None:
        self._clients = [Client(target) for _ in range(clients)]
        self._gap = None if rate is None else clients / rate
        self._selector = selectors.DefaultSelector()
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._due: list[tuple[float, int, Client]] = []
        self._order = itertools.count()
        self._watermark = Watermark()
        self.state: RunState
        for client in self._clients:
            self._selector.register(client.socket, selectors.EVENT_READ, client)

    def close(self) -> None:
        """Closes the connections; leases end the sessions."""
        self._selector.close()
        for client in self._clients:
            client.socket.close()

    def register(self) -> None:
        """Leases all sessions, whose commits the server groups.

        Raises:
            RunFailedError: not all were leased in time.
        """
        missing = set(self._clients)
        for client in self._clients:
            self._register(client)
        deadline = time.monotonic() + REGISTRATION_SECONDS
        while missing:
            if time.monotonic() > deadline:
                raise RunFailedError(f"{len(missing)} of {len(self._clients)} clients got no session")
            for client, answer in self._answers(1.0):
                if client.registered(answer):
                    missing.discard(client)
                else:
                    self._register(client)

    def _register(self, client: Client) -> None:
        client.register()
        self._watch(client)

    def begin(self) -> None:
        """Lets every client push, at a rate one after the other."""
        now = time.monotonic()
        for number, client in enumerate(self._clients):
            self._plan(client, now + (self._gap or 0.0) * number / len(self._clients))

    def run(self, seconds: float, look: Callable[[], None]) -> Tally:
        """Goes on for ``seconds``; ``look`` is called every LOOK_SECONDS."""
        tally, start = Tally(), time.monotonic()
        next_look, end = start, start + seconds
        while (now := time.monotonic()) < end:
            if now >= next_look:
                look()
                next_look = now + LOOK_SECONDS
            self._send_due(now)
            self._wait(tally, min(end, next_look))
        tally.seconds = time.monotonic() - start
        return tally

    def _wait(self, tally: Tally, until: float) -> None:
        until = min(until, self._due[0][0]) if self._due else until
        for client, answer in self._answers(max(0.0, until - time.monotonic())):
            self._take(client, answer, tally)

    def _take(self, client: Client, answer: Answer, tally: Tally) -> None:
        now = time.monotonic()
        client.pushed(answer)
        if answer.status == 200 and answer.state:
            tally.latencies.append(now - client.due)
            tally.behind = max(tally.behind, self._watermark.look(answer.state, now))
        else:
            tally.errors[_kind(answer)] += 1
        self._plan(client, now if self._gap is None else client.due + self._gap)

    def _plan(self, client: Client, due: float) -> None:
        client.due = due
        if self._gap is None:
            self._push(client)
        else:
            heapq.heappush(self._due, (due, next(self._order), client))

    def _send_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            self._push(heapq.heappop(self._due)[2])

    def _push(self, client: Client) -> None:
        client.push(self.state)
        self._watch(client)

    def _watch(self, client: Client) -> None:
        """Waits for room to write only while something is unsent."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.wants_to_write else 0)
        if self._selector.get_key(client.socket).events != events:
            self._selector.modify(client.socket, events, client)

    def _answers(self, seconds: float) -> list[tuple[Client, Answer]]:
        """Sends and receives what can be, after waiting at most ``seconds`` for that."""
        whole = []
        for key, events in self._selector.select(seconds):
            client: Client = key.data
            if events & selectors.EVENT_WRITE:
                client.write()
                self._watch(client)
            if events & selectors.EVENT_READ and (answer := client.read(self._scratch)) is not None:
                self.state = answer.state or self.state
                whole.append((client, answer))
        return whole


def _kind(answer: Answer) -> str:
    """Returns the status and, if the answer says it, the kind of problem."""
    try:
        return f"{answer.status} {msgspec.json.decode(answer.body)['type']}"
    except (msgspec.MsgspecError, KeyError, TypeError):
        return str(answer.status)
