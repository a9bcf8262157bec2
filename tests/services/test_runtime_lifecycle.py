"""How a service starts, stops and fails, as a real process."""

import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adql.errors import WireError
from adql_services.runtime.side_port import Health
from tests.services.raw_socket import wait_until_read
from tests.services.running import command_of, launch, running, started
from tests.waiting import wait_until

HALF_HEAD = b"GET /v1/stale HTTP/1.1\r\nHost"
HALF_BODY = (
    b"POST /v1/updates HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.adql\r\nContent-Length: 9000\r\n\r\nabc"
)
SMALL_HALF_BODY = b"POST /v1/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
LONG_POLL = b'GET /v1/parameters?wait=30 HTTP/1.1\r\nHost: x\r\nIf-None-Match: "1"\r\n\r\n'
SLOW = b"GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n"
STUCK = b"GET /v1/stuck HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(params=["unix", "tcp"])
def either_service(request, tmp_path):
    with running(tmp_path, request.param) as service:
        yield service


@pytest.fixture
def service(tmp_path):
    with running(tmp_path) as service:
        yield service


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_with_0_after_stopping_ran(either_service, number):
    either_service.process.send_signal(number)
    assert either_service.ended(5) == 0
    assert (either_service.directory / "stopped").exists() and either_service.process.stderr.read().count(
        "Traceback"
    ) == 0


def test_two_hundred_half_open_and_half_body_connections_do_not_stop_sigterm(either_service):
    peers = [either_service.raw() for _ in range(200)]
    for peer, sent in zip(peers, [b"", HALF_HEAD, HALF_BODY, SMALL_HALF_BODY, STUCK] * 40, strict=True):
        peer.sendall(sent)
    either_service.process.send_signal(signal.SIGTERM)
    assert either_service.ended(10) == 0
    assert (either_service.directory / "stopped").exists()
    for peer in peers:
        peer.close()


AT_ONCE_SECONDS = 3.5
"""Below the grace that the service gives to requests under way."""


@pytest.mark.parametrize("sent", [HALF_HEAD, HALF_BODY, SMALL_HALF_BODY])
def test_a_request_that_is_not_here_whole_is_given_up_at_once(service, sent):
    with service.raw() as peer:
        peer.sendall(sent)
        wait_until_read(peer)
        service.process.send_signal(signal.SIGTERM)
        assert service.ended(AT_ONCE_SECONDS) == 0 and peer.recv(1000) == b""


def test_what_is_under_way_is_answered_before_the_end(service):
    with service.raw() as peer:
        peer.sendall(SLOW)
        wait_until_read(peer)
        service.process.send_signal(signal.SIGTERM)
        assert b"".join(iter(lambda: peer.recv(1000), b"")).endswith(b'{"status":"done"}')
    assert service.ended(5) == 0


def test_a_request_that_never_ends_is_answered_503_at_the_end(service):
    with service.raw() as peer:
        peer.sendall(STUCK)
        wait_until_read(peer)
        service.process.send_signal(signal.SIGTERM)
        assert peer.recv(1000).startswith(b"HTTP/1.1 503")
    assert service.ended(10) == 0


def test_a_long_poll_ends_at_once_when_the_service_stops(service):
    with service.raw() as peer:
        peer.sendall(LONG_POLL)
        wait_until_read(peer)
        start = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert peer.recv(1000).startswith(b"HTTP/1.1 304")
    assert time.monotonic() - start < AT_ONCE_SECONDS and service.ended(5) == 0


def test_connections_that_say_too_little_are_closed_with_408(tmp_path):
    with running(tmp_path) as service:
        peers = [service.raw() for _ in range(4)]
        for peer, sent in zip(peers, [b"", HALF_HEAD, HALF_BODY, SMALL_HALF_BODY], strict=True):
            peer.sendall(sent)
        assert [peer.recv(65536)[9:12] for peer in peers] == [b"408"] * 4
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("line", ["GET /v1/slow", "POST /v1/updates", "GET /v1/nothing", "DELETE /v1/json"])
def test_connection_whose_request_was_answered_does_not_live_on_the_body_that_was_announced(service, line):
    """One byte at a time would keep it open for 8 million years."""
    with service.raw() as peer:
        peer.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {2**60}\r\n\r\n".encode())
        assert peer.recv(1000).startswith(b"HTTP/1.1 ")
        wait_until(lambda: is_closed_to(peer), seconds=20.0)


def is_closed_to(peer) -> bool:
    """Sends one more byte of a body."""
    try:
        peer.sendall(b"x")
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def test_no_new_connection_is_taken_after_the_end_began(service):
    with service.raw() as peer:
        peer.sendall(STUCK)
        wait_until_read(peer)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.probe("/readyz") == 503)
        wait_until(lambda: refuses_connections(service))
        assert peer.recv(1000).startswith(b"HTTP/1.1 503")  # the service still ran
    assert service.ended(10) == 0


def refuses_connections(service):
    try:
        service.raw().close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def test_a_failure_in_the_background_is_one_line_and_exit_1(service):
    with service.connection() as connection:
        connection.request("GET", "/v1/fence")
    assert service.ended(5) == 1
    assert service.process.stderr.read().splitlines()[-1] == "adql: error: a newer epoch owns the store"


