"""``adql controller`` as a process: it changes a number, says so on its side port, and ends when it is told to."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.controller.api_double import SCALE, World
from tests.ports import free_port
from tests.services import side_port
from tests.waiting import wait_until

COMMAND = [sys.executable, "-m", "adql_services.cli", "controller"]


@pytest.fixture
def world():
    with World(replicas=12).served() as world:
        yield world


@pytest.fixture
def environ(world, tmp_path):
    (tmp_path / "kubeconfig").write_text(world.kubeconfig())
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ADQL_", "KUBE"))}
    return own | {
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "ADQL_AUTH": "false",
        "ADQL_NAMESPACE": "rl",
        "ADQL_SIDE": f"http://127.0.0.1:{free_port()}",
        "ADQL_PARAMETER_SERVER_URL": world.address,
        "ADQL_REPLAY_URL": world.address,
        "ADQL_INTERVAL_SECONDS": "0.05",
    }


def failing(environ: dict[str, str]) -> tuple[int, str]:
    """Returns the exit code and the last line of a controller that ends by itself."""
    done = subprocess.run(COMMAND, env=environ, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr.splitlines()[-1]


def test_it_works_until_it_is_told_to_end(world, environ):
    with subprocess.Popen(COMMAND, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: side_port.probe(environ["ADQL_SIDE"], "/readyz") == 200, 60)
            wait_until(lambda: world.replicas == 8, 60)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        said = process.stderr.read() if process.stderr else ""
    assert "12 is not within 1 to 8" in said
    assert [event["message"] for event in world.events] == ["12 to 8 learners (bounds): 12 is not within 1 to 8"]


def test_number_that_is_written_when_it_is_told_to_end_is_told_all_the_same(world, environ, monkeypatch):
    answer = world.answer
    with subprocess.Popen(COMMAND, env=environ, stderr=subprocess.PIPE, text=True) as process:

        def ending(method, path, body):
            if method == "PUT":
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)  # the length of the answer, so that the signal comes before it
            return answer(method, path, body)

        monkeypatch.setattr(world, "answer", ending)
        assert process.wait(60) == 0
        said = process.stderr.read() if process.stderr else ""
    assert world.replicas == 8 and len(world.events) == 1
    assert "12 is not within 1 to 8" in said


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"KUBECONFIG": "/nowhere/config"}, "no cluster is known"),
        (
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"},
            "this pod has no access to its cluster",
        ),
    ],
)
def test_no_kubernetes_is_one_line_with_the_way_out(environ, changes, why):
    code, said = failing(environ | changes)
    assert code == 2 and said.startswith(f"adql: error: {why}") and "controller.enabled=true" in said


def test_missing_role_is_one_line_that_names_it(world, environ):
    world.forbidden.add(f"GET {SCALE}")
    code, said = failing(environ)
    assert code == 1 and "the controller needs a Role" in said


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("ADQL_MIN_REPLICAS", "9", "ADQL_MAX_REPLICAS=8: must be at least ADQL_MIN_REPLICAS=9"),
        ("ADQL_MAX_REPLICAS", "0", "ADQL_MAX_REPLICAS=0"),
        ("ADQL_INTERVAL_SECONDS", "0", "ADQL_INTERVAL_SECONDS=0"),
        ("ADQL_MAX_REPLICA", "4", "did you mean ADQL_MAX_REPLICAS"),
        ("ADQL_AUTH", "true", "ADQL_TOKEN_FILE is not set"),
    ],
)
def test_impossible_setting_is_refused_by_its_name(environ, variable, value, part):
    code, said = failing(environ | {variable: value})
    assert code == 2 and part in said
