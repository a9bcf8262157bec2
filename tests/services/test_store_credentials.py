"""A store that lets the server not in is told as that: whom it refused, where, and what to correct."""

import contextlib

import pytest
import redis

from adql.config import ParameterServerSettings
from adql.errors import InputError, StoreCredentialsError, StoreUnavailableError
from adql.parameters.store import open_store, way_out
from adql.wire import routes
from adql_services.local import keeper
from adql_services.parameter_server.opening import open_run
from tests.parameters.servers import tiny_specification
from tests.services.parameter_process import ServerProcess
from tests.services.pushes import push
from tests.waiting import wait_until

OLD, NEW = "the-old-one", "the-new-one"


@pytest.fixture
def guarded(store):
    """A store with a password, which stands in no command line."""
    with redis.Redis.from_url(store.url) as admin:
        admin.config_set("requirepass", OLD)
    return store


@pytest.fixture
def file(tmp_path):
    (tmp_path / "password").write_text(OLD)
    return tmp_path / "password"


def settings_of(tmp_path, store, **own) -> ParameterServerSettings:
    return ParameterServerSettings(
        directory=tmp_path / "volume", redis_url=store.url, auth=False, store_wait_seconds=0.3, **own
    )


def check_words(said: str, address: str, secret: str = NEW) -> None:
    assert f"{address} lets user 'default' not in: " in said
    assert "correct the user in ADQL_REDIS_URL, or the password in ADQL_REDIS_PASSWORD_FILE" in said
    assert "Secret" in said and "start it" not in said and "start that" not in said and secret not in said


@pytest.mark.parametrize("password", [None, NEW])
def test_server_that_the_store_lets_not_in_is_not_told_to_start_the_store(tmp_path, guarded, file, password):
    file.write_text(NEW)
    own = {"redis_password_file": file} if password else {}
    with pytest.raises(StoreUnavailableError) as refused:
        open_run(tiny_specification(), settings_of(tmp_path, guarded, **own))
    check_words(str(refused.value), guarded.url)
    assert "was waited for 0.3 s" in str(refused.value)


def test_password_that_can_no_longer_be_read_is_told_by_its_file(tmp_path, guarded, file):
    store = open_store(settings_of(tmp_path, guarded, redis_password_file=file), "run")
    file.write_bytes(b"\xff")
    with (
        contextlib.closing(store),
        pytest.raises(StoreCredentialsError, match=r"no password: .*can't decode") as refused,
    ):
        store.mark()
    check_words(f"{refused.value}; {way_out(refused.value, 'start it')}", guarded.url)


def test_launcher_tells_the_same_of_the_store_that_is_named(tmp_path, guarded, file):
    file.write_text(NEW)
    with pytest.raises(InputError) as refused:
        keeper.connect(settings_of(tmp_path, guarded, redis_password_file=file), "run")
    check_words(str(refused.value), guarded.url)
    assert str(refused.value).endswith("or unset ADQL_REDIS_URL for an embedded one")


def test_running_server_tells_of_a_changed_password_and_goes_on_with_the_new_one(tmp_path, guarded, file):
    server = ServerProcess(tmp_path / "server", tiny_specification(), guarded.url, redis_password_file=str(file))
    with server, contextlib.closing(server.client()) as client:
        client.register()
        with redis.Redis.from_url(guarded.url, password=OLD) as admin:
            admin.config_set("requirepass", NEW)
            admin.client_kill_filter(_type="normal", skipme=True)
        push(client)
        wait_until(lambda: refusals(server), what=server.log)
        check_words(refusals(server)[0], guarded.url)
        assert server.probe(routes.LIVEZ) == 200
        file.write_text(NEW)
        wait_until(lambda: server.get(routes.RUN)["state"]["durable_version"] == 1)


def refusals(server: ServerProcess) -> list[str]:
    """What it says of its store, less that the connection was cut."""
    lines = [line for line in server.log().splitlines() if "the weight store is away" in line]
    return [line for line in lines if "Connection closed" not in line and "reset" not in line and "Broken" not in line]
