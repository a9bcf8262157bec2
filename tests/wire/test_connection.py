import contextlib
import socket
import threading
import time

import numpy as np
import pytest

from adql.errors import BodyTooLargeError, RateLimitedError, StaleUpdateError, TransportError, UnauthorizedError
from adql.wire.connection import CONNECT_SECONDS, Connection
from tests.wire.scripted_server import LIMIT_SECONDS, answering, closing_after, late, ok, read_request, scripted_server

PROBLEM = "HTTP/1.1 {} X\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n{}\r\n{}"


def refusal(status: int, kind: str, headers: str = "") -> bytes:
    document = f'{{"type": "urn:adql:{kind}", "detail": "why", "last": 3}}'
    return PROBLEM.format(status, len(document), headers, document).encode()


@pytest.fixture
def connect():
    """Makes connections that are closed when the test ends."""
    made: list[Connection] = []

    def make(address: str, **options) -> Connection:
        made.append(Connection(address, **{"token": lambda: "s3cret", "timeout_seconds": 5.0, **options}))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


@pytest.fixture(params=["tcp", "unix"])
def place(request, tmp_path):
    return tmp_path if request.param == "unix" else None


def test_requests_on_one_connection_are_answered_in_order(place, connect):
    with scripted_server(place, answering(ok(b"one"), ok(b"two"), ok())) as address:
        connection = connect(address)
        bodies = [bytes(connection.request("GET", "/v1/run").body) for _ in range(3)]
    assert bodies == [b"one", b"two", b""]


def test_request_carries_token_host_length_and_the_buffers_joined(place, connect):
    seen = []

    def act(peer: socket.socket) -> None:
        seen.append(read_request(peer))
        peer.sendall(ok())

    with scripted_server(place, act) as address:
        connect(address).request("POST", "/v1/x?a=1", headers={"X-Y": "z"}, body=[b"ab", memoryview(b"cd"), b"e"])
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/x?a=1 HTTP/1.1" and body == b"abcde"
    assert {b"Authorization: Bearer s3cret", b"Content-Length: 5", b"X-Y: z"} <= set(lines)
    assert sum(line.startswith(b"Host: ") for line in lines) == 1


def test_a_body_of_seven_megabytes_arrives_whole_and_aligned(place, connect):
    sent = np.random.default_rng(0).integers(0, 256, 7_000_001, dtype=np.uint8)
    with scripted_server(place, answering(ok(sent.tobytes()))) as address:
        body = connect(address).request("GET", "/v1/parameters").body
    np.testing.assert_array_equal(np.frombuffer(body, np.uint8), sent)
    assert np.frombuffer(body[:8], np.float64).flags.aligned


def test_two_hundred_buffers_of_a_large_body_arrive_whole(place, connect):
    buffers = [bytes([n % 256]) * 40_001 for n in range(200)]
    seen = []

    def act(peer: socket.socket) -> None:
        seen.append(read_request(peer).partition(b"\r\n\r\n")[2])
        peer.sendall(ok())

    with scripted_server(place, act) as address:
        connect(address).request("POST", "/v1/insert", body=buffers)
    assert seen == [b"".join(buffers)]


def test_the_buffer_is_reused_and_an_outgrown_one_keeps_its_bytes(place, connect):
    with scripted_server(place, answering(ok(b"a" * 100), ok(b"b" * 100), ok(b"c" * 100_000))) as address:
        connection = connect(address)
        first = connection.request("GET", "/").body
        second = connection.request("GET", "/").body
        assert bytes(first) == bytes(second) == b"b" * 100
        connection.request("GET", "/")
        assert bytes(second) == b"b" * 100


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_needs_no_length(place, connect, status):
    with scripted_server(place, answering(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode(), ok(b"next"))) as address:
        connection = connect(address)
        response = connection.request("GET", "/v1/parameters")
        assert (response.status, len(response.body), response.headers["etag"]) == (int(status[:3]), 0, "x")
        assert bytes(connection.request("GET", "/").body) == b"next"


def test_refusals_are_raised_by_kind_and_leave_the_connection_usable(place, connect):
    slow_down = refusal(429, "rate_limited", "Retry-After-Ms: 70\r\n")
    with scripted_server(place, answering(refusal(409, "stale"), slow_down, ok(b"fine"))) as address:
        connection = connect(address)
        with pytest.raises(StaleUpdateError, match="why") as stale:
            connection.request("POST", "/v1/updates")
        with pytest.raises(RateLimitedError) as limited:
            connection.request("POST", "/v1/updates")
        assert bytes(connection.request("GET", "/").body) == b"fine"
    assert stale.value.details["last"] == 3 and limited.value.details["retry_after_ms"] == 70


def test_the_server_works_while_the_caller_computes(place, connect):
    arrived, computed = threading.Event(), threading.Event()

    def act(peer: socket.socket) -> None:
        read_request(peer)
        arrived.set()
        assert computed.wait(5)
        peer.sendall(ok(b"done"))

    with scripted_server(place, act) as address:
        connection = connect(address)
        connection.begin("POST", "/v1/updates", body=[b"x"])
        assert arrived.wait(5)
        computed.set()
        assert bytes(connection.finish().body) == b"done"


