"""Who may ask the two servers: every route of their own descriptions, and a token that is rotated live."""

import itertools
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from adql.wire import routes
from adql_services.runtime import tokens
from adql_services.runtime.tokens import Tokens
from tests.background import Background
from tests.parameters.servers import tiny_specification
from tests.services.metrics_page import scrape
from tests.services.parameter_process import ServerProcess
from tests.services.plain_http import ask, operations
from tests.services.pushes import push
from tests.services.replay_process import FREE, running_replay
from tests.waiting import wait_until

TOKEN, PREVIOUS = "correct-horse-battery", "the-one-before"
SIDE = (routes.LIVEZ, routes.READYZ, routes.METRICS)


class Service(NamedTuple):
    """Where it answers."""

    address: str
    side: str
    log: Path


@pytest.fixture(scope="module", params=["parameter-server", "replay"])
def service(request, redis_url, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    (place / "token").write_text(f"{TOKEN}\n{PREVIOUS}\n")
    guarded = {"auth": True, "token_file": str(place / "token")}
    if request.param == "replay":
        with running_replay(place, FREE, **guarded) as replay:
            yield Service(replay.address, replay.side, place / "log")
    else:
        with ServerProcess(place, tiny_specification(), redis_url, **guarded) as server:
            yield Service(server.listen, server.side, place / "log")


STRANGERS = {
    "none": {},
    "empty": {"Authorization": "Bearer "},
    "wrong": {"Authorization": "Bearer wrong"},
    "truncated": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "one letter": {"Authorization": f"Bearer {TOKEN[:1]}"},
    "too long": {"Authorization": f"Bearer {TOKEN}x"},
    "the previous one truncated": {"Authorization": f"Bearer {PREVIOUS[:-1]}"},
    "both": {"Authorization": f"Bearer {TOKEN}\t{PREVIOUS}"},
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
    "another header": {"X-Token": TOKEN},
}


@pytest.mark.system
def test_every_route_of_the_description_is_401_without_the_whole_token(service):
    found = operations(service.address, TOKEN)
    assert len(found) >= 7
    for (method, path), (name, headers) in itertools.product(found, STRANGERS.items()):
        answer = ask(service.address, method, f"{path}?token={TOKEN}", headers)
        assert (answer.status, answer.headers.get("www-authenticate")) == (401, "Bearer"), (method, path, name)


@pytest.mark.system
@pytest.mark.parametrize("token", [TOKEN, PREVIOUS])
def test_no_route_of_the_description_is_401_with_either_token(service, token):
    for method, path in operations(service.address, token):
        assert ask(service.address, method, path, {"Authorization": f"Bearer {token}"}).status != 401, (method, path)


@pytest.mark.system
def test_side_port_asks_for_no_token_and_shows_none(service):
    for path in SIDE:
        answer = ask(service.side, "GET", path)
        assert answer.status == 200
        assert TOKEN.encode() not in answer.body and PREVIOUS.encode() not in answer.body
    assert "authentication is off" not in service.log.read_text()
    assert TOKEN not in service.log.read_text()


@pytest.mark.system
def test_authentication_that_is_off_is_said_loudly_by_each_service(redis_url, tmp_path):
    (tmp_path / "replay").mkdir()
    run = tiny_specification(run={"name": "open"})
    with ServerProcess(tmp_path, run, redis_url), running_replay(tmp_path / "replay", FREE):
        for log in (tmp_path / "log", tmp_path / "replay" / "log"):
            (line,) = [line for line in log.read_text().splitlines() if "authentication is off" in line]
            assert "warning" in line


class Pusher(Background):
    """Pushes until told to stop, with the tokens of its own file; any refusal of all of them ends it."""

    def __init__(self, server: ServerProcess, token_file: Path) -> None:
        super().__init__()
        self._client = server.client(token=Tokens(token_file).all, sleep=self.sleep)
        self.pushed = 0

    def work(self) -> None:
        with closing(self._client):
            self._client.register()
            while not self.stopping.is_set():
                assert push(self._client).outcome == "applied"
                self.pushed += 1

    def push_on(self) -> None:
        """Waits for a few more pushes."""
        enough = self.pushed + 5
        wait_until(lambda: self.failure or self.pushed >= enough)
        self.check()


def replace(file: Path, *lines: str) -> None:
    """As a mounted secret changes: the new file takes the old one's name."""
    new = file.with_name(f"{file.name}.new")
    new.write_text("".join(f"{line}\n" for line in lines))
    new.rename(file)


ORDERS = [("servers", "learners"), ("learners", "servers")]


@pytest.mark.system
@pytest.mark.parametrize("order", ORDERS, ids=[f"{first} first" for first, _ in ORDERS])
def test_token_is_rotated_under_pushes_and_not_one_fails(redis_url, tmp_path, order):
    """Mounted secrets change at different times: each side has the new and the previous token before the other one."""
    files = {side: tmp_path / f"{side}-token" for side in order}
    for file in files.values():
        replace(file, "token-0")
    guarded = {"auth": True, "token_file": str(files["servers"])}
    run = tiny_specification(run={"name": f"rotated-{order[0]}-first"})
    with ServerProcess(tmp_path / "server", run, redis_url, **guarded) as server:
        pusher = Pusher(server, files["learners"])
        pusher.start()
        try:
            for number in range(1, 4):
                for side in order:
                    pusher.push_on()
                    replace(files[side], f"token-{number}", f"token-{number - 1}")
            for side in order:
                pusher.push_on()
                replace(files[side], "token-3")
            pusher.push_on()
        finally:
            pusher.stop()
        page = scrape(server.side)
        assert page.by("adql_updates_total", "outcome").keys() == {"applied"}
        assert ask(server.listen, "GET", routes.RUN, {"Authorization": "Bearer token-0"}).status == 401


@pytest.mark.system
def test_learner_whose_tokens_are_all_refused_ends_with_one_line_that_names_its_file(redis_url, tmp_path):
    servers, learners = tmp_path / "servers-token", tmp_path / "learners-token"
    replace(servers, "token-3", "token-2"), replace(learners, "token-1", "token-0")
    run = tiny_specification(run={"name": "two-rotations-behind"})
    with ServerProcess(tmp_path / "server", run, redis_url, auth=True, token_file=str(servers)) as server:
        settings = {"ADQL_PARAMETER_SERVER_URL": server.listen, "ADQL_SIDE": f"unix:{tmp_path}/learner.sock"}
        environment = os.environ | settings | {"ADQL_TOKEN_FILE": str(learners)}
        command = [sys.executable, "-m", "adql_services", "learner", "run.name=two-rotations-behind"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("adql: error: ")]
    assert ended.returncode == 2
    assert f"{server.listen} refused each of the 2 tokens of {learners} (ADQL_TOKEN_FILE)" in line
    assert "token-" not in line.replace("-token", "")


@pytest.mark.parametrize("presented", ["one", "two", "on", "", "three"])
def test_every_token_is_compared_whole_and_in_constant_time(tmp_path, monkeypatch, presented):
    (tmp_path / "token").write_text("one\ntwo\n")
    compared, real = [], tokens.hmac.compare_digest

    def spy(left, right):
        compared.append((left, right))
        return real(left, right)

    monkeypatch.setattr(tokens.hmac, "compare_digest", spy)
    assert Tokens(tmp_path / "token").accepts(presented) == (presented in ("one", "two"))
    assert compared == [(presented.encode(), b"one"), (presented.encode(), b"two")]
