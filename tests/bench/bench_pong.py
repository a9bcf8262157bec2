"""Replay of real Pong, stacks of four frames of 84 × 84: bytes a step and samples a second.

``python -m tests.bench.bench_pong [STEPS]`` plays STEPS (200,000) steps of eight copies with random actions, puts them
through the real service as 3-step transitions, and looks at the memory of its process; one JSON line a case. It needs
the extra ``atari`` and says so without it.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from adql.agent.accumulator import Accumulator
from adql.config import RunSpecification
from adql.types import Array, TransitionBatch
from adql.wire.replay_client import ReplayClient
from tests.bench.bench_replay import FRAME_BATCH, rate, sampling, specification_of_stacks, started
from tests.bench.frames import CHUNK, COPIES, N_STEPS, STACK
from tests.services.replay_process import replay_client
from tests.waiting import wait_until

STEPS = 200_000


def chunks() -> Iterator[TransitionBatch]:
    """Yields transitions of Pong in chunks of 64 or a few more."""
    gathered: list[TransitionBatch] = []
    for batch in _played(np.random.default_rng(1)):
        gathered.append(batch)
        if sum(map(len, gathered)) >= CHUNK:
            yield TransitionBatch.concatenate(gathered)
            gathered = []


def _played(rng: np.random.Generator) -> Iterator[TransitionBatch]:
    """Yields what each step of all copies closes; a copy whose episode is over stands still for its reset."""
    environments = [_pong() for _ in range(COPIES)]
    accumulator = Accumulator(COPIES, N_STEPS, 0.99)
    observation = np.stack([_first(each, seed) for seed, each in enumerate(environments)])
    acting = np.ones(COPIES, np.bool_)
    while True:
        actions = rng.integers(6, size=COPIES)
        following, rewards = observation.copy(), np.zeros(COPIES)
        terminated, truncated = np.zeros((2, COPIES), np.bool_)
        for copy, environment in enumerate(environments):
            if acting[copy]:
                frame, rewards[copy], terminated[copy], truncated[copy], _ = environment.step(actions[copy])
                following[copy] = np.concatenate([observation[copy, 1:], frame[None]])
            else:
                following[copy] = _first(environment)
        yield accumulator.add(observation, actions, rewards, terminated, truncated, following, acting)
        observation, acting = following, ~(terminated | truncated)


def _pong() -> Any:
    import ale_py
    import gymnasium

    gymnasium.register_envs(ale_py)
    game = gymnasium.make("ALE/Pong-v5", frameskip=1)
    return gymnasium.wrappers.AtariPreprocessing(game, frame_skip=4, screen_size=84, grayscale_obs=True)


def _first(environment: Any, seed: int | None = None) -> Array:
    return np.repeat(environment.reset(seed=seed)[0][None], STACK, axis=0)


class Unopened(ReplayClient):
    """A client that leaves the frames of an answer as they came: what the service alone can do."""

    def _samples(self, response: Any) -> list[Any]:
        response.message(self._sample_arrays)
        return []


def fill(client: ReplayClient, played: Iterator[TransitionBatch], steps: int) -> dict[str, float]:
    """Inserts ``steps`` transitions; returns how many went in a second of inserting, which includes compressing."""
    seconds, count = 0.0, 0
    while count < steps:
        batch = next(played)
        start = time.perf_counter()
        assert client.insert(batch)
        seconds, count = seconds + time.perf_counter() - start, count + len(batch)
    return {"steps": count, "transitions_per_second": round(count / seconds)}


def memory(resident: list[int], table: dict[str, Any]) -> dict[str, float]:
    """Bytes of the service's memory and of its own account, a step, which is as many megabytes a million steps.

    ``resident``: of its process before, with half of the steps and with all.
    """
    steps, (empty, half, full) = table["size"], resident
    return {
        "resident_bytes_per_step": round((full - empty) / steps, 1),
        "resident_bytes_per_step_of_the_second_half": round((full - half) / (steps / 2), 1),
        "counted_bytes_per_step": round(table["bytes"] / steps, 1),
        "distinct_frames_per_step": round(table["frames"] / steps, 3),
    }


def opened(address: str, run: RunSpecification, session: str) -> dict[str, float]:
    """What one more client samples in a process of its own."""
    client = replay_client(address, run, session=session)
    try:
        return rate(sampling(client, 8, FRAME_BATCH))
    finally:
        client.close()


def two_clients(address: str, run: RunSpecification) -> dict[str, float]:
    """What two clients sample together in the same seconds, about."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        both = [pool.submit(opened, address, run, session) for session in "bc"]
        return {"transitions_per_second": sum(each.result()["transitions_per_second"] for each in both)}


def measure(steps: int) -> Iterator[dict[str, Any]]:
    run = specification_of_stacks(STACK, capacity=steps + 2 * CHUNK, actions=6)
    with started(run, "unix") as (client, process, address):
        service = psutil.Process(process.pid)
        wait_until(Path(address.removeprefix("unix:")).exists)
        played, resident = chunks(), [service.memory_info().rss]
        for half in ("the first half", "the second half"):
            yield {"case": f"insert chunks of 64, {half}", **fill(client, played, steps // 2)}
            resident.append(service.memory_info().rss)
        yield {"case": "memory of the service", **memory(resident, client.table())}
        yield {"case": "sample 1 batch a request", **rate(sampling(client, 1, FRAME_BATCH))}
        yield {"case": "sample 8 batches a request", **rate(sampling(client, 8, FRAME_BATCH))}
        yield {"case": "sample 8 batches a request, two clients", **two_clients(address, run)}
        client.__class__ = Unopened
        yield {"case": "sample 8 batches a request, frames left packed", **rate(sampling(client, 8, FRAME_BATCH))}


def main(steps: int = STEPS) -> None:
    about = {"transport": "unix", "environment": "ALE/Pong-v5"}
    if find_spec("ale_py") is None:
        print(json.dumps({**about, "case": "none", "needs": "pip install --constraint constraints.txt '.[atari]'"}))
        return
    for line in measure(steps):
        print(json.dumps({**about, **line}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
