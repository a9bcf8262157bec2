"""What the wire costs: one JSON line a case, ``python -m tests.bench.bench_wire [--rounds N]``.

Raw sockets and ADQL are timed in turns within the same run, because both depend on what else the machine does. The raw
case moves the same bytes over the same kind of socket into a reused buffer, with a one-byte request or answer, and
does nothing else: no checksum, no HTTP. A pull and a push move the same numbers in each encoding; a push is cast on
both sides, a pull by the client alone: a server casts a version once for all who pull it (``cast``).
"""

import argparse
import contextlib
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from fastapi import Request, Response

from adql.config import ServerSettings
from adql.encodings import from_wire, to_wire
from adql.telemetry import logs
from adql.types import ArraySpec
from adql.wire import routes
from adql.wire.codec import decode, encode
from adql.wire.connection import Connection
from adql_services.runtime.app import application
from adql_services.runtime.bodies import BinaryResponse, read_body
from adql_services.runtime.serving import serve
from adql_services.runtime.side_port import Health

SIZE = 1_750_000
"""Parameters: 7 MB of float32."""
BYTES = 4 * SIZE
ENCODINGS = ("float32", "float16", "bfloat16")
NEWEST = '"1.1"'
PULL, PUSH = b"<", b">"


def specs(encoding: str) -> list[ArraySpec]:
    """What a body holds."""
    return [ArraySpec("parameters", (SIZE,), encoding)]


def vector() -> np.ndarray:
    """Parameters such as a trained network has."""
    return np.random.default_rng(0).normal(scale=0.05, size=SIZE).astype(np.float32)


def run_service(listen: str, side: str) -> None:
    """A parameter server without parameters: routes as thin as they can be made with the runtime."""
    logs.configure("text", "bench")
    app = application("bench", tokens=None)
    fields = {"epoch": 1, "version": 1}
    buffers = {encoding: encode(fields, {"parameters": to_wire(vector(), encoding)}) for encoding in ENCODINGS}

    @app.get(routes.PARAMETERS, response_model=None)
    async def pull(request: Request) -> Response:
        newer = request.headers.get("if-none-match") != NEWEST
        return BinaryResponse(buffers[request.url.query]) if newer else Response(status_code=304)

    @app.post(routes.UPDATES, response_model=None)
    async def push(request: Request) -> Response:
        body = await read_body(request, limit=BYTES + 4096)
        from_wire(decode(body, specs(request.url.query)).arrays["parameters"])
        return Response(status_code=204)

    settings = ServerSettings(listen=listen, side=side, directory=Path(), auth=False)
    sys.exit(serve(app, settings, health=Health()))


def run_raw(listening: socket.socket) -> None:
    """Sends or receives ``BYTES`` at a one-byte request."""
    peer, _ = listening.accept()
    buffer = memoryview(bytearray(BYTES))
    while (wish := peer.recv(1)) != b"":
        if wish == PULL:
            peer.sendall(buffer)
        else:
            receive(peer, buffer)
            peer.sendall(b"!")


def receive(peer: socket.socket, buffer: memoryview) -> None:
    """Fills ``buffer``."""
    received = 0
    while received < len(buffer):
        received += peer.recv_into(buffer[received:])


@contextlib.contextmanager
def raw_peer(kind: str, directory: str) -> Iterator[socket.socket]:
    """Yields a socket to a process that runs ``run_raw``."""
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family) as listening, socket.socket(family) as peer:
        listening.bind(f"{directory}/raw.sock" if kind == "unix" else ("127.0.0.1", 0))
        listening.listen()
        process = multiprocessing.Process(target=run_raw, args=(listening,), daemon=True)
        process.start()
        peer.connect(listening.getsockname())
        yield peer


@contextlib.contextmanager
def service_connection(kind: str, directory: str) -> Iterator[Connection]:
    """Yields a connection to a process that runs ``run_service``."""
    listen = f"unix:{directory}/main.sock" if kind == "unix" else f"http://127.0.0.1:{free_port()}"
    process = multiprocessing.Process(target=run_service, args=(listen, f"unix:{directory}/side.sock"), name="service")
    process.start()
    try:
        with Connection(listen, token=lambda: None) as connection:
            wait_for(connection)
            yield connection
    finally:
        process.terminate()
        process.join()


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(connection: Connection, seconds: float = 15.0) -> None:
    """Returns when the service answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.request("GET", f"{routes.PARAMETERS}?float32")
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def milliseconds(action: Callable[[], object]) -> float:
    """Times one call."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def actions(peer: socket.socket, connection: Connection) -> dict[str, Callable[[], object]]:
    """Returns what is timed, by name; ``push`` encodes and ``pull`` decodes, casts and checksums included."""
    buffer = memoryview(bytearray(BYTES))
    timed: dict[str, Callable[[], object]] = {
        "raw_pull": lambda: (peer.sendall(PULL), receive(peer, buffer)),
        "raw_push": lambda: (peer.sendall(PUSH), peer.sendall(buffer), peer.recv(1)),
        "nothing_newer": lambda: connection.request("GET", routes.PARAMETERS, headers={"If-None-Match": NEWEST}),
    }
    for encoding in ENCODINGS:
        timed |= encoded_actions(connection, vector(), encoding)
    return timed


def encoded_actions(connection: Connection, sent: np.ndarray, encoding: str) -> dict[str, Callable[[], object]]:
    """Returns what is timed of one encoding; float32 has names without it and no cast."""

    def pull() -> object:
        body = connection.request("GET", f"{routes.PARAMETERS}?{encoding}").body
        return from_wire(decode(body, specs(encoding)).arrays["parameters"])

    def push() -> object:
        body = encode({"session": "s", "sequence": 1}, {"parameters": to_wire(sent, encoding)})
        headers = {"Content-Type": routes.BINARY}
        return connection.request("POST", f"{routes.UPDATES}?{encoding}", headers=headers, body=body)

    if encoding == "float32":
        return {"pull": pull, "push": push}
    return {f"pull_{encoding}": pull, f"push_{encoding}": push, f"cast_{encoding}": lambda: to_wire(sent, encoding)}


def measure(kind: str, rounds: int) -> Iterator[dict[str, object]]:
    """Yields one record a case, with the ratio to the raw socket where there is one."""
    with tempfile.TemporaryDirectory() as directory, raw_peer(kind, directory) as peer:
        with service_connection(kind, directory) as connection:
            timed = actions(peer, connection)
            times = {name: [milliseconds(action) for _ in range(3)][:0] for name, action in timed.items()}
            for _ in range(rounds):
                for name, action in timed.items():
                    times[name].append(milliseconds(action))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        record: dict[str, object] = {"case": name, "socket": kind, "rounds": rounds, "median_ms": round(median, 3)}
        record["least_ms"] = round(min(times[name]), 3)
        record["p90_ms"] = round(statistics.quantiles(times[name], n=10)[-1], 3)
        operation, _, encoding = name.partition("_")
        if f"raw_{operation}" in medians:
            record["times_raw"] = round(median / medians[f"raw_{operation}"], 2)
            record["bytes"] = to_wire(vector(), encoding or "float32").nbytes
        yield record


def main() -> None:
    """Prints the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    for kind in ("tcp", "unix"):
        for record in measure(kind, rounds):
            sys.stdout.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
