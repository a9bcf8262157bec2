"""`adql selftest` against a real parameter server and a real replay service."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from adql.config import RunSpecification, specification_from, to_yaml
from adql.wire import routes
from adql.wire.connection import Connection
from tests.ports import free_port
from tests.services.learner_process import Services, running
from tests.services.replay_process import running_replay
from tests.system.launched import adql

RULES = ("average", "elastic", "delta", "gradient")


def tiny(replay: dict | None = None, **update) -> RunSpecification:
    return specification_from(
        {
            "environment": {"id": "CartPole-v1", "copies": 2, "signature": {"observation_shape": [4], "actions": 2}},
            "network": {"hidden": [4]},
            "replay": {"min_size": 100, **(replay or {})},
            "update": update,
        }
    )


def tried(services: Services, *words: str, command: str = "selftest", **environ: str):
    """Runs the test on ``services``, or another command that takes part in their run."""
    file = services.directory / "run.yaml"
    file.write_text(to_yaml(services.server.specification))
    addresses = {"ADQL_PARAMETER_SERVER_URL": services.server.listen, "ADQL_REPLAY_URL": services.replay.address}
    return adql(command, file, *words, environ={"ADQL_AUTH": "false", **addresses, **environ})


def parameters(services: Services) -> np.ndarray:
    with contextlib.closing(services.server.client()) as client:
        return client.register().vector


def table(services: Services) -> dict:
    with Connection(services.replay.address, token=lambda: None) as connection:
        return connection.request("GET", routes.TABLE).parsed(dict)


@pytest.mark.parametrize("rule", RULES)
def test_every_verb_is_tried_and_nothing_is_changed(tmp_path: Path, redis_url, rule):
    with running(tmp_path, redis_url, tiny(rule=rule), f"selftest-{rule}") as services:
        before = parameters(services)
        done = tried(services)
        assert done.returncode == 0, done.stderr
        assert all(verb in done.stderr for verb in ("pushed", "pulled", "inserted", "sampled"))
        np.testing.assert_array_equal(parameters(services), before)
        assert (services.state["version"], services.state["durable_version"]) == (1, 1)
        assert services.state["environment_steps"] == 0 and services.sessions == []
        after = table(services)
        assert (after["inserts"] >= 100, after["samples"]) == (True, 0)


def test_a_second_test_passes_too(tmp_path: Path, redis_url):
    with running(tmp_path, redis_url, tiny(), "selftest-twice") as services:
        assert [tried(services).returncode for _ in range(2)] == [0, 0]
        assert services.state["version"] == 2


def test_where_learners_rest_and_the_table_takes_no_more_without_samples_it_makes_room_itself(
    tmp_path: Path, redis_url
):
    """One insert is worth so many samples that after the first test the next insert has to wait."""
    hungry = tiny({"samples_per_insert": 1_000.0, "chunk_transitions": 16})
    with running(tmp_path, redis_url, hungry, "selftest-rest") as services:
        for _ in range(3):
            done = tried(services)
            assert done.returncode == 0, done.stderr
        assert table(services)["samples"] > 0


def test_a_replay_service_of_another_run_fails_the_test(tmp_path: Path, redis_url):
    with running(tmp_path, redis_url, tiny(), "selftest-other") as services:
        done = tried(services, ADQL_REPLAY_URL=services.server.listen)
        assert done.returncode == 1 and "adql: error: " in done.stderr.splitlines()[-1]


def tried_with(services: Services, *words: str, **environ: str) -> str:
    """Returns the last line of a process whose configuration is another one."""
    done = tried(services, *words, **environ)
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["selftest", "learner"])
def test_keys_that_differ_from_those_of_the_run_are_named_with_both_values(tmp_path: Path, redis_url, command):
    run, side = tiny(), f"unix:{tmp_path}/own.sock"
    with running(tmp_path, redis_url, run, f"{command}-keys") as services:
        own = ("algorithm.gamma=0.5", "replay.sampler=prioritised")
        said = tried_with(services, *own, command=command, ADQL_SIDE=side)
        gamma = f"algorithm.gamma is {run.algorithm.gamma} there, 0.5 here"
        sampler = "replay.sampler is 'uniform' there, 'prioritised' here"
        assert f"configuration differs from this run's: {gamma}, {sampler}; start with its values" in said


def test_keys_that_differ_from_those_of_the_replay_service_are_named(tmp_path: Path, redis_url):
    run = tiny()
    (other_place := tmp_path / "other").mkdir()
    other = run.model_copy(update={"algorithm": run.algorithm.model_copy(update={"gamma": 0.5})})
    with (
        running(tmp_path, redis_url, run, "selftest-table") as services,
        running_replay(other_place, other) as replay,
    ):
        said = tried_with(services, ADQL_REPLAY_URL=replay.address)
        assert f"algorithm.gamma is 0.5 there, {run.algorithm.gamma} here" in said


def test_a_wrong_key_is_told_as_by_every_service(tmp_path: Path):
    address = f"http://127.0.0.1:{free_port()}"
    done = adql("selftest", "run.sed=1", environ={"ADQL_AUTH": "false", "ADQL_PARAMETER_SERVER_URL": address})
    assert done.returncode == 2 and "run.seed" in done.stderr
