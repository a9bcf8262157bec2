"""The client against servers that answer exactly what a test wants; the real service is met in tests/services."""

import random

import msgspec
import numpy as np
import pytest

from adql.errors import MalformedBodyError, OtherRunError, UnauthorizedError, WrongRunError
from adql.types import Account, ArraySpec, Clocks, RunState, Version
from adql.wire import codec, routes
from adql.wire.evaluation_client import EvaluationClient, EvaluationResult
from adql.wire.parameter_client import ParameterClient
from adql.wire.run_state import from_headers, to_header
from tests.clocks import SleepingClock
from tests.wire.scripted_server import (
    LIMIT_SECONDS,
    answering,
    closing_after,
    late,
    read_request,
    recording,
    scripted_server,
)

VECTOR = np.arange(4, dtype=np.float32)


def state(number=0, durable=0, epoch=1, run_id="run-1", status="running"):
    return RunState(run_id, Version(epoch, number), Version(epoch, durable), Clocks(3, 4), status, 1)


def answer(body=b"", status="200 OK", **of):
    """An answer with the run's state in its header."""
    head = f"HTTP/1.1 {status}\r\n{routes.STATE_HEADER}: {to_header(state(**of))}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def parameters(number=0, **of):
    fields = {"epoch": of.get("epoch", 1), "version": number, "config_hash": "c"}
    return answer(b"".join(codec.encode(fields, {"parameters": VECTOR + number})), number=number, **of)


def registered(session="s-1", **of):
    return answer(msgspec.json.encode({"session": session, "slot": 2, "lease_seconds": 30.0}), "201 Created", **of)


def applied(number, outcome="applied", **of):
    fields = {"outcome": outcome, "epoch": 1, "version": number, "staleness": 0}
    fields |= {"applied_epoch": 1, "applied_version": number}
    return answer(b"".join(codec.encode(fields, {"parameters": VECTOR + number})), number=number, **of)


def refused(kind, status, headers="", **details):
    body = msgspec.json.encode({"type": f"urn:adql:{kind}", "detail": "no", **details})
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


AWAY = refused("store_unavailable", "503 Unavailable", "retry-after-ms: 200\r\n")
GONE = refused("unknown_session", "409 Conflict")


def client_of(address, clock=None, **settings):
    clock = clock or SleepingClock()
    given = {"token": lambda: "t", "run": "adql", "config_hash": "c", "size": 4, "rng": random.Random(1)}
    return ParameterClient(address, **(given | settings), clock=clock, sleep=clock.sleep)


def sent(request):
    """Returns the fields of a recorded push."""
    _, _, body = request.partition(b"\r\n\r\n")
    return codec.decode(body, [ArraySpec("update", (4,))]).fields


def damaged(body):
    return body[:-1] + bytes([body[-1] ^ 1])


def push(client, base=None):
    client.begin_push(VECTOR, base or client.state.version, 8, 100)
    return client.finish_push()


def test_state_survives_its_header():
    assert from_headers({routes.STATE_HEADER: to_header(state(5, 3))}) == state(5, 3)
    for headers in ({}, {routes.STATE_HEADER: "{}"}, {routes.STATE_HEADER: "\x80"}):
        with pytest.raises(MalformedBodyError, match="parameter server"):
            from_headers(headers)


def test_registration_tells_session_slot_and_parameters(tmp_path):
    log = []
    with scripted_server(tmp_path, recording(log, registered(), parameters(7))) as address:
        client = client_of(address)
        start = client.register()
        assert (client.session, client.slot, start.version) == ("s-1", 2, Version(1, 7))
        np.testing.assert_array_equal(start.vector, VECTOR + 7)
        client.close()
    registration = msgspec.json.decode(log[0].partition(b"\r\n\r\n")[2])
    assert registration == {"wire": codec.WIRE, "run": "adql", "config_hash": "c", "role": "both"}


def test_unregistered_client_has_no_state():
    with pytest.raises(RuntimeError, match="register"):
        client_of("unix:/nowhere").state  # noqa: B018


def test_push_says_everything_that_the_contract_needs(tmp_path):
    log = []
    with scripted_server(tmp_path, recording(log, registered(), parameters(), applied(1), applied(2))) as address:
        client = client_of(address)
        client.register()
        push(client), push(client)
        client.close()
    first, second = sent(log[2]), sent(log[3])
    expected = {"session": "s-1", "epoch": 1, "learner_steps": 8, "environment_steps": 100}
    assert expected.items() <= first.items()
    assert (first["config_hash"], first["run_id"]) == ("c", "run-1")
    assert [(push["sequence"], push["version"]) for push in (first, second)] == [(0, 0), (1, 1)]


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_push_that_is_tried_again_is_the_same_bytes(tmp_path, compression):
    log = []
    with scripted_server(tmp_path, recording(log, registered(), parameters(), AWAY, AWAY, applied(1))) as address:
        client = client_of(address, compression=compression)
        client.register()
        client.begin_push(np.zeros(400, np.float32), client.state.version, 8, 100)
        client.finish_push()
        client.close()
    assert log[2] == log[3] == log[4]
    assert (b"update_zstd" in log[2]) == (compression == "zstd")


