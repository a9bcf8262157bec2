"""What the runtime does with requests, good and bad, over real sockets to a real process."""

import contextlib
import fcntl
import json
import random
import socket
import struct
import termios
from pathlib import Path

import numpy as np
import pytest

from adql import errors
from adql.types import ArraySpec
from adql.wire import routes
from adql.wire.codec import ANY, decode, encode
from adql.wire.connection import UNIX_SEND_BYTES, Connection
from tests.services.memory import memory
from tests.services.running import Running, running
from tests.waiting import wait_until

TOKEN = "correct-horse"
HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"
BINARY = {"Content-Type": routes.BINARY}


@pytest.fixture(scope="module", params=["unix", "tcp"])
def service(request, tmp_path_factory):
    with running(tmp_path_factory.mktemp("service"), request.param, TOKEN) as service:
        yield service


@pytest.fixture
def connection(service):
    connection = service.connection(TOKEN)
    yield connection
    connection.close()


def exchange(service: Running, sent: bytes, *, end: bool = False) -> tuple[int, bytes]:
    """Sends raw bytes; returns the status, 0 where the connection was closed without an answer, and the answer."""
    with service.raw() as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            peer.sendall(sent)
        if end:
            peer.shutdown(socket.SHUT_WR)
        received = b""
        while not is_whole(received) and (chunk := peer.recv(65536)):
            received += chunk
        return int(received[9:12] or 0), received


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and (len(body) >= sum(lengths))


def test_requests_leave_next_to_nothing_for_the_garbage_collector(tmp_path):
    body = encode({}, {"parameters": np.ones(1000, np.float32)})
    with running(tmp_path, "unix", TOKEN) as service, contextlib.closing(service.connection(TOKEN)) as connection:
        connection.request("GET", "/v1/garbage")
        for _ in range(200):
            connection.request("GET", routes.PARAMETERS)
            connection.request("POST", routes.UPDATES, headers=BINARY, body=body)
        found = json.loads(bytes(connection.request("GET", "/v1/garbage").body))
    assert found["objects"] < 200


def test_pull_answers_what_the_service_holds(connection):
    body = connection.request("GET", routes.PARAMETERS).body
    message = decode(body, [ArraySpec("parameters", (ANY,))])
    assert message.arrays["parameters"].shape == (1_750_000,) and message.arrays["parameters"].min() == 1.0


