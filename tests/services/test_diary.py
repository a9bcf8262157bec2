"""The parameter server's volume holds what a report of the run needs, and nobody but the server has to live for it."""

import json

import msgspec
import pytest

from adql.config import load_specification
from adql.errors import MalformedBodyError
from adql.parameters.course import read_moments
from adql.types import Account
from adql.wire import routes
from adql_services.local.episodes import read_episodes
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.services.pushes import push
from tests.waiting import wait_until


def account(*returns, **seconds):
    n = len(returns)
    return Account((1.0,) * n, (7,) * n, tuple(map(float, returns)), (9,) * n, (0.1,) * n, (None,) * n, seconds)


def volume(server):
    return server.directory / "volume"


def spent(told):
    """Without the activities that took no time."""
    return {process: {what: seconds for what, seconds in by.items() if seconds} for process, by in told.items()}


def returns(server):
    return [episode.episode_return for episode in read_episodes(volume(server) / "episodes.csv")]


def test_episodes_and_activity_that_were_told_are_on_the_volume(server, client):
    client.tell(account(10, 20, gradient=0.5))
    client.tell(account(30, gradient=0.25, push=1.0))
    wait_until(lambda: returns(server) == [10.0, 20.0, 30.0])
    run = server.get(routes.RUN)
    assert spent(run["activity_seconds"]) == {"learner-0": {"gradient": 0.75, "push": 1.0}}
    assert server.terminate() == 0
    assert json.loads((volume(server) / "activity.json").read_text()) == run["activity_seconds"]


def test_account_whose_answer_was_lost_counts_once_when_it_comes_again(server, client, connection):
    client.tell(account(10, push=1.0))
    body = {"number": 0, **msgspec.to_builtins(account(10, push=1.0))}
    for _ in range(2):
        connection.request(
            "POST",
            routes.account(client.session),
            headers={"Content-Type": routes.JSON},
            body=[json.dumps(body).encode()],
        )
    client.tell(account(20))
    wait_until(lambda: returns(server) == [10.0, 20.0])
    assert spent(server.get(routes.RUN)["activity_seconds"]) == {"learner-0": {"push": 1.0}}


def test_process_whose_session_has_ended_tells_it_under_a_new_one(server, client, connection):
    first = client.session
    connection.request("DELETE", routes.session(first))
    client.tell(account(10))
    assert client.session != first
    wait_until(lambda: returns(server) == [10.0])


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": [1, 2]},
        {"returns": ["9"]},
        {"epsilons": [1.5]},
        {"unix_seconds": [-1.0]},
        {"activity_seconds": {"sleep": 1.0}},
        {"activity_seconds": {"push": -1.0}},
        {"number": -1},
        {"more": 1},
    ],
)
def test_account_that_makes_no_sense_is_refused_whole(server, client, connection, change):
    body = {"number": 0, **msgspec.to_builtins(account(10, push=1.0)), **change}
    with pytest.raises(MalformedBodyError):
        connection.request(
            "POST",
            routes.account(client.session),
            headers={"Content-Type": routes.JSON},
            body=[json.dumps(body).encode()],
        )
    assert server.get(routes.RUN)["activity_seconds"] == {}


def test_specification_on_the_volume_is_the_resolved_one(server):
    assert load_specification(volume(server) / "run.yaml", environ={}) == tiny_specification()


def test_refused_configuration_leaves_the_volume_as_it_was(server, store, tmp_path):
    server.terminate()
    before = (volume(server) / "run.yaml").read_bytes()
    other = tiny_specification(algorithm={"gamma": 0.5})
    refused = ServerProcess(server.directory, other, store.url).start(ready=False)
    assert refused.process.wait(30) == 2
    assert (volume(server) / "run.yaml").read_bytes() == before


def test_course_of_a_run_is_on_the_volume_and_ends_with_its_newest_steps(server, client):
    for steps in (100, 200, 300):
        push(client, environment_steps=steps)
    client.close()
    assert server.terminate() == 0
    last = read_moments(volume(server) / "progress.csv")[-1]
    assert (last.environment_steps, last.learner_steps) == (300, 6)


def test_wall_time_stands_still_without_a_process_and_goes_on_after_a_restart(server, client):
    push(client, environment_steps=100)
    wait_until(lambda: server.get(routes.RUN)["wall_seconds"] > 0.0)
    client.close()
    before = server.get(routes.RUN)["wall_seconds"]
    assert server.get(routes.RUN)["wall_seconds"] == before
    server.terminate()
    server.start()
    assert server.get(routes.RUN)["wall_seconds"] == pytest.approx(before, abs=0.001)


def test_server_that_was_killed_goes_on_with_its_diary(server, client):
    client.tell(account(10, push=1.0))
    wait_until(lambda: returns(server) == [10.0])
    wait_until(lambda: (volume(server) / "activity.json").exists())
    server.kill()
    server.start()
    client.tell(account(20))
    wait_until(lambda: returns(server) == [10.0, 20.0])
    assert spent(server.get(routes.RUN)["activity_seconds"]) == {"learner-0": {"push": 1.0}}


def test_diary_that_cannot_be_written_is_told_and_stops_nothing(server, client):
    (volume(server) / "episodes.csv").unlink()
    (volume(server) / "episodes.csv").mkdir()
    client.tell(account(10))
    wait_until(lambda: "cannot write the run's diary to the volume; training goes on" in server.log())
    assert push(client).outcome == "applied"
