"""The real client through the real service, over a real unix socket, with a real store."""

import json
import time

import numpy as np
import pytest

from adql.errors import (
    BodyTooLargeError,
    MalformedBodyError,
    SequenceGapError,
    SupersededSequenceError,
    UnknownSessionError,
    UnsupportedMediaTypeError,
    WireVersionError,
    WrongRunError,
)
from adql.parameters.tensors import read_tensors
from adql.types import ArraySpec, Version
from adql.wire import codec, routes
from adql.wire.connection import Connection
from adql.wire.evaluation_client import EvaluationResult
from adql.wire.run_state import from_headers
from tests.parameters.servers import SIZE, tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.services.pushes import ONE, asked, begin_waiting_pull, push, raw_push
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def server(redis_url, tmp_path_factory):
    """One server for the tests that only talk to it."""
    with ServerProcess(tmp_path_factory.mktemp("server"), tiny_specification(), redis_url) as process:
        yield process
        assert process.terminate() == 0, process.log()


# Answers to a push


def test_answer_to_an_applied_push_carries_version_staleness_and_parameters(client):
    before = client.pull(None)
    answer = push(client)
    assert (answer.outcome, answer.staleness) == ("applied", 0)
    assert answer.parameters.version == Version(before.version.epoch, before.version.number + 1)
    np.testing.assert_array_equal(answer.parameters.vector, before.vector + ONE)
    assert client.state.version == answer.parameters.version


def test_push_that_comes_again_is_a_duplicate_and_repeats_the_first_answer(connection, client):
    first = raw_push(connection, client)
    again = raw_push(connection, client)
    assert (first.text("outcome"), again.text("outcome")) == ("applied", "duplicate")
    assert first.integer("applied_version") == again.integer("applied_version") == again.integer("version")


def test_sequence_that_is_over_or_leaves_a_gap_and_an_unknown_session_are_refused_each_as_itself(connection, client):
    for sequence in range(2):
        raw_push(connection, client, sequence=sequence)
    with pytest.raises(SupersededSequenceError):
        raw_push(connection, client, sequence=0)
    with pytest.raises(SequenceGapError) as gap:
        raw_push(connection, client, sequence=3)
    assert gap.value.details["last_sequence"] == 1
    with pytest.raises(UnknownSessionError):
        raw_push(connection, client, session="stranger")


def test_stale_push_gives_the_client_new_parameters(client):
    old = client.state.version
    for _ in range(9):
        push(client)
    answer = push(client, base=old)
    assert (answer.outcome, answer.staleness) == ("stale", None)
    assert answer.parameters.version == client.state.version
    assert push(client).outcome == "applied"


def test_push_that_is_not_finite_gives_the_client_new_parameters(client):
    answer = push(client, vector=np.array([np.nan, 0, 0, 0], np.float32))
    assert answer.outcome == "invalid"
    assert np.isfinite(answer.parameters.vector).all()
    assert push(client).outcome == "applied"


@pytest.mark.parametrize(
    "changes", [{"run_id": "other"}, {"config_hash": "0" * 64}, {"epoch": 10**6}], ids=["run", "configuration", "epoch"]
)
def test_push_of_another_run_or_configuration_or_of_a_newer_epoch_is_refused_and_ends_nothing(
    connection, client, changes, server
):
    with pytest.raises(WrongRunError):
        raw_push(connection, client, **changes)
    assert server.process.poll() is None


def test_another_wire_number_is_refused_by_name_in_pushes_and_registrations(connection, client):
    body = bytearray(b"".join(codec.encode({}, {"update": ONE})))
    body[4] = 99
    with pytest.raises(WireVersionError, match="99"):
        connection.request("POST", routes.UPDATES, headers={"Content-Type": routes.BINARY}, body=[bytes(body)])
    registration = {"wire": 99, "run": "adql", "config_hash": client._config_hash, "role": "both"}
    with pytest.raises(WireVersionError, match="99"):
        post(connection, routes.SESSIONS, registration)


@pytest.mark.parametrize(
    "changes",
    [
        {"update": np.zeros(SIZE + 1, np.float32)},
        {"update": np.zeros(SIZE, np.float64)},
        {"update": np.zeros((2, 2), np.float32)},
        {"sequence": -1},
        {"sequence": "0"},
        {"learner_steps": 0},
        {"environment_steps": 2**60},
        {"session": 7},
    ],
)
def test_malformed_push_is_refused_and_changes_nothing(connection, client, changes):
    with pytest.raises(MalformedBodyError):
        raw_push(connection, client, **changes)
    assert raw_push(connection, client).text("outcome") == "applied"


def test_push_that_is_too_large_or_of_another_media_type_is_refused(connection):
    with pytest.raises(BodyTooLargeError):
        headers = {"Content-Type": routes.BINARY}
        connection.request("POST", routes.UPDATES, headers=headers, body=[bytes(100_000)])
    with pytest.raises(UnsupportedMediaTypeError):
        connection.request("POST", routes.UPDATES, headers={"Content-Type": routes.JSON}, body=[b"{}"])