def test_begin_twice_and_finish_without_begin_are_programming_errors(place, connect):
    with scripted_server(place, answering(ok())) as address:
        connection = connect(address)
        with pytest.raises(RuntimeError, match="begin"):
            connection.finish()
        connection.begin("GET", "/")
        with pytest.raises(RuntimeError, match="finish"):
            connection.begin("GET", "/")
        connection.finish()


class Interrupted(BaseException):
    """What a signal handler raises."""


@pytest.mark.parametrize("interrupted", ["begin", "finish"])
def test_an_interrupted_request_leaves_nothing_for_the_next_one(place, connect, interrupted):
    armed: list[bool] = []

    def clock() -> float:
        if armed.pop() if armed else False:
            raise Interrupted
        return time.monotonic()

    with scripted_server(place, answering(ok(b"first"), ok(b"late")), answering(ok(b"own"))) as address:
        connection = connect(address, clock=clock)
        connection.request("GET", "/")
        with pytest.raises(Interrupted):
            armed[:] = [True, False] if interrupted == "begin" else [True, False, False]
            connection.request("GET", "/")
        assert bytes(connection.request("GET", "/").body) == b"own"


BROKEN_ANSWERS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-",
    "half a body": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345",
    "more than announced": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n12345",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "odd length": b"HTTP/1.1 200 OK\r\ncontent-length: \xb2\r\n\r\n",
    "beyond the bound": b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40_000,
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN_ANSWERS)
def test_a_broken_answer_is_a_transport_error_and_the_next_request_connects_again(place, connect, case):
    with scripted_server(place, closing_after(BROKEN_ANSWERS[case]), answering(ok(b"again"))) as address:
        connection = connect(address, max_body_bytes=1000)
        with pytest.raises(TransportError, match="outcome is unknown"):
            connection.request("GET", "/v1/run")
        assert bytes(connection.request("GET", "/v1/run").body) == b"again"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_where_nobody_listens_the_way_out_is_named_and_no_outcome_is_unknown(kind, tmp_path, connect):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"unix:{tmp_path}/nobody" if kind == "unix" else f"http://127.0.0.1:{free.getsockname()[1]}"
        connection = connect(address, variable="ADQL_REPLAY_URL")
        with pytest.raises(TransportError, match=r"nobody listens there: start it, or correct ADQL_REPLAY_URL$"):
            connection.request("GET", "/v1/run")


def test_a_kept_connection_that_the_server_closed_is_replaced_before_anything_is_sent(place, connect):
    closed = threading.Event()

    def act(peer: socket.socket) -> None:
        closing_after(ok(b"one"))(peer)
        peer.close()
        closed.set()

    with scripted_server(place, act, answering(ok(b"two"))) as address:
        connection = connect(address)
        connection.request("GET", "/")
        assert closed.wait(5)
        assert bytes(connection.request("GET", "/").body) == b"two"


def test_an_answer_that_does_not_come_is_given_up_at_the_deadline(place, connect):
    with scripted_server(place, lambda peer: peer.recv(1 << 16) and peer.recv(1)) as address:
        start = time.monotonic()
        with pytest.raises(TransportError, match="timed out"):
            connect(address, timeout_seconds=0.2).request("GET", "/")
    assert 0.2 <= time.monotonic() - start < 2.0


