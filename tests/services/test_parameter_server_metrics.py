"""What the parameter server says at /metrics, held against what was sent to it."""

import contextlib
import os
import signal
import socket

import numpy as np
import pytest

from adql.errors import AdqlError, StoreUnavailableError
from adql.wire import codec, routes
from tests.parameters.servers import SIZE, tiny_specification
from tests.services.metrics_page import scrape
from tests.services.parameter_process import ServerProcess
from tests.services.pushes import ONE, push, raw_push, update_body
from tests.waiting import wait_until

BINARY = {"Content-Type": routes.BINARY}
HALF = b"POST /v1/updates HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.adql\r\nContent-Length: 64\r\n\r\nADQL"


def refused(connection, headers, body):
    with pytest.raises(AdqlError):
        connection.request("POST", routes.UPDATES, headers=headers, body=[body])


def send_half_a_body(server):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(server.listen.removeprefix("unix:"))
        peer.sendall(HALF)


def send_a_mix(server, connection, client):
    """Every answer of the contract that a living store gives, some of them twice."""
    first = client.state.version
    for sequence in range(9):
        raw_push(connection, client, sequence=sequence)
    raw_push(connection, client, sequence=8)
    for changes in (
        {"sequence": 3},
        {"sequence": 20},
        {"session": "stranger"},
        {"sequence": 9},
        {"sequence": 10, "version": first.number + 9, "update": np.full(SIZE, np.inf, np.float32)},
        {"run_id": "other"},
        {"config_hash": "0" * 64},
        {"epoch": 10**6},
        {"learner_steps": 0},
        {"update": np.zeros(SIZE + 1, np.float32)},
    ):
        with pytest.raises(AdqlError):
            raw_push(connection, client, **changes)
    other_wire = bytearray(b"".join(codec.encode({}, {"update": ONE})))
    other_wire[4] = 99
    refused(connection, BINARY, bytes(other_wire))
    refused(connection, BINARY, bytes(100_000))
    refused(connection, BINARY, b"no message of this format")
    refused(connection, {"Content-Type": routes.JSON}, b"{}")
    send_half_a_body(server)


def test_applied_and_every_refusal_reason_add_up_to_the_pushes_received(server, connection, client):
    version = client.state.version.number
    send_a_mix(server, connection, client)
    wait_until(lambda: scrape(server.side).value("adql_updates_total", outcome="incomplete") == 1)
    page = scrape(server.side)
    outcomes = page.by("adql_updates_total", "outcome")
    assert outcomes == {
        "applied": 9,
        "duplicate": 1,
        "superseded": 1,
        "gap": 1,
        "unknown_session": 1,
        "stale": 1,
        "invalid_update": 1,
        "wrong_run": 2,
        "other_run": 1,
        "malformed": 3,
        "wire_version": 1,
        "too_large": 1,
        "media_type": 1,
        "incomplete": 1,
    }
    assert sum(outcomes.values()) == page.value("adql_updates_received_total") == 25
    assert outcomes["applied"] == page.value("adql_version") - version == page.value("adql_staleness_versions_count")


def test_every_outcome_is_shown_before_its_first_push(server):
    page = scrape(server.side)
    shown = {labels["outcome"] for name, labels, _ in page.samples if name == "adql_updates_total"}
    assert {"applied", "duplicate", "stale", "wrong_run", "malformed", "store_unavailable"} <= shown


def test_a_push_whose_durable_answer_the_store_denies_is_counted_once(store, server, connection, client):
    os.kill(store.pid, signal.SIGSTOP)  # so that the push is applied and then waits for its commit
    connection.begin("POST", f"{routes.UPDATES}?durable=true", headers=BINARY, body=[update_body(client)])
    wait_until(lambda: scrape(server.side).value("adql_updates_total", outcome="applied") == 1)
    store.kill()
    with pytest.raises(StoreUnavailableError):
        connection.finish()
    page = scrape(server.side)
    assert page.by("adql_updates_total", "outcome") == {"applied": 1}
    assert page.value("adql_updates_received_total") == 1


def test_durable_version_at_metrics_follows_the_commit_and_not_the_next_push(server, client):
    assert scrape(server.side).value("adql_durable_version") == 0
    push(client)
    wait_until(lambda: scrape(server.side).value("adql_durable_version") == 1, seconds=10)


def test_a_learner_that_fell_silent_is_no_longer_active_at_metrics(store, tmp_path):
    run = tiny_specification(durability={"lease_seconds": 2.0})
    with ServerProcess(tmp_path / "other", run, store.url) as server:
        with contextlib.closing(server.client()) as client:
            client.register()
            assert scrape(server.side).value("adql_active_learners") == 1
            wait_until(lambda: scrape(server.side).value("adql_active_learners") == 0, seconds=10)
        assert scrape(server.side).value("adql_sessions_expired_total") == 1