def test_update_that_packing_makes_no_shorter_travels_as_it_is(tmp_path):
    log = []
    with scripted_server(tmp_path, recording(log, registered(), parameters(), applied(1))) as address:
        client = client_of(address, compression="zstd")
        client.register()
        push(client)
        client.close()
    assert sent(log[2])["sequence"] == 0  # it holds the plain array
    assert client.bulk_bytes["push", "sent"] == VECTOR.nbytes


def test_account_is_sent_again_under_its_number_and_counted_from_0_in_a_new_session(tmp_path):
    log, told = [], answer(b"{}")
    script = recording(log, registered(), parameters(), told, AWAY, told, GONE, registered("s-2"), told, told)
    with scripted_server(tmp_path, script) as address:
        client = client_of(address)
        client.register()
        for _ in range(4):
            client.tell(Account(returns=(1.0,)))
        client.close()
    accounts = [request for request in log if b"/account " in request]
    numbers = [msgspec.json.decode(request.partition(b"\r\n\r\n")[2])["number"] for request in accounts]
    assert numbers == [0, 1, 1, 2, 0, 1]
    assert [request.split(b" ")[1].split(b"/")[3] for request in accounts] == [b"s-1"] * 4 + [b"s-2"] * 2


def test_503_and_429_are_retried_with_the_same_sequence_after_the_asked_time(tmp_path):
    log, clock = [], SleepingClock()
    busy = refused("rate_limited", "429 Too Many", "retry-after-ms: 100\r\n")
    script = recording(log, registered(), parameters(), AWAY, busy, applied(1))
    with scripted_server(tmp_path, script) as address:
        client = client_of(address, clock)
        client.register()
        assert push(client).outcome == "applied"
        client.close()
    assert [sent(request)["sequence"] for request in log[2:5]] == [0, 0, 0]
    assert (len(clock.slept), client.retries) == (2, 2)
    assert clock.slept[0] >= 0.2 and clock.slept[1] >= 0.1


def test_lost_answer_is_asked_for_again_with_the_same_sequence(tmp_path):
    log = []
    lose = closing_after(registered(), parameters())
    with scripted_server(tmp_path, lose, recording(log, applied(1, "duplicate"))) as address:
        client = client_of(address)
        client.register()
        assert push(client).outcome == "duplicate"
        client.close()
    assert sent(log[0])["sequence"] == 0


def test_damaged_answer_is_asked_for_again(tmp_path):
    log = []
    script = recording(log, registered(), parameters(), damaged(applied(1)), applied(1, "duplicate"))
    with scripted_server(tmp_path, script) as address:
        client = client_of(address)
        client.register()
        assert push(client).outcome == "duplicate"
        client.close()
    assert [sent(request)["sequence"] for request in log[2:4]] == [0, 0]


def test_sent_vector_may_be_changed_before_the_answer(tmp_path):
    log = []
    script = recording(log, registered(), parameters(), AWAY, applied(1))
    with scripted_server(tmp_path, script) as address:
        client = client_of(address)
        client.register()
        vector = VECTOR.copy()
        client.begin_push(vector, client.state.version, 1, 1)
        vector[:] = -1
        client.finish_push()
        client.close()
    body = log[3].partition(b"\r\n\r\n")[2]
    np.testing.assert_array_equal(codec.decode(body, [ArraySpec("update", (4,))]).arrays["update"], VECTOR)


def test_one_push_is_outstanding_at_most(tmp_path):
    with scripted_server(tmp_path, answering(registered(), parameters(), applied(1))) as address:
        client = client_of(address)
        client.register()
        with pytest.raises(RuntimeError, match="no push"):
            client.finish_push()
        client.begin_push(VECTOR, Version(1, 0), 1, 1)
        with pytest.raises(RuntimeError, match="under way"):
            client.begin_push(VECTOR, Version(1, 0), 1, 1)
        client.close()


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [("wrong_run", "412 Precondition Failed", WrongRunError), ("unauthorized", "401 Unauthorized", UnauthorizedError)],
)
def test_what_cannot_get_better_is_not_retried(tmp_path, kind, status, error):
    clock, script = SleepingClock(), answering(registered(), parameters(), refused(kind, status))
    with scripted_server(tmp_path, script) as address:
        client = client_of(address, clock)
        client.register()
        with pytest.raises(error):
            push(client)
        client.close()
    assert clock.slept == []