def test_durable_answer_comes_after_the_commit(connection, client):
    message = raw_push(connection, client, query="?durable=true")
    connection_state = from_headers(connection.request("GET", routes.RUN).headers)
    assert connection_state.durable.number >= message.integer("applied_version")
    assert asked(connection, client)["durable_sequence"] == 0


# Sessions


def post(connection, path, document):
    body = [json.dumps(document).encode()]
    return json.loads(bytes(connection.request("POST", path, headers={"Content-Type": routes.JSON}, body=body).body))


def test_registration_is_answered_after_its_commit(connection, client):
    answer = asked(connection, client)
    assert (answer["last_sequence"], answer["durable_sequence"], answer["slot"]) == (-1, -1, client.slot)


def test_clients_get_the_lowest_free_slots(server):
    clients = [server.client(seed=i) for i in range(3)]
    for client in clients:
        client.register()
    assert [client.slot for client in clients] == [0, 1, 2]
    clients[1].close()
    clients[1].register()
    assert clients[1].slot == 1
    for client in clients:
        client.close()


def test_client_of_another_run_or_configuration_is_refused(server):
    for identity in ({"run": "other"}, {"config_hash": "0" * 64}):
        stranger = server.client(**identity)
        with pytest.raises(WrongRunError):
            stranger.register()
        stranger.close()


@pytest.mark.parametrize(
    "change", [{"role": "owner"}, {"wire": "1"}, {"extra": 1}, {"run": "x" * 65}, {"config_hash": None}]
)
def test_malformed_registration_is_refused(connection, client, change):
    document = {"wire": codec.WIRE, "run": "adql", "config_hash": client._config_hash, "role": "both"}
    with pytest.raises(MalformedBodyError):
        post(connection, routes.SESSIONS, document | change)


def test_progress_moves_the_clock_of_environment_steps(client):
    before = client.state.clocks.environment_steps
    client.progress(50)
    client.progress(40)
    assert client.state.clocks.environment_steps == before + 50


def test_closed_session_is_unknown(connection, client):
    name = client.session
    connection.request("DELETE", routes.session(name))
    with pytest.raises(UnknownSessionError):
        connection.request("GET", routes.session(name))


def test_client_whose_session_is_gone_registers_again_and_counts_what_it_held(connection, client):
    push(client)
    held = client.unacknowledged
    connection.request("DELETE", routes.session(client.session))
    answer = push(client)
    assert (answer.outcome, client.updates_at_risk) == ("stale", held + 1)
    assert push(client).outcome == "applied"


# Pulls


def test_pull_of_the_known_version_is_not_modified(client):
    assert client.pull(client.state.version) is None
    newer = push(client).parameters.version
    assert client.pull(Version(newer.epoch, newer.number - 1)).version == newer
    assert client.pull(Version(newer.epoch - 1, newer.number)).version == newer


def test_waiting_pull_is_answered_by_the_next_version(server, connection, client):
    begin_waiting_pull(connection, client, server.listen)
    newer = push(client).parameters
    woken = connection.finish().message([ArraySpec("parameters", (SIZE,))])
    assert (woken.integer("epoch"), woken.integer("version")) == newer.version
    np.testing.assert_array_equal(woken.arrays["parameters"], newer.vector)


def test_waiting_pull_ends_after_its_time(client):
    start = time.monotonic()
    assert client.pull(client.state.version, wait_seconds=0.2) is None
    assert 0.2 <= time.monotonic() - start < 5


@pytest.mark.parametrize("wait", ["31", "-1", "nan", "x"])
def test_wait_is_bounded(connection, wait):
    with pytest.raises(MalformedBodyError):
        connection.request("GET", f"{routes.PARAMETERS}?wait={wait}")


def test_every_answer_carries_the_run_state(connection, client):
    for path in (routes.RUN, routes.PARAMETERS, routes.EVALUATIONS, routes.session(client.session)):
        state = from_headers(connection.request("GET", path).headers)
        assert state.run_id == client.state.run_id


def test_updates_of_a_learner_that_ends_are_committed_at_once(redis_url, tmp_path):
    """Nobody is left who could send them again."""
    slow = {"commit_duty": 1e-6, "max_interval_seconds": 600.0}
    run = tiny_specification(run={"name": "leaving"}, durability=slow)
    with ServerProcess(tmp_path, run, redis_url) as server:
        client = server.client()
        client.register()
        push(client), push(client)
        assert client.unacknowledged
        client.close()
        state = wait_until(lambda: (found := server.get(routes.RUN)["state"])["durable_version"] == 2 and found)
    assert state["version"] == 2


# The run


