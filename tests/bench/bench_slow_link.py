"""Pushes of gradients over a slow link: one JSON line a case, ``python -m tests.bench.bench_slow_link [--rounds N]``.

Two real ``adql parameter-server``, of a float32 and of a bfloat16 run, each behind a link of 100 Mbit/s each way; at
each a client that packs its updates and one that does not. All four take turns, with the same gradients of 7 MB.
``there_ms`` is the time to the first byte of the answer, ``both_ms`` to its last one: it carries the newest parameters,
which are never packed.
"""

import argparse
import contextlib
import json
import random
import select
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from adql.config import RunSpecification, config_hash
from adql.types import Float32Array
from adql.wire.parameter_client import ParameterClient
from adql_services.bench.running import Server, running_server
from adql_services.parameter_server.opening import manifest
from tests.bench.gradients import gradients, nature
from tests.bench.slow_link import slow_link

CASES = (("float32", "none"), ("float32", "zstd"), ("bfloat16", "none"), ("bfloat16", "zstd"))
DISTINCT = 8
LEARNER_STEPS = 8


class Pusher:
    """One client of one server, behind the link."""

    def __init__(self, run: RunSpecification, server: Server, address: str, compression: str) -> None:
        self._client = ParameterClient(
            address,
            token=server.token,
            run=run.run.name,
            config_hash=config_hash(run),
            size=manifest(run).size,
            encoding=run.update.encoding,
            compression=compression,
            timeout_seconds=60.0,
            clock=time.monotonic,
            sleep=time.sleep,
            rng=random.Random(0),
        )
        self._base, self._pushes = self._client.register(), 0
        self.there_ms: list[float] = []
        self.both_ms: list[float] = []
        self.sent_bytes = 0

    def push(self, gradient: Float32Array) -> None:
        """Pushes once and takes the times."""
        self._pushes, start = self._pushes + 1, time.perf_counter()
        self._client.begin_push(gradient, self._base.version, LEARNER_STEPS, LEARNER_STEPS * self._pushes)
        pushing, held = self._client._pushing._socket, self._client._pending
        assert pushing is not None and held is not None
        select.select([pushing], [], [])
        self.there_ms.append((time.perf_counter() - start) * 1e3)
        answer = self._client.finish_push()
        self.both_ms.append((time.perf_counter() - start) * 1e3)
        assert answer.outcome == "applied"
        self._base, self.sent_bytes = answer.parameters, self.sent_bytes + held.vector.nbytes

    def close(self) -> None:
        """Ends the session."""
        self._client.close()

    def record(self, plain: "Pusher") -> dict[str, object]:
        """Returns its medians, and how many times shorter they are than those of ``plain``."""
        there, both = statistics.median(self.there_ms), statistics.median(self.both_ms)
        return {
            "bytes_sent": self.sent_bytes // self._pushes,
            "there_ms": round(there, 1),
            "there_spread_ms": [round(min(self.there_ms), 1), round(max(self.there_ms), 1)],
            "both_ms": round(both, 1),
            "times_faster_there": round(statistics.median(plain.there_ms) / there, 2),
            "times_faster_both": round(statistics.median(plain.both_ms) / both, 2),
        }


@contextlib.contextmanager
def pushers(megabits: float) -> Iterator[list[Pusher]]:
    """Yields one for each of CASES."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for encoding in sorted({encoding for encoding, _ in CASES}):
            run = nature(f"update.encoding={encoding}")
            server = stack.enter_context(running_server(run, "tcp", Path(stack.enter_context(_folder()))))
            host, _, port = server.address.removeprefix("http://").rpartition(":")
            servers[encoding] = run, server, stack.enter_context(slow_link((host, int(port)), megabits))
        made = [Pusher(*servers[encoding], compression) for encoding, compression in CASES]
        for one in made:
            stack.callback(one.close)
        yield made


def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="adql-bench-")


def main() -> None:
    """Prints the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--megabits", type=float, default=100.0)
    options = parser.parse_args()
    updates = gradients(DISTINCT)
    with pushers(options.megabits) as made:
        for number in range(options.rounds):
            for one in made:
                one.push(updates[number % DISTINCT])
    for (encoding, compression), one in zip(CASES, made, strict=True):
        shared = {"case": "push over a slow link", "megabits": options.megabits, "rounds": options.rounds}
        told = {"encoding": encoding, "compression": compression, "bytes": updates[0].nbytes}
        print(json.dumps({**shared, **told, **one.record(made[0])}), flush=True)


if __name__ == "__main__":
    main()
