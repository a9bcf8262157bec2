"""dm-reverb's replay under the load of ``bench_replay``: ``python peer.py [SECONDS]``; one JSON line a case.

Runs in an environment of its own, without ADQL. The server is a process apart from the client, as ADQL's is; the
transitions are those of ``bench_replay``, in a table that is uniform, evicts the oldest and limits nobody.
"""

import json
import multiprocessing
import sys
import time

import numpy as np
import reverb
import tensorflow as tf

TABLE = "transitions"
CAPACITY = 20_000
CHUNK, BATCH = 64, 256
IN_FLIGHT = 2_560
"""Samples that may be under way: ten batches."""
FIELDS = ("observation", "action", "reward", "discount", "next_observation")


def serve(ports):
    """Serves a table until the process is ended."""
    table = reverb.Table(
        name=TABLE,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        max_size=CAPACITY,
        rate_limiter=reverb.rate_limiters.MinSize(1),
        signature=signature(),
    )
    server = reverb.Server([table])
    ports.put(server.port)
    server.wait()


def signature():
    """Shapes and types of one item: a trajectory of one step."""
    vector, scalar = tf.TensorSpec([1, 8], tf.float32), tf.TensorSpec([1], tf.float32)
    return dict(zip(FIELDS, (vector, tf.TensorSpec([1], tf.int32), scalar, scalar, vector), strict=True))


def transitions(count):
    """Random ones, as dictionaries."""
    rng = np.random.default_rng(1)
    return [
        {
            "observation": rng.random(8, np.float32),
            "action": np.int32(rng.integers(4)),
            "reward": np.float32(1),
            "discount": np.float32(1),
            "next_observation": rng.random(8, np.float32),
        }
        for _ in range(count)
    ]


def inserting(client):
    """Inserts chunks by the trajectory writer, its fastest way, and waits for each as ADQL's client does."""
    writer, chunk = client.trajectory_writer(num_keep_alive_refs=1), transitions(CHUNK)

    def insert():
        for one in chunk:
            writer.append(one)
            writer.create_item(TABLE, 1.0, {name: column[-1:] for name, column in writer.history.items()})
        writer.flush(block_until_num_items=CHUNK)
        return CHUNK

    return insert


def sampling(client):
    """Samples by the Python client."""

    def sample():
        return sum(1 for _ in client.sample(TABLE, num_samples=IN_FLIGHT, emit_timesteps=False))

    return sample


def streaming(address):
    """Samples batches by the tf.data pipeline."""
    dataset = reverb.TrajectoryDataset.from_table_signature(address, TABLE, max_in_flight_samples_per_worker=IN_FLIGHT)
    batches = iter(dataset.batch(BATCH).prefetch(4))

    def sample():
        next(batches)
        return BATCH

    return sample


def rate(operation, seconds):
    """Transitions a second."""
    operation()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        count += operation()
    return round(count / (time.perf_counter() - start))


def main():
    """Measures inserts, then samples both ways."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    server = context.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    address = f"localhost:{ports.get(timeout=60)}"
    client = reverb.Client(address)
    cases = {"insert": inserting, "sample": sampling}
    for case, make in cases.items():
        print(json.dumps({"case": case, "transitions_per_second": rate(make(client), seconds)}), flush=True)
    print(json.dumps({"case": "stream", "transitions_per_second": rate(streaming(address), seconds)}), flush=True)
    server.kill()


if __name__ == "__main__":
    main()
