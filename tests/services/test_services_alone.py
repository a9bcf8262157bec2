"""The services started one by one, as a platform engineer would, and what they say."""

import contextlib
import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.services.metrics_page import scrape
from tests.store_process import running_store
from tests.system.launched import TINY, launched
from tests.waiting import wait_until

pytestmark = pytest.mark.system

STORE = "redis://somebody:a-secret@127.0.0.1:1/0"


class Folder:
    """Addresses and variables of services that belong together."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.parameters, self.replay = f"unix:{directory}/ps.sock", f"unix:{directory}/replay.sock"

    def side(self, name: str) -> str:
        return f"unix:{self.directory}/{name}-side.sock"

    def environ(self, service: str, **own: str) -> dict[str, str]:
        return {
            "ADQL_AUTH": "false",
            "ADQL_SIDE": self.side(service),
            "ADQL_LISTEN": self.replay if service == "replay" else self.parameters,
            "ADQL_DIRECTORY": str(self.directory / service),
            "ADQL_PARAMETER_SERVER_URL": self.parameters,
            "ADQL_REPLAY_URL": self.replay,
            **own,
        }

    def start(self, service: str, **own: str):
        return launched(self.directory / f"{service}.log", service, *TINY, environ=self.environ(service, **own))

    @contextlib.contextmanager
    def started(self, *services: str):
        """Starts a store and ``services``; yields them by name."""
        with running_store(self.directory / "store") as store, contextlib.ExitStack() as stack:
            own = {"ADQL_REDIS_URL": store.url}
            yield {name: stack.enter_context(self.start(name, **own)) for name in services}


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def lines_of(run, words: str) -> list[str]:
    return [line for line in run.said().splitlines() if words in line]


@pytest.mark.parametrize("service", ["learner", "evaluator"])
def test_who_waits_for_the_parameter_server_says_so_once_and_when_it_was_found(folder, service):
    with folder.start(service) as waiting:
        wait_until(lambda: lines_of(waiting, "waiting for"), what=waiting.said)
        wait_until(lambda: scrape(folder.side(service)).value("adql_retries_total") >= 8)
        (line,) = lines_of(waiting, "waiting for the parameter server")
        assert f"address={folder.parameters}" in line and "ADQL_PARAMETER_SERVER_URL" in line
        assert not lines_of(waiting, "found")
        with folder.started("parameter-server"):
            wait_until(lambda: lines_of(waiting, "found the parameter server"), what=waiting.said)
            assert f"side={folder.side(service)}" in wait_until(lambda: lines_of(waiting, "listening"))[0]
            assert len(lines_of(waiting, "waiting for the parameter server")) == 1


def test_a_learner_says_once_that_it_waits_for_replay(folder):
    with folder.started("parameter-server", "learner") as run:
        wait_until(lambda: lines_of(run["learner"], "waiting for the replay service"), what=run["learner"].said)
        with folder.start("replay"):
            wait_until(lambda: lines_of(run["learner"], "found the replay service"), what=run["learner"].said)
            (line,) = lines_of(run["learner"], "waiting for the replay service")
    assert f"address={folder.replay}" in line and "ADQL_REPLAY_URL" in line


def test_a_server_says_where_it_listens_when_it_is_ready(folder):
    with folder.started("parameter-server", "replay") as run:
        for name, address in (("parameter-server", folder.parameters), ("replay", folder.replay)):
            (line,) = wait_until(lambda name=name: lines_of(run[name], "listening"), what=run[name].said)
            assert f"address={address}" in line and f"side={folder.side(name)}" in line


def test_a_parameter_server_without_a_store_names_it_without_its_password_ever_less_often(folder):
    with folder.start("parameter-server", ADQL_REDIS_URL=STORE) as server:
        wait_until(lambda: len(lines_of(server, "waiting for the weight store")) == 3, what=server.said)
        waiting = lines_of(server, "waiting for the weight store")
        assert not lines_of(server, "listening")
    assert all("address=redis://127.0.0.1:1/0" in line and "ADQL_REDIS_URL" in line for line in waiting)
    assert "a-secret" not in server.said()
    times = [datetime.fromisoformat(re.match(r"\S+", line)[0].rstrip("Z")) for line in waiting]
    assert (times[1] - times[0]).total_seconds() >= 1 and (times[2] - times[1]).total_seconds() >= 2