def test_session_of_another_run_under_the_same_name_is_refused(tmp_path):
    script = answering(registered(), parameters(), GONE, registered(run_id="run-2"))
    with scripted_server(tmp_path, script) as address:
        client = client_of(address)
        client.register()
        with pytest.raises(WrongRunError, match="run-2"):
            push(client)
        client.close()


def hanging_up(log, *answers, unanswered=0):
    """Like ``recording``; reads ``unanswered`` requests more and closes the connection."""

    def act(peer):
        for one in answers:
            log.append(read_request(peer))
            peer.sendall(one)
        log.extend(read_request(peer) for _ in range(unanswered))

    return act


def pushes(log):
    return [(push["session"], push["sequence"]) for push in map(sent, (r for r in log if b"/v1/updates" in r[:40]))]


def reports(log):
    """Returns (session, environment steps) of each report."""
    lines = [(r.split(b" ")[1].decode().split("/")[3], r.partition(b"\r\n\r\n")[2]) for r in log if b"/progress" in r]
    return [(session, msgspec.json.decode(body)["environment_steps"]) for session, body in lines]


def test_update_under_way_is_never_sent_under_another_session(tmp_path):
    """It was applied and its answer lost; then a report finds the session unknown."""
    log = []
    script = (
        hanging_up(log, registered(), parameters(), unanswered=1),
        hanging_up(log, GONE),
        recording(log, GONE, registered("s-2", number=1), answer(number=1), parameters(1), applied(2)),
    )
    with scripted_server(tmp_path, *script) as address:
        client = client_of(address)
        client.register()
        client.begin_push(VECTOR, Version(1, 0), 8, 100)
        client.progress(150)
        with pytest.raises(RuntimeError, match="under way"):
            client.begin_push(VECTOR, Version(1, 0), 8, 150)
        refusal = client.finish_push()
        assert (refusal.outcome, refusal.parameters.version) == ("stale", Version(1, 1))
        assert (push(client).outcome, client.updates_at_risk, client.unacknowledged) == ("applied", 1, 1)
        client.close()
    assert pushes(log) == [("s-1", 0), ("s-1", 0), ("s-2", 0)]


def test_answer_that_came_before_the_session_ended_is_taken_and_its_steps_are_not_reported_again(tmp_path):
    log = []
    script = (
        hanging_up(log, registered(), parameters(), applied(1)),
        hanging_up(log, GONE),
        recording(log, registered("s-2", number=1), answer(number=1)),
    )
    with scripted_server(tmp_path, *script) as address:
        client = client_of(address)
        client.register()
        client.begin_push(VECTOR, Version(1, 0), 8, 100)
        client.progress(150)
        assert (client.finish_push().outcome, client.updates_at_risk, client.unacknowledged) == ("applied", 1, 0)
        client.close()
    assert reports(log) == [("s-1", 150), ("s-2", 50)]


def test_report_to_an_unknown_session_is_repeated_under_the_new_one(tmp_path):
    """The ended session had told 100: the last report of a process that ends is no longer lost."""
    log = []
    script = recording(log, registered(), parameters(), answer(), GONE, registered("s-2"), answer(), answer())
    with scripted_server(tmp_path, script) as address:
        client = client_of(address)
        client.register()
        for steps in (100, 130, 170):
            client.progress(steps)
        client.close()
    assert reports(log) == [("s-1", 100), ("s-1", 130), ("s-2", 30), ("s-2", 70)]


def test_answer_to_an_older_push_does_not_take_back_what_a_report_told(tmp_path):
    """Else what was reported while the push was under way would count again under the next session."""
    log, kept = [], []

    def push_under_way(peer):
        hanging_up(log, registered(), parameters(), unanswered=1)(peer)
        kept.append(peer.dup())

    def report_then_push(peer):
        hanging_up(log, answer())(peer)
        with kept[0] as pushing:
            pushing.sendall(applied(1))
            recording(log, GONE, registered("s-2"), answer())(pushing)

    with scripted_server(tmp_path, push_under_way, report_then_push) as address:
        client = client_of(address)
        client.register()
        client.begin_push(VECTOR, Version(1, 0), 8, 100)
        client.progress(150)
        assert client.finish_push().outcome == "applied"
        client.progress(200)
        client.close()
    assert reports(log) == [("s-1", 150), ("s-1", 200), ("s-2", 50)]