def test_a_start_that_a_person_has_to_mend_is_one_line_and_exit_2(tmp_path):
    with launch(tmp_path, start="refuse") as service:
        _, errors = service.process.communicate(timeout=15)
    assert service.process.returncode == 2
    assert errors.splitlines()[-1] == "adql: error: the volume knows this run; run adql restore"
    assert "Traceback" not in errors


def test_while_starting_the_service_lives_is_not_ready_and_can_be_stopped(tmp_path):
    with launch(tmp_path, start="hang") as service:
        wait_until(lambda: service.probe("/livez") == 200)
        assert service.probe("/readyz") == 503
        service.process.send_signal(signal.SIGTERM)
        _, errors = service.process.communicate(timeout=5)
    assert service.process.returncode == 0 and "Traceback" not in errors


@pytest.mark.parametrize("end", ["hang-at-end", "block-at-end"])
def test_an_end_that_hangs_is_cut_off_with_one_line_and_exit_1(tmp_path, end):
    with launch(tmp_path, start=end) as service:
        wait_until(lambda: service.probe("/readyz") == 200)
        service.process.send_signal(signal.SIGTERM)
        _, errors = service.process.communicate(timeout=5)
    assert service.process.returncode == 1 and "told to end 1 s ago" in errors.splitlines()[-1]


WORKER = """
import signal, sys, time
from adql.config import LearnerSettings
from adql_services.runtime import deadline, worker
worker.GRACE_SECONDS, worker.end_timer = 1, lambda: deadline.end_timer(2.0)

def work(worker):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # as in code of others that nothing interrupts
    worker.ready()
    while True:
        time.sleep(0.1)

sys.exit(worker.run_worker("worker", LearnerSettings(auth=False), sys.argv[1], work))
"""


def test_a_worker_that_does_not_let_itself_be_interrupted_is_cut_off_with_exit_1(tmp_path):
    side = f"unix:{tmp_path}/side.sock"
    with started([sys.executable, "-c", WORKER, side], "", side, tmp_path) as service:
        wait_until(lambda: service.probe("/readyz") == 200)
        service.process.send_signal(signal.SIGTERM)
        _, errors = service.process.communicate(timeout=8)
    assert service.process.returncode == 1 and "told to end 2 s ago" in errors.splitlines()[-1]


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_an_address_in_use_is_one_line_and_exit_2_and_leaves_the_first_alone(tmp_path, kind):
    with running(tmp_path, kind) as first:
        second = subprocess.run(first.process.args, capture_output=True, text=True, timeout=15)
        complaint = f"ADQL_LISTEN={first.listen}: it is already in use; set ADQL_LISTEN to another address or stop"
        assert second.returncode == 2 and complaint in second.stderr.splitlines()[-1]
        assert "Traceback" not in second.stderr and first.probe("/readyz") == 200
        with first.connection() as connection:
            assert connection.request("GET", "/v1/openapi.json").status == 200


def test_the_socket_of_a_killed_service_is_replaced(tmp_path):
    with running(tmp_path) as first:
        first.process.kill()
        first.process.wait()
        assert (tmp_path / "main.sock").is_socket()
    with running(tmp_path) as second, second.connection() as connection:
        assert connection.request("GET", "/v1/openapi.json").status == 200


def test_sockets_belong_to_their_owner_alone_and_are_removed_at_the_end(tmp_path):
    with running(tmp_path) as service:
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("main.sock", "side.sock")]
        assert modes == [0o600, 0o600]
        service.process.terminate()
        service.ended()
    assert not (tmp_path / "main.sock").exists() and not (tmp_path / "side.sock").exists()


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("unix:/" + "a" * 107, "more than 107 bytes"),
        ("unix:/no/such/directory/x.sock", "No such file"),
        ("unix:/etc/hostname", "no socket"),
        ("http://host.invalid:8000", "cannot listen"),
        ("http://192.0.2.1:8000", "Cannot assign"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_one_line_and_exit_2(tmp_path, address, complaint):
    command = command_of(address, f"unix:{tmp_path}/side.sock", tmp_path)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=15)
    assert ended.returncode == 2 and complaint in ended.stderr.splitlines()[-1] and "Traceback" not in ended.stderr


def test_liveness_is_lost_when_the_loop_hangs():
    now = [0.0]
    health = Health(max_silence_seconds=30.0, clock=lambda: now[0])
    now[0] = 29.0
    assert health.alive
    now[0] = 31.0
    assert not health.alive
    health.beat()
    assert health.alive


PARENT = """
import subprocess, time
from adql_services.runtime.parent import tethered
child = subprocess.Popen(tethered(["/bin/sh", "-c", "echo ready; exec sleep 60"]), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_child_ends_with_its_parent_even_if_that_was_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = Path(f"/proc/{int(parent.stdout.readline())}/stat")
    parent.kill()
    parent.communicate()
    wait_until(lambda: not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z", seconds=5)


def test_side_port_answers_probes_metrics_and_nothing_else(either_service):
    for path, status in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/", 404), ("/../etc/passwd", 404)]:
        assert either_service.probe(path) == status
    with either_service.side_connection() as connection, pytest.raises(WireError, match="405"):
        connection.request("POST", "/livez")
