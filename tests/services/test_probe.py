"""``adql probe``: what the health check of a container runs."""

import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from adql.errors import RunFailedError
from adql.telemetry.metrics import PROCESS_PAGE
from adql.wire import routes
from adql_services.runtime.probe import LIVE, READY, probe
from adql_services.runtime.side_port import Health, SidePort
from tests.ports import free_port

HEAVY = ("numpy", "pydantic", "yaml", "adql.wire", "adql.config", "http.client")


@pytest.fixture(params=["unix", "tcp"])
def side(request, tmp_path):
    return f"unix:{tmp_path}/side.sock" if request.param == "unix" else f"http://127.0.0.1:{free_port()}"


def run(side: str | None, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ADQL_")}
    environment |= {} if side is None else {"ADQL_SIDE": side}
    command = [sys.executable, "-m", "adql_services", "probe", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)


def told(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """Returns the exit code and the one line that was written."""
    (line,) = (done.stdout + done.stderr).splitlines()
    return done.returncode, line


def test_ready_and_alive_are_exit_code_0_and_the_contrary_1(side):
    now = 0.0
    health = Health(clock=lambda: now)
    with SidePort(side, health, PROCESS_PAGE):
        assert told(run(side)) == (1, f"adql: error: {side}/readyz: not ready; the service's log says why")
        assert told(run(side, "--live")) == (0, "alive")
        health.ready, now = True, 60.0
        assert told(run(side)) == (0, "ready")
        assert told(run(side, "--live")) == (1, f"adql: error: {side}/livez: no heartbeat; the service's log says why")


def test_service_that_listens_at_every_address_is_found_by_what_it_was_told():
    side = f"http://0.0.0.0:{free_port()}"
    with SidePort(side, Health(), PROCESS_PAGE):
        assert probe(side, LIVE) == "alive"


def test_nobody_there_is_exit_code_1_and_names_the_variable(side):
    code, line = told(run(side))
    assert code == 1 and line.startswith(f"adql: error: ADQL_SIDE={side}: ") and "start the service" in line


def test_silence_is_given_up():
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        side = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RunFailedError, match=r"no answer in 0.05 s"):
            probe(side, READY, timeout_seconds=0.05)


@pytest.mark.parametrize("side", [None, "", "8421", "http://host", "http://host:x", "http://[::1:5", "ftp://host:21"])
def test_address_that_is_none_is_exit_code_2(side):
    code, line = told(run(side))
    assert code == 2 and line.startswith("adql: error: ADQL_SIDE")


def test_nothing_heavy_is_imported_for_it():
    code = (
        "import sys; from adql_services.cli import main; main(['probe']); "
        f"sys.exit(str([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    environment = os.environ | {"ADQL_SIDE": f"http://127.0.0.1:{free_port()}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=20)
    assert done.stderr.splitlines()[-1] == "[]"


def test_its_paths_are_those_of_the_side_port():
    assert (READY, LIVE) == (routes.READYZ, routes.LIVEZ)