def test_description_names_every_route(server):
    described = server.get(routes.OPENAPI)["paths"]
    named = (route("{session}") for route in (routes.session, routes.progress, routes.account))
    sessions = (routes.SESSIONS, *named)
    evaluations = (routes.EVALUATIONS, routes.NEXT_EVALUATION)
    assert set(described) == {*sessions, *evaluations, routes.PARAMETERS, routes.UPDATES, routes.RUN}


def test_run_tells_updates_by_slot_staleness_and_evaluations(server, client):
    push(client, environment_steps=30)
    run = server.get(routes.RUN)
    (mine,) = [session for session in run["sessions"] if session["slot"] == client.slot]
    assert (mine["applied"], mine["environment_steps"]) == (1, 30)
    assert set(run["staleness"]) == {"mean", "p50", "p99", "max"}
    assert run["state"]["version"] == client.state.version.number
    assert {"waiting", "reported", "best"} <= set(run["evaluations"])


def test_report_of_an_unknown_evaluation_or_of_another_version_changes_nothing_and_is_answered(redis_url, tmp_path):
    with ServerProcess(tmp_path, tiny_specification(run={"name": "late"}), redis_url) as server:
        client, evaluator = server.client(), server.evaluator()
        client.register()
        for _ in range(5):
            push(client)
        task = evaluator.next(wait_seconds=10)
        played, earlier = task.parameters.version, Version(0, task.parameters.version.number)
        assert not evaluator.report(EvaluationResult(10**6, played, [1.0], [1], None, 0.1))
        assert not evaluator.report(EvaluationResult(task.id, earlier, [1.0], [1], None, 0.1))
        assert evaluator.next(wait_seconds=1).id == task.id and server.get(routes.EVALUATIONS) == []
        client.close(), evaluator.close()


def test_report_of_an_evaluation_with_other_episodes_is_refused_and_leaves_it_waiting(redis_url, tmp_path):
    with ServerProcess(tmp_path, tiny_specification(run={"name": "report"}), redis_url) as server:
        client, evaluator = server.client(), server.evaluator()
        client.register()
        for _ in range(5):
            push(client)
        task = evaluator.next(wait_seconds=10)
        with pytest.raises(MalformedBodyError, match="asked for were 2 episodes"):
            evaluator.report(EvaluationResult(task.id, task.parameters.version, [1.0], [1], None, 0.1))
        assert evaluator.next(wait_seconds=1).id == task.id
        client.close(), evaluator.close()


def test_run_ends_when_the_goal_is_confirmed(redis_url, tmp_path):
    specification = tiny_specification(run={"name": "goal"})
    with ServerProcess(tmp_path, specification, redis_url) as server:
        client, evaluator = server.client(), server.evaluator()
        client.register()
        for mean in (12.0, 11.0):
            evaluate_next(client, evaluator, mean)
        wait_until(lambda: client.progress(0) or client.state.status == "confirming")
        evaluate_next(client, evaluator, 10.0)
        client.progress(0)
        assert (client.state.status, client.state.is_over) == ("reached", True)
        results = server.get(routes.EVALUATIONS)
        assert [result["task"]["purpose"] for result in results] == ["periodic", "periodic", "confirm"]
        run = server.get(routes.RUN)["evaluations"]
        assert run["best"] == run["reached"] and run["best"]["mean"] == 10.0
        client.close(), evaluator.close()
        assert server.terminate() == 0
    files = {path.name for path in (tmp_path / "volume").iterdir()}
    assert {"policy-best.safetensors", "policy-last.safetensors", "evaluations.csv", "watermark"} <= files
    assert read_tensors(tmp_path / "volume" / "policy-best.safetensors")[1]["version"] == "1.10"


def evaluate_next(client, evaluator, mean):
    """Learns until an evaluation is due, and reports it."""
    for _ in range(5):
        push(client)
    task = evaluator.next(wait_seconds=10)
    assert task.parameters.version <= client.state.version
    version, returns, lengths = task.parameters.version, [mean] * task.episodes, [1] * task.episodes
    assert evaluator.report(EvaluationResult(task.id, version, returns, lengths, None, 0.1))


def test_idle_learner_is_woken_by_a_new_status(redis_url, tmp_path):
    specification = tiny_specification(run={"name": "idle"}, training={"environment_steps": 2_000})
    with ServerProcess(tmp_path, specification, redis_url) as server:
        client, idle = server.client(), server.client(seed=1)
        client.register(), idle.register()
        with Connection(server.listen, token=lambda: None) as waiting:
            begin_waiting_pull(waiting, idle, server.listen)
            client.progress(2_000)
            woken = waiting.finish()
        assert (woken.status, from_headers(woken.headers).status) == (304, "budget")
        start = time.monotonic()  # a client that says which status it knows does not wait for the one that is there
        assert idle.pull(idle.state.version, wait_seconds=30) is None and idle.state.status == "budget"
        assert time.monotonic() - start < 10
        client.close(), idle.close()
