"""Transitions a second through the replay service and its client; run it: ``python -m tests.bench.bench_replay``.

One client, one service process; 8-float transitions, batches of 256; one JSON line a case.
"""

import json
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from adql.config import RunSpecification, config_hash, specification_from
from adql.types import TransitionBatch
from adql.wire.replay_client import ReplayClient
from tests.services.replay_process import free_port, start_replay

SECONDS = 2.0
BATCH = 256
SIGNATURE = {"observation_shape": [8], "actions": 4}


def specification(sampler: str) -> RunSpecification:
    return specification_from(
        {
            "environment": {"signature": SIGNATURE},
            "algorithm": {"batch_size": BATCH},
            "replay": {"sampler": sampler, "samples_per_insert": None, "min_size": 1_000, "chunk_transitions": BATCH},
        }
    )


def transitions(count: int) -> TransitionBatch:
    rng = np.random.default_rng(1)
    observations = rng.random((2, count, 8), dtype=np.float32)
    ones = np.ones(count, np.float32)
    return TransitionBatch(observations[0], rng.integers(0, 4, count, np.int32), ones, ones, observations[1])


def rate(operation: Callable[[], int]) -> dict[str, float]:
    """Transitions a second over SECONDS, and the client's own CPU seconds a million transitions."""
    operation()
    start, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < SECONDS:
        count += operation()
    seconds = time.perf_counter() - start
    return {
        "transitions_per_second": round(count / seconds),
        "client_cpu_seconds_per_million": round((time.process_time() - cpu) / count * 1e6, 2),
    }


def inserting(client: ReplayClient, count: int) -> Callable[[], int]:
    batch = transitions(count)

    def insert() -> int:
        assert client.insert(batch)
        return count

    return insert


def sampling(client: ReplayClient, batches: int, *, update: bool = False) -> Callable[[], int]:
    errors = [np.ones(BATCH, np.float32)] * batches

    def sample() -> int:
        client.begin_sample(batches, BATCH)
        samples = client.finish_sample()
        assert samples is not None
        if update:
            client.update_priorities(samples, errors)
        return batches * BATCH

    return sample


@contextmanager
def serving(sampler: str, transport: str) -> Iterator[ReplayClient]:
    run = specification(sampler)
    with tempfile.TemporaryDirectory() as directory:
        address = f"unix:{directory}/replay.sock" if transport == "unix" else f"http://127.0.0.1:{free_port()}"
        process = start_replay(Path(directory), run, address)
        client = ReplayClient(
            address,
            token=lambda: None,
            signature=run.environment.signature,
            session="bench",
            config_hash=config_hash(run),
            clock=time.monotonic,
            sleep=time.sleep,
            rng=random.Random(1),
            deadline_seconds=30.0,
        )
        try:
            yield client
        finally:
            client.close()
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def main() -> None:
    for transport in ("unix", "tcp"):
        for sampler in ("uniform", "prioritised"):
            with serving(sampler, transport) as client:
                cases = {
                    "insert chunks of 64": inserting(client, 64),
                    "insert chunks of 256": inserting(client, 256),
                    "sample 1 batch a request": sampling(client, 1),
                    "sample 8 batches a request": sampling(client, 8),
                    "sample 8 batches, priorities back": sampling(client, 8, update=True),
                }
                for case, operation in cases.items():
                    print(json.dumps({"transport": transport, "sampler": sampler, "case": case, **rate(operation)}))


if __name__ == "__main__":
    main()