def test_pull_names_the_known_version_and_status(tmp_path):
    log = []
    nothing = answer(status="304 Not Modified").replace(b"content-length: 0\r\n", b"")
    with scripted_server(tmp_path, recording(log, registered(), parameters(3), nothing)) as address:
        client = client_of(address)
        client.register()
        assert client.pull(Version(1, 3), wait_seconds=99) is None
        client.close()
    assert log[2].startswith(b"GET /v1/parameters?wait=30&status=running ")
    assert b'If-None-Match: "1.3"\r\n' in log[2]


def no_retry(error):
    raise AssertionError(f"retried: {error}")


def test_long_poll_may_last_longer_than_the_limit_of_a_request(tmp_path):
    def late_with_the_third(peer):
        closing_after(registered(), parameters())(peer)
        late(parameters(4))(peer)

    with scripted_server(tmp_path, late_with_the_third) as address:
        client = client_of(address, timeout_seconds=LIMIT_SECONDS, on_retry=no_retry)
        client.register()
        assert client.pull(Version(1, 0), wait_seconds=5.0).version == Version(1, 4)
        client.close()


def test_evaluators_long_poll_may_last_longer_than_the_limit_of_a_request(tmp_path):
    with scripted_server(tmp_path, late(task())) as address:
        client = evaluation_client(address, sleep=no_retry, timeout_seconds=LIMIT_SECONDS)
        assert client.next(wait_seconds=5.0).id == 5
        client.close()


def test_damaged_parameters_are_pulled_again(tmp_path):
    script = answering(registered(), parameters(), damaged(parameters(4)), parameters(4))
    with scripted_server(tmp_path, script) as address:
        client = client_of(address)
        client.register()
        assert client.pull(Version(1, 0)).version == Version(1, 4)
        assert client.retries == 1
        client.close()


def test_damaged_task_is_asked_for_again(tmp_path):
    with scripted_server(tmp_path, answering(damaged(task()), task())) as address:
        client = evaluation_client(address)
        assert client.next().id == 5
        client.close()


def test_closing_without_a_server_is_silent():
    client = client_of("unix:/nowhere")
    client.session = "s"
    client.close()
    assert client.session == ""


def task():
    fields = {"id": 5, "purpose": "confirm", "episodes": 3, "seed": 2**30, "epoch": 1, "version": 9}
    fields |= {"learner_steps": 80, "environment_steps": 90}
    return answer(b"".join(codec.encode(fields, {"parameters": VECTOR})))


def evaluation_client(address, **settings):
    clock = SleepingClock()
    given = {"token": lambda: None, "size": 4, "rng": random.Random(1), "clock": clock, "sleep": clock.sleep}
    return EvaluationClient(address, **(given | settings))


@pytest.mark.parametrize("number", [0, 1])
def test_evaluator_is_told_that_the_server_has_another_run_and_its_report_names_its_own(tmp_path, number):
    """Else what was played for one run would be a result of the other, whose tasks have the same numbers."""
    log, answers = [], [task(), answer(b'{"taken":true}'), answer(run_id="run-2")]
    with scripted_server(tmp_path, recording(log, *answers[: number + 1], answers[-1])) as address:
        client = evaluation_client(address)
        client.next()
        result = EvaluationResult(5, Version(1, 9), [1.0], [4], None, 0.5)
        if number:
            assert client.report(result)
            assert msgspec.json.decode(log[1].partition(b"\r\n\r\n")[2])["run_id"] == "run-1"
        with pytest.raises(OtherRunError, match="'run-2', not 'run-1'"):
            client.next() if number else client.report(result)
        client.close()


def test_evaluator_gets_tasks_and_reports_episodes(tmp_path):
    log = []
    nothing = answer(status="204 No Content").replace(b"content-length: 0\r\n", b"")
    damaged, taken = answer(b'{"tak'), answer(b'{"taken":true}')
    with scripted_server(tmp_path, recording(log, AWAY, task(), damaged, taken, nothing)) as address:
        client = evaluation_client(address)
        found = client.next(wait_seconds=2)
        assert client.report(EvaluationResult(5, Version(1, 9), [1.0, 2.0, 3.0], [4, 5, 6], [True, False, True], 0.5))
        assert client.next() is None
        client.close()
    assert (found.id, found.purpose, found.episodes, found.seed) == (5, "confirm", 3, 2**30)
    assert (found.parameters.version, found.learner_steps) == (Version(1, 9), 80)
    report = msgspec.json.decode(log[2].partition(b"\r\n\r\n")[2])
    assert (report["epoch"], report["version"], report["successes"]) == (1, 9, [True, False, True])
