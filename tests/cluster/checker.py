"""Runs in a pod: clients push at a release, whatever happens to it, until they are told to stop; then it is checked.

Every update adds 1 to a cell of its own (``tests/system/updates.py``), so that the final parameters tell of each how
often it was applied. ``kubectl exec … touch /tmp/stop`` ends it; the last line of its log is the verdict as JSON.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from adql.config import EvaluatorSettings, RunSpecification, config_hash, load_settings
from adql.wire.parameter_client import ParameterClient
from adql_services.learner.main import TIMEOUT_SECONDS
from adql_services.parameter_server.opening import manifest
from adql_services.runtime.worker import client_token
from tests.system.updates import LEARNER_STEPS, Pusher, check_cells, counting_run
from tests.waiting import wait_until

CLIENTS = 4
"""Half of them ask for durable answers."""
PACE_SECONDS = 0.1
"""Cells for ten minutes, and time for the learners of other tests."""
STOP = Path("/tmp/stop")
MINUTES = 9


class Release:
    """The parameter server that ADQL_* variables name."""

    def __init__(self) -> None:
        self.specification: RunSpecification = counting_run(CLIENTS)
        self._settings = load_settings(EvaluatorSettings)

    def client(self, seed: int, *, durable: bool, sleep: Callable[[float], None]) -> ParameterClient:
        """Returns a client that has not registered yet."""
        return ParameterClient(
            self._settings.parameter_server_url,
            token=client_token(self._settings),
            run=self.specification.run.name,
            config_hash=config_hash(self.specification),
            durable=durable,
            size=manifest(self.specification).size,
            encoding=self.specification.update.encoding,
            clock=time.monotonic,
            sleep=sleep,
            rng=random.Random(seed),
            timeout_seconds=TIMEOUT_SECONDS,
        )


def say(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def told_to_stop(pushers: list[Pusher]) -> bool:
    """Raises what ended a client; says every look how far they are."""
    for pusher in pushers:
        pusher.check()
    return STOP.exists()


def main() -> None:
    release = Release()
    pushers = [Pusher(number, release, number % 2 == 1, PACE_SECONDS) for number in range(CLIENTS)]
    try:
        wait_until(lambda: told_to_stop(pushers), MINUTES * 60)
        for pusher in pushers:
            pusher.stop()
        pulled = pushers[0].client.pull(None)
        applied = check_cells(pulled.vector, pulled.version.number, pushers)
        assert pushers[0].client.state.clocks.learner_steps == LEARNER_STEPS * applied
    finally:
        for pusher in pushers:
            pusher.abort()
    pushed, resent = (sum(len(p.history) for p in pushers), sum(p.client.updates_resent for p in pushers))
    say(verdict="ok", pushed=pushed, applied=applied, resent=resent, epoch=pulled.version.epoch)


if __name__ == "__main__":
    main()
