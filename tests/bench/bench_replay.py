"""Transitions a second through the replay service and its client; run it: ``python -m tests.bench.bench_replay``.

One client, one service process; 8-float transitions, batches of 256; one JSON line a case. Then 3-step transitions of
stacks of four frames of 84 × 84 bytes, batches of 32: as whole observations, and each frame once.
"""

import itertools
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from adql.config import RunSpecification, specification_from
from adql.types import TransitionBatch
from adql.wire.replay_client import ReplayClient
from tests.bench.frames import CHUNK, SIDE, STACK, chunks
from tests.ports import free_port
from tests.services.replay_process import replay_client, start_replay

SECONDS = 2.0
BATCH = 256
SIGNATURE = {"observation_shape": [8], "actions": 4}
FRAME_BATCH = 32
CHUNKS = 40
"""Different ones; they come again when the table of 2,000 transitions has evicted them."""


def specification(sampler: str) -> RunSpecification:
    return specification_from(
        {
            "environment": {"signature": SIGNATURE},
            "algorithm": {"batch_size": BATCH},
            "replay": {"sampler": sampler, "samples_per_insert": None, "min_size": 1_000, "chunk_transitions": BATCH},
        }
    )


def specification_of_stacks(frame_stack: int | None, capacity: int = 2_000, actions: int = 4) -> RunSpecification:
    """The same observations for a table that knows them as stacks, and for one that does not."""
    signature = {"observation_shape": [STACK, SIDE, SIDE], "observation_dtype": "uint8", "actions": actions}
    replay = {"capacity": capacity, "min_size": 1_000, "samples_per_insert": None, "chunk_transitions": CHUNK}
    return specification_from(
        {
            "environment": {"signature": signature | {"frame_stack": frame_stack}, "frame_stack": frame_stack},
            "algorithm": {"batch_size": FRAME_BATCH},
            "replay": replay,
        }
    )


def transitions(count: int) -> TransitionBatch:
    rng = np.random.default_rng(1)
    observations = rng.random((2, count, 8), dtype=np.float32)
    ones = np.ones(count, np.float32)
    return TransitionBatch(observations[0], rng.integers(0, 4, count, np.int32), ones, ones, observations[1])


def rate(operation: Callable[[], int], at_least: float = SECONDS) -> dict[str, float]:
    """Transitions a second over ``at_least`` seconds, and the client's own CPU seconds a million transitions."""
    operation()
    start, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < at_least:
        count += operation()
    seconds = time.perf_counter() - start
    return {
        "transitions_per_second": round(count / seconds),
        "client_cpu_seconds_per_million": round((time.process_time() - cpu) / count * 1e6, 2),
    }


def inserting(client: ReplayClient, *batches: TransitionBatch) -> Callable[[], int]:
    turns = itertools.cycle(batches)

    def insert() -> int:
        batch = next(turns)
        assert client.insert(batch)
        return len(batch)

    return insert


def sampling(client: ReplayClient, batches: int, batch_size: int = BATCH, *, update: bool = False) -> Callable[[], int]:
    errors = [np.ones(batch_size, np.float32)] * batches

    def sample() -> int:
        client.begin_sample(batches, batch_size)
        samples = client.finish_sample()
        assert samples is not None
        if update:
            client.update_priorities(samples, errors)
        return batches * batch_size

    return sample


@contextmanager
def started(run: RunSpecification, transport: str) -> Iterator[tuple[ReplayClient, subprocess.Popen[bytes], str]]:
    """A client, the service's process and its address."""
    with tempfile.TemporaryDirectory() as directory:
        address = f"unix:{directory}/replay.sock" if transport == "unix" else f"http://127.0.0.1:{free_port()}"
        process = start_replay(Path(directory), run, address)
        client = replay_client(address, run, deadline_seconds=30.0)
        try:
            yield client, process, address
        finally:
            client.close()
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@contextmanager
def serving(run: RunSpecification, transport: str) -> Iterator[ReplayClient]:
    with started(run, transport) as (client, _, _):
        yield client


def measure_stacks(client: ReplayClient, made: list[TransitionBatch], about: dict[str, str]) -> None:
    cases = {
        "insert chunks of 64 stacked frames": inserting(client, *made),
        "sample 1 batch of stacked frames a request": sampling(client, 1, FRAME_BATCH),
        "sample 8 batches of stacked frames a request": sampling(client, 8, FRAME_BATCH),
    }
    for case, operation in cases.items():
        print(json.dumps({**about, "case": case, **rate(operation)}))
    table = client.table()
    size = {"bytes_per_transition": round(table["bytes"] / table["size"]), "frames": table["frames"]}
    print(json.dumps({**about, "case": "table of stacked frames", **size}))


def main() -> None:
    for transport in ("unix", "tcp"):
        for sampler in ("uniform", "prioritised"):
            with serving(specification(sampler), transport) as client:
                cases = {
                    "insert chunks of 64": inserting(client, transitions(64)),
                    "insert chunks of 256": inserting(client, transitions(256)),
                    "sample 1 batch a request": sampling(client, 1),
                    "sample 8 batches a request": sampling(client, 8),
                    "sample 8 batches, priorities back": sampling(client, 8, update=True),
                }
                for case, operation in cases.items():
                    print(json.dumps({"transport": transport, "sampler": sampler, "case": case, **rate(operation)}))
    made = chunks(CHUNKS)
    for stored, frame_stack in (("whole observations", None), ("each frame once", STACK)):
        with serving(specification_of_stacks(frame_stack), "unix") as client:
            measure_stacks(client, made, {"transport": "unix", "sampler": "uniform", "stored": stored})


if __name__ == "__main__":
    main()
