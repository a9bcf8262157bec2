"""What the two servers do with requests that no client sends, on every route that they describe."""

import json
import random
import socket
import threading
from typing import NamedTuple

import pytest

from adql.wire import routes
from tests.parameters.servers import tiny_specification
from tests.replay.tables import transitions
from tests.services.hostile import described, fuzzed, odd_json, send, whole
from tests.services.memory import forget_peak, memory
from tests.services.parameter_process import ServerProcess
from tests.services.plain_http import ask
from tests.services.replay_process import FREE, running_replay
from tests.store_process import running_store
from tests.wire.test_codec import crafted

pytestmark = pytest.mark.system
SEEDS = 20


class Service(NamedTuple):
    """A server under test."""

    address: str
    side: str
    pid: int


@pytest.fixture(scope="module", params=["parameter-server", "replay"])
def service(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    if request.param == "replay":
        with running_replay(place, FREE) as replay:
            yield Service(replay.address, replay.side, replay.process.pid)
    else:
        with (
            running_store(place / "store") as store,
            ServerProcess(place, tiny_specification(), store.url) as server,
        ):
            yield Service(server.listen, server.side, server.process.pid)


@pytest.fixture(autouse=True)
def healthy(service):
    """Afterwards the service is alive and ready."""
    yield
    assert [ask(service.side, "GET", path).status for path in (routes.LIVEZ, routes.READYZ)] == [200, 200]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip"])
def test_encoded_body_is_415_on_every_route(service, encoding):
    for operation in described(service.address):
        answer = send(service.address, operation, b"\x1f\x8b" * 100, Content_Encoding=encoding)
        assert answer.status == 415, operation


def test_announced_length_beyond_the_cap_is_413_on_every_route_that_takes_a_body(service):
    for operation in described(service.address):
        for length in (2**31, 2**60) if operation.is_bulk or operation.body else ():
            assert send(service.address, operation, b"", Content_Length=str(length)).status == 413, operation


def declared(path: str, rows: int) -> bytes:
    """A body that says it has ``rows`` rows, and holds none."""
    wide = {"observation": [rows, 4], "next_observation": [rows, 4], "action": [rows]}
    columns = {name: wide.get(name, [rows]) for name in transitions(0, 1)}
    arrays = {
        routes.UPDATES: [["update", "float32", [rows]]],
        routes.INSERT: [[name, "int32" if name == "action" else "float32", shape] for name, shape in columns.items()],
        routes.PRIORITIES: [["item_ids", "uint64", [rows]], ["td_errors", "float32", [rows]]],
    }
    return crafted(arrays[path])


def test_declared_sizes_up_to_2_to_the_60_are_422_and_cost_less_than_1_mb(service):
    bulk = [operation for operation in described(service.address) if operation.is_bulk]

    def refused(rows: int) -> None:
        for operation in bulk:
            assert send(service.address, operation, declared(operation.path, rows)).status == 422

    for _ in range(30):
        refused(rows=1)  # not the same sizes: memory that was taken and given back would be there for the second time
    forget_peak(service.pid)
    before = memory(service.pid, "VmHWM")
    for power in range(31, 61):
        refused(rows=2**power)
    assert memory(service.pid, "VmHWM") - before < 2**20


def test_odd_json_is_a_4xx_on_every_route_that_takes_json(service):
    seen = 0
    for operation in described(service.address):
        for what, body in odd_json(operation.body) if operation.body else ():
            assert send(service.address, operation, body).status in (400, 422), (operation.path, what)
            seen += 1
    assert seen >= 15


def test_whole_json_passes_the_schema_of_its_route(service):
    """Otherwise the odd bodies would be refused for another reason."""
    for operation in described(service.address):
        if operation.body:
            status = send(service.address, operation, _json(whole(operation.body))).status
            assert status not in (400, 422), operation


def _json(tree: object) -> bytes:
    return json.dumps(tree).encode()


def test_fuzzed_requests_of_every_route_never_make_a_5xx(service):
    statuses: set[int] = set()
    for operation in described(service.address):
        for seed in range(SEEDS):
            rng = random.Random(f"{operation.method} {operation.path} {seed}")
            status = fuzzed(operation, rng)(service.address).status
            assert status < 500, (operation.method, operation.path, seed)
            statuses.add(status)
    assert {200, 422} <= statuses


def test_fifty_chunked_bodies_at_once_are_refused_and_cost_less_than_32_mb(service):
    """Each sends until it is answered; what comes without a length is not read."""
    forget_peak(service.pid)
    before, statuses = memory(service.pid, "VmHWM"), []
    threads = [threading.Thread(target=lambda: statuses.append(chunked(service.address))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(statuses) == 50 and set(statuses) <= {b"411", b"413"}
    assert memory(service.pid, "VmHWM") - before < 32 * 2**20


def chunked(address: str, megabytes: int = 100) -> bytes:
    """Sends a chunked body until the server has answered; returns the answer's status."""
    part = b"100000\r\n" + bytes(2**20) + b"\r\n"
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(address.removeprefix("unix:"))
        head = f"POST /v1/updates HTTP/1.1\r\nHost: x\r\nContent-Type: {routes.BINARY}\r\n"
        try:
            peer.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(megabytes):
                peer.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered and hung up
        return peer.recv(4096)[9:12]