def test_an_answer_that_drips_is_given_up_at_the_deadline_too(place, connect):
    def drip(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        for byte in ok(b"x" * 1000):
            peer.sendall(bytes([byte]))
            time.sleep(0.01)

    with scripted_server(place, drip) as address:
        start = time.monotonic()
        with pytest.raises(TransportError, match="timed out"):
            connect(address, timeout_seconds=0.2).request("GET", "/")
    assert time.monotonic() - start < 2.0


@pytest.mark.parametrize("bytes_at_once", [0, 1 << 12], ids=["not at all", "a drip"])
def test_a_server_that_hardly_reads_is_given_up_at_the_deadline(place, connect, monkeypatch, bytes_at_once):
    monkeypatch.setattr("adql.wire.connection.MIN_BYTES_PER_SECOND", 1e9)  # 0.1 s for the body below
    given_up, accepted = threading.Event(), threading.Event()

    def act(peer: socket.socket) -> None:
        accepted.set()
        while not given_up.wait(0.01):
            peer.recv(bytes_at_once)

    with scripted_server(place, act) as address:
        connection, start = connect(address, timeout_seconds=0.2), time.monotonic()
        with pytest.raises(TransportError, match="timed out"):
            connection.begin("POST", "/", body=[bytes(100_000_000)])
        seconds = time.monotonic() - start
        given_up.set()
    assert (connection.connects, accepted.is_set()) == (1, True)
    assert 0.3 <= seconds < 2.0


def test_a_slow_body_has_the_time_that_its_length_allows(place, connect, monkeypatch):
    monkeypatch.setattr("adql.wire.connection.MIN_BYTES_PER_SECOND", 4e6)  # 5 s for the body below

    def act(peer: socket.socket) -> None:
        time.sleep(0.4)  # the slowness itself, not a wait for anything
        read_request(peer)

    with scripted_server(place, act) as address:
        start = time.monotonic()
        connect(address, timeout_seconds=0.2).begin("POST", "/", body=[bytes(20_000_000)])
        assert time.monotonic() - start > 0.2


def test_a_long_poll_may_take_longer_than_other_requests(place, connect):
    with scripted_server(place, late(ok(b"late"))) as address:
        connection = connect(address, timeout_seconds=LIMIT_SECONDS)
        assert bytes(connection.request("GET", "/?wait=1", timeout_seconds=10.0).body) == b"late"


def test_an_early_refusal_is_heard_although_the_body_could_not_be_sent(tmp_path, connect):
    def act(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(refusal(413, "too_large"))
        peer.shutdown(socket.SHUT_RD)
        peer.recv(1)

    with scripted_server(tmp_path, act) as address, pytest.raises(BodyTooLargeError, match="why"):
        connect(address).request("POST", "/", body=[bytes(20 * 2**20)])


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "unix:/nowhere/at/all.sock", "http://host.invalid:80"])
def test_nobody_there_is_a_transport_error_that_names_the_address(connect, address):
    with pytest.raises(TransportError, match=address):
        connect(address).request("GET", "/")


def refusing_all_but(accepted: bytes, seen: list[bytes], requests: int, headers: str = ""):
    """Answers ``requests`` requests: 200 with the ``accepted`` token, else 401 with ``headers``; ``seen`` gets them."""

    def act(peer: socket.socket) -> None:
        for _ in range(requests):
            seen.append(read_request(peer))
            peer.sendall(ok() if b"Bearer " + accepted + b"\r\n" in seen[-1] else refusal(401, "unauthorized", headers))

    return act


def test_a_token_is_asked_for_at_each_request_and_may_be_none(place, connect):
    given, seen = None, []
    with scripted_server(place, refusing_all_but(b"new", seen, 2)) as address:
        connection = connect(address, token=lambda: given)
        with pytest.raises(UnauthorizedError, match=f"{address} refused a request without a token"):
            connection.request("GET", "/")
        given = "new"
        connection.request("GET", "/")
    assert b"Authorization" not in seen[0] and b"Authorization: Bearer new" in seen[1]


def test_a_request_whose_token_is_refused_is_sent_again_whole_with_the_others(place, connect):
    seen = []
    with scripted_server(place, refusing_all_but(b"third", seen, 3)) as address:
        connect(address, token=lambda: ("first", "second", "third")).request("POST", "/", body=[b"all ", b"of it"])
    assert all(request.endswith(b"\r\n\r\nall of it") for request in seen)


def test_the_token_that_was_accepted_last_is_tried_first_as_long_as_there_is_one(place, connect):
    given, seen = ("first", "second"), []
    with scripted_server(place, refusing_all_but(b"second", seen, 5)) as address:
        connection = connect(address, token=lambda: given)
        connection.request("GET", "/")
        connection.request("GET", "/")
        given = ("zeroth", "first")
        with pytest.raises(UnauthorizedError, match=f"{address} refused each of the 2 tokens"):
            connection.request("GET", "/")
    sent = [request.partition(b"Bearer ")[2].partition(b"\r")[0] for request in seen]
    assert sent == [b"first", b"second", b"second", b"zeroth", b"first"]


def test_a_token_that_came_while_the_request_was_under_way_is_tried_too(place, connect):
    given, seen = ("old",), []
    with scripted_server(place, refusing_all_but(b"new", seen, 2)) as address:
        connection = connect(address, token=lambda: given)
        connection.begin("GET", "/")
        given = ("new",)
        assert connection.finish().status == 200


def test_another_token_is_tried_over_a_new_connection_where_the_refusal_closed_it(place, connect):
    seen = []
    acts = (refusing_all_but(b"good", seen, 1, "connection: close\r\n") for _ in range(2))
    with scripted_server(place, *acts) as address:
        connection = connect(address, token=lambda: ("bad", "good"))
        assert connection.request("POST", "/", body=[bytes(2**20)]).status == 200
    assert connection.connects == 2


def test_address_where_nobody_answers_is_given_up_soon_however_patient_a_request_is():
    """A connection that is not accepted fills the queue of one: the next one is neither taken nor refused."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(2):
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        port, begun = listening.getsockname()[1], time.monotonic()
        with Connection(f"http://127.0.0.1:{port}", token=lambda: None, timeout_seconds=60) as connection:
            with pytest.raises(TransportError):
                connection.request("GET", "/")
        assert CONNECT_SECONDS - 0.5 < time.monotonic() - begun < CONNECT_SECONDS + 3
