"""Learners whose every update can be told apart in the parameters: update i of a client adds 1 to a cell of its own."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from adql.config import RunSpecification, specification_from
from adql.errors import AdqlError
from adql.types import Version
from adql.wire.parameter_client import ParameterClient
from adql_services.parameter_server.opening import manifest

CYCLES = int(os.environ.get("ADQL_TEST_CYCLES", "20"))
"""How often something is killed."""
CELLS_A_CLIENT = max(6_000, 100 * CYCLES)
"""A client pushes some 20 times a cycle."""
LEARNER_STEPS = 3
"""In each update."""


def counting_run(clients: int, unused_cells: int = 0) -> RunSpecification:
    """Returns a run whose table has ``CELLS_A_CLIENT`` cells for each client, changed by exact additions."""
    cells = clients * CELLS_A_CLIENT + unused_cells
    signature = {"observations": cells // 2, "observation_dtype": "int64", "actions": 2}
    return specification_from(
        {
            "environment": {"id": "Counting-v0", "signature": signature},
            "network": {"kind": "tabular"},
            "update": {"rule": "delta", "outer_learning_rate": 1.0},
            "training": {"environment_steps": 10**9},
            "evaluation": {"every_learner_steps": 10**9},
        }
    )


class Server(Protocol):
    """Where pushes go."""

    @property
    def specification(self) -> RunSpecification:
        """The run."""

    def client(self, seed: int, *, durable: bool, sleep: Callable[[float], None]) -> ParameterClient:
        """Returns a client that has not registered yet."""


@dataclass
class Seen:
    """One answered update, and the newest version that its answer showed."""

    outcome: str
    version: Version
    acknowledged: bool = False


@dataclass
class Pusher:
    """A client in a thread of its own that pushes until told to stop, and keeps what it was answered."""

    number: int
    server: Server
    durable: bool
    pace_seconds: float = 0.0
    """Between two pushes."""
    history: list[Seen] = field(default_factory=list)
    failure: BaseException | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    aborted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.client: ParameterClient = self.server.client(self.number, durable=self.durable, sleep=self._sleep)
        self._thread = threading.Thread(target=self._run, name=f"pusher-{self.number}")
        self._thread.start()

    def abort(self) -> None:
        """Ends pushing at once."""
        self.stopping.set()
        self.aborted.set()
        self._thread.join(60)

    def stop(self) -> None:
        """Ends pushing once everything is acknowledged or refused."""
        self.stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        self.check()

    def check(self) -> None:
        """Raises what ended pushing before it was told to."""
        if self.failure is not None:
            raise self.failure

    def _sleep(self, seconds: float) -> None:
        assert not self.aborted.wait(seconds), "aborted"

    def _run(self) -> None:
        try:
            self._push_until_stopped()
            while self.client.unacknowledged:
                self.client.progress(len(self.history))
        except (AdqlError, AssertionError) as failure:
            self.failure = failure

    def _push_until_stopped(self) -> None:
        newest = self.client.register().version
        while not self.stopping.is_set():
            assert len(self.history) < CELLS_A_CLIENT, f"client {self.number} has used up its {CELLS_A_CLIENT} cells"
            vector = np.zeros(manifest(self.server.specification).size, np.float32)
            vector[self.number * CELLS_A_CLIENT + len(self.history)] = 1
            self.client.begin_push(vector, newest, LEARNER_STEPS, len(self.history) + 1)
            answer = self.client.finish_push()
            assert answer.parameters.version >= newest, "(epoch, version) fell"
            newest = answer.parameters.version
            self._remember(Seen(answer.outcome, newest, self.durable and answer.joined))
            self.stopping.wait(self.pace_seconds)

    def _remember(self, seen: Seen) -> None:
        """Marks what the watermark has reached in the epoch in which it was answered."""
        self.history.append(seen)
        durable = self.client.state.durable
        for earlier in reversed(self.history):
            if earlier.version.epoch != durable.epoch or (earlier.acknowledged and earlier.version <= durable):
                break
            if earlier.outcome in ("applied", "duplicate") and earlier.version <= durable:
                earlier.acknowledged = True


def check_cells(parameters: np.ndarray, version: int, pushers: Sequence[Pusher]) -> int:
    """Holds a run's final parameters against what its clients saw; returns how many updates were applied."""
    used = len(pushers) * CELLS_A_CLIENT
    cells = parameters[:used].reshape(len(pushers), CELLS_A_CLIENT)
    assert not parameters[used:].any(), "cells of nobody were changed"
    assert set(np.unique(cells)) <= {0.0, 1.0}, "an update was applied twice or torn"
    for pusher, row in zip(pushers, cells, strict=True):
        check_client(pusher, row.astype(int).tolist())
    applied = int(cells.sum())
    assert version == applied, "version is not the number of applied updates"
    return applied


def check_client(pusher: Pusher, row: Sequence[int]) -> None:
    """Holds one client's row of cells against its history."""
    history = pusher.history
    lost = [i for i, seen in enumerate(history) if seen.acknowledged and row[i] != 1]
    assert not lost, f"client {pusher.number}: acknowledged updates {lost[:5]} are lost"
    refused = [i for i, seen in enumerate(history) if seen.outcome == "stale" and row[i] != 0]
    assert not refused, f"client {pusher.number}: refused updates {refused[:5]} were applied"
    assert sum(row[len(history) :]) == 0
    missing = sum(seen.outcome != "stale" and row[i] == 0 for i, seen in enumerate(history))
    assert missing == pusher.client.updates_lost, "an update is missing and its client was never told"
    at_risk = pusher.client.updates_at_risk
    assert at_risk == 0, f"client {pusher.number}: {at_risk} updates at risk, its session ended or its window was full"