def test_answer_over_a_unix_socket_waits_in_a_large_buffer(tmp_path):
    allowed = int(Path("/proc/sys/net/core/wmem_max").read_text())
    with running(tmp_path, "unix", TOKEN) as service, service.raw() as peer:
        peer.sendall(f"GET {routes.PARAMETERS} HTTP/1.1\r\n{HEAD}\r\n".encode())
        wait_until(lambda: waiting_bytes(peer) >= min(UNIX_SEND_BYTES, allowed) // 2)


def waiting_bytes(peer: socket.socket) -> int:
    """Returns how many bytes were sent to ``peer`` that it has not read."""
    return struct.unpack("i", fcntl.ioctl(peer, termios.FIONREAD, bytes(4)))[0]


def test_push_receives_every_byte(connection):
    vector = np.arange(1_000_000, dtype=np.float32) % 7
    body = encode({"session": "s"}, {"parameters": vector})
    response = connection.request("POST", routes.UPDATES, headers=BINARY, body=body)
    assert json.loads(bytes(response.body)) == {"sum": int(vector.sum())}


def test_nothing_newer_is_304_without_a_body(connection):
    assert connection.request("GET", routes.PARAMETERS, headers={"If-None-Match": '"1"'}).status == 304


def test_an_error_of_the_service_arrives_as_itself(connection):
    with pytest.raises(errors.StaleUpdateError, match="at most 16 behind") as stale:
        connection.request("GET", "/v1/stale")
    assert stale.value.details["last_sequence"] == 7


def test_a_bug_is_a_500_problem_that_does_not_tell_what_was_inside(connection):
    with pytest.raises(errors.AdqlError, match="internal error") as bug:
        connection.request("GET", "/v1/bug")
    assert bug.value.status == 500 and "secret" not in str(bug.value)


def request(line: str, headers: str = "", body: bytes = b"") -> bytes:
    return f"{line} HTTP/1.1\r\n{HEAD}{headers}\r\n".encode("latin-1") + body


def json_request(body: bytes, headers: str = "Content-Type: application/json\r\n") -> bytes:
    return request("POST /v1/json", f"{headers}Content-Length: {len(body)}\r\n", body)


def binary_request(body: bytes, headers: str = f"Content-Type: {routes.BINARY}\r\n") -> bytes:
    return request("POST /v1/updates", f"{headers}Content-Length: {len(body)}\r\n", body)


BINARY_TYPE = f"Content-Type: {routes.BINARY}\r\n"
GOOD = b"".join(encode({}, {"parameters": np.ones(4, np.float32)}))
CHUNKED = "Transfer-Encoding: chunked\r\n"
HUGE = json.dumps({"x": 1.0, "names": ["a" * 100] * 700}).encode()
REFUSED = {
    "length and chunked": (400, request("POST /v1/json", f"Content-Length: 3\r\n{CHUNKED}", b"0\r\n\r\n")),
    "chunked": (411, request("POST /v1/json", CHUNKED, b"2\r\n{}\r\n0\r\n\r\n")),
    "chunk trailer": (411, request("POST /v1/json", CHUNKED, b"2\r\n{}\r\n0\r\nX-Evil: 1\r\n\r\n")),
    "bad chunk": (400, request("POST /v1/json", CHUNKED, b"zz\r\n")),
    "folded header": (400, request("GET /v1/stale", "X-A: 1\r\n folded\r\n")),
    "bare line feeds": (400, request("GET /v1/stale").replace(b"\r\n", b"\n")),
    "no host": (400, f"GET /v1/stale HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()),
    "two hosts": (400, request("GET /v1/stale", "Host: y\r\n")),
    "one huge header": (431, request("GET /v1/stale", f"X-A: {'a' * 200_000}\r\n")),
    "many headers": (431, request("GET /v1/stale", "".join(f"X-{n}: {'a' * 50}\r\n" for n in range(400)))),
    "huge target": (431, request(f"GET /{'a' * 20_000}")),
    "unknown method": (400, request("BREW /v1/json")),
    "known method, not here": (405, request("PROPFIND /v1/json")),
    "head": (405, request("HEAD /v1/parameters", "Connection: close\r\n")),
    "options": (405, request("OPTIONS /v1/parameters")),
    "put": (405, request("PUT /v1/json")),
    "connect": (400, request("CONNECT a:1")),
    "no such path": (404, request("GET /v1/nothing")),
    "documentation page": (404, request("GET /docs")),
    "a path of odd bytes": (400, f"GET /\xff\xfe HTTP/1.1\r\n{HEAD}\r\n".encode("latin-1")),
    "a path of odd escapes": (404, request("GET /%ff%00%2e%2e")),
    "no http": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100),
    "http 0.9": (400, b"GET /v1/stale\r\n\r\n"),
    "http 2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "negative length": (400, request("POST /v1/json", "Content-Length: -1\r\n")),
    "length of letters": (400, request("POST /v1/json", "Content-Length: many\r\n")),
    "length beyond 64 bits": (400, request("POST /v1/json", f"Content-Length: {'9' * 30}\r\n")),
    "two lengths": (400, request("POST /v1/json", "Content-Length: 2\r\nContent-Length: 3\r\n", b"{}")),
    "gzip": (415, json_request(b"{}", "Content-Encoding: gzip\r\nContent-Type: application/json\r\n")),
    "json of 70 kB": (413, json_request(HUGE)),
    "json that announces 3 GB": (413, request("POST /v1/json", "Content-Length: 3000000000\r\n")),
    "json of 70 kB as binary": (413, json_request(HUGE, BINARY_TYPE)),
    "NaN": (422, json_request(b'{"x": NaN}')),
    "infinity": (422, json_request(b'{"x": -Infinity}')),
    "1e999": (422, json_request(b'{"x": 1e999}')),
    "1e999 as an integer": (422, json_request(b'{"x": 1.0, "n": 1e999}')),
    "a string for a number": (422, json_request(b'{"x": "1.0"}')),
    "true for an integer": (422, json_request(b'{"x": 1.0, "n": true}')),
    "unknown key": (422, json_request(b'{"x": 1.0, "\\ud800 evil": 1}')),
    "lone surrogate": (422, json_request(b'{"x": 1.0, "names": ["\\ud800"]}')),
    "no object": (422, json_request(b"[]")),
    "no json": (422, json_request(b"{")),
    "no utf-8": (400, json_request(b'{"x": "\xff\xfe"}')),
    "nesting as deep as the parser takes": (422, json_request(b'{"x":' * 900 + b"1" + b"}" * 900)),
    "deep nesting": (400, json_request(b"[" * 60_000)),
    "an integer of 50,000 digits": (400, json_request(b'{"x": ' + b"9" * 50_000 + b"}")),
    "no content type": (422, json_request(b'{"x": 1.0}', "")),
    "wait is no number": (422, request("GET /v1/parameters?wait=nan")),
    "wait is too long": (422, request("GET /v1/parameters?wait=31")),
    "binary without its type": (415, binary_request(GOOD, "")),
    "binary as a form": (415, binary_request(GOOD, "Content-Type: multipart/form-data; boundary=x\r\n")),
    "binary of odd type": (415, binary_request(GOOD, "Content-Type: \xff\xfe\r\n")),
    "binary without a length": (411, request("POST /v1/updates", BINARY_TYPE)),
    "binary too large": (413, request("POST /v1/updates", f"{BINARY_TYPE}Content-Length: 9000000\r\n")),
    "empty binary": (422, binary_request(b"")),
    "half a binary": (422, binary_request(GOOD[:-8])),
    "pickle": (422, binary_request(b"\x80\x04\x95" + b"cos\nsystem\n" + bytes(40))),
    "another wire number": (426, binary_request(GOOD[:4] + struct.pack("<H", 9) + GOOD[6:])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_request_gets_its_own_4xx_as_a_problem(service, case):
    status, sent = REFUSED[case]
    received, answer = exchange(service, sent)
    assert received == status
    assert b"application/problem+json" in answer and b"\r\nserver:" not in answer.lower()
    assert service.process.poll() is None


@pytest.mark.parametrize(
    "sent",
    [b"", b"\r\n\r\n\r\n", b"GET", request("POST /v1/json", "Content-Length: 50\r\n", b"{")],
    ids=["nothing", "empty lines", "half a line", "half a body"],
)
def test_a_request_that_ends_early_gets_nothing_or_a_4xx(service, sent):
    assert exchange(service, sent, end=True)[0] in (0, 400, 408)


def answers(peer: socket.socket, count: int) -> list[bytes]:
    """Reads until ``count`` answers were seen; returns their status lines."""
    received = b""
    while received.count(b"HTTP/1.1 ") < count or not received.endswith((b"}", b"\r\n\r\n")):
        received += peer.recv(65536)
    return [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]


def test_requests_sent_ahead_are_answered_in_order_each_with_its_own_body(service):
    bodies = [b"".join(encode({}, {"parameters": np.full(n, 1.0, np.float32)})) for n in (30_000, 5, 60_000, 0)]
    with service.raw() as peer:
        peer.sendall(b"".join(binary_request(body) for body in bodies))
        received = b""
        while received.count(b"}") < 4:
            received += peer.recv(65536)
    assert [received.index(b'{"sum":%d}' % n) for n in (30_000, 5, 60_000, 0)] == sorted(
        received.index(b'{"sum":%d}' % n) for n in (30_000, 5, 60_000, 0)
    )


def test_a_body_that_comes_byte_by_byte_or_after_100_continue_is_whole(service):
    head, _, body = binary_request(GOOD, f"{BINARY_TYPE}Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with service.raw() as peer:
        peer.sendall(head + b"\r\n\r\n")
        assert answers(peer, 1) == [b"100"]
        for byte in body:
            peer.sendall(bytes([byte]))
        assert answers(peer, 1) == [b"200"]


def test_a_push_that_ends_at_any_byte_applies_nothing_and_harms_nobody(service):
    sent = binary_request(b"".join(encode({}, {"parameters": np.ones(40_000, np.float32)})))
    for cut in (1, 30, len(sent) // 2, len(sent) - 1):
        with service.raw() as peer:
            peer.sendall(sent[:cut])
    status, answer = exchange(service, sent)
    assert status == 200 and answer.startswith(b"HTTP/1.1 200")


def mangled(rng: random.Random) -> bytes:
    """A valid request with a few bytes or headers changed."""
    sent = bytearray(rng.choice([json_request(b'{"x": 1.0, "n": 3}'), binary_request(GOOD), request("GET /v1/stale")]))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(sent))
        sent[at : at + rng.randint(0, 3)] = rng.choice(
            [rng.randbytes(rng.randint(0, 4)), b"\r\n", b"NaN", b"-1", b"{" * 50]
        )
    return bytes(sent)


def test_two_thousand_mangled_requests_never_make_a_5xx(service):
    rng, statuses = random.Random(3), set()
    for _ in range(2_000):
        statuses.add(exchange(service, mangled(rng), end=True)[0])
    assert service.probe("/livez") == 200
    assert statuses <= {0, 200, 400, 401, 404, 405, 409, 411, 413, 415, 422, 426, 431} and {0, 400, 422} <= statuses


def test_refusals_never_repeat_what_was_sent(service):
    for sent in (
        b'{"x": "EVILVALUE"}',
        b'{"x": 1.0, "evilkey": 1}',
        b'{"names": [1, "EVILVALUE"], "x": {"EVILKEY": 1}}',
    ):
        answer = exchange(service, json_request(sent))[1].lower()
        assert b"evil" not in answer and b"urn:adql:malformed" in answer


WRONG = ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN]
WRONG += ["Bearer \xff\xfe\x80", f"Bearer {TOKEN} {TOKEN}", f"Bearer {TOKEN.upper()}"]


@pytest.mark.parametrize("authorization", WRONG)
@pytest.mark.parametrize("path", [routes.PARAMETERS, "/v1/openapi.json", "/nothing", "/"])
def test_a_missing_wrong_or_truncated_token_is_401_everywhere(service, path, authorization):
    header = f"Authorization: {authorization}\r\n" if authorization else ""
    status, answer = exchange(service, f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode("latin-1"))
    assert status == 401 and b"www-authenticate: bearer" in answer.lower()


def test_two_tokens_are_refused_even_if_one_is_right(service):
    assert exchange(service, request("GET /v1/parameters", "Authorization: Bearer wrong\r\n"))[0] == 400


def test_every_route_of_the_description_asks_for_the_token(service, connection):
    paths = json.loads(bytes(connection.request("GET", "/v1/openapi.json").body))["paths"]
    assert len(paths) >= 6
    with service.connection("wrong") as stranger:
        for path, operations in paths.items():
            for method in operations:
                with pytest.raises(errors.UnauthorizedError):
                    stranger.request(method.upper(), path)


def test_a_bulk_route_is_described_with_its_query_its_body_and_its_answer(connection):
    paths = json.loads(bytes(connection.request("GET", "/v1/openapi.json").body))["paths"]
    (wait,) = paths[routes.PARAMETERS]["get"]["parameters"]
    assert wait["name"] == "wait" and wait["in"] == "query" and wait["schema"]["maximum"] == 30.0
    assert paths[routes.PARAMETERS]["get"]["responses"]["200"]["content"] == {routes.BINARY: {}}
    push = paths[routes.UPDATES]["post"]
    assert push["requestBody"]["content"] == {routes.BINARY: {}}
    assert push["responses"]["200"]["content"][routes.JSON]["schema"]["required"] == ["sum"]


def test_another_method_of_a_bulk_route_is_405_and_names_the_one_that_is_spoken(service):
    status, answer = exchange(service, request("PUT /v1/parameters"))
    assert status == 405 and b"allow: get" in answer.lower() and b"urn:adql:method_not_allowed" in answer


def test_a_token_is_rotated_without_a_failed_request(tmp_path):
    with running(tmp_path, token="old\n") as service, service.connection("old") as old:
        old.request("GET", "/v1/openapi.json")
        (tmp_path / "new").write_text("new\nold\n")
        (tmp_path / "new").rename(tmp_path / "token")
        with service.connection("new") as new:
            new.request("GET", "/v1/openapi.json")
            old.request("GET", "/v1/openapi.json")
            (tmp_path / "token").write_text("new\n")
            with pytest.raises(errors.UnauthorizedError):
                old.request("GET", "/v1/openapi.json")
            new.request("GET", "/v1/openapi.json")


def test_a_push_of_8_mb_whose_token_is_refused_is_sent_again_with_the_next_one(service):
    body = encode({}, {"parameters": np.ones(2**21 - 100, np.float32)})
    with Connection(service.listen, token=lambda: ("wrong", TOKEN)) as connection:
        for _ in range(2):
            answer = connection.request("POST", routes.UPDATES, headers=BINARY, body=body)
            assert json.loads(bytes(answer.body)) == {"sum": 2**21 - 100}


def test_fifty_announced_bodies_of_8_mb_cost_less_than_32_mb(service):
    before = memory(service.process.pid)
    peers = [service.raw() for _ in range(50)]
    for peer in peers:
        peer.sendall(request("POST /v1/updates", f"{BINARY_TYPE}Content-Length: 8000000\r\n", b"x" * 1000))
    with service.connection(TOKEN) as connection:
        for _ in range(20):
            connection.request("GET", "/v1/openapi.json")
    assert memory(service.process.pid) - before < 32 * 2**20
    for peer in peers:
        peer.close()


def test_probes_are_answered_while_five_hundred_connections_are_half_open(service):
    peers = [service.raw() for _ in range(500)]
    try:
        for peer in peers:
            peer.sendall(b"GET /v1/")
        wait_until(lambda: service.probe("/livez") == 200, seconds=5.0)
    finally:
        for peer in peers:
            peer.close()


def test_metrics_are_on_the_side_port(service):
    with service.side_connection() as connection:
        text = bytes(connection.request("GET", "/metrics").body).decode()
        assert "adql_http_requests_total" in text and TOKEN not in text
